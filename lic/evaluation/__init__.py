"""Evaluation: codec x images x tasks -> results file."""
