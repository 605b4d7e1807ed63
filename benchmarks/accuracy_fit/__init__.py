"""How the shipped law of accuracy drops is fitted and checked."""
