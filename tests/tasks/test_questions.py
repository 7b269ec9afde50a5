"""POPE, SEED-Bench and TextVQA: how answers are read and scored."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_f1_score, binary_precision, binary_recall

from lic.data.questions import Question, read_pope, read_seedbench
from lic.demo.questions import demo_questions
from lic.tasks.bootstrap import PERCENTILES, draw_weights
from lic.tasks.pope import Pope, says_yes
from lic.tasks.questions import Questions
from lic.tasks.seedbench import SeedBench
from lic.tasks.textvqa import TextVQA
from lic.tasks.vqa_answers import normalise, soft_accuracy


class Scripted:
    """Answers by a rule about the question; counts what it is asked of each picture."""

    name, kind, classes, fingerprint = "net", "vlm", None, "net"

    def __init__(self, rule: dict[str, str]) -> None:
        self.rule, self.asked = rule, list[Sequence[str]]()

    def __call__(self, image: torch.Tensor) -> list[object]:
        def reader(questions: Sequence[str]) -> list[str]:
            self.asked.append(questions)
            return [self.rule[question.partition("\n")[0]] for question in questions]

        return [reader for _ in image]


def pope(answers: Sequence[str], labels: str, images: Sequence[int] | None = None) -> tuple[Pope, dict[str, float]]:
    """Score answers about as many images, labels being y or n."""
    places = images or range(len(answers))
    asked = [Question(str(i), Path(f"{place}.png"), f"{i}?", "yes" if label == "y" else "no", "random")
             for i, (label, place) in enumerate(zip(labels, places, strict=True))]  # fmt: skip
    network = Scripted({f"{i}?": answer for i, answer in enumerate(answers)})
    task = Pope("pope", "set", asked, network)  # type: ignore[arg-type]
    predictions = task.predict(torch.rand(len(task.images), 3, 8, 8), task.images)
    return task, task.score(predictions, predictions)


@pytest.mark.parametrize(
    ("answer", "official", "strict"),
    [("Yes", True, "yes"), ("yes.", True, "yes"), ("No", False, "no"), ("No, there is not.", False, "no"),
     ("NO", True, "no"), ("There is no dog. Yes", False, None), ("It is not there", False, None), ("", True, None),
     ("nothing", True, None), ("Yes, and no", False, None), ("A dog", True, None), ("no!", True, "no")],
)  # fmt: skip
def test_two_ways_of_reading(answer: str, official: bool, strict: str | None) -> None:
    """The official column was seen to come out of the authors' evaluate.py."""
    assert says_yes(answer) is official
    assert pope([answer], "y")[0].parse(answer) == strict


def test_scores_are_torchmetrics() -> None:
    rng = random.Random(0)
    answers = [rng.choice(["Yes", "No", "maybe", "not so"]) for _ in range(200)]
    labels = "".join(rng.choice("yn") for _ in answers)
    scores = pope(answers, labels)[1]
    truth = torch.tensor([label == "y" for label in labels])
    for suffix, said in (("", [says_yes(each) for each in answers]), ("_strict", [each == "Yes" for each in answers])):
        expected = {"f1": binary_f1_score, "precision": binary_precision, "recall": binary_recall}
        for name, function in expected.items():
            assert scores[name + suffix] == pytest.approx(function(torch.tensor(said).int(), truth).item()), name
        assert scores["yes_rate" + suffix] == pytest.approx(np.mean(said))
    assert scores["unparsed"] == np.mean([each in ("maybe", "not so") for each in answers])
    strict = [each == ("Yes" if label else "No") for each, label in zip(answers, truth, strict=True)]
    assert scores["accuracy_strict"] == pytest.approx(np.mean(strict)) and np.mean(strict) < scores["accuracy"]


def test_intervals_are_over_images() -> None:
    """Two images, all of one right and all of the other wrong: a set has either, or both."""
    scores = pope(["Yes"] * 10, "yyyyynnnnn", [0] * 5 + [1] * 5)[1]
    first, second = draw_weights(2).T
    f1 = 2 * 5 * first / (5 * first + 5 * first + 5 * second)
    assert scores["f1_replicates"] == pytest.approx(np.round(f1, 5).tolist())
    assert [scores["f1_low"], scores["f1_high"]] == pytest.approx(np.percentile(f1, PERCENTILES))


def test_recall_is_equal_over_the_splits() -> None:
    """The questions of yes are the same in all three, and what is asked twice of a picture is answered once."""
    questions = read_pope(demo_questions())
    rng = random.Random(0)
    rule = {question.text: rng.choice(["Yes", "No"]) for question in questions}
    network = Scripted(rule)
    task = Pope("pope", "demo", questions, network)  # type: ignore[arg-type]
    predictions = task.predict(torch.rand(len(task.images), 3, 8, 8), task.images)
    scores = task.score(predictions, predictions)
    recalls = {scores[f"recall_{split}"] for split in ("random", "popular", "adversarial")}
    assert len(recalls) == 1 and 0 < scores["recall"] < 1
    assert len({scores[f"accuracy_{split}"] for split in ("random", "popular", "adversarial")}) > 1
    assert all(len(set(asked)) == len(asked) for asked in network.asked)
    assert sum(map(len, network.asked)) < len(questions)


