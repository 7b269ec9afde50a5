"""Scores against counting by hand, pycocotools and torchmetrics; missing data and weights are one line."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torchmetrics.segmentation import MeanIoU

from lic.data.coco import CocoImages, read_coco
from lic.data.imagenet import LabelledImages
from lic.data.scenes import scenes_root
from lic.data.voc import VocImages
from lic.tasks import build_task
from lic.tasks.classification import Classification
from lic.tasks.detection import Detection
from lic.tasks.segmentation import Segmentation

CPU = torch.device("cpu")


class Answers(nn.Module):
    """A network that gives the answers that it was told, in order."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)

    def forward(self, images: Any) -> Any:
        return self.answers.pop(0)


def test_classification_by_hand() -> None:
    logits = torch.tensor(
        [
            [9, 1, 2, 3, 4, 5, 6.0],  # label 0: first
            [9, 1, 2, 3, 4, 5, 6.0],  # label 3: fifth
            [9, 1, 2, 3, 4, 5, 6.0],  # label 2: sixth
            [0, 0, 0, 0, 7, 8, 0.5],  # label 4: second
            [-9, -1, -2, -3, -4, -5, -6.0],  # label 1: first
        ]
    )
    labelled = LabelledImages([Path(f"{i}.png") for i in range(5)], [0, 3, 2, 4, 1], [*"abcdefg"])
    task = Classification("demo", labelled, Answers(logits[:2], logits[2:]))
    predictions = task.predict(torch.zeros(2, 3, 8, 8)) + task.predict(torch.zeros(3, 3, 8, 8))
    assert predictions[0].tolist() == [0, 6, 5, 4, 3]
    assert task.score(predictions) == {"top1": pytest.approx(2 / 5), "top5": pytest.approx(4 / 5)}
    limited = Classification("demo", labelled, Answers(), limit=2)
    assert limited.images == labelled.images[:2]
    assert limited.score(predictions[:2]) == {"top1": 0.5, "top5": 1.0}


@pytest.fixture(scope="module")
def coco() -> CocoImages:
    return read_coco(scenes_root())


def truth_of(coco: CocoImages, image_id: int) -> dict[str, Tensor]:
    """The annotations of an image as a detector of torchvision would give them."""
    found = coco.annotations.loadAnns(coco.annotations.getAnnIds(imgIds=[image_id]))
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in (each["bbox"] for each in found)], dtype=torch.float32)
    labels = torch.tensor([each["category_id"] for each in found])
    return {"boxes": boxes, "labels": labels, "scores": torch.ones(len(found))}


def nothing() -> dict[str, Tensor]:
    return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "scores": torch.zeros(0)}


def score_detections(coco: CocoImages, found: list[dict[str, Tensor]]) -> dict[str, float]:
    task = Detection("demo", coco, Answers(found))
    return task.score(task.predict(torch.zeros(len(found), 3, 8, 8)))


def test_perfect_detections(coco: CocoImages) -> None:
    scores = score_detections(coco, [truth_of(coco, image_id) for image_id in coco.image_ids])
    assert scores == {"ap": pytest.approx(1.0), "ap50": pytest.approx(1.0)}


def test_no_detections(coco: CocoImages) -> None:
    assert score_detections(coco, [nothing() for _ in coco.image_ids]) == {"ap": 0.0, "ap50": 0.0}


def noisy(truth: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Detections as of a middling detector: boxes off, labels wrong, some missing, some invented."""
    count = len(truth["labels"])
    sides = (truth["boxes"][:, 2:] - truth["boxes"][:, :2]).repeat(1, 2)
    boxes = truth["boxes"] + 0.12 * sides * torch.randn(count, 4, generator=generator)
    is_wrong = torch.rand(count, generator=generator) < 0.15
    labels = torch.where(is_wrong, truth["labels"] % 10 + 1, truth["labels"])
    is_found = torch.rand(count, generator=generator) > 0.2
    invented = torch.tensor([[10.0, 10.0, 50.0, 60.0]])
    scores = torch.rand(count + 1, generator=generator)
    return {
        "boxes": torch.cat([boxes[is_found], invented]),
        "labels": torch.cat([labels[is_found], torch.tensor([1])]),
        "scores": torch.cat([scores[:-1][is_found], scores[-1:]]),
    }


def by_pycocotools(file: Path, image_ids: list[int], found: list[dict[str, Tensor]], results: Path) -> list[float]:
    """AP and AP50 by COCO's own steps, from files."""
    rows = [
        {
            "image_id": image_id,
            "category_id": int(label),
            "bbox": [float(x0), float(y0), float(x1) - float(x0), float(y1) - float(y0)],
            "score": float(score),
        }
        for image_id, each in zip(image_ids, found, strict=True)
        for (x0, y0, x1, y1), label, score in zip(each["boxes"], each["labels"], each["scores"], strict=True)
    ]
    results.write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:2]]


