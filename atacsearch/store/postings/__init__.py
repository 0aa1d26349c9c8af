"""The inverted index: which items have a token."""
