"""A grid of runs on this machine."""
