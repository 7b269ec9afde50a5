"""POPE: does a vision-language model see the objects that are there, and none that are not?

Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models", https://arxiv.org/abs/2305.10355:
questions of yes or no about COCO's val2014, half of them about objects that are absent: any, frequent ones, and ones
that often stand beside what is there. The questions of yes are the same in the three splits: so is their recall.

Two ways of reading an answer are reported side by side: that of the authors' evaluate.py (github.com/RUCAIBox/POPE,
MIT), which takes for yes whatever does not say no, and a strict one, as VLMEvalKit's, which wants one of the words.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lic.curves.facts import Facts
from lic.data.questions import read_pope
from lic.demo.questions import demo_questions
from lic.tasks.card import Make, Source, TaskCard, Verdict
from lic.tasks.questions import Floats, Questions, part_of


class Pope(Questions):
    """A model's answers of yes or no."""

    prompt = "\nAnswer the question using a single word or phrase."

    def parse(self, answer: str) -> str | None:
        """Return "yes" or "no" where the answer holds the one word and not the other."""
        words = re.sub(r"[^\w\s]", " ", answer.lower()).split()
        said = [word for word in ("yes", "no") if word in words]
        return said[0] if len(said) == 1 else None

    def marks(self, answers: Sequence[str]) -> dict[str, Any]:
        """Return F1, accuracy, precision, recall and the share of yes, by the authors' reading; then by the strict one.

        A strict answer that is neither counts as wrong, and as no yes. `unparsed` is the share of these.
        """
        right = np.array([question.right == "yes" for question in self.questions])
        official = np.array([says_yes(answer) for answer in answers])
        strict = [self.parse(answer) for answer in answers]
        is_known = np.array([each is not None for each in strict])
        return {
            **self._scores(official, right, official == right, ""),
            **self._scores(np.array([each == "yes" for each in strict]), right,
                           is_known & (np.array([each == "yes" for each in strict]) == right), "_strict"),
            "unparsed": float(1 - is_known.mean()),
        }  # fmt: skip

    def _scores(self, says: Any, right: Any, is_hit: Any, suffix: str) -> dict[str, Any]:
        both, said, true, hits = (np.asarray(each, dtype=float) for each in (says & right, says, right, is_hit))
        found: dict[str, Any] = {}
        for name, marks, out_of in _shares(both, said, true, hits):
            if name == "f1" and not suffix:
                found |= self.share(name, marks, out_of)  # the headline has an interval
            else:
                found[name + suffix] = _ratio(marks, out_of)
            if not suffix:
                found |= self.by_group(name, marks, out_of)
        return found


def _shares(both: Floats, said: Floats, true: Floats, hits: Floats) -> list[tuple[str, Floats, Floats]]:
    """Return each score as what is counted out of what."""
    every = np.ones_like(said)
    return [("f1", 2 * both, said + true), ("accuracy", hits, every), ("precision", both, said),
            ("recall", both, true), ("yes_rate", said, every)]  # fmt: skip


def _ratio(marks: Floats, out_of: Floats) -> float:
    return float(marks.sum() / out_of.sum()) if out_of.sum() else float("nan")


def says_yes(answer: str) -> bool:
    """Return how the authors' evaluate.py reads an answer: yes unless its first sentence has No, no or not."""
    words = answer.split(".")[0].replace(",", "").split(" ")
    return not {"No", "not", "no"} & set(words)


def _open(source: Source) -> Make:
    dataset, questions = part_of(source, read_pope(demo_questions() if source.is_demo else source.root))
    return lambda title, network: Pope(title, dataset, questions, network)


POPE = TaskCard(
    "pope", (Verdict(Facts("f1", "POPE F1", "Questions"), "vlm", "hf:OpenGVLab/InternVL3-1B-hf"),), _open,
    dataset="POPE, COCO val2014", num_images=500, file_name=r"COCO_val2014_\d{12}\.jpg", has_demo=True,
)  # fmt: skip
