"""The metadata of a generation: a DuckDB file and the `--where` language."""
