"""How long each stage takes, beside the tools that do the same work."""
