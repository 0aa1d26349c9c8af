"""The index on disk: Parquet shards as the truth, DuckDB metadata and Qdrant vectors built from them."""
