"""What a design costs: cycles, bytes moved and device blocks, as pure functions."""
