"""The index folder: generations, readers of one, the writer of the next, proof and repair."""
