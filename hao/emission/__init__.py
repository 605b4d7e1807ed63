"""From a design and a network of integers to an HLS project that computes the same."""
