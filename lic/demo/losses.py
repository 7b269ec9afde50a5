"""What the demo CLIP learns: which caption belongs to a scene, or to a piece of one.

Seven of eight batches are pieces of scenes with captions of what they show, and the captions leave most sizes, colours
and textures out. Trained on whole scenes and whole captions a CLIP retrieves better, but its layers follow colour and
noise, and a codec that is trained against it serves the tasks no better than one for mse (docs/experiments.md).

What the demo world's embedding voters learn: a scene's attributes, or that two views show the same scene. What its
reader learns: the answers to questions about scenes.
"""

from typing import NamedTuple

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, mse_loss, pad, relu

from lic.demo.arrays import SceneArrays, clip_input, to_images
from lic.demo.drawing import COLOURS, SCENE_PX, SHAPES, SIZES, TEXTURES
from lic.demo.networks import demo_tokenize
from lic.demo.other_networks import Embedder
from lic.demo.questions import COLOUR, HOW_MANY, WHERE, is_there, parse_caption
from lic.demo.reader import ANSWERS, SceneReader, to_words

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


MOST_SHIFT_PX = 16
COLOUR_CHANGE = 0.3
BOX_WEIGHT = 8.0
INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0  # Bardes et al. 2022, section 4.2


class Attributes(NamedTuple):
    """Of N main objects: indices (N,) of colour, texture and size, or their logits (N, C); boxes (N, 4), px."""

    colour: Tensor
    texture: Tensor
    size: Tensor
    box: Tensor


def attribute_targets(scenes: SceneArrays) -> Attributes:
    """The main objects' attributes, as the captions' first words tell them: a SIZE COLOUR TEXTURE shape ..."""
    words = [str(caption).split()[1:4] for caption in scenes.captions]
    columns = [list(names) for names in (SIZES, COLOURS, TEXTURES)]
    size, colour, texture = (
        torch.tensor([names.index(word) for word in column])
        for names, column in zip(columns, zip(*words, strict=True), strict=True)
    )
    return Attributes(colour, texture, size, torch.from_numpy(scenes.boxes[:, 0]))


def split_attributes(answers: Tensor) -> Attributes:
    """What a head's answers (N, 21) say."""
    colour, texture, size, box = answers.float().split([len(COLOURS), len(TEXTURES), len(SIZES), 4], 1)
    return Attributes(colour, texture, size, box * SCENE_PX)


def attribute_loss(network: nn.Module, images: Tensor, scenes: SceneArrays) -> Tensor:
    """Cross entropy of colour, texture and size, and the box's distance in images' widths."""
    assert isinstance(network, Embedder)
    ours, truth = split_attributes(network.head(network(images))), attribute_targets(scenes)
    names = sum((cross_entropy(a, b) for a, b in zip(ours[:3], truth[:3], strict=True)), torch.zeros(()))
    return names + BOX_WEIGHT * l1_loss(ours.box / SCENE_PX, truth.box / SCENE_PX)


def draw_view(images: Tensor, rng: np.random.Generator) -> Tensor:
    """The images (N, 3, H, W) mirrored or not, shifted and recoloured; never resampled, blurred or noisy.

    A shift of up to 16 px takes in what lies mirrored beyond the border; each channel gets a gain and an offset.
    """
    count, _, height, width = images.shape
    wide = pad(images, 4 * (MOST_SHIFT_PX,), mode="reflect")
    corners = rng.integers(2 * MOST_SHIFT_PX + 1, size=(count, 2))
    views = [one[:, y : y + height, x : x + width] for one, (y, x) in zip(wide, corners.tolist(), strict=True)]
    views = [one.flip(2) if turn else one for one, turn in zip(views, rng.random(count) < 0.5, strict=True)]
    gain, offset = torch.from_numpy(rng.uniform(-COLOUR_CHANGE, COLOUR_CHANGE, (2, count, 3, 1, 1))).float()
    recoloured: Tensor = (torch.stack(views) - 0.5) * (1 + gain) + 0.5 + 0.5 * offset
    return recoloured.clamp(0, 1)


def vicreg_loss(network: nn.Module, images: Tensor, rng: np.random.Generator) -> Tensor:
    """VICReg (Bardes et al. 2022, https://arxiv.org/abs/2105.04906, eq. 1 to 6) of two views of each image."""
    assert isinstance(network, Embedder)
    first, second = (network.head(network(draw_view(images, rng))).float() for _ in range(2))
    spread = torch.stack([relu(1 - (z.var(0) + 1e-4).sqrt()).mean() for z in (first, second)]).sum()
    shared = torch.stack([_covariance(z) for z in (first, second)]).sum()
    return INVARIANCE * mse_loss(first, second) + VARIANCE * spread / 2 + COVARIANCE * shared


def reader_loss(network: nn.Module, images: Tensor, scenes: SceneArrays, rng: np.random.Generator) -> Tensor:
    """Cross entropy of the answers to five kinds of questions about each scene, and of the shape at each place."""
    assert isinstance(network, SceneReader)
    maps = network.look(images)
    asked = [(i, *each) for i, caption in enumerate(scenes.captions) for each in draw_questions(str(caption), rng)]
    rows, questions, right = zip(*asked, strict=True)
    logits = network.reply(maps[list(rows)], to_words(questions)).float()
    answers = cross_entropy(logits, torch.tensor([ANSWERS.index(word) for word in right]))
    shapes = torch.from_numpy(scenes.masks[:, 4::8, 4::8].astype(np.int64))
    return answers + cross_entropy(network.shapes(maps).float(), shapes)


def draw_questions(caption: str, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Return questions about a scene and what is right: of a shape that is there, of one that is not, how many, and
    colour and place of a shape of which there is one."""
    objects = parse_caption(caption)
    shapes = [each.shape for each in objects]
    absent = rng.choice([shape for shape in SHAPES if shape not in shapes])
    found = [(is_there(rng.choice(shapes)), "yes"), (is_there(absent), "no"), (HOW_MANY, str(len(objects)))]
    if single := [each for each in objects if shapes.count(each.shape) == 1]:
        one, other = (single[i] for i in rng.integers(len(single), size=2))
        found += [(COLOUR.format(one.shape), one.colour), (WHERE.format(other.shape), other.place)]
    return found


def _covariance(embeddings: Tensor) -> Tensor:
    """The sum of the squared covariances between different dimensions, over their number."""
    covariance = torch.cov(embeddings.T)
    return (covariance - covariance.diagonal().diag()).square().sum() / embeddings.shape[1]
