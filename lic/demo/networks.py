"""The demo world's small frozen networks: a CLIP pair, a classifier, a detector and a segmenter.

A fifth, the reader, is in lic/demo/reader.py.

They are trained from nothing by `python -m lic demo-networks` and read from checkpoints/demo/ (or
`$LIC_CHECKPOINTS/demo/`). All come back frozen, in eval mode and float32, and take scenes (N, 3, 128, 128), RGB in
[0, 1], as they are; only the CLIP's vision tower takes CLIP-normalised input, as every open_clip tower does.

    from lic.demo.networks import load_demo_classifier
    logits = load_demo_classifier()(images)
"""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal, TypeVar

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file
from timm.models import register_model
from timm.models.resnet import BasicBlock as TimmBlock
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.resnet import BasicBlock
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.transforms import v2

from lic.embedded import embedded

NetworkName = Literal["clip", "classifier", "detector", "segmenter", "reader"]
NUM_SHAPES = 10
IMAGE_PX = 128
IMAGE_MEAN, IMAGE_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
STAGE_CHANNELS = {"4": 64, "8": 128, "16": 192}  # by stride
PYRAMID_CHANNELS = 64
CLIP_CHANNELS = (64, 128, 192, 256)  # at strides 4, 8, 16, 32
CONTEXT_LENGTH = 32
WORDS = (  # lic.demo.drawing's captions are written in these, which a test checks
    "a", "at", "the", "and", "small", "medium", "large", "upper", "lower", "left", "right",
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white", "black",
    "plain", "striped", "dotted", "checked",
    "arrow", "circle", "crescent", "cross", "diamond", "heart", "ring", "square", "star", "triangle",
)  # fmt: skip
START, END = len(WORDS) + 1, len(WORDS) + 2  # 0 is padding; the text tower reads its output at the highest token

_Network = TypeVar("_Network", bound=nn.Module)


