"""A small network that answers questions about demo scenes: the demo world's vision-language model.

    scene (N, 3, 128, 128) -> pyramid, stride 8 (N, 64, 16, 16), with each place's x and y
    question, a bag of words  -> 96 values   -> scale and shift of the map's channels, twice
                                                (FiLM, Perez et al. 2018, https://arxiv.org/abs/1709.07871)
    mean and maximum over places -> logits of 20 words

It knows the questions of lic/demo/questions.py; of four choices it takes the most likely one. Neither POPE nor
SEED-Bench on photographs is anything to it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from lic.demo.drawing import COLOURS, SHAPES
from lic.demo.networks import IMAGE_MEAN, IMAGE_STD, NUM_SHAPES, PYRAMID_CHANNELS, Pyramid, demo_folder, read_weights
from lic.demo.questions import PLACES

ANSWERS = ("yes", "no", *COLOURS, *PLACES, "1", "2", "3", "4")
WORDS = ("there", "many", "colour", "where", *SHAPES)
"""The words that make a difference; others are not read."""
WIDTH = 96


class SceneReader(nn.Module):
    """A scene and a question -> logits of `ANSWERS`."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise, self.pyramid = v2.Normalize(IMAGE_MEAN, IMAGE_STD), Pyramid(("8", "16"))
        self.shapes = nn.Conv2d(PYRAMID_CHANNELS, 1 + NUM_SHAPES, 1)  # of each place: the training asks for them
        self.enter = nn.Conv2d(PYRAMID_CHANNELS + 2, WIDTH, 1)
        self.words = nn.Linear(len(WORDS), WIDTH)
        self.blocks = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.films = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH) for _ in range(2))
        self.answer = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, len(ANSWERS)))

    def look(self, images: Tensor) -> Tensor:
        """Return the map of each scene (N, 3, 128, 128), RGB in [0, 1]: (N, 64, 16, 16)."""
        return self.pyramid(self.normalise(images))  # type: ignore[no-any-return]  # untyped library

    def reply(self, maps: Tensor, words: Tensor) -> Tensor:
        """Return the logits (N, 20) of the answer to a question (N, 14) about each map (N, 64, 16, 16)."""
        rows, columns = (torch.linspace(-1, 1, side).to(maps) for side in maps.shape[-2:])
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy")).expand(len(maps), -1, -1, -1)
        x, question = self.enter(torch.cat([maps, places], 1)).relu(), self.words(words).relu()
        for block, film in zip(self.blocks, self.films, strict=True):
            scale, shift = film(question)[..., None, None].chunk(2, 1)
            x = x + (block(x) * (1 + scale) + shift).relu()
        return self.answer(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))  # type: ignore[no-any-return]


def to_words(questions: Sequence[str]) -> Tensor:
    """Return which of `WORDS` are in each question's first line, (N, 14)."""
    found = [set(re.findall(r"\w+", question.lower().partition("\n")[0])) for question in questions]
    return torch.tensor([[float(word in own) for word in WORDS] for own in found])


def to_answer(logits: Tensor, question: str) -> str:
    """Return the most likely answer in words: the letter of one of a question's choices, or Yes or No."""
    choices = dict(re.findall(r"^([A-D])\. (.+)$", question, re.MULTILINE)) or {"Yes": "yes", "No": "no"}
    known = {letter: logits[ANSWERS.index(word)].item() for letter, word in choices.items() if word in ANSWERS}
    return max(known, key=known.__getitem__, default="I do not know")


def build_scene_reader() -> SceneReader:
    """An untrained reader of 1.2 M parameters."""
    return SceneReader()


def load_scene_reader(folder: Path | None = None) -> SceneReader:
    """The trained reader, frozen, in eval mode and float32."""
    return read_weights(build_scene_reader(), "reader", folder or demo_folder())
