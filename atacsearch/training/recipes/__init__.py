"""One recipe a training command: from input files to a finished model."""
