"""Tasks: what machines do with reconstructions."""

from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, resnet50
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_V2_Weights, fasterrcnn_resnet50_fpn_v2
from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights, deeplabv3_resnet50

from lic.backbones.demo import load_demo_classifier, load_demo_detector, load_demo_segmenter
from lic.config import TaskName
from lic.data.coco import read_coco
from lic.data.imagenet import read_imagenet
from lic.data.scenes import scenes_root
from lic.data.voc import read_voc
from lic.tasks.classification import Classification
from lic.tasks.detection import Detection
from lic.tasks.segmentation import Segmentation
from lic.tasks.task import Task

__all__ = ["DEMO_DATASET", "Task", "build_task"]

DEMO_DATASET = "demo scenes (embedded, synthetic)"


def build_task(name: TaskName, data_root: Path | None, device: torch.device, limit: int | None = None) -> Task:
    """Return a task on a real set with torchvision's network, or without data_root on the demo scenes with the demo's.

    Args:
        name: the task's name on the command line.
        data_root: folder of ImageNet, COCO or VOC as its reader expects it; None for the demo scenes.
        device: where the network runs.
        limit: use only the first so many images.

    Raises:
        ValueError: in one line: data or weights are missing.
    """
    is_demo, root = data_root is None, data_root or scenes_root()
    match name:
        case "imagenet-cls":
            labelled = read_imagenet(root)
            network = load_demo_classifier() if is_demo else _published(resnet50, ResNet50_Weights.DEFAULT)
            return Classification(DEMO_DATASET if is_demo else "ImageNet val", labelled, network.to(device), limit)
        case "coco-det":
            coco = read_coco(root)
            weights = FasterRCNN_ResNet50_FPN_V2_Weights.DEFAULT
            network = load_demo_detector() if is_demo else _published(fasterrcnn_resnet50_fpn_v2, weights)
            return Detection(DEMO_DATASET if is_demo else "COCO val2017", coco, network.to(device), limit)
        case "voc-seg":
            voc = read_voc(root)
            deeplab = DeepLabV3_ResNet50_Weights.DEFAULT
            network = load_demo_segmenter() if is_demo else _published(deeplabv3_resnet50, deeplab)
            return Segmentation(DEMO_DATASET if is_demo else "VOC2012 val", voc, network.to(device), limit)
        case _:
            assert_never(name)


class _Published(nn.Module):
    """A torchvision network behind its published preprocessing; it takes RGB in [0, 1]."""

    def __init__(self, network: nn.Module, preprocess: nn.Module) -> None:
        super().__init__()
        self.network, self.preprocess = network, preprocess

    def forward(self, image: Tensor | list[Tensor]) -> Any:
        if isinstance(image, list):  # detectors resize and normalise inside
            return self.network(image)
        output = self.network(self.preprocess(image))
        return output["out"] if isinstance(output, dict) else output


def _published(build: Any, weights: Any) -> nn.Module:
    """Return torchvision's network with published weights.

    Raises:
        ValueError: they are not in torch's cache and cannot be downloaded.
    """
    try:
        network = build(weights=weights)
    except OSError as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ValueError(f"{weights} could not be downloaded ({error}); put {weights.url} into {folder} "
                         "(torchvision, BSD-3-Clause), or leave out --data_root for the demo scenes") from error
    return _Published(network.eval().requires_grad_(False), weights.transforms())
