"""What accidents and damaged files do: kill -9 at random moments, full disks, random bytes.

    python benchmarks/reliability.py                        # 20 kills each of a training and an evaluation
    python benchmarks/reliability.py --times 3 --seed 1

Prints a Markdown table, docs/reliability.md's; exit code 1 if anything was lost, wrong, or no line.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from lic.bitstream import BitstreamError, decode, encode
from lic.cli import parse_config, save_config
from lic.codecs import load_codec, save_codec
from lic.codecs.checkpoint import shipped_codecs
from lic.curves.files import load_results, save_results
from lic.settings.train import TrainConfig

ROOT = Path(__file__).parents[1]
TRAIN = ["train.py", "--distortion=mse", "--num_channels=8", "--num_latent_channels=12", "--crop_px=64",
         "--batch_size=1", "--trainer.max_steps=1100", "--eval.limit=8", "--wandb.mode=disabled"]  # fmt: skip
EVAL = ["eval.py", "--task=coco-det", "--limit=24", "--baseline=jpeg", "--wandb.mode=disabled"]
RESULTS = ROOT / "results/demo/mbt2018-mean-vbr-mse.json"


class Row(NamedTuple):
    """A line of the table: what was tried, how often, and what came of it."""

    what: str
    outcomes: Counter[str]
    expected: tuple[str, ...]


def _run(command: list[str], seconds: float | None = None) -> int:
    """Return a command's exit code; killed after some seconds, -9."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=True)
        return process.wait()


def _points(folder: Path) -> dict[str, object]:
    return {path.name: json.loads(path.read_text())["points"] for path in sorted(folder.glob("*.json"))}


def _timed(command: list[str]) -> float:
    start = time.monotonic()
    assert _run(command) == 0, command
    return time.monotonic() - start


def kill_trainings(times: int, draw: random.Random, place: Path) -> Row:
    """Kill a training with all its processes, check what it left, resume it, and compare with one that was let be."""
    outcomes: Counter[str] = Counter()
    seconds = _timed([*TRAIN, f"--output={place}", "--name=whole"])
    expected = load_codec(place / "whole/codec.safetensors").codec.state_dict()
    for i in range(times):
        folder = place / f"killed-{i}"
        code = _run([*TRAIN, f"--output={place}", f"--name={folder.name}"], draw.uniform(0.2, 1) * seconds)
        for path in (folder / "last.ckpt", folder / "codec.safetensors"):
            if path.exists():
                load_codec(path)  # whole, or not there
        if code == 0:
            outcomes["ended before the kill"] += 1
            continue
        has_checkpoint = (folder / "last.ckpt").exists()
        again = [f"--resume={folder / 'last.ckpt'}"] if has_checkpoint else [f"--name={folder.name}-anew"]
        assert _run([*TRAIN, f"--output={place}", *again]) == 0, again
        end = folder if has_checkpoint else place / f"{folder.name}-anew"
        state = load_codec(end / "codec.safetensors").codec.state_dict()
        is_same = all(torch.equal(value, expected[name]) for name, value in state.items())
        outcomes["same weights, bit for bit" if is_same else "OTHER WEIGHTS"] += 1
    return Row("training of 1100 steps, kill -9 at random, then `--resume` (or anew before step 500)", outcomes,
               ("same weights, bit for bit", "ended before the kill"))  # fmt: skip


def kill_evaluations(times: int, draw: random.Random, place: Path) -> Row:
    """Kill an evaluation, start it again, and compare its results with those of one that was let be."""
    outcomes: Counter[str] = Counter()
    seconds = _timed([*EVAL, f"--output={place / 'whole'}"])
    for i in range(times):
        folder = place / f"killed-{i}"
        code = _run([*EVAL, f"--output={folder}"], draw.uniform(0.2, 1) * seconds)
        if code == 0:
            outcomes["ended before the kill"] += 1
            continue
        assert _run([*EVAL, f"--output={folder}"]) == 0
        is_same = _timeless(_points(folder)) == _timeless(_points(place / "whole"))
        outcomes["same results" if is_same else "OTHER RESULTS"] += 1
    return Row("evaluation, kill -9 at random, then the same command", outcomes,
               ("same results", "ended before the kill"))  # fmt: skip


