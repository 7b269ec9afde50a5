"""python -m lic preferences benchmark: how well metrics follow machines, or people.

    python -m lic preferences benchmark --sets pcmp:pcmp
    python -m lic preferences benchmark --sets tid2013:/data/tid2013 bapps:/data/bapps --metrics psnr lpips mlclipsim
    python -m lic preferences benchmark --sets mpd:/data/mpd --columns mpd.yaml --metrics mlclipsim:fitted.json

Every picture is measured once by every metric; the values are kept in OUT/scores, so that an interrupted run goes on
and a further metric costs no more than itself. A metric whose weights are not to be had is reported and left out.
Writes OUT/benchmark.csv (a number in each line), .md, .png, and OUT/significance.csv.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from lic.atomic import write_file
from lic.backbones.features import load_backbone
from lic.cli import parse_config, save_config
from lic.data.subset import subset
from lic.demo.networks import load_demo_clip
from lic.device import pick_device
from lic.distortions import with_backbones
from lic.metrics import Metric, build_metric, metric_card
from lic.preferences.benchmark.figure import draw_benchmark
from lic.preferences.benchmark.followed import Headline, Opinions, Row
from lic.preferences.benchmark.scores import Item, Scores, Work, list_items, measure, scores_file
from lic.preferences.benchmark.significance import Contrast, contrast_all
from lic.preferences.benchmark.tables import (
    Part,
    contrasts_to_csv,
    new_console,
    print_part,
    rows_to_csv,
    split_parts,
    to_markdown,
)
from lic.preferences.sets import is_drawn, list_voters, load_set
from lic.preferences.sets.opinions import Compared, PreferenceSet, Rated
from lic.printing import Console, Words
from lic.settings.metrics import MetricsConfig
from lic.settings.preferences import BenchmarkConfig


class Built(NamedTuple):
    """The metrics that can be had, by name, and why the others cannot."""

    metrics: dict[str, Metric]
    titles: dict[str, str]
    failed: dict[str, str]


class Outcome(NamedTuple):
    """What was found on one set."""

    rows: list[Row]
    contrasts: list[Contrast]


def main(argv: list[str]) -> int:
    """Run the benchmark that the command line describes; return 0, the exit code."""
    config = parse_config(BenchmarkConfig, argv, "lic preferences benchmark",
                          "Measure how well metrics follow the preferences of machines and people.")  # fmt: skip
    if not config.sets:
        raise ValueError("name at least one set: --sets pcmp:FOLDER tid2013:FOLDER ...")
    if not config.metrics:
        raise ValueError("name at least one metric: --metrics psnr mlclipsim ...")
    for name in config.metrics:
        metric_card(name)  # refused before anything is read
    metric = with_backbones(config.metric, all(map(is_drawn, config.sets)))
    benchmark(_load(config), dataclasses.replace(config, metric=metric), new_console())
    return 0


def benchmark(sets: Sequence[tuple[str, PreferenceSet]], config: BenchmarkConfig, console: Console) -> None:
    """Measure, judge, print and write.

    Args:
        sets: with the words that name them, under which values are kept.
        config: all but the sets counts.
        console: what is printed on.

    Raises:
        ValueError: in one line: no metric can be had, an image that cannot be read or does not fit its reference.
    """
    built = build_all(config.metrics, config.metric, pick_device(config.device), console)
    folder = Path(config.output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / "config.yaml")
    outcomes = [_run_set(spec, preferences, built, config, folder, console) for spec, preferences in sets]
    rows = [row for outcome in outcomes for row in outcome.rows]
    contrasts = [each for outcome in outcomes for each in outcome.contrasts]
    _write(rows, contrasts, built, config, folder, console)


def _load(config: BenchmarkConfig) -> list[tuple[str, PreferenceSet]]:
    """Return the sets with names that tell them apart."""
    specs = list(dict.fromkeys(config.sets))
    sets = [load_set(spec, config.split, config.columns) for spec in specs]
    names = [each.name for each in sets]
    told_apart = [each if names.count(each.name) == 1 else dataclasses.replace(each, name=f"{each.name} ({spec})")
                  for spec, each in zip(specs, sets, strict=True)]  # fmt: skip
    return list(zip(specs, told_apart, strict=True))


def build_all(names: Sequence[str], config: MetricsConfig, device: torch.device, console: Console) -> Built:
    """Return the metrics; print in one line what cannot be had.

    Raises:
        ValueError: none can be had.
    """
    built = Built({}, {}, {})
    for name in dict.fromkeys(names):
        try:
            built.metrics[name] = build_metric(name, config).to(device).eval()
            built.titles[name] = built.metrics[name].title
        except ValueError as error:
            built.failed[name] = " ".join(str(error).split())
            kind, colon, argument = name.partition(":")
            built.titles[name] = f"{kind}{colon}{Path(argument).name}"
            console.print(f"{name} is left out: {built.failed[name]}", soft_wrap=True)
    if not built.metrics:
        raise ValueError(f"no metric can be had; {next(iter(built.failed.values()))}")
    shown = list(built.titles.values())
    for name, title in built.titles.items():
        built.titles[name] = title if shown.count(title) == 1 else name
    return built


def limited(preferences: PreferenceSet, limit: int | None) -> PreferenceSet:
    """Return the opinions about so many references: a fixed subset, the smallest SHA-256 of their names."""

    def name_of(one: Rated | Compared) -> str:
        if isinstance(one, Compared):
            return one.reference.name
        return (one.reference or one.picture).name

    opinions: list[Rated | Compared] = [*preferences.rated, *preferences.compared]
    names = list(dict.fromkeys(map(name_of, opinions)))
    chosen = {names[place] for place in subset(names, limit)}
    rated = [one for one in preferences.rated if name_of(one) in chosen]
    return PreferenceSet(preferences.name, rated, [one for one in preferences.compared if name_of(one) in chosen])


def _run_set(spec: str, preferences: PreferenceSet, built: Built, config: BenchmarkConfig, folder: Path,
             console: Console) -> Outcome:  # fmt: skip
    work = {
        name: Work(metric, Scores(scores_file(folder / "scores", spec, preferences, name, metric, config.metric)))
        for name, metric in built.metrics.items()
    }
    preferences = limited(preferences, config.limit)
    failed = dict(built.failed)
    for name, reason in _measure_shown(preferences.name, list_items(preferences), work, config, console):
        failed[name] = " ".join(reason.split())
        console.print(f"{name} gives up on {preferences.name}: {failed[name]}",
                      soft_wrap=True)  # fmt: skip
    outcome = Outcome([], [])
    for sort in ("rated", "compared"):
        if preferences.rated if sort == "rated" else preferences.compared:
            _judge(preferences, sort, work, failed, built.titles, config.resamples, outcome)
    return outcome


def _measure_shown(name: str, items: list[Item], work: dict[str, Work], config: BenchmarkConfig,
                   console: Console) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Measure with a progress bar; yield metrics that gave up and why."""
    bars = (Words("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn())  # fmt: skip
    with Progress(*bars, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=len(items))
        for done, failed in measure(items, work, pick_device(config.device)):
            progress.advance(task, done)
            yield from failed.items()


def _judge(preferences: PreferenceSet, sort: Literal["rated", "compared"], work: dict[str, Work],
           failed: dict[str, str], titles: dict[str, str], resamples: int, outcome: Outcome) -> None:  # fmt: skip
    """Add the rows and contrasts of one sort of opinions."""
    opinions = Opinions(preferences, sort, resamples)
    headlines: dict[str, Headline] = {}
    for name, title in titles.items():
        if name in failed:
            outcome.rows.extend(opinions.without(title, failed[name]))
            continue
        sign = 1 if work[name].metric.card.better == "higher" else -1
        rows, headline = opinions.follow(title, work[name].scores.values, sign)
        outcome.rows.extend(rows)
        if headline:
            headlines[title] = headline
    if sort == "compared":
        outcome.rows.extend(opinions.majority())
    outcome.contrasts.extend(
        contrast_all(preferences.name, opinions.headline, headlines, opinions.num_references)
    )


def _write(rows: list[Row], contrasts: list[Contrast], built: Built, config: BenchmarkConfig, folder: Path,
           console: Console) -> None:  # fmt: skip
    parts = split_parts(rows, contrasts)
    for part in parts:
        print_part(part, console)
    head = _describe(config, parts, built)
    for name, text in {
        "benchmark.csv": rows_to_csv(rows),
        "significance.csv": contrasts_to_csv(contrasts),
        "benchmark.md": head + "\n" + "\n".join(to_markdown(part) for part in parts),
    }.items():
        write_file(text.encode(), folder / name)
    no_reference = {built.titles[name] for name, metric in built.metrics.items() if metric.card.reference == "none"}
    draw_benchmark(parts, folder / "benchmark.png", no_reference)
    for line in _demo_notes(built):
        console.print(line, soft_wrap=True)
    names = ("benchmark.csv", "benchmark.md", "benchmark.png", "significance.csv")
    console.print(f"written: {', '.join(str(folder / name) for name in names)}", soft_wrap=True)


def _describe(config: BenchmarkConfig, parts: Sequence[Part], built: Built) -> str:
    """Return the head of the Markdown: what was measured, and how to read it."""
    split = {
        "test": "held-out references judged by held-out voters (pcmp); val of BAPPS; test of PieAPP",
        "fit": "references and voters that weights were fitted to (pcmp); train of BAPPS; train and val of PieAPP",
        "all": "all references and voters",
    }[config.split]
    lines = [
        "# Metrics against preferences", "",
        f"Sets: {', '.join(config.sets)}. Split: {config.split} ({split}; sets without parts are whole)."
        + (f" At most {config.limit} references of each." if config.limit else ""),
        *(f"\nVoters of {spec}: {', '.join(voters)}." for spec in config.sets
          if (voters := list_voters(spec, config.split))), "",
        "Every statistic is turned so that higher is better. KRCC is tau-b. PLCC is of the scores as they are, then "
        "after the logistic of four (VQEG) and five parameters (Sheikh et al. 2006), whose fits have no sign and are "
        "held in the bootstrap. 2AFC is the mean share of voters on the metric's side; hard accuracy counts the "
        f"majority's side and leaves ties out. Intervals: percentiles of {config.resamples} resamples of references.",
        *(f"\n{line}." for line in _demo_notes(built)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _demo_notes(built: Built) -> Iterator[str]:
    """Say which metrics look through the embedded encoder: nobody may mistake it for CLIP."""
    encoders = load_demo_clip().visual, load_backbone("demo")  # as it is, and with its batch norms folded
    firsts = [next(encoder.parameters()) for encoder in encoders]
    for name, metric in built.metrics.items():
        if any(torch.equal(weight.cpu(), first) for weight in metric.parameters() for first in firsts):
            yield f"{built.titles[name]} looks through the demo encoder, which has seen no photograph"
