"""What questions about images have in common: each picture is decoded once, read once, and asked all its questions."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lic.backbones.networks import Network
from lic.curves.facts import Facts
from lic.data.questions import Question
from lic.data.subset import subset
from lic.settings import require
from lic.tasks.bootstrap import draw_weights, interval
from lic.tasks.card import Source
from lic.tasks.task import fingerprint

Floats = NDArray[np.float64]


class Questions(ABC):
    """A vision-language model and the questions that it is asked; a task of `lic.tasks.Task`.

    Args:
        name, dataset: as results files have them.
        questions: about any images, in any order.
        network: of the kind `vlm`.
    """

    facts: Facts
    is_resized = False
    prompt: ClassVar[str]
    """What follows the question, as harnesses have it."""

    def __init__(self, name: str, dataset: str, questions: Sequence[Question], network: Network) -> None:
        self.name, self.dataset, self.questions, self._network = name, dataset, list(questions), network
        self._positions: dict[Path, list[int]] = {}
        for i, question in enumerate(self.questions):
            self._positions.setdefault(question.image, []).append(i)
        self.images: list[Path] = list(self._positions)
        self.network, self.classes = network.name, dict[int, str]()
        order = {path: i for i, path in enumerate(self.images)}
        self._image_of = np.array([order[question.image] for question in self.questions])
        asked = "\n".join(f"{question.image.name} {question.text}" for question in self.questions)
        self.fingerprint = fingerprint(network, f"{self.prompt} {asked}")
        self.particulars = {**getattr(network, "particulars", {}), "prompt": f"QUESTION{self.prompt}"}

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[dict[str, Any]]:
        """Return the answers about each of (N, 3, H, W) images, in the order of its questions, and its pixels' digest.

        Splits share questions: what is asked twice of a picture is answered once.
        """
        predictions = []
        for image, reader, path in zip(images, self._network(images), paths, strict=True):
            asked = [self.questions[i].text + self.prompt for i in self._positions[path]]
            unique = list(dict.fromkeys(asked))
            answers = dict(zip(unique, reader(unique), strict=True))
            predictions.append({"answers": [answers[each] for each in asked], "picture": _digest(image)})
        return predictions

    def score(self, predictions: Sequence[Any], originals: Sequence[Any]) -> dict[str, Any]:
        """Return the scores of all answers, and of each group's.

        Raises:
            ValueError: some of the pictures that were read are the originals.
        """
        same = [path for path, ours, theirs in zip(self.images, predictions, originals, strict=True)
                if ours["picture"] == theirs["picture"] is not None]  # fmt: skip
        require(len(same) in (0, len(self.images)), f"{self.name}: {len(same)} of {len(self.images)} pictures that "
                f"were read are the originals, first {same[0] if same else ''}: a task must not see them")
        return self.marks([answer for _, answer in self._answers(predictions)])

    def lines(self, predictions: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Yield what came of each question; `parsed` is None where the answer is none of those that were asked for.

        POPE's own evaluate.py reads these lines.
        """
        for question, answer in self._answers(predictions):
            about = {"question_id": question.id, "image": question.image.name, "question": question.text}
            said = {"answer": answer, "parsed": self.parse(answer)}
            yield {**about, **said, "label": question.right, "group": question.group}

    def _answers(self, predictions: Sequence[Any]) -> list[tuple[Question, str]]:
        found: dict[int, str] = {}
        for path, prediction in zip(self.images, predictions, strict=True):
            found |= zip(self._positions[path], prediction["answers"], strict=True)
        return [(question, found[i]) for i, question in enumerate(self.questions)]

    @abstractmethod
    def parse(self, answer: str) -> str | None:
        """Return what an answer means, strictly; None: it is none of those that were asked for."""

    @abstractmethod
    def marks(self, answers: Sequence[str]) -> dict[str, Any]:
        """Return the scores of the answers, one for each question."""

    def share(self, name: str, marks: Floats, out_of: Floats | None = None) -> dict[str, Any]:
        """Return a share with its bootstrap interval over images, whose questions stay together.

        Args:
            name: the score's.
            marks: (questions,), what is counted.
            out_of: (questions,), what they are a share of; None: all.
        """
        parts = [np.bincount(self._image_of, weights, len(self.images))
                 for weights in (marks, np.ones_like(marks) if out_of is None else out_of)]  # fmt: skip
        with np.errstate(invalid="ignore", divide="ignore"):  # drawn images may hold no such question: NaN
            drawn = [draw_weights(len(self.images)) @ each for each in parts]
            return {name: float(parts[0].sum() / parts[1].sum()), **interval(name, drawn[0] / drawn[1])}

    def by_group(self, name: str, marks: Floats, out_of: Floats | None = None) -> dict[str, float]:
        """Return a share for each group of questions, called `NAME_GROUP`; none where there is one group."""
        groups = np.array([question.group for question in self.questions])
        out_of = np.ones_like(marks) if out_of is None else out_of
        names = list(dict.fromkeys(groups.tolist()))
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                f"{name}_{re.sub('[^a-z0-9]+', '_', group.lower())}":
                    float(marks[groups == group].sum() / out_of[groups == group].sum())
                for group in names if len(names) > 1
            }  # fmt: skip


def _digest(image: Tensor) -> str | None:
    """Return a digest of an image's pixels; None for one of a single colour, which a codec may give back as it was."""
    if torch.equal(image, image[..., :1, :1].expand_as(image)):
        return None
    pixels = (image.cpu().clamp(0, 1) * 255).round().byte()
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:16]


def part_of(source: Source, questions: Sequence[Question]) -> tuple[str, list[Question]]:
    """Return what results call the questions' images, and the questions about those that `--limit` keeps."""
    images = list(dict.fromkeys(question.image for question in questions))
    names = [path.name for path in images]
    kept = {images[i] for i in subset(names, source.limit)}
    return source.describe(len(kept), len(images), names), [each for each in questions if each.image in kept]
