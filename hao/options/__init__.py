"""Options: what may change about a layer, each with its accuracy cost."""
