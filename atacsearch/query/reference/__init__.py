"""The reference of label transfer: who may vote, how neighbours count, how confidence is calibrated."""