def kill_judgings(times: int, draw: random.Random, place: Path) -> Row:
    """Kill a short training while it is judged, resume it, and compare its results with those of one let be."""
    outcomes: Counter[str] = Counter()
    judged = [*TRAIN, "--trainer.max_steps=3", "--eval.limit=24", f"--output={place}"]
    seconds = _timed([*judged, "--name=whole"])
    for i in range(times):
        folder = place / f"killed-{i}"
        code = _run([*judged, f"--name={folder.name}"], draw.uniform(0.6, 1) * seconds)
        if code == 0 or not (folder / "last.ckpt").exists():
            outcomes["ended before the kill" if code == 0 else "killed before the first checkpoint"] += 1
            continue
        assert _run([*judged, f"--resume={folder / 'last.ckpt'}"]) == 0
        is_same = _timeless(_points(folder)) == _timeless(_points(place / "whole"))
        outcomes["same results" if is_same else "OTHER RESULTS"] += 1
    return Row("judging at the end of a training, kill -9 at random, then `--resume`", outcomes,
               ("same results", "ended before the kill", "killed before the first checkpoint"))  # fmt: skip


def fill_the_disk_of_evaluations(times: int, draw: random.Random, place: Path) -> Row:
    """Let every file of an evaluation end at a random byte, as on a full disk, and start it again with room."""
    outcomes: Counter[str] = Counter()
    assert _run([*EVAL, f"--output={place / 'whole'}"]) == 0
    largest = max(path.stat().st_size for path in (place / "whole").rglob("*") if path.is_file())
    for i in range(times):
        command = [*EVAL, f"--output={place / f'full-{i}'}"]
        limit = draw.randrange(largest)
        process = subprocess.run(["prlimit", f"--fsize={limit}", sys.executable, *command], cwd=ROOT, text=True,
                                 capture_output=True, check=False)  # fmt: skip
        is_line = process.returncode == 2 and "File too large" in process.stderr and "Traceback" not in process.stderr
        assert _run(command) == 0, command
        is_same = _timeless(_points(place / f"full-{i}")) == _timeless(_points(place / "whole"))
        ending = "a line" if is_line else "no file was that large" if process.returncode == 0 else "NO LINE"
        outcomes[f"{ending}, then same results" if is_same else "OTHER RESULTS"] += 1
    return Row("evaluation, disk full at a random byte of any file, then the same command", outcomes,
               ("a line, then same results", "no file was that large, then same results"))  # fmt: skip


def _timeless(value: object) -> object:
    """Return a JSON value without the seconds that coding took."""
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if "seconds" not in key}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def fill_disks(times: int, draw: random.Random, place: Path) -> Row:
    """Let writes fail at a random byte, as a full disk does, and look at the file that was there before."""
    loaded, results = load_codec(shipped_codecs()[0]), load_results(RESULTS)
    config = parse_config(TrainConfig, [], "reliability", "")
    writers: list[tuple[str, Callable[[Path], None]]] = [
        ("codec.safetensors", lambda path: save_codec(loaded.codec, loaded.header, path)),
        ("results.json", lambda path: save_results(results, path)),
        ("config.yaml", lambda path: save_config(config, path)),
    ]
    outcomes: Counter[str] = Counter()
    for i in range(times):
        name, write = writers[i % len(writers)]
        path = place / name
        write(path)
        before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (draw.randrange(len(before)), limits[1]))
        try:
            write(path)
            outcomes["NO ERROR"] += 1
        except OSError as error:
            is_kept = path.read_bytes() == before and list(place.iterdir()) == [path]
            is_named = error.filename == str(path)
            outcomes["older file kept, line names it" if is_kept and is_named else "LOST"] += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            path.unlink()
    return Row("disk full at a random byte of a checkpoint, results or config.yaml", outcomes,
               ("older file kept, line names it",))  # fmt: skip


