"""The networks on photographs: the accuracies that the README of `LIC_TEST_DATA` states, scored here directly."""

import contextlib
import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from lic.backbones.networks import Network, build_network

ROOT = Path(os.environ.get("LIC_TEST_DATA", "absent"))
pytestmark = pytest.mark.skipif(
    not ROOT.is_dir(), reason="LIC_TEST_DATA names no folder of real photographs and networks"
)
# VOC's classes by COCO's panoptic ids; the other ids are background, 0 is unlabelled
VOC_OF_COCO = {5: 1, 2: 2, 16: 3, 9: 4, 44: 5, 6: 6, 3: 7, 17: 8, 62: 9, 21: 10, 67: 11, 18: 12, 19: 13, 4: 14, 1: 15,
               64: 16, 20: 17, 63: 18, 7: 19, 72: 20}  # fmt: skip


def photograph(path: Path, quality: int | None) -> Tensor:
    """A file as (1, 3, H, W) in [0, 1], through Pillow's JPEG where a quality is given."""
    image = Image.open(path).convert("RGB")
    if quality is not None:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        image = Image.open(stream).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def shared_network(spec: str) -> Network:
    source, name = spec.split(":")
    return build_network(f"{source}:{ROOT / 'networks' / name}", None, torch.device("cpu"))


def mean_iou(network: Network, photographs: list[Path], truths: list[Path], ids: np.ndarray, ignored: int) -> float:
    """Mean over the classes that occur in the truth, in per cent, pixels of all images together."""
    assert network.classes is not None
    count = len(network.classes)
    confusion = np.zeros((count, count))
    for path, truth_path in zip(photographs, truths, strict=True):
        truth = np.array(Image.open(truth_path))
        answer, is_judged = network(photograph(path, None))[0].numpy(), truth != ignored
        np.add.at(confusion, (ids[truth[is_judged]], answer[is_judged]), 1)
    both, has_truth = confusion.diagonal(), confusion.sum(1) > 0
    union = confusion.sum(0) + confusion.sum(1) - both
    return float(100 * (both[has_truth] / union[has_truth]).mean())


def test_mobilenet_on_imagenet378() -> None:
    network = shared_network("timm:mobilenetv2_imagenet_a.timm.fp16.safetensors")
    with (ROOT / "imagenet378" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    hits = [
        int(network(photograph(ROOT / "imagenet378" / "images" / row["file"], None))[0].argmax())
        == int(row["class_index_0_999"])
        for row in rows
    ]
    assert len(hits) == 378
    assert 100 * np.mean(hits) == pytest.approx(89.4, abs=0.3)


@pytest.mark.parametrize(("quality", "stated", "within"), [(None, 34.1, 0.3), (10, 24.6, 1.0)])
def test_yolox_on_coco128(quality: int | None, stated: float, within: float) -> None:
    network = shared_network("onnx:yolox_nano_coco80_416.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(ROOT / "coco128" / "boxes_coco_val2017.json")
        rows = []
        for image_id, entry in coco.imgs.items():
            path = ROOT / "coco128" / "images" / "val2017" / entry["file_name"]
            found = network(photograph(path, quality))[0]
            for (left, top, right, bottom), score, label in zip(
                found["boxes"].tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True
            ):
                box = [left, top, right - left, bottom - top]
                rows.append({"image_id": image_id, "category_id": label, "bbox": box, "score": score})
        evaluation = COCOeval(coco, coco.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert len(coco.imgs) == 127
    assert 100 * evaluation.stats[0] == pytest.approx(stated, abs=within)


def test_deeplab_on_coco128s_voc_classes() -> None:
    truths = sorted((ROOT / "coco128" / "semantic_masks" / "val2017").iterdir())
    photographs = [ROOT / "coco128" / "images" / "val2017" / f"{path.stem}.jpg" for path in truths]
    ids = np.array([VOC_OF_COCO.get(i, 0) for i in range(256)])
    network = shared_network("onnx:deeplabv3_mnv2_voc21_513.onnx")
    assert mean_iou(network, photographs, truths, ids, ignored=0) == pytest.approx(50.8, abs=0.3)


def test_cityscapes_deeplab_on_camvid() -> None:
    photographs = sorted((ROOT / "camvid" / "val").iterdir())
    truths = [ROOT / "camvid" / "val_labels" / f"{path.stem}.png" for path in photographs]
    network = shared_network("onnx:deeplab_edgetpu_cityscapes19_513.onnx")
    names = (ROOT / "camvid" / "classes.txt").read_text().split()
    assert network.classes is not None
    ids = np.array([network.classes.index(name) if name in network.classes else 255 for name in names])
    assert mean_iou(network, photographs, truths, ids, ignored=11) == pytest.approx(52.1, abs=0.3)
