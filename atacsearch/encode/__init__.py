"""Token sets to vectors."""
