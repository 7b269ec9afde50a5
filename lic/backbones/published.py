"""torchvision's and timm's networks behind their published preprocessing.

The preprocessing gets what it was published for, an 8-bit Pillow image, so that answers are those of torchvision's
reference evaluation (references/classification/presets.py, references/segmentation/presets.py) bit for bit.
"""

import copy
import difflib
import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models, transforms
from torchvision.transforms.functional import to_pil_image

from lic.backbones.description import Description, Kind, fit_image, read_description


def size_of(build: Callable[[], nn.Module]) -> str:
    """Return the size of a network's weights in float32, such as `408 MB`; `size unknown` where it resists.

    Args:
        build: returns the network; it is built on the device without memory, so that nothing is allocated.
    """
    try:
        with torch.device("meta"):
            network = build()
    except (RuntimeError, NotImplementedError):  # a builder that looks at its values
        return "size unknown"
    return f"{sum(weight.numel() for weight in network.parameters()) * 4 / 1e6:.0f} MB"


_ELSEWHERE = (
    "without it work --network onnx:FILE.onnx or timm:FILE.safetensors, eval.py's --network_weights FILE, and the "
    "demo scenes"
)


class TorchNetwork:
    """A frozen torch network of any kind; its fields are those of `lic.backbones.networks.Network`.

    Args:
        name: as results name it.
        kind: what it answers.
        network: of torchvision's conventions.
        preprocess: Pillow image -> (3, h, w); None where the network takes images in [0, 1] as they are.
        classes: names by output index.
        settings: what besides the weights its answers depend on.
        device: where it runs.
        whole: the preprocessing without its resizing and cropping, where it has any.
    """

    def __init__(
        self, name: str, kind: Kind, network: nn.Module, preprocess: Callable[[Any], Tensor] | None,
        classes: tuple[str, ...] | None, settings: str, device: torch.device,
        whole: Callable[[Any], Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.kind, self.classes = name, kind, classes
        self.network = network.eval().requires_grad_(False)
        self.fingerprint = _fingerprint(self.network, f"{name} {settings}")
        self.network.to(device)
        self.preprocess, self.device, self._whole = preprocess, device, whole

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Any]:
        """Return the answer for each of (N, 3, H, W) images, RGB in [0, 1]."""
        if self.preprocess is None:
            inputs = image.to(self.device)
        else:
            pages = [self.preprocess(to_pil_image((one.clamp(0, 1) * 255).round().byte())) for one in image.cpu()]
            inputs = torch.stack(pages).to(self.device)
        if self.kind in ("detection", "instances"):
            return [_as_found(found) for found in self.network(list(inputs))]
        output = self.network(inputs)
        logits = (output["out"] if isinstance(output, dict) else output).float()
        if self.kind == "classification":
            return list(logits.cpu())
        return [
            F.interpolate(one[None], image.shape[-2:], mode="bilinear", align_corners=False)[0]
            .argmax(0).to(torch.uint8).cpu()
            for one in logits  # one by one: 21 planes of float at the image's size are large
        ]  # fmt: skip


    def uncut(self, side_px: int) -> "TorchNetwork":
        """Return the network without the resizing and cropping before it; see `lic.backbones.networks.Network`."""
        other = copy.copy(self)
        if self.preprocess is not None:
            other.preprocess, other.fingerprint = self._whole, f"{self.fingerprint} uncut"
        try:
            other(torch.zeros(1, 3, side_px, side_px))
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            raise ValueError(f"network {self.name} takes no pictures of {side_px} x {side_px} as they are: "
                             f"{' '.join(str(error).split())[:200]}; choose one of any size") from error
        return other


def _as_found(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """A detector's answer on the processor, its masks as torchvision's references cut them: above one half."""
    answer = {key: value.cpu() for key, value in found.items() if key in ("boxes", "scores", "labels")}
    return answer if "masks" not in found else {**answer, "masks": (found["masks"][:, 0] > 0.5).cpu()}


def _fingerprint(network: nn.Module, settings: str) -> str:
    digest = hashlib.sha256(settings.encode())
    for key, value in network.state_dict().items():
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()


def _torchvision_kind(name: str) -> Kind:
    """Return what a network of torchvision answers, by the module that holds it."""
    if name in models.list_models(module=models):
        return "classification"
    if name in models.list_models(module=models.segmentation):
        return "semantic"
    if name in models.list_models(module=models.detection) and not name.startswith("keypoint"):
        return "instances" if name.startswith("mask") else "detection"
    raise ValueError(f"network '{name}' answers no task here (it is for keypoints, video, optical flow, or quantised); "
                     "choose a classifier, detector or segmenter of images")


def build_torchvision(name: str, weights: str | None, device: torch.device) -> TorchNetwork:
    """Return a network with its DEFAULT published weights, or those of a local file behind the same preprocessing."""
    kind = _torchvision_kind(name)
    published = models.get_model_weights(name).DEFAULT
    network = load_torchvision(name, weights)
    preprocess = published.transforms() if kind in ("classification", "semantic") else None
    whole = _normalised(preprocess.mean, preprocess.std) if preprocess and kind == "classification" else None
    classes = tuple(published.meta["categories"])
    return TorchNetwork(name, kind, network, preprocess, classes, repr(preprocess), device, whole)


def _normalised(mean: Sequence[float], std: Sequence[float]) -> Callable[[Any], Tensor]:
    """Return the part of a preprocessing that does not change the size."""
    steps = [transforms.PILToTensor(), transforms.ConvertImageDtype(torch.float), transforms.Normalize(mean, std)]
    return transforms.Compose(steps)  # type: ignore[no-any-return]  # untyped library


def load_torchvision(name: str, weights: str | None, elsewhere: str = _ELSEWHERE) -> nn.Module:
    """Return torchvision's network; `elsewhere` is what a message says of what works without its weights."""
    published = models.get_model_weights(name).DEFAULT
    if weights is not None:
        with _hub_that_holds(Path(weights), published.url), _fitting(name, weights):
            network: nn.Module = models.get_model(name, weights=published)
        return network
    try:
        network = models.get_model(name, weights=published)
    except OSError as error:
        raise ValueError(f"the weights of {name} cannot be downloaded ({error}): put {published.url} "
                         f"({published.meta['_file_size']:.0f} MB; torchvision, BSD-3-Clause; trained on research "
                         f"data) into {torch.hub.get_dir()}/checkpoints; {elsewhere}") from error
    return network


@contextmanager
def _hub_that_holds(path: Path, url: str) -> Iterator[None]:
    """Let torchvision find a local file's weights where it looks for the published ones.

    Published weights switch things that no argument does (batch norm's eps of the first detectors, renamed keys of
    DenseNet, Inception's input), so the builder has to be told that it loads them. What it then unpickles was
    written here, from tensors that were read safely.
    """
    state = _read_weights(path)
    before = torch.hub._hub_dir  # get_dir() names a folder, and what is set once no longer follows $TORCH_HOME
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkpoints" / os.path.basename(url)
        copy.parent.mkdir()
        torch.save(state, copy)
        torch.hub.set_dir(folder)
        try:
            yield
        finally:
            torch.hub._hub_dir = before


@contextmanager
def _fitting(name: str, weights: str) -> Iterator[None]:
    """Say in one line that weights do not fit."""
    try:
        yield
    except (RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"weights {weights} do not fit {name}: {reason[:300]}") from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors, .pth or .pt file; nothing but tensors is unpickled."""
    if not path.is_file():
        raise ValueError(f"no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path} holds no weights that can be read safely (.safetensors, or tensors alone in .pth): "
                         f"{' '.join(str(error).split())[:200]}") from error
    for key in ("state_dict", "model"):  # as training scripts wrap them
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no tensors by name; save network.state_dict()")
    return state


def build_timm(name: str, weights: str | None, device: torch.device) -> TorchNetwork:
    """Return a classifier with its published weights, or those of a local file behind the same preprocessing."""
    network = load_timm(name, weights)
    settings = timm.data.resolve_model_data_config(network)
    preprocess = timm.data.create_transform(**settings, is_training=False)
    whole = _normalised(settings["mean"], settings["std"])
    return TorchNetwork(name, "classification", network, preprocess, _imagenet(network), repr(settings), device, whole)


def load_timm(
    name: str, weights: str | None, flag: str = "--network_weights FILE", elsewhere: str = _ELSEWHERE
) -> nn.Module:
    """Return timm's network; `flag` and `elsewhere` are for a message: where to name a file, what works without."""
    if weights is not None:
        state = _read_weights(Path(weights))
        with _fitting(name, weights):
            network: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
        return network
    try:
        network = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's client raises whatever it likes
        published = timm.get_pretrained_cfg(name)
        source = f"https://huggingface.co/{published.hf_hub_id}" if published and published.hf_hub_id else "timm"
        folder = os.environ.get("HF_HOME", "~/.cache/huggingface")
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        size = size_of(lambda: timm.create_model(name))
        raise ValueError(f"the weights of {name} ({size}) cannot be had ({reason}): download them from "
                         f"{source} (licence {published.license if published else 'unknown'}) for {flag}, or into "
                         f"{folder} with its client; {elsewhere}") from error
    return network


def build_timm_file(path: Path, device: torch.device) -> TorchNetwork:
    """Return a classifier of timm from a local file, as the YAML beside it describes model and preprocessing."""
    network, description = load_timm_file(path)

    def preprocess(image: Any) -> Tensor:
        return fit_image(image, description)[0][0]

    def whole(image: Any) -> Tensor:
        size = [image.height, image.width]
        return fit_image(image, replace(description, input_size=size, fit="resize", resize_px=None))[0][0]

    classes = tuple(description.classes) if description.classes else _imagenet(network)
    return TorchNetwork(path.stem, "classification", network, preprocess, classes, repr(description), device, whole)


def load_timm_file(path: Path) -> tuple[nn.Module, Description]:
    """Return timm's network from a local file, and the YAML beside it."""
    if not path.is_file():
        raise ValueError(f"no weights at {path}")
    description = read_description(path)
    if description.output != "class logits" or description.model is None:
        raise ValueError(f"{path.stem}.yaml needs 'output: class logits' and timm's 'model' for timm:{path}")
    check_name(description.model, timm.list_models(), "model of timm")
    with _fitting(description.model, str(path)):
        network = timm.create_model(description.model, pretrained=False, **description.options)
        network.load_state_dict(_read_weights(path))
    return network, description


def _imagenet(network: Any) -> tuple[str, ...] | None:
    """ImageNet's class names where a network has a thousand outputs: timm's then are in that order."""
    names = tuple(models.ResNet50_Weights.DEFAULT.meta["categories"])
    return names if network.num_classes == len(names) else None


def check_name(name: str, names: list[str], what: str) -> None:
    """Raise ValueError, with the nearest, unless the name is one of those."""
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    raise ValueError(f"{what} '{name}' is unknown{f'; did you mean {near[0]!r}?' if near else ''}")
