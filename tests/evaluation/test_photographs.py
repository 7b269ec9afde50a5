"""Real networks on real photographs, through all that `eval.py` does: the accuracies that their README states.

Uncompressed within 0.3 points, JPEG of quality 10 within 1.0; a DeepLab's JPEG value on COCO is stated nowhere.
"""

import json
import os
from pathlib import Path

import pytest
import torch

from lic.backbones.networks import build_network
from lic.evaluation.baselines import PillowCoder
from lic.evaluation.measure import build_measures
from lic.evaluation.rate_task import RateTask, group_by_dataset
from lic.settings.metrics import MetricsConfig
from lic.settings.names import TaskName
from lic.tasks import build_tasks

DATA = Path(os.environ.get("LIC_TEST_DATA", "absent"))
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="LIC_TEST_DATA names no folder of real photographs and networks"
)
CPU = torch.device("cpu")


def build(name: TaskName, folder: str, network: str, out: Path, limit: int | None = None) -> RateTask:
    """One task on one folder of photographs, judged by one network."""
    source, _, file = network.partition(":")
    judge = build_network(f"{source}:{DATA / 'networks' / file}", None, CPU)
    ((dataset, images, tasks),) = group_by_dataset(build_tasks([name], [judge], DATA / folder, CPU, limit))
    return RateTask(dataset, images, tasks, build_measures(["psnr"], MetricsConfig(), CPU), out)


@pytest.mark.parametrize(
    ("name", "folder", "network", "num_images", "ceiling", "at_jpeg_10"),
    [
        ("imagenet-cls", "imagenet378", "timm:mobilenetv2_imagenet_a.timm.fp16.safetensors", 378, 89.4, 65.1),
        ("coco-det", "coco128", "onnx:yolox_nano_coco80_416.onnx", 127, 34.1, 24.6),
        ("coco-semseg", "coco128", "onnx:deeplabv3_mnv2_voc21_513.onnx", 99, 50.8, None),
        ("camvid-seg", "camvid", "onnx:deeplab_edgetpu_cityscapes19_513.onnx", 51, 52.1, 17.4),
    ],
)
def test_stated_accuracies(
    name: TaskName, folder: str, network: str, num_images: int, ceiling: float, at_jpeg_10: float | None, tmp_path: Path
) -> None:
    rate_task = build(name, folder, network, tmp_path)
    scores = rate_task.ceiling[name]
    headline = rate_task.tasks[0].facts.headline
    assert len(rate_task.images) == num_images
    assert 100 * scores[headline] == pytest.approx(ceiling, abs=0.3)
    assert scores[f"{headline}_low"] < scores[headline] < scores[f"{headline}_high"]
    if at_jpeg_10 is not None:
        (result,) = rate_task.results([PillowCoder("jpeg", 10)])
        assert 100 * result.points[0].score(name) == pytest.approx(at_jpeg_10, abs=1.0)


def test_consistency_of_photographs_without_labels(tmp_path: Path) -> None:
    """The original agrees with itself; JPEG does the less, the coarser it is; Kodak has no labels."""
    rate_task = build("consistency", "kodak24", "onnx:yolox_nano_coco80_416.onnx", tmp_path, 6)
    assert rate_task.ceiling["consistency-det"]["ap"] == pytest.approx(1)
    (result,) = rate_task.results([PillowCoder("jpeg", quality) for quality in (5, 40, 95)])
    agreements = [point.score("consistency-det") for point in result.points]
    assert agreements == sorted(agreements) and agreements[0] < 0.5 < agreements[2] < 1
    sample = json.loads(next((tmp_path / "samples/jpeg/q95").glob("*.json")).read_text())
    assert list(sample["qualities"]) == ["psnr"] and sample["tasks"]["consistency-det"]
