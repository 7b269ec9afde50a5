"""Top-1 and top-5 by hand and by torchmetrics; classes by name or in order."""

import json
from pathlib import Path

import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from lic.data.imagenet import LabelledImages
from lic.tasks.classification import Classification
from tests.tasks.scripted import Answers, shown


def labelled(labels: list[int], classes: list[str]) -> LabelledImages:
    return LabelledImages([Path(f"{i}.png") for i in range(len(labels))], labels, classes)


def test_a_network_without_a_classifier_is_refused() -> None:
    """384 features of a ViT are no logits."""
    network = Answers("classification", [torch.rand(384)])
    task = Classification("imagenet-cls", "ImageNet", labelled([0], [*"abc"]), network)
    with pytest.raises(ValueError, match="network net gives 384 values for 3 classes of ImageNet: it is no classifier"):
        task.predict(torch.zeros(1, 3, 8, 8), task.images)


def test_by_hand() -> None:
    logits = torch.tensor([[9, 1, 2, 3, 4, 5, 6.0]] * 3 + [[0, 0, 0, 0, 7, 8, 0.5], [-9, -1, -2, -3, -4, -5, -6.0]])
    # label 0: first, 3: fifth, 2: sixth, 4: second, 1: first
    data = labelled([0, 3, 2, 4, 1], [*"abcdefg"])
    task = Classification("imagenet-cls", "demo", data, Answers("classification", [*logits]))
    predictions = task.predict(*shown(2)) + task.predict(*shown(3))
    assert predictions[0] == {"top5": [0, 6, 5, 4, 3]}
    scores = task.score(predictions)
    assert (scores["top1"], scores["top5"]) == (pytest.approx(2 / 5), pytest.approx(4 / 5))
    assert 0 <= scores["top1_low"] < scores["top1"] < scores["top1_high"] <= 0.8


def test_by_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(30, (200,), generator=generator)
    logits = torch.randn(200, 30, generator=generator)
    logits[torch.arange(200), labels] += 1.5
    task = Classification("imagenet-cls", "x", labelled(labels.tolist(), [f"n{i}" for i in range(30)]),
                          Answers("classification", [*logits], tuple(f"name {i}" for i in range(30))))  # fmt: skip
    predictions = task.predict(*shown(200))
    scores = task.score(predictions)
    for name, k in (("top1", 1), ("top5", 5)):
        expected = multiclass_accuracy(logits, labels, 30, average="micro", top_k=k).item()
        assert scores[name] == pytest.approx(expected, abs=1e-6)
    assert task.score(json.loads(json.dumps(predictions))) == scores
    assert task.classes[3] == "name 3"  # in order, as ImageNet's folders are named by WordNet ids


def test_folders_are_matched_by_name() -> None:
    data = labelled([0, 1, 1], ["Sea_Lion", "tench"])
    names = ("tench", "goldfish", "sea lion", "crane", "crane", "boat")
    logits = [torch.eye(6)[2], torch.eye(6)[0], torch.eye(6)[1]]
    task = Classification("folder-cls", "mine", data, Answers("classification", logits, names))
    assert task.score(task.predict(*shown(3)))["top1"] == pytest.approx(2 / 3)
    assert task.classes[2] == "sea lion"


@pytest.mark.parametrize("lacking", ["unicorn", "crane"])
def test_classes_that_do_not_fit_are_one_line(lacking: str) -> None:
    network = Answers("classification", [], ("tench", "crane", "crane"))
    with pytest.raises(ValueError, match="net knows 3 classes and lacks some of the 2 of mine") as error:
        Classification("folder-cls", "mine", labelled([0], ["tench", lacking]), network)
    assert "\n" not in str(error.value) and f"mine: {lacking};" in str(error.value)


def test_fewer_than_five_classes() -> None:
    network = Answers("classification", [torch.tensor([3.0, 2, 1])])
    task = Classification("folder-cls", "x", labelled([2], [*"abc"]), network)
    predictions = task.predict(*shown(1))
    assert predictions == [{"top5": [0, 1, 2]}] and task.score(predictions)["top5"] == 1
