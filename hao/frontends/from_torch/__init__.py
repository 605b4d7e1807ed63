"""Reads torch modules into a network."""
