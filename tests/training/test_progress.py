"""What a training says of its time: before the first step, and corrected from then on."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lic.printing import Console
from lic.training import callbacks
from lic.training.callbacks import StepProgress
from lic.training.run import train
from tests.support import SMALL_TRAINING


def told(tmp_path: Path) -> str:
    output = io.StringIO()
    config = replace(SMALL_TRAINING, output=str(tmp_path), warmup_mse=0.5, crop_px=32)
    assert train(config, Console(file=output, width=200)) == 0
    return output.getvalue()


def test_cost_and_end_stand_before_the_first_step(tmp_path: Path) -> None:
    text = told(tmp_path)
    assert re.search(r"\na step takes about [\d.e-]+ s here, all of them \d+ s, until \d\d:\d\d\nstep ", text)
    assert re.search(r"step +6/6  bpp [\d.]+  distortion [\d.]+  PSNR [\d.-]+ dB  0 s left", text)
    (folder,) = tmp_path.glob("mbt2018-mean-*")
    (precision,) = re.findall(r"^precision (?:32-true|bf16-mixed): .*$", text, re.M)
    assert (folder / "config.yaml").read_text().splitlines()[0] == f"# {precision}"
    assert re.search(r"^  precision: (32-true|bf16-mixed)$", (folder / "config.yaml").read_text(), re.M)


def test_a_long_training_is_told_how_to_be_shorter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(callbacks, "LONG_SECONDS", 0)
    assert "; --trainer.max_steps or --batch_size shortens it\n" in told(tmp_path)


def test_steps_of_the_warmup_count_what_they_cost() -> None:
    progress = StepProgress(Console(quiet=True))
    progress.early_cost, progress.warmup_steps = 0.5, 10
    assert progress._work(0, 30) == 25
    assert progress._work(4, 8) == 2
    assert progress._work(8, 12) == 3
    assert progress._work(10, 30) == 20
