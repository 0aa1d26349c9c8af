"""How good vectors are: label transfer by neighbours, mixing of batches."""
