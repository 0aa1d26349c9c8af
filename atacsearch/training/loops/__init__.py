"""The training loops: pretraining, metric learning, batch correction."""
