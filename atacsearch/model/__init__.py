"""The Atacformer network, its heads and its checkpoints; torch only."""
