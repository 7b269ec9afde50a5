"""Build PCMP: pairs of distortions of different kinds and equal PSNR, with the votes of pretrained networks.

python -m lic preferences build --output pcmp --num_references 20       in seconds, on demo scenes
python -m lic preferences build --output pcmp                           3200 pairs on demo scenes, nine small networks
python -m lic preferences build --output pcmp --data_root photos        photographs, seven networks of torchvision
python -m lic preferences build --output pcmp --data_root photos --network vit_b_16 onnx:yolox_nano_coco80_416.onnx

A network prefers the image on which its prediction stays nearer to its own on the reference (lic/preferences/
consistency.py); a pair's soft label is the share of votes. References and voters are both split, for fitting and for
testing. An interrupted build goes on when the same command is given again.
"""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from lic.atomic import write_file
from lic.cli import parse_config, reporting_mistakes
from lic.device import pick_device
from lic.images import Pixels, sha256_of
from lic.preferences.pcmp.files import Distorted, Pair, load_pcmp
from lic.preferences.pcmp.match import Distorted as DrawnImage
from lic.preferences.pcmp.plan import Drawn, Job, Plan, begin, draw_all, image_file, make_plan, reference_file
from lic.preferences.pcmp.vote_agreement import Statistics, measure_agreement, print_agreement
from lic.preferences.pcmp.voters import PHOTOGRAPH_VOTERS, Voter, ask, build_voters, vote
from lic.printing import Console
from lic.settings import require
from lic.settings.preferences import BuildConfig

PROG = "lic preferences build"
LINE_EVERY = 50  # references, where there is no terminal for a progress bar


def main(argv: list[str]) -> int | None:
    """Run the command."""
    config = parse_config(BuildConfig, argv, PROG, str(__doc__))
    with reporting_mistakes(PROG):
        console = Console()
        build(config, console if console.is_terminal else Console(width=120))
    return None


def build(config: BuildConfig, console: Console) -> None:
    """Build the set, or what is missing of it, and print how the voters agree.

    Raises:
        ValueError: in one line: nothing to build from, unknown networks, or a folder of something else.
    """
    start, folder = perf_counter(), Path(config.output)
    names = config.network or (PHOTOGRAPH_VOTERS if config.data_root else None)
    voters = build_voters(names, config.test_network, pick_device(config.device))
    cards = [voter.card for voter in voters]
    plan = make_plan(config, cards)
    begin(folder, plan)
    if not (folder / "pcmp.json").is_file():
        if not any(card.group == "test" for card in cards):
            console.print("no voters are held out: name networks of two families or more, or --test_network")
        _fill(folder, plan, voters, config, console)
        _finish(folder, plan, perf_counter() - start)
    pcmp = load_pcmp(folder)
    print_agreement(_agreement([pair.votes for pair in pcmp.pairs], plan), cards, console)
    skipped: dict[str, int] = pcmp.description["skipped"]
    worst = ", ".join(f"{kind} {count}" for kind, count in Counter(skipped).most_common(5))
    console.print(f"{len(pcmp.pairs)} pairs ({len(pcmp.select('test'))} to test on) of "
                  f"{len({pair.reference for pair in pcmp.pairs})} references in {folder}; "
                  f"{sum(skipped.values())} draws had no match in PSNR{f' ({worst})' if worst else ''}")


def _fill(folder: Path, plan: Plan, voters: Sequence[Voter], config: BuildConfig, console: Console) -> None:
    """Draw and vote on the references that no part tells of yet; a part is written when all its images are."""
    for name in ("parts", "references", "images"):
        (folder / name).mkdir(exist_ok=True)
    todo = [source for source in plan.sources if _read_part(_part(folder, source.name)) is None]
    jobs = [Job(source, folder, config.pairs_per_reference, config.tolerance_db, config.seed, config.images)
            for source in todo]  # fmt: skip
    if done := len(plan.sources) - len(todo):
        console.print(f"going on: {done} of {len(plan.sources)} references are done")
    num_processes = config.jobs or os.cpu_count() or 1
    with Progress(console=console, disable=not console.is_terminal) as progress, _sharing_cores(num_processes):
        bar = progress.add_task("building PCMP", total=len(plan.sources), completed=done)
        for drawn in draw_all(jobs, num_processes):
            if drawn.problem:
                print(f"{PROG}: passed over: {drawn.problem}", file=sys.stderr)
            write_file(json.dumps(_vote_on(drawn, voters, config.images)).encode(), _part(folder, drawn.source.name))
            progress.advance(bar)
            done += 1
            if not console.is_terminal and done % LINE_EVERY == 0:
                console.print(f"{done} of {len(plan.sources)} references are done")


