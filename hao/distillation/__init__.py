"""Operation replacement: candidates distilled, scored, assembled and chosen."""
