"""Results -> W&B."""
