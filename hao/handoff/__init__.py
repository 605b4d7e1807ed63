"""Hand-off: reports of synthesis read back and set beside the prediction."""
