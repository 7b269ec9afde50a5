"""PCMP: pairs of distortions matched in PSNR, labelled by the votes of networks, and what is fitted on them."""