def test_a_picture_that_is_the_original_is_an_error() -> None:
    task, _ = pope(["Yes", "No"], "yn")
    original = task.predict(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)), task.images)
    coded = task.predict(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2)), task.images)
    assert {each["picture"] for each in original}.isdisjoint(each["picture"] for each in coded)
    task.score(coded, original)
    with pytest.raises(ValueError, match=r"pope: 1 of 2 pictures that were read are the originals, first 1\.png"):
        task.score([coded[0], original[1]], original)
    with pytest.raises(ValueError, match="shorter"):
        task.score(coded[:1], original)  # one is missing


def test_lines_are_what_the_authors_script_reads() -> None:
    task, _ = pope(["Yes", "perhaps"], "yn")
    lines = list(task.lines(task.predict(torch.rand(2, 3, 8, 8), task.images)))
    assert [(line["answer"], line["parsed"], line["label"]) for line in lines] == [
        ("Yes", "yes", "yes"), ("perhaps", None, "no")]  # fmt: skip


def test_seedbench_by_type() -> None:
    asked = [Question(str(i), Path(f"{i}.png"), f"{i}?\nA. a\nB. b\nC. c\nD. d", right, group)
             for i, (right, group) in enumerate([("A", "Text Understanding"), ("B", "Text Understanding"),
                                                 ("C", "Instance Identity"), ("D", "Instance Identity")])]  # fmt: skip
    network = Scripted({"0?": "A", "1?": "B. b", "2?": "Cat", "3?": "(D)"})
    task = SeedBench("seedbench", "set", asked, network)  # type: ignore[arg-type]
    predictions = task.predict(torch.rand(4, 3, 8, 8), task.images)
    scores = task.score(predictions, predictions)
    assert (scores["accuracy"], scores["accuracy_strict"], scores["unparsed"]) == (0.75, 0.75, 0.25)
    assert (scores["accuracy_text_understanding"], scores["accuracy_instance_identity"]) == (1.0, 0.5)
    assert network.asked[0][0].endswith("D. d\nAnswer with the option's letter from the given choices directly.")


@pytest.mark.parametrize(
    ("written", "compared"),
    [("The 3,000 dogs!", "3000 dogs"), ("couldnt've", "couldn't've"), ("It's a dog's life?", "it 's dog 's life"),
     ("u.s.a.", "usa"), ("12.50", "12.50"), ("yall'd've", "y'all'd've"), ("A, an the one, two", "1 2"),
     ("he-said/it", "he said it"), ("'ows'at", "'ow's'at"), ("none", "0"), ("x - y", "x y"), ("3.5.", "3.5"),
     ("somebody'd", "somebodyd"), ("$5,000.00", "$5000.00"), ("coca_cola\n\tzero", "coca cola 0")],
)  # fmt: skip
def test_answers_are_compared_as_mmf_does(written: str, compared: str) -> None:
    """Figures of MMF's EvalAIAnswerProcessor as lmms-eval 0.7 holds it; 23,000 random strings came out alike."""
    assert normalise(written) == compared


def test_soft_accuracy() -> None:
    people = ("pepsi", "Pepsi", "pepsi!", "coke", "coke", *["cola"] * 5)
    assert soft_accuracy("PEPSI", people) == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert soft_accuracy("the coke", people) == pytest.approx((2 * 1 / 3 + 8 * 2 / 3) / 10)
    assert (soft_accuracy("cola", people), soft_accuracy("water", people)) == (1.0, 0.0)


def test_textvqa() -> None:
    asked = [Question(str(i), Path(f"{i}.png"), f"{i}?", ("stop",) * 10, "") for i in range(3)]
    network = Scripted({"0?": "Stop", "1?": "a", "2?": "go"})
    task = TextVQA("textvqa", "set", asked, network)  # type: ignore[arg-type]
    predictions = task.predict(torch.rand(3, 3, 8, 8), task.images)
    scores = task.score(predictions, predictions)
    assert (scores["accuracy"], scores["unparsed"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_demo_questions_are_right() -> None:
    """Half of POPE's are yes; every choice of SEED-Bench's is there once, and its letters are spread; all may read."""
    assert demo_questions().stat().st_mode & 0o777 == 0o755
    questions = read_pope(demo_questions())
    assert np.mean([question.right == "yes" for question in questions]) == 0.5
    choices = read_seedbench(demo_questions())
    assert all(len(set(question.text.split("\n")[1:])) == 4 for question in choices)
    letters = [question.right for question in choices]
    assert min(letters.count(letter) for letter in "ABCD") > len(letters) / 8
    assert isinstance(Pope("pope", "demo", questions, Scripted({})), Questions)  # type: ignore[arg-type]
