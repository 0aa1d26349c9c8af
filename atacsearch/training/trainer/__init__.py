"""What every training loop needs: data, batches, losses, optimizer, state on disk."""
