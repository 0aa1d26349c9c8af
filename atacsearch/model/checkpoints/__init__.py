"""Checkpoints in the published layout: read, written, fetched by name."""
