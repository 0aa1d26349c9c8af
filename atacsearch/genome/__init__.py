"""Assemblies, intervals, genes and liftover. Knows nothing of tokens, models, stores or queries.

- `assemblies`, `aliases`, `bounds`: chromosomes, their lengths, their other names, and coordinates that cannot be.
- `assembly_check`: which assembly intervals are of, told by promoters.
- `intervals`, `overlap`: intervals, and which of them overlap.
- `bed_lines`, `region_strings`: BED lines and region strings to intervals.
- `genes`: transcription start sites, nearest genes, promoters.
- `chain`, `liftover`: chain files, and intervals from one assembly to another.
- `datasets`: public data sets that are fetched by name.
"""
