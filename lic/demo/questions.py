"""Questions about the demo scenes, in the files of POPE and SEED-Bench, whose readers read them.

    <cache>/questions-of-SCENES/coco_pope_{random,popular,adversarial}.json
    <cache>/questions-of-SCENES/SEED-Bench.json
    <cache>/questions-of-SCENES/{val2014,SEED-Bench-image}     links to the scenes

What is right is known from the scenes' captions. As in POPE, a scene is asked about as many absent shapes as it has:
any, the most frequent ones, or those that are most often together with what is there.
"""

import json
import os
import random
import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from lic.demo.drawing import COLOURS, SHAPES
from lic.demo.scenes import made_once, scenes_root

PLACES = ("upper left", "upper right", "lower left", "lower right")
TYPES = {"Instance Attributes": 3, "Instance Location": 4, "Instances Counting": 5}
"""SEED-Bench's numbers of them."""
HOW_MANY, COLOUR, WHERE = "How many shapes are in the image?", "What is the colour of the {}?", "Where is the {}?"
_OBJECT = re.compile(r"an? (\w+) (\w+) (\w+) (\w+) at the (\w+ \w+)")


class Object(NamedTuple):
    """A shape as a scene's caption tells of it."""

    size: str
    colour: str
    texture: str
    shape: str
    place: str


def demo_questions() -> Path:
    """Return the folder of the questions about the validation scenes, written first if it is missing."""
    root = scenes_root()
    captions = root / "coco/annotations/captions_val2017.json"
    return made_once(f"questions-of-{root.name}", lambda folder: write_questions(read_objects(captions), root, folder))


def read_objects(captions: Path) -> dict[str, list[Object]]:
    """Return the shapes of each scene by its file's name."""
    content = json.loads(captions.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    return {names[each["image_id"]]: parse_caption(each["caption"]) for each in content["annotations"]}


def parse_caption(caption: str) -> list[Object]:
    """Return the shapes that a scene's caption tells of, the main one first."""
    return [Object(*found) for found in _OBJECT.findall(caption)]


def write_questions(scenes: dict[str, list[Object]], root: Path, folder: Path) -> None:
    """Write POPE's three files and SEED-Bench's one, and links to the scenes of `root`."""
    for name in ("val2014", "SEED-Bench-image"):
        (folder / name).symlink_to(os.path.relpath(root / "coco/val2017", folder))
    frequency = Counter(shape for objects in scenes.values() for shape in {each.shape for each in objects})
    together = Counter(
        frozenset(pair) for objects in scenes.values() for pair in combinations({each.shape for each in objects}, 2)
    )
    for split in ("random", "popular", "adversarial"):
        rows = []
        for name, objects in scenes.items():
            present = list(dict.fromkeys(each.shape for each in objects))
            absent = [shape for shape in SHAPES if shape not in present]
            random.Random(name).shuffle(absent)  # ties among them, too
            if split == "popular":
                absent.sort(key=frequency.__getitem__, reverse=True)
            if split == "adversarial":
                beside = Counter({shape: sum(together[frozenset((shape, own))] for own in present) for shape in absent})
                absent.sort(key=beside.__getitem__, reverse=True)
            pairs = [(shape, "yes") for shape in present] + [(shape, "no") for shape in absent[: len(present)]]
            rows += [{"image": name, "text": is_there(shape), "label": label}
                     for shape, label in pairs]  # fmt: skip
        lines = [json.dumps({"question_id": i, **row}) for i, row in enumerate(rows, start=1)]
        (folder / f"coco_pope_{split}.json").write_text("\n".join(lines) + "\n")
    rows = [row for name, objects in scenes.items() for row in _choices(name, objects)]
    questions = [{"question_id": f"{i:05d}", **row} for i, row in enumerate(rows, start=1)]
    (folder / "SEED-Bench.json").write_text(json.dumps({"question_type": TYPES, "questions": questions}))


def _choices(name: str, objects: Sequence[Object]) -> list[dict[str, Any]]:
    """Return a scene's questions of four choices: how many shapes, colour and place of those of which there is one."""
    rows = [_row(name, HOW_MANY, str(len(objects)), ["1", "2", "3", "4"], "Instances Counting")]
    for each in objects:
        if [other.shape for other in objects].count(each.shape) == 1:
            rows += [_row(name, COLOUR.format(each.shape), each.colour, [*COLOURS], "Instance Attributes"),
                     _row(name, WHERE.format(each.shape), each.place, [*PLACES], "Instance Location")]  # fmt: skip
    return rows


def _row(name: str, question: str, right: str, words: list[str], group: str) -> dict[str, Any]:
    chooser = random.Random(f"{name} {question}")
    choices = [right, *chooser.sample([word for word in words if word != right], 3)]
    chooser.shuffle(choices)
    return {"data_id": name, "data_type": "image", "question": question, "question_type_id": TYPES[group],
            **{f"choice_{letter}": choice for letter, choice in zip("abcd", choices, strict=True)},
            "answer": "ABCD"[choices.index(right)]}  # fmt: skip


def is_there(shape: str) -> str:
    """Return POPE's question about a shape."""
    return f"Is there {'an' if shape[0] in 'aeiou' else 'a'} {shape} in the image?"
