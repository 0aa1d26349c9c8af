"""Compiled loops over bytes and arrays, and how they are loaded."""
