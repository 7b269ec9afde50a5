"""The layers of a convolutional network in an ONNX file, with gradients: the file as torch, through onnx2torch.

    read_onnx_layers(Path("squeezenet11_imagenet_227.onnx"), 227)(images, [0, 1])

A file names no stages. Its layers are the last feature map of each resolution, up to where a decoder or a pyramid rises
to a finer one again.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, fx, nn

from lic.backbones.layers import Answer, Reader, as_tokens

_TOLERANCE = 1e-3  # of the largest value; between two libraries' sums


class OnnxLayers(Reader):
    """A network of onnx2torch, cut at its feature maps."""

    def __init__(self, network: fx.GraphModule, input_px: int) -> None:
        super().__init__()
        self.network, self.nodes = network, _ends_of_resolutions(network, input_px)
        self.cut: dict[tuple[tuple[str, ...], torch.device], nn.Module] = {}  # shares the network's weights there

    def forward(self, image: Tensor, layers: Sequence[int] | None, has_embedding: bool = False) -> Answer:
        """Return layers of images, and the mean of the last one if the embedding is asked."""
        wanted = list(range(len(self.nodes))) if layers is None else list(layers)
        taken = sorted({*wanted, *([len(self.nodes) - 1] if has_embedding else [])})
        found = [as_tokens(one) for one in self._until(taken, image.device)(image)]
        by_layer = dict(zip(taken, found, strict=True))
        embedding = found[-1].mean(1) if has_embedding else None
        return [(by_layer[layer], by_layer[layer][:, :0]) for layer in wanted], embedding

    def _until(self, layers: Sequence[int], device: torch.device) -> nn.Module:
        """Return the network that ends with these layers."""
        names = tuple(self.nodes[layer] for layer in layers)
        key = (names, device)
        if key not in self.cut:
            copied: dict[fx.Node, fx.Node] = {}
            graph = fx.Graph()
            graph.graph_copy(self.network.graph, copied)
            by_name = {old.name: new for old, new in copied.items()}
            graph.output(tuple(by_name[name] for name in names))
            cut = fx.GraphModule(self.network, graph)
            cut.graph.eliminate_dead_code()
            cut.recompile()
            self.cut[key] = cut
        return self.cut[key]


class _Shapes(fx.Interpreter):
    """Runs a network and keeps the shape that each node gives."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.shapes: dict[str, torch.Size] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run a node."""
        given = super().run_node(n)
        if isinstance(given, Tensor) and n.op != "placeholder":
            self.shapes[n.name] = given.shape
        return given


@torch.no_grad()
def _ends_of_resolutions(network: fx.GraphModule, input_px: int) -> list[str]:
    """Return the nodes that give the last feature map of each resolution before one rises."""
    interpreter = _Shapes(network)
    interpreter.run(torch.zeros(1, 3, input_px, input_px))
    ends: dict[int, str] = {}
    for name, shape in interpreter.shapes.items():
        if len(shape) != 4 or shape[1] <= 3 or min(shape[2:]) < 2:  # no image, however normalised; nothing pooled
            continue
        side = min(shape[2:])
        if ends and side > min(ends):
            break
        ends[side] = name
    return list(ends.values())


def read_onnx_layers(path: Path, input_px: int) -> OnnxLayers:
    """Return the layers of the network in a file.

    Args:
        path: an ONNX file of a network that takes one image, (1, 3, H, W).
        input_px: side of its images.

    Raises:
        ValueError: in one line: onnx2torch is missing or cannot convert the file, or nothing in it is a feature map.
    """
    try:
        import onnx2torch
    except ImportError as error:
        raise ValueError(f"backbone 'onnx:{path}' needs onnx2torch: pip install 'lic[onnx]'") from error
    if not path.is_file():
        raise ValueError(f"no ONNX file at {path}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using a non-tuple sequence")  # onnx2torch's slices
        try:
            network = onnx2torch.convert(str(path)).eval()
            _check_conversion(network, path, input_px)
            layers = OnnxLayers(network, input_px)
        except Exception as error:  # of protobuf, onnx2torch and onnxruntime: classes of their own
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ValueError(f"{path} cannot be a backbone ({reason}); it may serve as --network") from error
    if not layers.nodes:
        raise ValueError(f"{path} cannot be a backbone: nothing in it is a feature map of more than one position")
    return layers


@torch.no_grad()
def _check_conversion(network: nn.Module, path: Path, input_px: int) -> None:
    """Raise ValueError where the converted network answers otherwise than the file."""
    image = torch.rand(1, 3, input_px, input_px, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: image.numpy()})[0])
    answers = network(image)
    answer = answers if isinstance(answers, Tensor) else answers[0]
    if answer.shape != expected.shape or (answer - expected).abs().max() > _TOLERANCE * expected.abs().max():
        raise ValueError("as torch it answers otherwise than in onnxruntime")
