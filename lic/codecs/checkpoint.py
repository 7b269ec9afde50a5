"""Checkpoints that are safe to open: safetensors with a JSON header; Lightning's own are read as weights only."""

import copy
import dataclasses
import hashlib
import json
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
from safetensors.torch import save
from torch.nn.utils.rnn import pad_sequence

from lic.atomic import write_file
from lic.codecs.build import CARDS, build_from, codec_card
from lic.codecs.codec import Codec
from lic.codecs.upstream import UPSTREAM, upstream_card
from lic.embedded import embedded, here_or_embedded
from lic.guests import content_digest
from lic.settings import check_lmbda, require

SHIPPED = embedded("checkpoints/demo/codecs")
PHOTOS = embedded("checkpoints/photos/codecs")


def shipped_codecs() -> list[Path]:
    """Return the files of all codecs that ship, those of photographs first."""
    return [path for folder in (PHOTOS, SHIPPED) for path in sorted(folder.glob("*.safetensors"))]



@dataclass(frozen=True)
class Header:
    """What a codec is and where it comes from.

    Attributes:
        codec: the name on its card.
        options: what the card's `build` takes.
        lmbda: the operating points that it was trained for.
        distortion: what it was trained to keep.
        data: what it was trained on.
        steps: optimiser steps.
        versions: of the libraries that trained it.
        label: what its training was called; None: nothing but the distortion.
        seed: of its training; None: unknown.
        streams_of: SHA-256 of the checkpoint whose streams it codes and decodes, all but its decoder being that one's;
            None: it has streams of its own.
    """

    codec: str
    options: dict[str, Any]
    lmbda: list[float]
    distortion: str
    data: str
    steps: int
    versions: dict[str, str]
    label: str | None = None
    seed: int | None = None
    streams_of: str | None = None

    def __post_init__(self) -> None:
        require(self.streams_of is None or re.fullmatch("[0-9a-f]{64}", self.streams_of) is not None,
                f"its header names no checkpoint whose streams it codes, but '{self.streams_of}'")
        require(isinstance(self.lmbda, list) and len(self.lmbda) > 0, "its header names no lmbda")
        for lmbda in self.lmbda:
            check_lmbda(lmbda)


class LoadedCodec(NamedTuple):
    """A codec in eval mode and its file.

    Attributes:
        codec, header: what the file holds.
        sha256: of the file.
        code_sha256: of the Python file of a guest's codec; empty for the house's.
    """

    codec: Codec
    header: Header
    sha256: str
    code_sha256: str = ""

    @property
    def streams_of(self) -> str:
        """SHA-256 of the checkpoint whose streams it codes and decodes: its own, or the one that its decoder is for."""
        return self.header.streams_of or self.sha256

    @property
    def fingerprint(self) -> bytes:
        """4 bytes by which a stream names the checkpoint that it is of."""
        return bytes.fromhex(self.streams_of)[:4]


def save_codec(codec: Codec, header: Header, path: Path) -> None:
    """Write a codec with its weights rounded to fp16 and the CDF tables of the rounded weights, atomically.

    Args:
        codec: any state; it is not changed.
        header: what is written beside the weights.
        path: a .safetensors file.

    Raises:
        ValueError: weights that are not finite as fp16, which no decoder could use.
    """
    codec = copy.deepcopy(codec).cpu().eval()
    for parameter in codec.parameters():
        parameter.data = parameter.data.half().float()
    _check_finite(codec.state_dict())
    codec.build_tables()
    names = {name for name, _ in codec.named_parameters()}
    state = {name: (tensor.half() if name in names else tensor) for name, tensor in codec.state_dict().items()}
    tensors = {name: tensor.contiguous() for name, tensor in _pack_tables(state).items()}
    write_file(save(tensors, {"lic": json.dumps(dataclasses.asdict(header))}), path)


_DAMAGE = (safetensors.SafetensorError, pickle.UnpicklingError, EOFError, OSError, RuntimeError, LookupError, TypeError,
           ValueError, AttributeError)  # fmt: skip  # what the readers trip over


