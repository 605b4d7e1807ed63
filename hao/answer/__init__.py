"""Search over candidates: choose, measure, refit, and the Pareto front."""
