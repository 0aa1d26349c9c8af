"""Questions about regions: overlap, retrieval of files that share regions, lifting between genomes."""
