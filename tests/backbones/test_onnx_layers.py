"""ONNX files as backbones: their layers against onnxruntime's, gradients, and what cannot be one in one line."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from lic.backbones.features import load_backbone
from lic.distortions import MLCLIPSim

REAL = os.environ.get("LIC_TEST_DATA")
SIDE = 32


def convolution(name: str, image: str, shape: tuple[int, ...], stride: int) -> tuple[list[Any], list[Any]]:
    """A 3 x 3 convolution and its ReLU, `name`; and its weight."""
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32) / 5
    conv = helper.make_node("Conv", [image, f"{name}_w"], [f"{name}_c"], pads=[1] * 4, strides=[stride] * 2)
    return [conv, helper.make_node("Relu", [f"{name}_c"], [name])], [numpy_helper.from_array(weight, f"{name}_w")]


def save(path: Path, extra: tuple[str, ...] = ()) -> str:
    """An encoder of stride 2, 4, with a pooled gate inside, and a decoder that rises again; return its spec."""
    nodes, weights = [], []
    for name, image, shape, stride in (
        ("half", "image", (8, 3, 3, 3), 2), ("half_again", "half", (8, 8, 3, 3), 1),
        ("quarter", "half_again", (12, 8, 3, 3), 2),
    ):  # fmt: skip
        more, weight = convolution(name, image, shape, stride)
        nodes, weights = nodes + more, weights + weight
    nodes += [
        helper.make_node("GlobalAveragePool", ["quarter"], ["pooled"]),
        helper.make_node("Mul", ["quarter", "pooled"], ["gated"]),
        helper.make_node("Resize", ["gated", "", "scales"], ["risen"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
    ]  # fmt: skip
    last, weight = convolution("out", "risen", (5, 12, 3, 3), 1)
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("out", *extra)]
    image_info = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph([*nodes, *last], "toy", [image_info], outputs, [*weights, *weight, scales])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    described = {"output": "semantic logits", "input_size": [SIDE, SIDE], "channels": "bgr", "scale": 255,
                 "mean": [10, 20, 30], "std": [50.0, 60.0, 70.0]}  # fmt: skip
    path.with_suffix(".yaml").write_text(yaml.safe_dump(described))
    return f"onnx:{path}"


def images() -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_layers_are_the_last_maps_before_the_decoder(tmp_path: Path) -> None:
    spec = save(tmp_path / "toy.onnx", ("half_again", "gated"))
    backbone = load_backbone(spec)
    assert (backbone.num_layers, backbone.patch_px, backbone.input_px) == (2, 4, SIDE)
    session = onnxruntime.InferenceSession(tmp_path / "toy.onnx", providers=["CPUExecutionProvider"])
    mean, std = torch.tensor([10.0, 20, 30])[:, None, None], torch.tensor([50.0, 60, 70])[:, None, None]
    page = ((images() * 255 - mean) / std).flip(1)
    found = backbone(images(), [0, 1], has_embedding=True)
    for layer, name in enumerate(("half_again", "gated")):
        by_image = [torch.from_numpy(session.run([name], {"image": one[None].numpy()})[0]) for one in page]
        expected = torch.cat(by_image).flatten(2).transpose(1, 2)
        torch.testing.assert_close(found.patches[layer], expected, rtol=1e-4, atol=1e-5)
        assert found.extra[layer].shape == (2, 0, expected.shape[2])
    assert found.embedding is not None
    torch.testing.assert_close(found.embedding, found.patches[1].mean(1))
    torch.testing.assert_close(backbone(images(), [1]).patches[0], found.patches[1])


def test_the_metric_inside_has_a_gradient(tmp_path: Path) -> None:
    metric = MLCLIPSim.from_pretrained(save(tmp_path / "toy.onnx"))
    image, noise = images(), torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    distorted = (image + 0.05 * noise).requires_grad_()
    metric.distance(distorted, image).sum().backward()
    assert distorted.grad is not None and distorted.grad.isfinite().all() and distorted.grad.abs().sum() > 0
    assert metric.distance(image, image).abs().max() < 1e-6


def test_what_cannot_be_one_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = save(tmp_path / "toy.onnx")

    def line(spec: str) -> str:
        with pytest.raises(ValueError, match=re.escape(spec.removeprefix("onnx:"))) as caught:
            load_backbone(spec)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "text.yaml").write_text((tmp_path / "toy.yaml").read_text())
    assert "cannot be a backbone" in line(f"onnx:{tmp_path}/text.onnx")
    (tmp_path / "absent.yaml").write_text((tmp_path / "toy.yaml").read_text())
    assert "no ONNX file at" in line(f"onnx:{tmp_path}/absent.onnx")
    assert "no bare.yaml beside" in line(f"onnx:{tmp_path}/bare.onnx")
    means = helper.make_graph(
        [helper.make_node("ReduceMean", ["image"], ["out"], axes=[2, 3], keepdims=0)], "means",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )  # fmt: skip
    onnx.save(helper.make_model(means, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    (tmp_path / "m.yaml").write_text((tmp_path / "toy.yaml").read_text())
    assert "nothing in it is a feature map" in line(f"onnx:{tmp_path}/m.onnx")
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    assert "needs onnx2torch: pip install 'lic[onnx]'" in line(spec)


@pytest.mark.skipif(not REAL, reason="LIC_TEST_DATA is not set")
def test_a_published_network_gives_its_stages() -> None:
    backbone = load_backbone(f"onnx:{REAL}/networks/squeezenet11_imagenet_227.onnx")
    assert [one.shape[1:] for one in backbone(torch.rand(1, 3, 227, 227), [0, 1, 2, 3]).patches] == [
        (113**2, 64), (56**2, 128), (28**2, 256), (14**2, 512)
    ]  # fmt: skip
