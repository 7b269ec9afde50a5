"""What the demo CLIP learns: which caption belongs to a scene, or to a piece of one.

Seven of eight batches are pieces of scenes with captions of what they show, and the captions leave most sizes, colours
and textures out. Trained on whole scenes and whole captions a CLIP retrieves better, but its layers follow colour and
noise, and a codec that is trained against it serves the tasks no better than one for mse (docs/experiments.md).
"""

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lic.backbones.demo import demo_tokenize
from lic.data.drawing import COLOURS, SIZES, TEXTURES
from lic.training.demo_arrays import SceneArrays
from lic.training.demo_scores import clip_input, to_images

PIECE_PX = 64
PIECE_SHARE = 7 / 8
MARGIN_PX = 4  # by which the centre of what a piece was cut for lies inside it
WORD_DROPOUT = 0.8
MAX_LOGIT_SCALE = 100.0  # Radford et al. 2021, section 2.5
OPTIONAL_WORDS = frozenset((*SIZES, *COLOURS, *TEXTURES))


def clip_loss(network: nn.Module, batch: SceneArrays, rng: np.random.Generator) -> Tensor:
    """The symmetric contrastive loss of N scenes and captions, a scalar; equal captions are one another's positives.

    UniCL (Yang et al. 2022, arXiv 2204.03610, eq. 1 to 3), with captions for labels: short ones are often equal.
    """
    assert isinstance(network, open_clip.CLIP)
    pixels, captions = batch.images, [str(caption) for caption in batch.captions]
    if rng.random() < PIECE_SHARE:
        pixels, captions = cut_pieces(batch, rng)
    captions = [_shortened(caption, rng) for caption in captions]
    images = network.encode_image(clip_input(network, to_images(pixels)), normalize=True).float()
    texts = network.encode_text(demo_tokenize(captions), normalize=True).float()
    logits = network.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE) * images @ texts.T
    names = np.array(captions)
    positives = torch.from_numpy(names[:, None] == names[None]).float()
    positives = positives / positives.sum(1, keepdim=True)
    return (cross_entropy(logits, positives) + cross_entropy(logits.T, positives)) / 2


def cut_pieces(scenes: SceneArrays, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[str]]:
    """A piece of each of N scenes, (N, 64, 64, 3), around a random object, and captions of what it shows."""
    pieces, captions = [], []
    for image, boxes, labels, caption in zip(
        scenes.images, scenes.boxes, scenes.labels, scenes.captions, strict=True
    ):
        things = [thing.split(" at the ")[0] for thing in str(caption).split(" and ")]
        centres = (boxes[labels >= 0, :2] + boxes[labels >= 0, 2:]) / 2
        last = len(image) - PIECE_PX
        centre = centres[rng.integers(len(centres))]
        lowest = np.clip(centre - PIECE_PX + MARGIN_PX, 0, last).astype(int)
        highest = np.clip(centre - MARGIN_PX, 0, last).astype(int)
        left, top = (int(rng.integers(low, high + 1)) for low, high in zip(lowest, highest, strict=True))
        pieces.append(image[top : top + PIECE_PX, left : left + PIECE_PX])
        seen = [
            f"{thing} at the {'upper' if y < PIECE_PX / 2 else 'lower'} {'left' if x < PIECE_PX / 2 else 'right'}"
            for thing, (x, y) in zip(things, centres - (left, top), strict=True)
            if 0 <= x < PIECE_PX and 0 <= y < PIECE_PX
        ]
        captions.append(" and ".join(seen))
    return np.stack(pieces), captions


def _shortened(caption: str, rng: np.random.Generator) -> str:
    """The caption without most of its sizes, colours and textures."""
    return " ".join(word for word in caption.split() if word not in OPTIONAL_WORDS or rng.random() > WORD_DROPOUT)
