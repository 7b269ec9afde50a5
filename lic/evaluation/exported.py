"""Decoded pictures with their questions, as the harnesses VLMEvalKit and lmms-eval read them, for others to confirm.

    lmudata     FOLDER/CODEC/POINT/POPE.tsv, images/POPE/*.png          LMUData=FOLDER/CODEC/POINT
    lmms-eval   FOLDER/CODEC/POINT/lmms-lab-encoder/POPE/test/*.png     run from FOLDER/CODEC/POINT

Both hold the decoded pictures and no others, so that neither harness can fall back to an original; `original` beside
the codecs is the ceiling. A set that is not whole is refused.
"""

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lic.atomic import replacing, write_file
from lic.curves.results import Results, task_of
from lic.data.questions import CHOICES, Question
from lic.evaluation.rate_task import RateTask
from lic.settings import require
from lic.settings.names import HarnessName
from lic.tasks.questions import Questions

Row = dict[str, Any]

LMUDATA = {"pope": "POPE", "seedbench": "SEEDBench_IMG", "textvqa": "TextVQA_VAL"}
LMMS_EVAL = {"pope": "POPE/test", "seedbench": "SEED-Bench/test", "textvqa": "textvqa/validation"}


def check_export(folder: Path, rate_tasks: Sequence[RateTask], limit: int | None) -> None:
    """Refuse an export of nothing, of a part, or to where nothing can be written, before any image is coded."""
    tasks = [task for each in rate_tasks for task in each.tasks if isinstance(task, Questions)]
    require(len(tasks) > 0, f"--export writes pictures with questions: give --task {', '.join(LMUDATA)}")
    require(limit is None, "--export is for whole sets, as harnesses score them: leave out --limit")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"--export cannot write to {folder} ({error.strerror}); choose another folder") from error


def export(harness: HarnessName, folder: Path, rate_task: RateTask, results: Sequence[Results]) -> list[Path]:
    """Write the pictures of each operating point, and the originals; return the folders of these.

    Args:
        harness: whose form.
        folder: what it holds of an earlier export of these tasks is replaced; nothing else is touched.
        rate_task: whose samples are all kept.
        results: of its coders.

    Raises:
        ValueError: a picture is missing, or files are in the way.
    """
    places = [rate_task.place(each.curve, point) for each in results for point in each.points]
    tasks = {task_of(task.name): task for task in rate_task.tasks if isinstance(task, Questions)}
    written = []
    for place in (rate_task.samples / "original", *places):
        target = folder / place.relative_to(rate_task.samples)
        for name, task in tasks.items():
            pictures = {path: place / rate_task.sampled.get(path, "") for path in task.images}
            missing = [path for path, picture in pictures.items() if not picture.is_file()]
            require(not missing, f"--export {harness}: {len(missing)} of {len(task.images)} pictures of {name} are "
                    f"missing from {place}, first {missing[0] if missing else ''}: nothing is exported of it")
            _WRITERS[harness](name, task.questions, pictures, target)
        written.append(target)
    return written


def _write_lmudata(name: str, questions: Sequence[Question], pictures: Mapping[Path, Path], target: Path) -> None:
    copies = _copy(pictures, target / "images" / LMUDATA[name])
    rows = [{"index": i, **_lmudata_row(name, each), "image_path": str(copies[each.image].resolve())}
            for i, each in enumerate(questions)]  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(text.getvalue(), target / f"{LMUDATA[name]}.tsv")


def _copy(pictures: Mapping[Path, Path], folder: Path) -> dict[Path, Path]:
    """Copy pictures to a folder that holds no others, for harnesses may read whatever is there; return their copies."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {picture.name for picture in pictures.values()} | {"metadata.jsonl"}
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in own)
    require(not strangers, f"--export: {folder} holds {(strangers or [''])[0]}, which is not of this export; choose "
                           "another folder, or empty it")  # fmt: skip
    copies = {path: folder / picture.name for path, picture in pictures.items()}
    for path, picture in pictures.items():
        with replacing(copies[path]) as temporary:
            shutil.copyfile(picture, temporary)
    return copies


def _lmudata_row(name: str, each: Question) -> Row:
    if name == "seedbench":
        text, *choices = each.text.split("\n")
        options = dict(zip(CHOICES, (choice[3:] for choice in choices), strict=True))
        return {"question": text, **options, "answer": each.right, "category": each.group}
    if name == "pope":
        return {"question": each.text, "answer": str(each.right).capitalize(), "category": each.group}
    return {"question": each.text, "answer": repr(list(each.right))}


def _write_lmms_eval(name: str, questions: Sequence[Question], pictures: Mapping[Path, Path], target: Path) -> None:
    folder = target / "lmms-lab-encoder" / LMMS_EVAL[name]
    copies = _copy(pictures, folder)
    rows = [_lmms_eval_row(name, each, copies[each.image].name) for each in questions]
    write_file("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), folder / "metadata.jsonl")


def _lmms_eval_row(name: str, each: Question, file: str) -> Row:
    if name == "seedbench":
        text, *choices = each.text.split("\n")
        options = {f"choice_{letter.lower()}": choice[3:] for letter, choice in zip(CHOICES, choices, strict=True)}
        return {"image_file_names": [file], "question_id": each.id, "question": text, **options, "answer": each.right,
                "data_type": "image", "data_id": each.image.name}  # fmt: skip
    own: Row = {"file_name": file, "question_id": each.id, "question": each.text}
    if name == "pope":
        return {**own, "answer": each.right, "category": each.group, "image_source": each.image.stem}
    return {**own, "answers": list(each.right), "image_id": each.image.stem}


_WRITERS = {"lmudata": _write_lmudata, "lmms-eval": _write_lmms_eval}
