"""Learned image compression for machines: train with ML-CLIPSim, judge by rate-task curves."""

import warnings

# compressai 1.2.8 calls torch.jit.script, which torch >= 2.12 announces the end of; nothing a user could do about
warnings.filterwarnings("ignore", ".torch.jit.script. is deprecated", FutureWarning)
