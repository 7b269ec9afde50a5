"""Checkpoints and results as W&B artifacts: a training logs its model, an evaluation uses it, both log results."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from lic.codecs.checkpoint import load_header
from lic.curves.naming import Curve, file_name
from lic.curves.results import Results
from lic.tracking.runs import present_run


def log_artifacts(
    results: Sequence[Results], files: Sequence[Path], made: Path | None = None, used: Sequence[Path] = ()
) -> None:
    """Log results to the present W&B run, if there is one, with the checkpoints that they come from.

    Args:
        results: what the files hold.
        files: JSONs and figures.
        made: the checkpoint that this run has trained.
        used: checkpoints; those of the results count as this run's input.
    """
    run = present_run()
    if run is None:
        return
    sources = sorted({point.checkpoint for result in results for point in result.points if point.checkpoint})
    if made is not None:
        run.log_artifact(_model(made))
    for path in used:
        if hashlib.sha256(path.read_bytes()).hexdigest() in sources:
            _use(run, _model(path))
    described = {
        "dataset": ", ".join(dict.fromkeys(result.dataset for result in results)),
        "curves": [result.name for result in results],
        "seeds": [result.seed for result in results],
        "checkpoints": sources,
    }
    name = file_name(f"results-{run.name}")[:128]  # what W&B allows
    artifact = wandb.Artifact(name, "results", metadata=described)
    common = os.path.commonpath([path.parent for path in files])  # those of several sets lie in a folder each
    for path in files:
        artifact.add_file(str(path), name=path.relative_to(common).as_posix())
    run.log_artifact(artifact)


def _model(path: Path) -> wandb.Artifact:
    """Return a checkpoint as an artifact; W&B takes equal names and contents for one, whoever logged it first."""
    header, sha256 = load_header(path), hashlib.sha256(path.read_bytes()).hexdigest()
    lmbda = "-".join(f"{lmbda:g}" for lmbda in (min(header.lmbda), max(header.lmbda))[: len(header.lmbda)])
    described = {"sha256": sha256, "lmbda": header.lmbda, "data": header.data, "steps": header.steps,
                 "label": header.label, "seed": header.seed}  # fmt: skip
    curve = Curve(header.codec, header.distortion, header.label)
    seed = "" if header.seed is None else f"-seed{header.seed}"
    artifact = wandb.Artifact(f"{curve.stem[:90]}-{lmbda}{seed}", "model", metadata=described)
    artifact.add_file(str(path), name=f"codec{path.suffix}")
    return artifact


def _use(run: Any, model: wandb.Artifact) -> None:
    """Record that a run has read a model."""
    if run.offline:  # `use_artifact` refuses, but this, which it calls online, is in the file for `wandb sync`
        run._log_artifact(model, is_user_created=True, use_after_commit=True)
    else:
        run.use_artifact(model)
