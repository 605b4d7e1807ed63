"""Accuracy: what was published, and what is predicted from it, with an interval."""
