"""Heads: vectors and class probabilities made from what the encoder gives, with calibration and novelty."""
