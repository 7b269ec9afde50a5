"""Train the networks of the demo scenes from nothing and write checkpoints/{demo,voters}/*.safetensors.

    python -m lic demo-networks classifier --steps 100     # one of them, badly, in a minute
    python -m lic demo-networks                            # the five of demo/: over 80 minutes on two cores
    python -m lic demo-networks voters --num_scenes 8192   # those that vote besides: 47 minutes, one thread

They learn from scenes of the split "networks" alone and are judged on those of "val", as drawn and as JPEG of
quality 10. **No codec and no compressed image takes part in the training**, nor any blur or noise that resembles one:
the only augmentation is that the CLIP sees pieces of scenes with captions that leave words out, and that RegNet sees
scenes mirrored, shifted and recoloured.
"""

import argparse
import os
from pathlib import Path

import torch

from lic.cli import KEEP_LINES
from lic.demo import networks as demo
from lic.demo import other_networks as voters
from lic.demo.arrays import draw_arrays
from lic.demo.scenes import NUM_VAL
from lic.demo.train import NAMES, NUM_SCENES, RECIPES, VOTERS, make


def main(argv: list[str] | None = None) -> None:
    """Train, judge and write networks."""
    parser = argparse.ArgumentParser("lic demo-networks", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which of: {' '.join(NAMES)} (default all of these), "
                        f"{' '.join(VOTERS)}; voters: all of those")
    parser.add_argument("-o", "--output", type=Path, help="folder of the weights (checkpoints/demo and /voters)")
    parser.add_argument("--steps", type=int, help="optimiser steps instead of each network's own number")
    parser.add_argument("--num_scenes", type=int, default=NUM_SCENES, help="how many scenes to train on")
    parser.add_argument("--num_val", type=int, default=NUM_VAL, help="how many held-out scenes to judge on")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    settings = parser.parse_args(argv)
    for name in settings.names:
        if name not in (*NAMES, *VOTERS, "voters"):
            parser.error(f"network '{name}' is unknown; choose from: {', '.join((*NAMES, *VOTERS))}, voters")
    torch.set_num_threads(settings.threads)
    held_out = draw_arrays("val", settings.num_val)
    scenes = draw_arrays("networks", settings.num_scenes)
    names = settings.names or NAMES
    for name in (*NAMES, *VOTERS):
        if name in names or (name in VOTERS and "voters" in names):
            folder = voters.voters_folder() if name in VOTERS else demo.demo_folder()
            make(name, scenes, held_out, settings.steps or RECIPES[name].steps, settings.output or folder)
