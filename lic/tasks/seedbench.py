"""SEED-Bench, image part: questions of four choices, by type.

Li et al. 2023, https://arxiv.org/abs/2307.16125. Its authors rank the choices by likelihood; with models that only
write, harnesses ask for the letter: `accuracy` reads the first character, as lmms-eval does, `accuracy_strict` a letter
that stands alone.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lic.curves.facts import Facts
from lic.data.questions import CHOICES, read_seedbench
from lic.demo.questions import demo_questions
from lic.tasks.card import Make, Source, TaskCard, Verdict
from lic.tasks.questions import Questions, part_of


class SeedBench(Questions):
    """A model's choices."""

    prompt = "\nAnswer with the option's letter from the given choices directly."

    def parse(self, answer: str) -> str | None:
        """Return the letter that an answer begins with, in brackets or with a full stop, if no word goes on from it."""
        found = re.match(rf"\(?([{CHOICES}])(?![\w'])", answer)
        return found[1] if found else None

    def marks(self, answers: Sequence[str]) -> dict[str, Any]:
        """Return the accuracy, of all and by type, the strict one, and the share of answers without a letter."""
        right = [question.right for question in self.questions]
        first = np.array([answer[:1].upper() == letter for answer, letter in zip(answers, right, strict=True)], float)
        strict = [self.parse(answer) for answer in answers]
        return {
            **self.share("accuracy", first),
            **self.by_group("accuracy", first),
            "accuracy_strict": float(np.mean([ours == letter for ours, letter in zip(strict, right, strict=True)])),
            "unparsed": float(np.mean([each is None for each in strict])),
        }


def _open(source: Source) -> Make:
    dataset, questions = part_of(source, read_seedbench(demo_questions() if source.is_demo else source.root))
    return lambda title, network: SeedBench(title, dataset, questions, network)


SEEDBENCH = TaskCard(
    "seedbench", (Verdict(Facts("accuracy", "SEED-Bench", "Questions"), "vlm", "hf:OpenGVLab/InternVL3-1B-hf"),), _open,
    has_demo=True,
)  # fmt: skip
