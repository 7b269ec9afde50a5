"""TextVQA: questions about text in photographs, which codecs for machines lose first.

Singh et al. 2019, https://arxiv.org/abs/1904.08920. Scored by VQA's soft accuracy against ten people's answers. The
prompt is that of harnesses without recognised text beside the picture.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lic.curves.facts import Facts
from lic.data.questions import read_textvqa
from lic.tasks.card import Make, Source, TaskCard, Verdict
from lic.tasks.questions import Questions, part_of
from lic.tasks.vqa_answers import normalise, soft_accuracy


class TextVQA(Questions):
    """A model's words."""

    prompt = "\nAnswer the question using a single word or phrase."

    def parse(self, answer: str) -> str | None:
        """Return the answer as it is compared; None if nothing is left of it."""
        return normalise(answer) or None

    def marks(self, answers: Sequence[str]) -> dict[str, Any]:
        """Return the soft accuracy, and the share of empty answers."""
        pairs = zip(answers, self.questions, strict=True)
        soft = np.array([soft_accuracy(answer, tuple(question.right)) for answer, question in pairs])
        return {**self.share("accuracy", soft),
                "unparsed": float(np.mean([self.parse(answer) is None for answer in answers]))}  # fmt: skip


def _open(source: Source) -> Make:
    dataset, questions = part_of(source, read_textvqa(source.root))
    return lambda title, network: TextVQA(title, dataset, questions, network)


TEXTVQA = TaskCard(
    "textvqa", (Verdict(Facts("accuracy", "TextVQA", "Questions"), "vlm", "hf:OpenGVLab/InternVL3-1B-hf"),), _open,
    dataset="TextVQA val", num_images=3166, file_name=r"[0-9a-f]{16}\.jpg",
)  # fmt: skip
