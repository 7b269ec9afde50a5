"""What was answered to each question, line by line, for whoever wants to score it otherwise."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lic.atomic import write_file
from lic.printing import Console
from lic.tasks import Task
from lic.tasks.questions import Questions


def write_answers(tasks: Sequence[Task], predictions: Mapping[Path, dict[str, Any]], folder: Path) -> None:
    """Write a JSON-lines file for each task that asks questions; say on stderr how many answers mean nothing.

    Args:
        tasks: of any kind.
        predictions: of each image, by the tasks' names.
        folder: made if need be.
    """
    for task in tasks:
        if isinstance(task, Questions):
            lines = list(task.lines([predictions[path][task.name] for path in task.images]))
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            write_file(text, folder / f"{task.name}.jsonl")
            unclear = [line["answer"] for line in lines if line["parsed"] is None]
            if unclear:
                said = f"{len(unclear)} of {len(lines)} answers are none of those asked for, as '{unclear[0][:60]}'"
                Console(stderr=True, soft_wrap=True).print(f"{task.name}, {'/'.join(folder.parts[-2:])}: {said}")
