"""What is on record is not done again; what was cut short is; several processes give one process's numbers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from torch import Tensor

from lic.bitstream import Encoded
from lic.curves.facts import Facts
from lic.evaluation.baselines import PillowCoder
from lic.evaluation.evaluate import evaluate, plan_batches
from lic.evaluation.measure import Measures
from lic.evaluation.rate_task import RateTask
from lic.evaluation.records import Measured, Record, Records, Shard, records_key
from tests.support import SMALLER_WORLD

ROOT = Path(__file__).resolve().parents[2]
MEASURED = Measured(0.5, None, 0.1, 0.2, 4096, {"psnr": 30.0, "ms-ssim": 0.9})


class Counting(PillowCoder):
    """JPEG that counts, and can be told to break."""

    def __init__(self, breaks_at: int | None = None) -> None:
        super().__init__("jpeg", 40)
        self.num_coded, self.breaks_at = 0, breaks_at

    def encode(self, image: Tensor) -> Encoded:
        if self.num_coded == self.breaks_at:
            raise KeyboardInterrupt
        self.num_coded += 1
        return super().encode(image)


class Brightness:
    """A task of one number per image."""

    name, dataset, network, fingerprint = "voc-seg", "demo", "mean", "of no weights"
    classes: ClassVar[dict[int, str]] = {}

    def __init__(self, images: list[Path]) -> None:
        self.images, self.num_seen = images, 0
        self.facts = Facts("miou", "mIoU", "Segmentation")

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[float]:
        self.num_seen += len(images)
        return [float(each.mean()) for each in images]

    def score(self, predictions: Sequence[float], originals: Sequence[float]) -> dict[str, float]:
        assert len(predictions) == len(self.images)
        return {"miou": sum(predictions) / len(predictions)}


def without_times(rate_task: RateTask, coder: PillowCoder) -> list[object]:
    (result,) = rate_task.results([coder])
    return [
        (p.bpp, p.qualities, p.num_images, p.tasks) for p in result.points
    ]  # fmt: skip


def test_an_interrupted_evaluation_goes_on(images: list[Path], metric: Measures, tmp_path: Path) -> None:
    whole = without_times(RateTask("demo", images, [Brightness(images)], metric), PillowCoder("jpeg", 40))
    breaking, task = Counting(breaks_at=4), Brightness(images)
    with pytest.raises(KeyboardInterrupt):
        RateTask("demo", images, [task], metric, tmp_path).results([breaking])
    going_on = Counting()
    assert without_times(RateTask("demo", images, [task], metric, tmp_path, num_samples=0), going_on) == whole
    assert 2 <= going_on.num_coded <= 3, "the batches before the one that broke are on record, but for one coded ahead"
    again = Counting()
    assert without_times(RateTask("demo", images, [task], metric, tmp_path, num_samples=0), again) == whole
    assert again.num_coded == 0


def test_lost_samples_are_made_again(images: list[Path], metric: Measures, tmp_path: Path) -> None:
    RateTask("demo", images, [], metric, tmp_path, num_samples=1).results([Counting()])
    sample = tmp_path / "samples/jpeg/q40/0.png"
    sample.unlink()
    again = Counting()
    RateTask("demo", images, [], metric, tmp_path, num_samples=1).results([again])
    assert sample.is_file() and again.num_coded == 2, "the batch of the first image"


def test_samples_of_another_evaluation_are_removed(images: list[Path], metric: Measures, tmp_path: Path) -> None:
    """The folder is the same, the tasks are not: predictions of both must not be mixed."""
    task = Brightness(images)
    for tasks in ([task], [], [task]):
        RateTask("demo", images, tasks, metric, tmp_path).results([PillowCoder("jpeg", 40)])
        for path in (tmp_path / "samples").rglob("*.json"):
            sample = json.loads(path.read_text())
            assert path.name == "classes.json" or list(sample["tasks"]) == [each.name for each in tasks]
    RateTask("demo", images[3:], [], metric, tmp_path).results([PillowCoder("webp", 40)])
    assert not (tmp_path / "samples/jpeg").exists()
    assert len(list((tmp_path / "samples/original").glob("*.png"))) == 3


def test_ceilings_are_kept(
    images: list[Path], metric: Measures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "cache"))
    first, second, other = (Brightness(images) for _ in range(3))
    other.fingerprint = "of other weights"
    ceilings = [RateTask("demo", images, [task], metric).ceiling for task in (first, second, other)]
    assert ceilings[0] == ceilings[1] == ceilings[2]
    assert (first.num_seen, second.num_seen, other.num_seen) == (6, 0, 6)


def test_a_line_cut_short_is_done_again(tmp_path: Path) -> None:
    records = Records(tmp_path, "key")
    records.append(0, [Record({"a": 1}, MEASURED)])
    records.append(1, [Record({"a": [2]}, None)])
    (path,) = tmp_path.glob("key.*.jsonl")
    path.write_text(path.read_text()[:-3])
    assert Records(tmp_path, "key").read() == {0: [Record({"a": 1}, MEASURED)]}
    Records(tmp_path, "key").append(1, [Record({"a": [3]}, None)])
    assert Records(tmp_path, "key").read()[1] == [Record({"a": [3]}, None)]
    assert Records(tmp_path, "other").read() == {}


@pytest.mark.parametrize("line", [b"5", b"[1]", b"[1, 5]", b"[1, [5]]", b"null", b"{}", b"\xff\xfe", b"[1, [[{}, 5]]]"])
def test_a_line_of_somebody_else_is_passed_over(line: bytes, tmp_path: Path) -> None:
    Records(tmp_path, "key").append(0, [Record({"a": 1}, MEASURED)])
    (path,) = tmp_path.glob("key.*.jsonl")
    path.write_bytes(path.read_bytes() + b"\n" + line)
    assert Records(tmp_path, "key").read() == {0: [Record({"a": 1}, MEASURED)]}


def test_keys(images: list[Path]) -> None:
    key = records_key(images, "jpeg q 40", "task")
    assert key == records_key(images, "jpeg q 40", "task")
    assert len({key, records_key(images, "jpeg q 41", "task"), records_key(images[1:], "jpeg q 40", "task")}) == 3
    os.utime(images[0], ns=(1, 1))
    assert records_key(images, "jpeg q 40", "task") != key


def test_processes_share_the_batches(
    images: list[Path], metric: Measures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes every second batch; the one that comes last reads them all."""
    monkeypatch.setattr(Shard, "barrier", lambda _: None)  # one process plays both, one after the other
    batches = plan_batches(images)
    coders = [Counting(), Counting()]
    done = []
    for rank in (0, 1):  # the second finds the first's records, as one that goes on would
        shard = Shard(rank, 2)
        records = Records(tmp_path / "records", "key", rank)
        done.append(evaluate(coders[rank], batches, [], metric, records, shard))
    assert coders[0].num_coded == 4 and len(done[0]) == 4
    assert {path.name for path in (tmp_path / "records").iterdir()} == {"key.0.jsonl", "key.1.jsonl"}


def test_torchrun_gives_one_processs_numbers(tmp_path: Path, make_checkpoint: Callable[..., Path]) -> None:
    checkpoint = make_checkpoint("codec.safetensors", [0.01])
    settings = ["eval.py", "--task", "imagenet-cls", "coco-det", "--baseline", "jpeg", "--wandb.mode", "disabled",
                f"--checkpoint={checkpoint}", "--output"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "LIC_SCENES": SMALLER_WORLD}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for name, launcher in (("one", [sys.executable]), ("two", torchrun)):
        command = [*launcher, *settings, str(tmp_path / name)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("written: ") == 1, "one process speaks"
    for name in ("jpeg.json", "mbt2018-mean-mse.json"):
        one, two = (json.loads((tmp_path / folder / name).read_text()) for folder in ("one", "two"))
        for point in one["points"] + two["points"]:
            del point["encode_seconds"], point["decode_seconds"]
        assert one["points"] == two["points"] and one["ceiling"] == two["ceiling"]
    assert len(list((tmp_path / "two" / "records").glob("*.1.jsonl"))) > 0, "the second process did its part"
