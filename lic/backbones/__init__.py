"""Frozen vision networks."""
