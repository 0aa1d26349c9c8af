"""The commands `atacsearch train ...`."""
