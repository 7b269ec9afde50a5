"""Learned image compression for machines: train with ML-CLIPSim, judge by rate-task curves."""
