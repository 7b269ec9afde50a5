"""Small networks of other families than the demo world's own, for it to vote with (lic/preferences/pcmp/voters.py).

| voter | family | answers |
|---|---|---|
| mobilenet | MobileNetV3, Howard et al. 2019, https://arxiv.org/abs/1905.02244 | the main object's shape |
| regnet | RegNet, Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678 | an embedding, by VICReg |
| vit | ViT with early convolutions, Xiao et al. 2021, https://arxiv.org/abs/2106.14881 | the main object's shape |
| ssd | SSD on a narrow VGG, Liu et al. 2016, https://arxiv.org/abs/1512.02325 | boxes |
| unet | U-Net, Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597 | the class of each pixel |
| convnext | ConvNeXt, Liu et al. 2022, https://arxiv.org/abs/2201.03545 | an embedding, by attributes |

`python -m lic demo-networks vit` trains one from nothing; the weights lie in checkpoints/voters/. All come back frozen,
in eval mode and float32, and take scenes (N, 3, 128, 128), RGB in [0, 1], as they are. None is a CLIP, none was
trained with a metric or to be robust against anything: what they prefer is their own.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from timm.models.convnext import ConvNeXt
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.regnet import BlockParams, RegNet
from torchvision.transforms import v2

from lic.demo.networks import IMAGE_MEAN, IMAGE_PX, IMAGE_STD, NUM_SHAPES, Classifier, demo_folder, read_weights

VoterName = Literal["mobilenet", "regnet", "vit", "ssd", "unet", "convnext"]
EMBEDDING = 64
NUM_ATTRIBUTES = 17  # ten colours, four textures, three sizes
NUM_SIDES = 4  # of the main object's box


class PlacedClassifier(Classifier):
    """A trunk of stride 16, a linear layer at each place, the mean; like the demo classifier, on another trunk."""

    def __init__(self, trunk: nn.Module, channels: int) -> None:
        nn.Module.__init__(self)
        self.normalise, self.trunk = v2.Normalize(IMAGE_MEAN, IMAGE_STD), trunk
        self.linear = nn.Conv2d(channels, NUM_SHAPES, 1)

    def logit_map(self, images: Tensor) -> Tensor:
        """The logits of the ten shapes in each 16 px square: (N, 10, H/16, W/16)."""
        return self.linear(self.trunk(self.normalise(images)))  # type: ignore[no-any-return]  # untyped library


class Embedder(nn.Module):
    """A trunk, a linear layer over its whole map, and a head that only the training needs.

    Args:
        trunk: (N, 3, 128, 128) -> (N, channels, side, side).
        channels, side: of its map.
        head: from the embedding (N, 64) to what the training asks.
    """

    def __init__(self, trunk: nn.Module, channels: int, side: int, head: nn.Module) -> None:
        super().__init__()
        self.normalise, self.trunk, self.head = v2.Normalize(IMAGE_MEAN, IMAGE_STD), trunk, head
        self.linear = nn.Sequential(nn.Conv2d(channels, 8, 1), nn.Flatten(), nn.Linear(8 * side**2, EMBEDDING))

    def forward(self, images: Tensor) -> Tensor:
        """The embedding, (N, 64)."""
        return self.linear(self.trunk(self.normalise(images)))  # type: ignore[no-any-return]  # untyped library


class EarlyConvolutions(nn.Module):
    """The patch embedding of a ViT as four strided convolutions: (N, 3, 128, 128) -> (N, 64, D)."""

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: Any) -> None:
        super().__init__()
        widths = (in_chans, 16, 32, 64, embed_dim)
        self.layers = nn.Sequential(*(_convolution(a, b, 2) for a, b in pairwise(widths)))
        self.num_patches = (img_size // patch_size) ** 2

    def forward(self, images: Tensor) -> Tensor:
        """The tokens."""
        return self.layers(images).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]  # untyped library


class TokenMap(nn.Module):
    """A ViT whose tokens are laid out as a map: (N, 3, 128, 128) -> (N, D, 8, 8)."""

    def __init__(self, transformer: VisionTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, images: Tensor) -> Tensor:
        """The last layer's tokens."""
        tokens = self.transformer.forward_features(images)
        return tokens.transpose(1, 2).unflatten(2, (IMAGE_PX // 16, -1))  # type: ignore[no-any-return]  # untyped


class NarrowVgg(nn.Module):
    """3 x 3 convolutions and pooling (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556): strides 8, 16."""

    out_channels = (96, 96)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            _convolution(3, 16, 2), _convolution(16, 32, 1), nn.MaxPool2d(2),
            _convolution(32, 64, 1), nn.MaxPool2d(2), _convolution(64, 64, 1), _convolution(64, 96, 1),
        )  # fmt: skip
        self.coarse = nn.Sequential(nn.MaxPool2d(2), _convolution(96, 96, 1))

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """The maps of both strides."""
        fine = self.fine(images)
        return OrderedDict({"8": fine, "16": self.coarse(fine)})


class UNet(nn.Module):
    """A U-Net from stride 2 to 16 and back: (N, 3, H, W) in [0, 1] -> logits (N, 11, H, W), background first."""

    widths = (16, 32, 48, 64)

    def __init__(self) -> None:
        super().__init__()
        self.normalise = v2.Normalize(IMAGE_MEAN, IMAGE_STD)
        ins = (3, *self.widths[:-1])
        self.down = nn.ModuleList(_double(a, b, 2) for a, b in zip(ins, self.widths, strict=True))
        pairs = list(pairwise(self.widths))
        self.up = nn.ModuleList(_double(fine + coarse, fine, 1) for fine, coarse in reversed(pairs))
        self.head = nn.Conv2d(self.widths[0], 1 + NUM_SHAPES, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of each pixel."""
        x = self.normalise(images)
        passed = []
        for block in self.down:
            x = block(x)
            passed.append(x)
        for block, fine in zip(self.up, reversed(passed[:-1]), strict=True):
            x = block(torch.cat([nn.functional.interpolate(x, fine.shape[-2:]), fine], 1))
        return nn.functional.interpolate(self.head(x), images.shape[-2:], mode="bilinear", align_corners=False)


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _double(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_convolution(inputs, outputs, stride), _convolution(outputs, outputs, 1))


def build_mobilenet() -> PlacedClassifier:
    """An untrained classifier of 0.1 M parameters on MobileNetV3's inverted residuals."""
    rows = [  # inputs, kernel, expanded, outputs, squeeze and excitation, activation, stride
        (16, 3, 32, 24, False, "RE", 2),
        (24, 5, 96, 40, True, "RE", 2),
        (40, 5, 120, 40, True, "HS", 1),
        (40, 5, 160, 64, True, "HS", 2),
        (64, 5, 192, 64, True, "HS", 1),
    ]
    settings = [InvertedResidualConfig(*row, dilation=1, width_mult=1) for row in rows]
    trunk = MobileNetV3(settings, last_channel=8, num_classes=NUM_SHAPES).features
    return PlacedClassifier(trunk[:-1], 64)


def build_regnet() -> Embedder:
    """An untrained RegNetX of 0.1 M parameters under VICReg's expander."""
    blocks = BlockParams([1, 1, 2], [32, 64, 80], [16, 16, 16], [1.0, 1.0, 1.0], [2, 2, 2])
    network = RegNet(blocks, num_classes=1, stem_width=24)
    trunk = nn.Sequential(network.stem, network.trunk_output)
    expander = nn.Sequential(nn.Linear(EMBEDDING, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 128))
    return Embedder(trunk, 80, IMAGE_PX // 16, expander)


def build_vit() -> PlacedClassifier:
    """An untrained classifier of 0.3 M parameters: three layers of width 96 over patches of 16 px."""
    transformer = VisionTransformer(
        img_size=IMAGE_PX, patch_size=16, embed_dim=96, depth=3, num_heads=3, mlp_ratio=2.0, class_token=False,
        global_pool="", num_classes=0, embed_layer=EarlyConvolutions,
    )  # fmt: skip
    return PlacedClassifier(TokenMap(transformer), 96)


def build_ssd() -> SSD:
    """An untrained SSD of 0.3 M parameters on maps of strides 8 and 16."""
    boxes = DefaultBoxGenerator([[2], [2]], scales=[0.18, 0.34, 0.5], steps=[8, 16])
    return SSD(
        NarrowVgg(), boxes, (IMAGE_PX, IMAGE_PX), num_classes=1 + NUM_SHAPES,
        image_mean=list(IMAGE_MEAN), image_std=list(IMAGE_STD), score_thresh=0.05, nms_thresh=0.5,
        detections_per_img=20,
    )  # fmt: skip


def build_unet() -> UNet:
    """An untrained segmenter of 0.2 M parameters."""
    return UNet()


def build_convnext() -> Embedder:
    """An untrained ConvNeXt of 0.2 M parameters, whose embedding tells the main object's attributes and box."""
    network = ConvNeXt(
        num_classes=0, global_pool="", depths=(1, 1, 2, 1), dims=(24, 40, 56, 64), ls_init_value=0.1
    )
    trunk = nn.Sequential(network.stem, network.stages)
    return Embedder(trunk, 64, IMAGE_PX // 32, nn.Linear(EMBEDDING, NUM_ATTRIBUTES + NUM_SIDES))


BUILDERS: dict[VoterName, Callable[[], nn.Module]] = {
    "mobilenet": build_mobilenet,
    "regnet": build_regnet,
    "vit": build_vit,
    "ssd": build_ssd,
    "unet": build_unet,
    "convnext": build_convnext,
}


def voters_folder() -> Path:
    """checkpoints/voters/ as shipped, or of `$LIC_CHECKPOINTS`."""
    return demo_folder().parent / "voters"


def load_voter(name: VoterName, folder: Path | None = None) -> nn.Module:
    """A trained voter, frozen, in eval mode and float32."""
    return read_weights(BUILDERS[name](), name, folder or voters_folder())
