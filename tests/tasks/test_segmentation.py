"""mIoU by hand and by torchmetrics; ignored ids, classes by name, sizes that must fit."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.segmentation import MeanIoU

from lic.data.voc import SemanticImages
from lic.tasks.segmentation import Segmentation, check_masks, from_png
from tests.tasks.scripted import Answers, shown


def masks(folder: Path, truths: Tensor, classes: tuple[str, ...], ignored: tuple[int, ...] = (255,)) -> SemanticImages:
    paths = [folder / f"{i}.png" for i in range(len(truths))]
    for path, truth in zip(paths, truths, strict=True):
        Image.fromarray(truth.numpy().astype(np.uint8)).save(path)
    return SemanticImages([Path(f"{path.stem}.jpg") for path in paths], paths, classes, ignored)


@pytest.mark.parametrize("num_classes", [3, 21])
def test_by_torchmetrics(num_classes: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(num_classes)
    truths = torch.randint(num_classes, (4, 24, 16), generator=generator)
    noise = torch.randint(num_classes, truths.shape, generator=generator)
    predicted = torch.where(torch.rand(truths.shape, generator=generator) < 0.6, truths, noise)
    is_ignored = torch.rand(truths.shape, generator=generator) < 0.3
    semantic = masks(tmp_path, truths.masked_fill(is_ignored, 255), tuple(f"class {i}" for i in range(num_classes)))
    task = Segmentation("voc-seg", "demo", semantic, Answers("semantic", [*predicted.to(torch.uint8)]))
    predictions = task.predict(*shown(3)) + task.predict(*shown(1))
    scores = task.score(predictions)
    # torchmetrics knows no ignored pixels: all judged pixels as one image of one row
    expected = MeanIoU(num_classes=num_classes, include_background=True, input_format="index")
    expected.update(predicted[~is_ignored][None, None], truths[~is_ignored][None, None])
    assert scores["miou"] == pytest.approx(expected.compute().item(), abs=1e-6)
    assert scores["pixel_accuracy"] == pytest.approx((predicted == truths)[~is_ignored].double().mean().item())
    assert 0.1 < scores["miou_low"] < scores["miou"] < scores["miou_high"] < 0.9
    assert task.score(json.loads(json.dumps(predictions))) == scores


def test_by_hand(tmp_path: Path) -> None:
    truth = torch.tensor([[[0, 0, 1, 255], [0, 2, 1, 255]]])
    predicted = torch.tensor([[[0, 1, 3, 2], [0, 2, 0, 3]]], dtype=torch.uint8)
    semantic = masks(tmp_path, truth, (*"abcde",))
    task = Segmentation("voc-seg", "demo", semantic, Answers("semantic", [*predicted]))
    # 0: 2 of {3 true + 1 wrong}, 1: 0 of {2 true + 1 wrong}, 2: 1 of 1; 3 and 4 are nowhere in the truth
    scores = task.score(task.predict(*shown(1)))
    assert scores["miou"] == pytest.approx((2 / 4 + 0 + 1) / 3) and scores["pixel_accuracy"] == pytest.approx(3 / 6)
    assert scores["miou_low"] == scores["miou"] == scores["miou_high"]


def test_interval_is_that_of_resampled_images(tmp_path: Path) -> None:
    """Two images, one all right and one all wrong: each draw has 0, 1 or 2 of the right one."""
    truth = torch.tensor([[[0, 1]], [[0, 1]]])
    predicted = torch.tensor([[[0, 1]], [[1, 0]]], dtype=torch.uint8)
    task = Segmentation("voc-seg", "demo", masks(tmp_path, truth, (*"ab",)), Answers("semantic", [*predicted]))
    scores = task.score(task.predict(*shown(2)))
    assert (scores["miou"], scores["miou_low"], scores["miou_high"]) == (pytest.approx(1 / 3), 0.0, 1.0)


def test_classes_by_name(tmp_path: Path) -> None:
    """The network's order and words are its own; what the dataset lacks becomes background."""
    truth = torch.tensor([[[0, 1, 2, 0]]])
    semantic = masks(tmp_path, truth, ("background", "diningtable", "sofa"))
    network = Answers("semantic", [torch.tensor([[3, 2, 1, 0]], dtype=torch.uint8)],
                      ("Zebra", "couch", "dining table", "__background__"))  # fmt: skip
    task = Segmentation("voc-seg", "VOC2012 val", semantic, network)
    (prediction,) = task.predict(*shown(1))
    assert from_png(prediction["png"]).tolist() == [[0, 1, 2, 0]] and task.score([prediction])["miou"] == 1


