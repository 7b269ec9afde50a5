"""torchvision's classifiers whose features perceptual distances compare: their published weights, had or asked for.

torchvision would download them too, but waits without limit where there is no network, and fails with a traceback.
"""

import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import nn
from torchvision.models import AlexNet_Weights, VGG16_Weights

TrunkName = Literal["alexnet", "vgg16"]
SECONDS = 10  # without an answer, after which a download is given up
_PUBLISHED = {"alexnet": AlexNet_Weights.DEFAULT, "vgg16": VGG16_Weights.DEFAULT}

_Network = TypeVar("_Network", bound=nn.Module)


def trunk_file(name: TrunkName) -> Path:
    """Return where torch hub ($TORCH_HOME) keeps the weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(_PUBLISHED[name].url).name


def trunk_source(name: TrunkName) -> str:
    """Return what the weights are: address, size, licence."""
    published = _PUBLISHED[name]
    megabytes = round(published.meta["_file_size"])
    return f"{published.url} ({megabytes} MB; torchvision, BSD-3-Clause; trained on ImageNet)"


def build_on_trunk(name: TrunkName, build: Callable[[], _Network]) -> _Network:
    """Return the network that `build` makes, frozen and in eval mode, once its trunk's weights lie where it looks.

    Raises:
        ValueError: in one line: they cannot be downloaded, with file, size and the place to put them; they are damaged.
    """
    path = trunk_file(name)
    if not path.is_file():
        _download(name, path)
    try:
        return build().requires_grad_(False).eval()
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not hold the weights of {name} ({reason}): delete it, or put "
                         f"{trunk_source(name)} in its place") from error


def _download(name: TrunkName, path: Path) -> None:
    published = _PUBLISHED[name]
    digits = path.stem.rpartition("-")[2]  # of the file's SHA-256
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _patience(SECONDS):
            torch.hub.download_url_to_file(published.url, str(path), digits)
    except (OSError, HTTPException, RuntimeError) as error:
        raise ValueError(f"the weights of {name} cannot be downloaded ({error}): put {trunk_source(name)} into "
                         f"{path.parent}; without it work mse, ssim, ms-ssim, fsim, gmsd, vif and mlclipsim") from error


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give connections opened meanwhile a time limit; torch hub sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
