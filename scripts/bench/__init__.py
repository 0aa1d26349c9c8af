"""Benchmarks: how fast, how right and how trustworthy atacsearch is; scripts/README.md lists the commands.

`common` is used by all rooms. Modules import one another by their full names (`from bench.common.measuring import
Row`); a module that can be run puts the folder `scripts` on Python's path first.
"""
