"""Search: what a cell, BED file or region is like."""
