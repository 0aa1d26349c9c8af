"""Training: pretraining and fine-tuning of Atacformer models."""
