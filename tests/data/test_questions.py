"""Official files of questions, small, and what is wrong with others."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lic.data.questions import Question, read_pope, read_seedbench, read_textvqa

POPE_ROW = {"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a car in the image?",
            "label": "no"}  # fmt: skip
SEED_ROW = {"answer": "B", "choice_a": "One", "choice_b": "Two", "choice_c": "Three", "choice_d": "Four",
            "data_id": "1454426_2591111986", "data_type": "image", "question": "How many towels are in the image?",
            "question_id": "101669", "question_type_id": 5}  # fmt: skip
TEXT_ROW = {"question": "what is the brand of this camera?", "image_id": "003a8ae2ef43b901", "question_id": 34602,
            "answers": ["nous les gosses", *["dakota"] * 8, "clos culombu"], "set_name": "val"}  # fmt: skip


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (1, 2, 3)).save(path, "JPEG")


def write_pope(root: Path, row: object = POPE_ROW, folder: str = "output/coco") -> None:
    picture(root / "val2014" / POPE_ROW["image"])  # type: ignore[operator]
    for split in ("random", "popular", "adversarial"):
        file = root / folder / f"coco_pope_{split}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row) + "\n\n")


def write_seedbench(root: Path, row: object = SEED_ROW) -> None:
    picture(root / "SEED-Bench-image" / "1454426_2591111986")  # the set's files have no suffix
    video = {**SEED_ROW, "data_type": "video", "data_id": "v1"}
    content = {"question_type": {"Instances Counting": 5}, "questions": [row, video]}
    (root / "SEED-Bench.json").write_text(json.dumps(content))


def write_textvqa(root: Path, row: object = TEXT_ROW) -> None:
    picture(root / "train_images" / "003a8ae2ef43b901.jpg")
    (root / "TextVQA_0.5.1_val.json").write_text(json.dumps({"dataset_type": "val", "data": [row]}))


@pytest.mark.parametrize("folder", [".", "pope", "output/coco"])
def test_pope(folder: str, tmp_path: Path) -> None:
    write_pope(tmp_path, folder=folder)
    image = (tmp_path / "val2014/COCO_val2014_000000310196.jpg").resolve()
    assert read_pope(tmp_path) == [Question(f"{split}-1", image, "Is there a car in the image?", "no", split)
                                   for split in ("random", "popular", "adversarial")]  # fmt: skip


def test_seedbench(tmp_path: Path) -> None:
    write_seedbench(tmp_path)
    text = "How many towels are in the image?\nA. One\nB. Two\nC. Three\nD. Four"
    image = (tmp_path / "SEED-Bench-image/1454426_2591111986").resolve()
    assert read_seedbench(tmp_path) == [Question("101669", image, text, "B", "Instances Counting")]


def test_textvqa(tmp_path: Path) -> None:
    write_textvqa(tmp_path)
    (question,) = read_textvqa(tmp_path)
    assert question.image.name == "003a8ae2ef43b901.jpg" and question.right == tuple(TEXT_ROW["answers"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("write", "read", "row", "line"),
    [
        (write_pope, read_pope, {**POPE_ROW, "label": "maybe"}, "label 'maybe' of question 1 is neither yes nor no"),
        (write_pope, read_pope, {"question": "?"}, "coco_pope_random.json is damaged or of another form: it has no"),
        (write_pope, read_pope, [1], "another form: expected a JSON object on each line, with question_id, image,"),
        (write_pope, read_pope, {**POPE_ROW, "text": None}, "expected text as text of question 1, came null"),
        (write_pope, read_pope, {**POPE_ROW, "text": "\ud800?"}, "expected text as text of question 1, came"),
        (write_pope, read_pope, {**POPE_ROW, "image": 7}, "expected text as image of question 1, came 7"),
        (write_pope, read_pope, {**POPE_ROW, "image": "/etc/passwd"}, "image '/etc/passwd' is a path; expected a file"),
        (write_seedbench, read_seedbench, {**SEED_ROW, "data_id": "../x"}, "image '../x' is a path; expected a file's"),
        (write_seedbench, read_seedbench, {**SEED_ROW, "question_type_id": 99}, "question_type has no name for 99"),
        (write_seedbench, read_seedbench, {**SEED_ROW, "choice_c": None}, "expected text as choice_c of question 1016"),
        (write_pope, read_pope, {**POPE_ROW, "image": "x.jpg"}, "1 of 1 images that coco_pope_random.json asks about"),
        (write_seedbench, read_seedbench, {**SEED_ROW, "answer": "E"}, "'E' of question 101669 is none of A, B, C, D"),
        (write_seedbench, read_seedbench, {"data_type": "video"}, "asks nothing about images"),
        (write_seedbench, read_seedbench, {}, "it has no 'data_type'"),
        (write_textvqa, read_textvqa, {**TEXT_ROW, "answers": None}, "expected the answers of several people to ques"),
        (write_textvqa, read_textvqa, {**TEXT_ROW, "image_id": "0"}, "1 of 1 images that TextVQA_0.5.1_val.json asks"),
    ],
)
def test_other_files_are_refused_in_a_line(
    write: Callable[..., None], read: Callable[[Path], list[Question]], row: object, line: str, tmp_path: Path
) -> None:
    write(tmp_path, row)
    with pytest.raises(ValueError, match=line) as info:
        read(tmp_path)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("read", "file"),
    [(read_pope, "coco_pope_random.json"), (read_seedbench, "SEED-Bench.json"),
     (read_textvqa, r"TextVQA_0\.5\.1_val\.json")],
)  # fmt: skip
def test_what_is_missing_is_named(read: Callable[[Path], list[Question]], file: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"no {file} in .*: expected it there or in .*https://"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "line"),
    [("", "coco_pope_popular.json asks nothing about images"), ("[" * 100_000, "popular.json is damaged or of another"),
     (2 * (json.dumps(POPE_ROW) + "\n"), "popular.json asks the same of an image 2 times: 'Is there a car"),
     (json.dumps({**POPE_ROW, "image": "x.jpg"}), "1 of 1 images that coco_pope_popular.json asks about are missing")],
)  # fmt: skip
def test_one_split_is_wrong(content: str, line: str, tmp_path: Path) -> None:
    write_pope(tmp_path)
    (tmp_path / "output/coco/coco_pope_popular.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(line)):
        read_pope(tmp_path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    write_pope(tmp_path)
    (tmp_path / "output/coco/coco_pope_popular.json").write_text('{"question_id": 1, "im')
    with pytest.raises(ValueError, match=r"coco_pope_popular\.json is damaged or of another form: Unterminated"):
        read_pope(tmp_path)