class Stages(nn.Module):
    """A narrow ResNet of three BasicBlocks (He et al. 2016, https://arxiv.org/abs/1512.03385), torchvision's own.

    image (N, 3, H, W) -> conv stem -> block, stride 4 -> block, stride 8 -> block, stride 16
                                       (N, 64, H/4, W/4)  (N, 128, H/8, W/8) (N, 192, H/16, W/16)
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleDict()
        previous = 32
        for stride, channels in STAGE_CHANNELS.items():
            shortcut = nn.Sequential(nn.Conv2d(previous, channels, 1, 2, bias=False), nn.BatchNorm2d(channels))
            self.blocks[stride] = BasicBlock(previous, channels, 2, shortcut)
            previous = channels

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """The output of each stage by its stride: "4", "8", "16"."""
        features: OrderedDict[str, Tensor] = OrderedDict()
        x = self.stem(images)
        for stride, block in self.blocks.items():
            features[stride] = x = block(x)
        return features


class Pyramid(nn.Module):
    """The stages joined top-down at one stride: (N, 3, H, W) -> (N, 64, H/stride, W/stride).

    Lin et al. 2017, https://arxiv.org/abs/1612.03144, as in torchvision.
    """

    out_channels = PYRAMID_CHANNELS

    def __init__(self, strides: tuple[str, ...]) -> None:
        super().__init__()
        self.stages, self.strides = Stages(), strides
        self.joined = FeaturePyramidNetwork([STAGE_CHANNELS[s] for s in strides], PYRAMID_CHANNELS)

    def forward(self, images: Tensor) -> Tensor:
        """The map of the finest of the strides."""
        stages = self.stages(images)
        maps = self.joined(OrderedDict((s, stages[s]) for s in self.strides))
        return maps[self.strides[0]]  # type: ignore[no-any-return]  # untyped library


class Classifier(nn.Module):
    """Stages, a linear layer at each place, the mean: (N, 3, 128, 128) in [0, 1] -> logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise, self.stages = v2.Normalize(IMAGE_MEAN, IMAGE_STD), Stages()
        self.linear = nn.Conv2d(STAGE_CHANNELS["16"], NUM_SHAPES, 1)

    def logit_map(self, images: Tensor) -> Tensor:
        """The logits of the ten shapes in each 16 px square: (N, 10, H/16, W/16)."""
        return self.linear(self.stages(self.normalise(images))["16"])  # type: ignore[no-any-return]  # untyped library

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the ten shapes, in alphabetical order."""
        return self.logit_map(images).mean(dim=(2, 3))


class Segmenter(nn.Module):
    """A pyramid at stride 4 under torchvision's FCN head: (N, 3, H, W) in [0, 1] -> logits (N, 11, H, W).

    Long et al. 2015, https://arxiv.org/abs/1411.4038. Class 0 is background.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalise, self.pyramid = v2.Normalize(IMAGE_MEAN, IMAGE_STD), Pyramid(("4", "8", "16"))
        self.head = FCNHead(PYRAMID_CHANNELS, 1 + NUM_SHAPES)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of each pixel."""
        logits = self.head(self.pyramid(self.normalise(images)))
        return nn.functional.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)


def demo_resnet(
    pretrained: bool = False, pretrained_cfg: object = None, pretrained_cfg_overlay: object = None,
    cache_dir: object = None, **settings: Any,
) -> ResNet:  # fmt: skip
    """timm's ResNet of one BasicBlock a stage, narrow; registered under this name, by which open_clip builds it."""
    network = ResNet(TimmBlock, (1, 1, 1, 1), channels=CLIP_CHANNELS, stem_width=16, stem_type="deep", **settings)
    network.default_cfg = {"pool_size": (IMAGE_PX // 32, IMAGE_PX // 32)}  # open_clip reads it
    return network


register_model(demo_resnet)


def build_demo_clip() -> open_clip.CLIP:
    """An untrained ResNet of 2.0 M parameters beside a small text tower, put together by open_clip."""
    model = open_clip.CLIP(
        embed_dim=128,
        vision_cfg=CLIPVisionCfg(
            timm_model_name="demo_resnet", timm_pool="avg", timm_proj="linear", image_size=IMAGE_PX
        ),
        text_cfg=CLIPTextCfg(context_length=CONTEXT_LENGTH, vocab_size=END + 1, width=128, heads=4, layers=3),
    )
    model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return model


def build_demo_classifier() -> Classifier:
    """An untrained classifier of 0.9 M parameters."""
    return Classifier()


def build_demo_detector() -> FCOS:
    """An untrained FCOS (Tian et al. 2019, https://arxiv.org/abs/1904.01355) on one pyramid map of stride 8."""
    return FCOS(
        Pyramid(("8", "16")),
        num_classes=1 + NUM_SHAPES,  # class 0 is background, which FCOS never answers
        min_size=IMAGE_PX, max_size=IMAGE_PX, image_mean=list(IMAGE_MEAN), image_std=list(IMAGE_STD),
        anchor_generator=AnchorGenerator(((8,),), ((1.0,),)),
        head=FCOSHead(PYRAMID_CHANNELS, num_anchors=1, num_classes=1 + NUM_SHAPES, num_convs=2),
        score_thresh=0.05, nms_thresh=0.5, detections_per_img=20,
    )  # fmt: skip


def build_demo_segmenter() -> Segmenter:
    """An untrained segmenter of 1.0 M parameters."""
    return Segmenter()


def demo_tokenize(captions: list[str]) -> Tensor:
    """Captions as tokens (N, 32): start, words, end, zeros. A word that no scene uses is a ValueError."""
    tokens = torch.zeros(len(captions), CONTEXT_LENGTH, dtype=torch.long)
    ids = {word: i for i, word in enumerate(WORDS, start=1)}
    for row, caption in enumerate(captions):
        words = caption.lower().split()
        unknown = [word for word in words if word not in ids]
        if unknown:
            raise ValueError(f"the demo CLIP does not know '{unknown[0]}'; its words are: {' '.join(WORDS)}")
        if len(words) > CONTEXT_LENGTH - 2:
            raise ValueError(f"the demo CLIP reads {CONTEXT_LENGTH - 2} words at most, not {len(words)}: {caption}")
        line = [START, *(ids[word] for word in words), END]
        tokens[row, : len(line)] = torch.tensor(line)
    return tokens


def load_demo_clip(folder: Path | None = None) -> open_clip.CLIP:
    """The trained CLIP pair; its `visual` takes input normalised by `visual.image_mean` and `image_std`."""
    return _load(build_demo_clip(), "clip", folder)


def load_demo_classifier(folder: Path | None = None) -> Classifier:
    """The trained classifier: (N, 3, 128, 128) in [0, 1] -> logits (N, 10)."""
    return _load(build_demo_classifier(), "classifier", folder)


def load_demo_detector(folder: Path | None = None) -> FCOS:
    """The trained detector: a list of (3, H, W) in [0, 1] -> a list of {boxes, labels 1 to 10, scores}."""
    return _load(build_demo_detector(), "detector", folder)


def load_demo_segmenter(folder: Path | None = None) -> Segmenter:
    """The trained segmenter: (N, 3, H, W) in [0, 1] -> logits (N, 11, H, W), background first."""
    return _load(build_demo_segmenter(), "segmenter", folder)


def demo_folder() -> Path:
    """checkpoints/demo/ as shipped, or of `$LIC_CHECKPOINTS`."""
    return Path(os.environ.get("LIC_CHECKPOINTS", embedded("checkpoints"))) / "demo"


def _load(network: _Network, name: NetworkName, folder: Path | None) -> _Network:
    """One of the four with its weights."""
    return read_weights(network, name, folder or demo_folder())


def read_weights(network: _Network, name: str, folder: Path) -> _Network:
    """The network with its weights, float32, frozen, in eval mode."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights of the demo {name} at {path}; make them: python -m lic demo-networks {name}"
        )
    stored = {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
    network.load_state_dict(stored)
    return network.requires_grad_(False).eval()
