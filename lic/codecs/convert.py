"""Checkpoints of other projects -> codecs."""

import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import compressai
import torch
from compressai.zoo.pretrained import load_pretrained
from torch import Tensor, nn

from lic.codecs.build import build_codec, build_from, codec_card
from lic.codecs.checkpoint import Header
from lic.codecs.codec import Codec
from lic.codecs.mlicpp import MLICPlusPlus, MLICPlusPlusOld
from lic.codecs.upstream import upstream_from_weights
from lic.settings.names import AnyCodecName, CodecName

WRAPPED = re.compile(r"^(module\.|_orig_mod\.)+")  # by training on several devices, by torch.compile
_TRANSFORM = re.compile(r"g_a\.\d+\.(conv1\.)?weight$")

# github.com/JiangWeibeta/MLIC (Apache-2.0), commit 4aa9d2a: its names -> ours, applied in turn.
_RENAMED = (
    (WRAPPED, ""),
    (r"^g_a\.analysis_transform\.", "g_a."),
    (r"^g_s\.synthesis_transform\.", "g_s."),
    (r"^h_a\.reduction\.", "h_a."),
    (r"^h_s\.increase\.", "h_s."),
    (r"^entropy_bottleneck\._matrix(\d)$", r"entropy_bottleneck.matrices.\1"),  # CompressAI before 1.2.5
    (r"^entropy_bottleneck\._bias(\d)$", r"entropy_bottleneck.biases.\1"),
    (r"^entropy_bottleneck\._factor(\d)$", r"entropy_bottleneck.factors.\1"),
    (r"^((?:local|channel|global_\w+)_context|entropy_parameters_\w+|lrp_\w+)\.(\d+)\.", r"slices.\2.\1."),
    (r"\.channel_context\.fushion\.", ".channel_context."),
    (r"\.entropy_parameters_(\w+)\.fusion\.", r".entropy_parameters_\1."),
    (r"\.lrp_transform\.", "."),
    (r"\.local_context\.mlp\.fc1\.", ".local_context.mlp.0."),
    (r"\.local_context\.mlp\.fc2\.", ".local_context.mlp.2."),
)

# What follows from the weights, or from the sizes: ours builds it itself.
_DERIVED = re.compile(
    r"\.(_quantized_cdf|_offset|_cdf_length|scale_table|relative_position_index)$"
    r"|^gaussian_conditional\.scale_bound$|\.(bound|pedestal|target)$"
)


def convert_mlicpp(source: Path) -> MLICPlusPlus:
    """Return the MLIC++ of the official implementation's checkpoint, in eval mode, CDF tables not built.

    Args:
        source: .pth.tar; a state dict, or a dict with one under "state_dict"; of one device or of several.

    Raises:
        ValueError: in one line: no such file, no such checkpoint, keys too many or too few, tensors of a wrong shape.
    """
    state = {_rename(name): tensor for name, tensor in read_state(source).items() if not _DERIVED.search(name)}
    network = _network_for(source, state)
    fill(network, state, source)
    return network


def _network_for(source: Path, state: dict[str, Tensor]) -> MLICPlusPlus:
    """Return a network as wide as the weights, of their form: the older one's first block of g_s narrows."""
    try:
        window = state["slices.0.local_context.fusion.weight"].shape[-1]
        form = MLICPlusPlusOld if "g_s.0.skip.weight" in state else MLICPlusPlus
        return form(state["g_a.0.conv1.weight"].shape[0], state["g_a.6.weight"].shape[0], window)
    except KeyError as error:
        raise ValueError(f"checkpoint {source} is not of MLIC++: it lacks {error}") from error
    except (ValueError, IndexError) as error:
        raise ValueError(f"checkpoint {source} is not of MLIC++: {error}") from error


def fill(network: nn.Module, state: dict[str, Tensor], source: Path) -> None:
    """Give a network's parameters the tensors of their names, and put it in eval mode.

    Raises:
        ValueError: in one line: names too many or too few, tensors of a wrong shape.
    """
    expected = dict(network.named_parameters())
    _refuse(source, "lacks", expected.keys() - state.keys())
    _refuse(source, "holds unknown", state.keys() - expected.keys())
    _refuse(source, "holds tensors of a wrong shape:", {k for k, v in state.items() if v.shape != expected[k].shape})
    with torch.no_grad():
        for name, parameter in expected.items():
            parameter.copy_(state[name])
    network.eval()


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def read_state(source: Path) -> dict[str, Tensor]:
    """Return the state dict that a file is, or holds under "state_dict" or, as DCVC's training does, "net".

    Raises:
        ValueError: in one line: there is none.
    """
    if not source.is_file():
        raise ValueError(f"checkpoint {source} does not exist")
    try:
        content: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"checkpoint {source} is damaged or holds more than weights: {_first_line(error)}") from error
    state = content.get("state_dict", content.get("net", content)) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"checkpoint {source} holds no state dict: expected tensors, or 'state_dict' with tensors")
    return state


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _refuse(source: Path, what: str, names: set[str]) -> None:
    """Raise unless there are no such names."""
    if names:
        shown = ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise ValueError(f"checkpoint {source} {what} {shown}")


def convert_compressai(name: CodecName, source: Path) -> Codec:
    """Return the codec of a checkpoint that CompressAI published, or that its training script wrote, in eval mode.

    Args:
        name: the codec that the weights are of.
        source: .pth.tar; a state dict, or a dict with one under "state_dict".

    Raises:
        ValueError: in one line: no such file, no such checkpoint, weights of another codec.
    """
    state = load_pretrained({WRAPPED.sub("", name): tensor for name, tensor in read_state(source).items()})
    widths = [tensor.shape[0] for key, tensor in state.items() if _TRANSFORM.match(key) and tensor.ndim == 4]
    try:
        codec = build_codec(name, widths[0], widths[-1])
        codec.network.load_state_dict(state)
    except (IndexError, RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"checkpoint {source} is not of {name}: {_first_line(error)}") from error
    return codec.eval()


def convert_upstream(name: str, source: Path) -> tuple[Codec, dict[str, Any]]:
    """Return the codec of weights that one of CompressAI's newer classes loads itself, in eval mode, and its options.

    Raises:
        ValueError: in one line: no such file, no such class, weights of another codec.
    """
    card = codec_card(name)
    state = load_pretrained({WRAPPED.sub("", key): tensor for key, tensor in read_state(source).items()})
    try:
        network, options = upstream_from_weights(name, state)
        codec = build_from(card, options, ())
        codec.network.load_state_dict(network.state_dict())
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError, KeyError) as error:
        raise ValueError(f"checkpoint {source} is not of CompressAI's {name}: {_first_line(error)}; official weights "
                         "go through its examples/convert_*_checkpoint.py first") from error
    return codec.eval(), options


def options_of(name: CodecName, network: nn.Module) -> dict[str, Any]:
    """Return what the card of a codec takes to build a network as wide."""
    widths = [layer.out_channels for layer in network.g_a.modules() if isinstance(layer, nn.Conv2d)]  # type: ignore[union-attr]  # CompressAI has no types
    return codec_card(name).choose(widths[0], widths[-1])


def header_of(
    name: AnyCodecName, options: dict[str, Any], lmbdas: Sequence[float], distortion: str, source: Path
) -> Header:
    """Return what is known of a converted codec."""
    versions = {"torch": torch.__version__, "compressai": compressai.__version__}
    data = f"unknown to this project: converted from {source.name}"
    return Header(name, options, list(lmbdas), distortion, data, 0, versions)
