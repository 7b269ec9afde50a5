"""Sets of questions about images, in their official files: POPE, SEED-Bench's image part, TextVQA."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lic.settings import require

POPE_SPLITS = ("random", "popular", "adversarial")
CHOICES = "ABCD"


class Question(NamedTuple):
    """A question about an image, and what is right.

    Attributes:
        id: the file's.
        image: which.
        text: as the file has it; SEED-Bench's with its four choices, a line each.
        right: "yes" or "no"; "A" to "D"; or what ten people answered.
        group: the split of POPE, or the type of question; what scores are also given by.
    """

    id: str
    image: Path
    text: str
    right: str | tuple[str, ...]
    group: str


def read_pope(root: Path) -> list[Question]:
    """Return POPE's questions about COCO's val2014 (Li et al. 2023, https://arxiv.org/abs/2305.10355).

    Its three files, coco_pope_{random,popular,adversarial}.json, are lines of JSON; they lie in `root`, `root/pope` or
    `root/output/coco` as in github.com/RUCAIBox/POPE; images in val2014/, coco/val2014/ or beside the files.

    Raises:
        ValueError: in one line: what is missing, or a line of another form.
    """
    files = [f"coco_pope_{split}.json" for split in POPE_SPLITS]
    folder = _find(root, (".", "pope", "output/coco", "POPE/output/coco"), files[0], "https://github.com/RUCAIBox/POPE")
    images = [root / "val2014", root / "coco/val2014", folder]
    found: list[Question] = []
    for split, file in zip(POPE_SPLITS, files, strict=True):
        of_split = _parse(folder / file, partial(_parse_pope, _read(folder / file), images, split))
        found += _checked(of_split, folder / file)
    return found


def _parse_pope(text: str, folders: Sequence[Path], split: str) -> list[Question]:
    return [_pope_question(json.loads(line), folders, split) for line in text.splitlines() if line.strip()]


def _pope_question(row: Any, folders: Sequence[Path], split: str) -> Question:
    require(isinstance(row, dict), "expected a JSON object on each line, with question_id, image, text and label")
    if row["label"] not in ("yes", "no"):
        raise ValueError(f"label '{row['label']}' of question {row['question_id']} is neither yes nor no")
    image, text = _image(folders, _text(row, "image")), _text(row, "text")
    return Question(f"{split}-{row['question_id']}", image, text, row["label"], split)


def read_seedbench(root: Path) -> list[Question]:
    """Return SEED-Bench's questions about images (Li et al. 2023, https://arxiv.org/abs/2307.16125), not about videos.

    SEED-Bench.json lies in `root` or `root/seedbench`, images in SEED-Bench-image/ beside it, named by `data_id`.

    Raises:
        ValueError: in one line: what is missing, or of another form.
    """
    source = "https://huggingface.co/datasets/AILab-CVC/SEED-Bench"
    folder = _find(root, (".", "seedbench", "SEED-Bench"), "SEED-Bench.json", source)
    file, images = folder / "SEED-Bench.json", [folder / "SEED-Bench-image", folder]
    text = _read(file)

    def parse() -> list[Question]:
        content = json.loads(text)
        require(isinstance(content, dict) and isinstance(content["question_type"], dict),
                "expected an object with question_type, numbers by name, and questions")
        types = {number: str(name) for name, number in content["question_type"].items()}
        rows = [row for row in content["questions"] if row["data_type"] == "image"]
        unknown = [row["question_type_id"] for row in rows if row["question_type_id"] not in types]
        require(not unknown, f"question_type has no name for {(unknown or [''])[0]}")
        return [_seedbench_question(row, images, types[row["question_type_id"]]) for row in rows]

    return _checked(_parse(file, parse), file)


def _seedbench_question(row: dict[str, Any], folders: Sequence[Path], group: str) -> Question:
    if row["answer"] not in tuple(CHOICES):
        raise ValueError(f"answer '{row['answer']}' of question {row['question_id']} is none of A, B, C, D")
    choices = [f"{letter}. {_text(row, f'choice_{letter.lower()}')}" for letter in CHOICES]
    text = "\n".join([_text(row, "question"), *choices])
    return Question(str(row["question_id"]), _image(folders, _text(row, "data_id")), text, row["answer"], group)


def read_textvqa(root: Path) -> list[Question]:
    """Return TextVQA's validation questions (Singh et al. 2019, https://arxiv.org/abs/1904.08920).

    TextVQA_0.5.1_val.json lies in `root` or `root/textvqa`, images in train_images/ beside it.

    Raises:
        ValueError: in one line: what is missing, or of another form.
    """
    name = "TextVQA_0.5.1_val.json"
    folder = _find(root, (".", "textvqa", "TextVQA"), name, "https://textvqa.org/dataset")
    file, images = folder / name, [folder / "train_images", folder / "train_val_images/train_images"]
    text = _read(file)

    def parse() -> list[Question]:
        return [_textvqa_question(row, images) for row in json.loads(text)["data"]]

    return _checked(_parse(file, parse), file)


def _textvqa_question(row: dict[str, Any], folders: Sequence[Path]) -> Question:
    answers = row["answers"]
    require(isinstance(answers, list) and len(answers) > 1 and all(isinstance(each, str) for each in answers),
            f"expected the answers of several people to question {row['question_id']}")
    return Question(str(row["question_id"]), _image(folders, _text(row, "image_id")), _text(row, "question"),
                    tuple(answers), "")  # fmt: skip


def _text(row: dict[str, Any], key: str) -> str:
    """Return what a row holds under a key, if that is text that can be written down."""
    value = row[key]
    is_text = isinstance(value, str) and value.strip() and not re.search("[\ud800-\udfff]", value)
    require(bool(is_text), f"expected text as {key} of question {row['question_id']}, came {json.dumps(value)[:40]}")
    return str(value)


def _find(root: Path, folders: Iterable[str], name: str, source: str) -> Path:
    for folder in folders:
        if (root / folder / name).is_file():
            return root / folder
    raise ValueError(f"no {name} in {root}: expected it there or in {', '.join(list(folders)[1:])} ({source})")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _parse(file: Path, parse: Callable[[], list[Any]]) -> list[Any]:
    try:
        return parse()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        cause = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{file} is damaged or of another form: {cause}") from error


def _image(folders: Sequence[Path], name: str) -> Path:
    """Return where an image is, with a suffix that the name leaves out; where it should be, if it is nowhere."""
    require(Path(name).name == name, f"image '{name}' is a path; expected a file's name")
    names = (name, f"{name}.jpg", f"{name}.png")
    there = (folder / each for folder in folders for each in names if (folder / each).is_file())
    return next(there, folders[0] / name).resolve()


def _checked(questions: list[Question], file: Path) -> list[Question]:
    if not questions:
        raise ValueError(f"{file} asks nothing about images")
    number = Counter((each.image, each.text) for each in questions)
    (image, text), most = number.most_common(1)[0]
    require(most == 1, f"{file} asks the same of an image {most} times: {text[:60]!r} of {image.name}")
    images = dict.fromkeys(each.image for each in questions)
    if missing := [path for path in images if not path.is_file()]:
        raise ValueError(f"{len(missing)} of {len(images)} images that {file.name} asks about are missing, "
                         f"first {missing[0]}")  # fmt: skip
    return questions
