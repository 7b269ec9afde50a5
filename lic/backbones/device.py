"""Where networks run."""

import os

import torch


def pick_device(name: str) -> torch.device:
    """Return a torch device; `auto` is the GPU where there is one, each of `torchrun`'s processes its own."""
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{name}' is not to be had on this machine: {str(error).splitlines()[0]}") from error
