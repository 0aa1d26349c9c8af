"""Bulk indexing of public repositories: sources, plan, workers, load. Nothing is in this version yet."""
