"""Readers: fragment files, BED files and cell x peak matrices become token sets or intervals."""