def load_codec(path: str | Path, guests: Sequence[str] = ()) -> LoadedCodec:
    """Return the codec of a .safetensors file or of a Lightning .ckpt, on the CPU, in eval mode.

    Args:
        path: of the file; of one that ships, what follows the project's folder.
        guests: Python files with cards of codecs that are not the house's. A checkpoint of such a codec makes no code
            run: its file is named by the user.

    Raises:
        ValueError: in one line: no such file, damaged, not a codec's, or of an unknown codec.
    """
    path = here_or_embedded(str(path))
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    cards = {card.name: (card, "") for card in CARDS}
    cards |= {codec_card(guest).name: (codec_card(guest), guest) for guest in guests}
    try:
        header, state = _read(path)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if header.codec in UPSTREAM and header.codec not in cards:
        cards[header.codec] = (upstream_card(header.codec), "")
    require(header.codec in cards, f"checkpoint {path} is of the codec '{header.codec}', which is none of the house's "
                                   f"({', '.join(card.name for card in CARDS)}): train and eval take --codec FILE.py")
    try:
        card, guest = cards[header.codec]
        _check_finite(state)
        if not guest:
            _check_widths(header.options, state)
        codec = build_from(card, header.options, header.lmbda)
        codec.load_state_dict(state)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return LoadedCodec(codec.eval(), header, hashlib.sha256(path.read_bytes()).hexdigest(), content_digest(guest))


def _damaged(path: Path, error: BaseException) -> ValueError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ValueError(f"checkpoint {path} is damaged or is not a codec's: {reason[:160]}")


def _check_finite(state: dict[str, torch.Tensor]) -> None:
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    require(not bad, f"weights are not finite: {', '.join(bad[:3])}{' ...' if len(bad) > 3 else ''}")


def _check_widths(options: dict[str, Any], state: dict[str, torch.Tensor]) -> None:
    """Raise ValueError, before anything is built, for a width that none of the weights has."""
    largest = max((side for tensor in state.values() for side in tensor.shape), default=0)
    for name, width in options.items():
        for part in width if isinstance(width, list) else [width]:
            require(not isinstance(part, int) or part <= largest, f"{name} is {width}, its weights have no such side")


def load_header(path: Path) -> Header:
    """Return the header of a checkpoint that is one, of any codec; a .safetensors file's weights are not read."""
    if path.suffix == ".ckpt":
        return _read_lightning(path)[0]
    with safetensors.safe_open(path, "pt") as file:
        return _header_in(file)


def streams_of(path: Path) -> str:
    """Return the SHA-256 of the checkpoint whose streams a file codes and decodes: its own, or that in its header."""
    try:
        parent = load_header(path).streams_of
    except _DAMAGE:  # whoever loads it is told
        parent = None
    return parent or hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> tuple[Header, dict[str, torch.Tensor]]:
    return _read_lightning(path) if path.suffix == ".ckpt" else _read_safetensors(path)


def read_header(settings: dict[str, Any]) -> Header:
    """Return the header in a JSON object, of an older version too."""
    if "options" not in settings:  # all codecs had two widths
        settings = dict(settings)
        widths = {name: settings.pop(name) for name in ("num_channels", "num_latent_channels")}
        if str(settings["codec"]).startswith("cheng2020"):
            require(widths["num_channels"] == widths.pop("num_latent_channels"), "its two widths are not alike")
        settings["options"] = widths
    return Header(**settings)


def _header_in(file: Any) -> Header:
    return read_header(json.loads((file.metadata() or {})["lic"]))


def _read_safetensors(path: Path) -> tuple[Header, dict[str, torch.Tensor]]:
    with safetensors.safe_open(path, "pt") as file:
        header = _header_in(file)
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # safe_open is no mapping
    return header, _unpack_tables(state)


def _pack_tables(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict whose CDF tables hold each row's own length only: a tenth of the padded rows."""
    return {
        name: torch.cat([row[:length] for row, length in zip(tensor, state[_lengths(name)].tolist(), strict=True)])
        if name.endswith("._quantized_cdf")
        else tensor
        for name, tensor in state.items()
    }


def _unpack_tables(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict whose CDF tables are padded with zeros again."""
    return {
        name: pad_sequence(tensor.split(state[_lengths(name)].tolist()), batch_first=True)
        if name.endswith("._quantized_cdf")
        else tensor
        for name, tensor in state.items()
    }


def _lengths(cdf_name: str) -> str:
    return cdf_name.removesuffix("_quantized_cdf") + "_cdf_length"


def _read_lightning(path: Path) -> tuple[Header, dict[str, torch.Tensor]]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    weights = content["state_dict"]
    prefix = "ema.module." if any(name.startswith("ema.") for name in weights) else "codec."
    state = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    return read_header(content["lic"]), state
