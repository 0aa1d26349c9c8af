"""Universes, token sets and tokenisation. Knows intervals, not files."""
