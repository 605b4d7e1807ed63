"""Accuracy measured on the user's own network and data: store, saliency, loop."""
