"""Assemblies, intervals, genes and liftover. Knows nothing of tokens, models, stores or queries."""