def test_no_background_to_become(tmp_path: Path) -> None:
    """CamVid names no background: what is none of its classes is wrong, and no class of its own."""
    semantic = masks(tmp_path, torch.tensor([[[0, 0, 1, 2]]]), ("sky", "road", "unlabelled"), (2,))
    answer = torch.tensor([[1, 2, 0, 1]], dtype=torch.uint8)
    task = Segmentation("camvid-seg", "CamVid val", semantic, Answers("semantic", [answer], ("road", "sky", "water")))
    scores = task.score(task.predict(*shown(1)))
    assert scores["miou"] == pytest.approx((1 / 2 + 1) / 2) and scores["pixel_accuracy"] == pytest.approx(2 / 3)
    assert task.classes == {0: "sky", 1: "road"}


def test_part_of_the_classes(tmp_path: Path) -> None:
    """VOC's classes on COCO's masks: COCO's others are background, unlabelled pixels are not judged."""
    classes = ("unlabeled", "person", "", "airplane", "zebra", "sky-other-merged")
    semantic = masks(tmp_path, torch.tensor([[[0, 1, 3, 4, 5, 5]]]), classes, (0,))
    answer = torch.tensor([[1, 2, 1, 0, 0, 2]], dtype=torch.uint8)
    network = Answers("semantic", [answer], ("background", "aeroplane", "person", "sofa"))
    task = Segmentation("coco-semseg", "COCO val2017", semantic, network, is_partial=True)
    scores = task.score(task.predict(*shown(1)))
    assert scores["miou"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3) and scores["pixel_accuracy"] == pytest.approx(4 / 5)
    assert task.classes[1] == "aeroplane"
    with pytest.raises(ValueError, match="net lacks classes of VOC2012 val: zebra, sky-other-merged;"):
        Segmentation("voc-seg", "VOC2012 val", semantic, network)
    stranger = Answers("semantic", [], ("background", "cell"))
    with pytest.raises(ValueError, match="net lacks classes of COCO val2017: person, airplane, zebra, sky"):
        Segmentation("coco-semseg", "COCO val2017", semantic, stranger, is_partial=True)


def test_all_of_the_classes_although_a_part_would_do(tmp_path: Path) -> None:
    semantic = masks(tmp_path, torch.tensor([[[0, 1, 2]]]), ("unlabeled", "person", "zebra"), (0,))
    network = Answers("semantic", [torch.tensor([[0, 1, 0]], dtype=torch.uint8)], ("zebra", "person"))
    task = Segmentation("coco-semseg", "COCO val2017", semantic, network, is_partial=True)
    assert task.score(task.predict(*shown(1)))["miou"] == 1 and task.classes == {1: "person", 2: "zebra"}


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    answer = torch.zeros(3, 4, dtype=torch.uint8)
    task = Segmentation("voc-seg", "VOC", masks(tmp_path, torch.zeros(1, 4, 3), ("a",)), Answers("semantic", [answer]))
    with pytest.raises(ValueError, match=r"0.png differ in size \(4 x 3 and 3 x 4\)"):
        task.score(task.predict(*shown(1)))


@pytest.mark.parametrize(
    ("mask", "line"),
    [
        (np.array([[0, 1], [30, 255]], np.uint8), "holds the id [30], which is none of the classes and is not ignored"),
        (np.zeros((2, 2, 3), np.uint8), "is of Pillow's mode 'RGB'; expected one channel of 8 bits"),
        (np.array([[True, False]]), "is of Pillow's mode '1'; expected"),
    ],
)  # fmt: skip
def test_masks_are_checked_before_anything_is_coded(mask: Any, line: str, tmp_path: Path) -> None:
    Image.fromarray(mask).save(tmp_path / "a.png")
    semantic = SemanticImages([tmp_path / "a.jpg"], [tmp_path / "a.png"], ("background", "cat", ""), (3,))
    with pytest.raises(ValueError, match=re.escape(f"mask {tmp_path / 'a.png'} {line}")):
        check_masks(semantic)
    Image.fromarray(np.array([[0, 1], [3, 255]], np.uint8)).save(tmp_path / "a.png")
    check_masks(semantic)


def test_palette_masks_of_voc(tmp_path: Path) -> None:
    """VOC's own masks are palette images: the index is the class, not the colour."""
    indices = np.array([[0, 15], [255, 15]], np.uint8)
    image = Image.new("P", (2, 2))
    image.putdata(indices.flatten().tolist())
    image.putpalette([i // 3 for i in range(768)])
    image.save(tmp_path / "0.png")
    semantic = SemanticImages([Path("0.jpg")], [tmp_path / "0.png"], (), (255,))
    answer = torch.tensor([[0, 15], [3, 15]], dtype=torch.uint8)
    task = Segmentation("voc-seg", "demo", semantic, Answers("semantic", [answer]))
    assert task.score(task.predict(*shown(1)))["miou"] == 1.0