@pytest.mark.parametrize("limit", [None, 6])
def test_noisy_detections_score_as_by_pycocotools(coco: CocoImages, limit: int | None, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    found = [noisy(truth_of(coco, image_id), generator) for image_id in coco.image_ids[:limit]]
    found[2] = nothing()
    task = Detection("demo", coco, Answers(found), limit)
    assert len(task.images) == len(found)
    scores = task.score(task.predict(torch.zeros(len(found), 3, 8, 8)))
    file = scenes_root() / "coco" / "annotations" / "instances_val2017.json"
    expected = by_pycocotools(file, coco.image_ids[:limit], found, tmp_path / "results.json")
    assert [scores["ap"], scores["ap50"]] == pytest.approx(expected, abs=1e-6)
    assert 0.05 < scores["ap"] < 0.7 and scores["ap"] < scores["ap50"]


def test_images_without_detections_count(coco: CocoImages) -> None:
    half = len(coco.image_ids) // 2
    found = [truth_of(coco, image_id) for image_id in coco.image_ids[:half]]
    found += [nothing() for _ in coco.image_ids[half:]]
    assert 0.2 < score_detections(coco, found)["ap"] < 0.85
    assert score_detections(coco, [nothing(), *map(truth_of, [coco] * half, coco.image_ids[1 : half + 1]),
                                   *[nothing()] * (len(coco.image_ids) - half - 1)])["ap"] < 0.85  # fmt: skip


def test_detection_does_not_change_what_the_detector_gave(coco: CocoImages) -> None:
    truth = truth_of(coco, coco.image_ids[0])
    before = truth["boxes"].clone()
    Detection("demo", coco, Answers([truth])).predict(torch.zeros(1, 3, 8, 8))
    assert torch.equal(truth["boxes"], before)


def masks(folder: Path, truths: Tensor) -> VocImages:
    paths = [folder / f"{i}.png" for i in range(len(truths))]
    for path, truth in zip(paths, truths, strict=True):
        Image.fromarray(truth.numpy().astype(np.uint8)).save(path)
    return VocImages([Path(f"{path.stem}.jpg") for path in paths], paths)


@pytest.mark.parametrize("num_classes", [3, 21])
def test_segmentation_against_torchmetrics(num_classes: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(num_classes)
    truths = torch.randint(num_classes, (4, 24, 16), generator=generator)
    logits = torch.randn(4, num_classes, 24, 16, generator=generator)
    logits += 2 * nn.functional.one_hot(truths, num_classes).movedim(-1, 1)
    predicted = logits.argmax(1)
    is_ignored = torch.rand(truths.shape, generator=generator) < 0.3
    voc = masks(tmp_path, truths.masked_fill(is_ignored, 255))
    task = Segmentation("demo", voc, Answers(logits[:3], logits[3:]))
    predictions = task.predict(torch.zeros(3, 3, 24, 16)) + task.predict(torch.zeros(1, 3, 24, 16))
    # torchmetrics knows no ignored pixels: all judged pixels as one image of one row
    expected = MeanIoU(num_classes=num_classes, include_background=True, input_format="index")
    expected.update(predicted[~is_ignored][None, None], truths[~is_ignored][None, None])
    assert task.score(predictions) == {"miou": pytest.approx(expected.compute().item(), abs=1e-6)}
    assert 0.1 < task.score(predictions)["miou"] < 0.9


def test_segmentation_by_hand(tmp_path: Path) -> None:
    truth = torch.tensor([[[0, 0, 1, 255], [0, 2, 1, 255]]])
    predicted = torch.tensor([[[0, 1, 1, 2], [0, 2, 0, 3]]])
    logits = nn.functional.one_hot(predicted, 5).movedim(-1, 1).float()
    task = Segmentation("demo", masks(tmp_path, truth), Answers(logits))
    # 0: 2 of {3 true + 1 wrong}, 1: 1 of {2 true + 1 wrong}, 2: 1 of 1; 3 only where nothing is judged, 4 nowhere
    assert task.score(task.predict(torch.zeros(1, 3, 2, 4))) == {"miou": pytest.approx((2 / 4 + 1 / 3 + 1) / 3)}


def test_segmentation_of_coarse_logits_is_at_the_images_size(tmp_path: Path) -> None:
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, :, 1] = 1
    task = Segmentation("demo", masks(tmp_path, torch.zeros(1, 8, 6)), Answers(logits - 0.5))
    (prediction,) = task.predict(torch.zeros(1, 3, 8, 6))
    assert prediction.shape == (8, 6) and prediction.dtype == torch.uint8
    assert not prediction[:, :2].any() and prediction[:, 4:].all()


def test_palette_masks_of_voc(tmp_path: Path) -> None:
    """VOC's own masks are palette images: the index is the class, not the colour."""
    indices = np.array([[0, 15], [255, 15]], np.uint8)
    image = Image.new("P", (2, 2))
    image.putdata(indices.flatten().tolist())
    image.putpalette([i // 3 for i in range(768)])
    image.save(tmp_path / "0.png")
    with Image.open(tmp_path / "0.png") as saved:
        assert saved.mode == "P" and np.array_equal(np.array(saved), indices)
    logits = nn.functional.one_hot(torch.tensor([[[0, 15], [3, 15]]]), 21).movedim(-1, 1).float()
    task = Segmentation("demo", VocImages([Path("0.jpg")], [tmp_path / "0.png"]), Answers(logits))
    assert task.score(task.predict(torch.zeros(1, 3, 2, 2))) == {"miou": 1.0}


@pytest.mark.parametrize("name", ["imagenet-cls", "coco-det", "voc-seg"])
def test_missing_data_is_one_line(name: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        build_task(name, tmp_path, CPU)
    assert str(tmp_path) in str(error.value) and "expected" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("imagenet-cls", "resnet50-"),
        ("coco-det", "fasterrcnn_resnet50_fpn_v2_coco"),
        ("voc-seg", "deeplabv3_resnet50_coco"),
    ],
)
def test_weights_that_cannot_be_downloaded_are_one_line(
    name: Any, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("[Errno -2] Name or service not known")

    monkeypatch.setattr("torch.hub.urlopen", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError) as error:
        build_task(name, scenes_root(), CPU)
    message = str(error.value)
    assert "\n" not in message and "could not be downloaded" in message and "service not known" in message
    assert f"https://download.pytorch.org/models/{file}" in message and str(tmp_path / "hub" / "checkpoints") in message
    assert "leave out --data_root" in message
