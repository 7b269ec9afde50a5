"""ONNX networks: toy files whose answers are known by hand, and every mistake of the YAML in one line."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lic.backbones.description import Description, read_description
from lic.backbones.networks import build_network
from tests.support import noise_image

CPU = torch.device("cpu")
SHIPPED = Path(__file__).parents[2] / "configs" / "networks"
NAMES = ["red", "green", "blue"]


def save_onnx(
    path: Path, nodes: list[Any], size: tuple[int, int], constants: dict[str, np.ndarray] | None = None
) -> None:
    """Write a network `image` (1, 3, *size) -> `out` made of the nodes."""
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def describe(path: Path, **settings: Any) -> str:
    """Write the YAML beside a file and return its spec."""
    path.with_suffix(".yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return f"onnx:{path}"


def save_means(path: Path, size: tuple[int, int]) -> None:
    """A classifier whose logits are the means of the three input channels."""
    save_onnx(path, [helper.make_node("ReduceMean", ["image"], ["out"], axes=[2, 3], keepdims=0)], size)


def test_classifier_gets_the_pixels_that_the_yaml_describes(tmp_path: Path) -> None:
    save_means(tmp_path / "means.onnx", (32, 32))
    spec = describe(tmp_path / "means.onnx", output="class logits", input_size=[32, 32], fit="crop", resize_px=40,
                    interpolation="bicubic", channels="bgr", scale=255, mean=[1, 2, 3], std=[4.0, 5.0, 6.0],
                    classes=NAMES)  # fmt: skip
    network = build_network(spec, None, CPU)
    assert (network.name, network.kind, network.classes) == ("means", "classification", tuple(NAMES))
    images = (torch.cat([noise_image(0, 60, 90), noise_image(1, 60, 90)]) * 255).round() / 255
    answers = network(images)  # two, though the file takes one at a time
    for image, answer in zip(images, answers, strict=True):
        pillow = Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy())
        pillow = pillow.resize((60, 40), Image.Resampling.BICUBIC).crop((14, 4, 46, 36))
        means = np.array(pillow).astype(np.float64).mean((0, 1))[::-1]
        np.testing.assert_allclose(answer, (means - [1, 2, 3]) / [4, 5, 6], rtol=1e-4)


def test_uncut_pictures_have_the_size_of_the_input(tmp_path: Path) -> None:
    save_means(tmp_path / "means.onnx", (32, 32))
    spec = describe(tmp_path / "means.onnx", output="class logits", input_size=[32, 32], fit="crop", resize_px=40)
    network = build_network(spec, None, CPU)
    image = (noise_image(0, 32, 32) * 255).round() / 255
    (answer,), (cut,) = network.uncut(32)(image), network(image)
    torch.testing.assert_close(answer, image.mean((0, 2, 3)))
    assert not torch.allclose(answer, cut) and network.uncut(32).fingerprint != network.fingerprint
    with pytest.raises(ValueError, match="network means takes pictures of 32 x 32, not of 256 x 256 as they are"):
        network.uncut(256)


@pytest.mark.parametrize("size", [(60, 90), (200, 50), (10, 16)])
@pytest.mark.parametrize("settings", [
    {"fit": "letterbox", "position": "top-left", "fill": 255}, {"fit": "letterbox", "position": "centre"},
    {"fit": "resize"},
])  # fmt: skip
def test_classes_lie_on_the_images_own_pixels(tmp_path: Path, size: tuple[int, int], settings: dict[str, Any]) -> None:
    pool = helper.make_node("AveragePool", ["image"], ["out"], kernel_shape=[2, 2], strides=[2, 2])  # half size
    save_onnx(tmp_path / "seg.onnx", [pool], (64, 96))
    spec = describe(tmp_path / "seg.onnx", output="semantic logits", input_size=[64, 96], classes=NAMES, **settings)
    truth = torch.zeros(size, dtype=torch.uint8)
    truth[:, size[1] // 2 :] = 1
    truth[size[0] // 2 :, : size[1] // 2] = 2
    image = torch.nn.functional.one_hot(truth.long(), 3).permute(2, 0, 1)[None].float()
    answer = build_network(spec, None, CPU)(image)[0]
    assert answer.dtype == torch.uint8 and answer.shape == size
    height, width = size
    inner = torch.ones(size, dtype=torch.bool)  # boundaries are blurred by pixels of the network's input
    inner[height // 2 - height // 8 : height // 2 + height // 8 + 1] = False
    inner[:, width // 2 - width // 8 : width // 2 + width // 8 + 1] = False
    assert torch.equal(answer[inner], truth[inner])
    assert (answer == truth).float().mean() > 0.85

    renamed = {"red": "warm", "green": "cold", "blue": "cold"}
    describe(tmp_path / "seg.onnx", output="semantic logits", input_size=[64, 96], classes=NAMES, renamed=renamed,
             **settings)  # fmt: skip
    network = build_network(spec, None, CPU)
    assert network.classes == ("warm", "cold")
    assert torch.equal(network(image)[0], torch.tensor([0, 1, 1], dtype=torch.uint8)[answer.long()])


def test_yolox_boxes_are_decoded_and_thinned(tmp_path: Path) -> None:
    """Input 64 x 96: cells 8 x 12 of stride 8, 4 x 6 of 16, 2 x 3 of 32. The image is 2.5 times larger."""
    output = np.zeros((1, 96 + 24 + 6, 5 + 3), np.float32)

    def put(cell: int, corner: tuple[int, int], stride: int, box: list[float], scores: list[float]) -> None:
        left, top, right, bottom = box
        output[0, cell] = [
            (left + right) / 2 / stride - corner[0], (top + bottom) / 2 / stride - corner[1],
            math.log((right - left) / stride), math.log((bottom - top) / stride), *scores,
        ]  # fmt: skip

    put(2 * 12 + 5, (5, 2), 8, [36, 10, 52, 28], [0.9, 0.1, 0.8, 0.0])  # green .72
    put(2 * 12 + 6, (6, 2), 8, [37, 10, 53, 28], [0.8, 0.0, 0.8, 0.1])  # nearly the same: goes
    put(96 + 6 + 2, (2, 1), 16, [36, 10, 52, 29], [0.5, 0.0, 0.0, 1.0])  # blue .5, another class: stays
    put(120 + 3 + 1, (1, 1), 32, [-10, 20, 70, 80], [1.0, 0.3, 0.0, 0.0])  # red .3, beyond the edges as YOLOX leaves it
    put(0, (0, 0), 8, [0, 0, 9, 9], [0.01, 0.05, 0.0, 0.0])  # score .0005: below YOLOX's threshold
    nodes = [
        helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["out"]),
    ]
    save_onnx(tmp_path / "boxes.onnx", nodes, (64, 96), {"zero": np.zeros((), np.float32), "answer": output})
    spec = describe(tmp_path / "boxes.onnx", output="yolox boxes", input_size=[64, 96], fit="letterbox", fill=114,
                    rounding="down", channels="bgr", scale=255, classes=NAMES)  # fmt: skip
    found = build_network(spec, None, CPU)(torch.rand(1, 3, 160, 200))[0]
    expected = torch.tensor([[36.0, 10, 52, 28], [36, 10, 52, 29], [-10, 20, 70, 80]]) * 2.5
    torch.testing.assert_close(found["boxes"], expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found["scores"], torch.tensor([0.72, 0.5, 0.3]))
    assert found["labels"].tolist() == [1, 2, 0]


BOXES = torch.tensor([[36.0, 10, 52, 28], [37, 10, 53, 28], [36, 10, 52, 29], [0, 20, 70, 60], [0, 0, 9, 9]])
SCORES = torch.tensor([[0.1, 0.8, 0.0], [0.0, 0.7, 0.1], [0.0, 0.0, 0.5], [0.3, 0.0, 0.0], [0.0005, 0, 0]])
CENTRES = torch.cat([(BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]], 1)
OBJECTNESS = torch.tensor([[0.5], [1.0], [1.0], [0.5], [1.0]])
SHARES = CENTRES / torch.tensor([96.0, 64, 96, 64])
BEST = torch.cat([SCORES.max(1).values[:, None], SCORES.argmax(1)[:, None].float()], 1)


@pytest.mark.parametrize(
    ("output", "settings", "kept", "scores"),
    [
        (torch.cat([CENTRES, SCORES], 1).T, {"box_form": "centre"}, [0, 2, 3], [0.8, 0.5, 0.3]),  # YOLOv8
        (torch.cat([SHARES, SCORES], 1), {"box_form": "centre", "box_unit": "share", "nms": "none"}, [0, 1, 2, 3],
         [0.8, 0.7, 0.5, 0.3]),  # RT-DETR
        (torch.cat([CENTRES, OBJECTNESS, SCORES], 1), {"box_form": "centre", "has_objectness": True}, [1, 2, 3],
         [0.7, 0.5, 0.15]),  # YOLOv5
        (torch.cat([BOXES, SCORES], 1), {}, [0, 2, 3], [0.8, 0.5, 0.3]),  # NanoDet, decoded
        (torch.cat([BOXES, BEST], 1), {"nms": "inside"}, [0, 1, 2, 3], [0.8, 0.7, 0.5, 0.3]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fit", ["resize", "letterbox"])
def test_boxes_of_every_form(
    output: torch.Tensor, settings: dict[str, Any], kept: list[int], scores: list[float], fit: str, tmp_path: Path
) -> None:
    """Input 64 x 96; the image has 160 x 240 px, or in a letterbox 160 x 200: 64 x 80 of the input, 8 px from left."""
    nodes = [
        helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["out"]),
    ]
    constants = {"zero": np.zeros((), np.float32), "answer": output[None].contiguous().numpy()}
    save_onnx(tmp_path / "boxes.onnx", nodes, (64, 96), constants)
    spec = describe(tmp_path / "boxes.onnx", output="boxes", input_size=[64, 96], classes=NAMES, fit=fit,
                    position="centre", **settings)  # fmt: skip
    found = build_network(spec, None, CPU)(torch.rand(1, 3, 160, 240 if fit == "resize" else 200))[0]
    expected = (BOXES[kept] - (torch.tensor([8.0, 0, 8, 0]) if fit == "letterbox" else 0)) * 2.5
    torch.testing.assert_close(found["boxes"], expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found["scores"], torch.tensor(scores))
    assert found["labels"].tolist() == SCORES[kept].argmax(1).tolist()


def test_fingerprint_changes_with_file_and_yaml(tmp_path: Path) -> None:
    path = tmp_path / "means.onnx"
    save_means(path, (32, 32))
    settings = {"output": "class logits", "input_size": [32, 32]}
    first = build_network(describe(path, **settings), None, CPU).fingerprint
    other = build_network(describe(path, **settings, scale=255), None, CPU).fingerprint
    model = onnx.load(path)
    model.doc_string = "changed"
    onnx.save(model, path)
    assert len({first, other, build_network(describe(path, **settings), None, CPU).fingerprint}) == 3


GOOD = {"output": "class logits", "input_size": [32, 32]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**GOOD, "inputsize": [1, 2]}, "key 'inputsize' is unknown; did you mean 'input_size'?"),
        ({"input_size": [32, 32]}, "key 'output' is missing"),
        ({"output": "class logits"}, "key 'input_size' is missing"),
        ({**GOOD, "output": "box"}, "output is one of class logits, semantic logits, yolox boxes, boxes, not 'box'"),
        ({**GOOD, "output": "boxes"}, "but boxes with means.yaml's input_size and classes are (1, A, 4 + C)"),
        ({**GOOD, "output": "boxes", "nms": "inside"}, "are (1, A, 6)"),
        ({**GOOD, "output": "boxes", "nms": 2.0}, "nms is a number between 0 and 1, none or inside, not 2.0"),
        ({**GOOD, "output": "boxes", "has_objectness": 1}, "has_objectness is true or false, not 1"),
        ({**GOOD, "output": ["boxes"]}, "output is one of"),
        ({**GOOD, "input_size": 32}, "input_size is [height, width] in px, not 32"),
        ({**GOOD, "mean": [0.5]}, "mean is a list of three numbers"),
        ({**GOOD, "std": [0, 1, 1]}, "std must not hold 0"),
        ({**GOOD, "scale": "large"}, "scale is a number"),
        ({**GOOD, "resize_px": 20}, "resize_px is at least"),
        ({**GOOD, "classes": [1, 2]}, "classes is a list of names"),
        ({**GOOD, "classes": "absent.names"}, "classes names no file"),
        ({**GOOD, "classes": ["one"]}, "gives (1, 3), but class logits"),
        ({**GOOD, "output": "semantic logits", "classes": NAMES, "renamed": {"red": "a"}}, "renamed names every one"),
        ({**GOOD, "output": "semantic logits", "fit": "crop"}, "fit: crop drops pixels"),
        ({**GOOD, "output": "semantic logits"}, "gives (1, 3), but semantic logits"),
        ({**GOOD, "output": "yolox boxes"}, "gives (1, 3), but yolox boxes"),
        ({**GOOD, "input_size": [64, 64]}, "cannot be run as means.yaml describes it"),
        ("nothing", "holds no settings"),
        (None, "no means.yaml beside"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, settings: Any, message: str) -> None:
    save_means(tmp_path / "means.onnx", (32, 32))
    if settings is not None:
        (tmp_path / "means.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        build_network(f"onnx:{tmp_path / 'means.onnx'}", None, CPU)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "means.onnx").write_bytes(b"no network")
    spec = describe(tmp_path / "means.onnx", **GOOD)
    with pytest.raises(ValueError, match="cannot be run") as caught:
        build_network(spec, None, CPU)
    assert "\n" not in str(caught.value)
    (tmp_path / "means.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"means\.yaml is not YAML") as caught:
        build_network(spec, None, CPU)
    assert "\n" not in str(caught.value)


def test_names_may_lie_in_a_file(tmp_path: Path) -> None:
    save_means(tmp_path / "means.onnx", (32, 32))
    (tmp_path / "three.names").write_text("red\ngreen\nblue\n")
    network = build_network(describe(tmp_path / "means.onnx", **GOOD, classes="three.names"), None, CPU)
    assert network.classes == tuple(NAMES)


@pytest.mark.parametrize(
    ("name", "num_classes", "num_answers"),
    [
        ("yolox_nano_coco80_416", 80, 80),
        ("deeplabv3_mnv2_voc21_513", 21, 21),
        ("deeplab_edgetpu_cityscapes19_513", 19, 11),
        ("mobilenetv2_imagenet_a.timm.fp16", None, None),
    ],
)
def test_shipped_descriptions_are_found_by_stem(name: str, num_classes: int | None, num_answers: int | None) -> None:
    description = read_description(Path("elsewhere") / f"{name}.onnx")
    assert isinstance(description, Description)
    classes, _ = description.answers()
    assert (len(description.classes or []) or None, len(classes or ()) or None) == (num_classes, num_answers)
    assert (SHIPPED / f"{name}.yaml").is_file()


def test_every_shipped_description_is_tested() -> None:
    assert len(list(SHIPPED.glob("*.yaml"))) == 4