def _damaged(content: bytes, draw: random.Random) -> bytes:
    """Return bytes with a few of them changed, left out, or put in, or cut short."""
    if draw.random() < 0.1:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(changed)) if draw.random() < 0.5 else draw.randrange(min(len(changed), 400))
        match draw.randrange(3):
            case 0:
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                del changed[at : at + draw.randint(1, 9)]
            case _:
                changed[at:at] = draw.randbytes(draw.randint(1, 9))
    return bytes(changed)


def mutate_streams(times: int, draw: random.Random, place: Path) -> Row:
    """Decode damaged streams."""
    codec = load_codec(shipped_codecs()[0])
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    stream, outcomes = encode(image, codec), Counter[str]()
    for _ in range(times):
        damaged = _damaged(stream, draw)
        try:
            decode(damaged, codec)
            outcomes["same stream" if damaged == stream else "DECODED"] += 1
        except BitstreamError:
            outcomes["refused in a line"] += 1
    return Row("a .lic stream with random bytes changed, decoded", outcomes, ("refused in a line", "same stream"))


def mutate_files(times: int, draw: random.Random, place: Path) -> Iterator[Row]:
    """Read damaged checkpoints, results and settings."""
    config = place / "config.yaml"
    save_config(parse_config(TrainConfig, [], "reliability", ""), config)
    readers: list[tuple[str, Path, Callable[[Path], object]]] = [
        ("a checkpoint", shipped_codecs()[0], load_codec),
        ("a results file", RESULTS, load_results),
    ]
    for what, source, read in readers:
        outcomes: Counter[str] = Counter()
        for _ in range(times):
            path = place / f"damaged{source.suffix}"
            path.write_bytes(_damaged(source.read_bytes(), draw))
            try:
                read(path)
                outcomes["read: what was changed has no form to break"] += 1
            except ValueError as error:
                outcomes["refused in a line" if len(str(error).splitlines()) == 1 else "SEVERAL LINES"] += 1
            except Exception as error:
                outcomes[f"TRACEBACK {type(error).__name__}"] += 1
        yield Row(f"{what} with random bytes changed, read", outcomes,
                  ("refused in a line", "read: what was changed has no form to break"))  # fmt: skip


def main() -> int:
    """Try everything; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="kills of each kind; files are damaged 20 times as often")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    print("| what | times | what came of it |\n| --- | ---: | --- |")
    is_good = True
    many = 20 * options.times
    with tempfile.TemporaryDirectory() as folder:
        places = iter(Path(folder, str(i)) for i in range(9))
        rows: list[Callable[[], Iterator[Row]]] = [
            lambda: iter([mutate_streams(many, draw, _new(places))]),
            lambda: mutate_files(many, draw, _new(places)),
            lambda: iter([fill_disks(many, draw, _new(places))]),
            lambda: iter([fill_the_disk_of_evaluations(options.times, draw, _new(places))]),
            lambda: iter([kill_evaluations(options.times, draw, _new(places))]),
            lambda: iter([kill_judgings(options.times, draw, _new(places))]),
            lambda: iter([kill_trainings(options.times, draw, _new(places))]),
        ]
        for make in rows:
            for row in make():
                listed = ", ".join(f"{count} {name}" for name, count in row.outcomes.most_common())
                print(f"| {row.what} | {row.outcomes.total()} | {listed} |", flush=True)
                is_good &= set(row.outcomes) <= set(row.expected)
    return 0 if is_good else 1


def _new(places: Iterator[Path]) -> Path:
    place = next(places)
    place.mkdir()
    return place


if __name__ == "__main__":
    sys.exit(main())
