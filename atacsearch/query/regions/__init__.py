"""Questions about regions: overlap, comparison, contexts."""