@contextmanager
def _sharing_cores(num_processes: int) -> Iterator[None]:
    """Leave half of the cores to processes that draw: threads that wait for each other stand still on busy cores."""
    num_threads = torch.get_num_threads()
    if num_processes > 1:
        torch.set_num_threads(max(1, num_threads // 2))
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _part(folder: Path, name: str) -> Path:
    return folder / "parts" / f"{name}.json"


def _read_part(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _vote_on(drawn: Drawn, voters: Sequence[Voter], keep_images: bool) -> dict[str, Any]:
    """The part of one reference: its pairs with their votes, and what could not be used."""
    name, pairs = drawn.source.name, drawn.matched.pairs
    rest = {"skipped": dict(drawn.matched.skipped), "problem": drawn.problem}
    if not pairs:
        return {"pairs": [], **rest}
    images = _to_batch([one.image for pair in pairs for one in pair])
    likeness = ask(voters, _to_batch([drawn.reference]), images)
    voted = []
    for number, sides in enumerate(pairs):
        near = {voter: [values[2 * number], values[2 * number + 1]] for voter, values in likeness.items()}
        files = [image_file(name, number, side) if keep_images else None for side in "ab"]
        a, b = (_keep(one, file) for one, file in zip(sides, files, strict=True))
        votes = {voter: vote(*both) for voter, both in near.items()}
        rounded = {voter: [round(value, 9) for value in both] for voter, both in near.items()}
        pair = Pair(f"{name}-{number}", reference_file(name), drawn.source.split, a, b, votes, rounded)
        voted.append(asdict(pair))
    return {"pairs": voted, **rest}


def _keep(one: DrawnImage, file: str | None) -> Distorted:
    return Distorted(**one.recipe._asdict(), sha256=sha256_of(one.image), file=file)


def _to_batch(images: Sequence[Pixels]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def _finish(folder: Path, plan: Plan, seconds: float) -> None:
    """Put the parts together; pcmp.json comes last and says that all is there."""
    parts = [_read_part(_part(folder, source.name)) for source in plan.sources]
    done = [part for part in parts if part is not None]
    assert len(done) == len(parts), "all references are done"
    pairs = [pair for part in done for pair in part["pairs"]]
    require(len(pairs) > 0, "no pair of distortions could be brought to the same PSNR; give a larger --tolerance_db")
    skipped: Counter[str] = Counter()
    for part in done:
        skipped.update(part["skipped"])
    description = {
        **plan.to_json(),
        "num_pairs": len(pairs),
        "seconds": round(seconds, 1),
        "skipped": dict(skipped.most_common()),
        "passed_over": [part["problem"] for part in done if part["problem"]],
        "statistics": asdict(_agreement([pair["votes"] for pair in pairs], plan)),
    }
    write_file("".join(json.dumps(pair) + "\n" for pair in pairs).encode(), folder / "manifest.jsonl")
    write_file(json.dumps(description, indent=1).encode(), folder / "pcmp.json")
    shutil.rmtree(folder / "parts")
    if not any((folder / "images").iterdir()):
        (folder / "images").rmdir()


def _agreement(votes: Sequence[dict[str, float]], plan: Plan) -> Statistics:
    names = [card.name for card in plan.voters]
    return measure_agreement(np.array([[cast[name] for name in names] for cast in votes]), plan.voters)
