"""A dataset's section of the report: tables as HTML, and what the page's scripts draw as JSON."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from lic.curves.comparison import in_percent, setting
from lic.curves.looks import looks
from lic.curves.results import Results, facts_of, list_networks, list_qualities, list_tasks
from lic.curves.seeds import group_seeds, merge_seeds
from lic.report.samples import MIN_SCORE, read_samples
from lic.report.tables import bd_table, drop_table, summary_table
from lic.settings.names import FitName

Loaded = Sequence[tuple[Results, Path]]
"""Results, each with its file."""

_SYNTHETIC = (
    '<p class="warning">Synthetic: the embedded demo scenes, drawn by this project. '
    "Not ImageNet, not COCO, not VOC, not photographs.</p>\n"
)


def section(
    identifier: str, loaded: Loaded, reference: Results, at_bpp: Sequence[float] | None, fit: FitName | None = None
) -> str:
    """Return the HTML of one dataset: seeds averaged to one curve, with the first one's samples.

    Args:
        identifier: of the element.
        loaded: codecs on the dataset, with their files.
        reference: the one of them that the others are compared with.
        at_bpp: rates at which drops against the ceiling are shown; None: the customary ones.
        fit: adds BD-rates with curves that do not rise fitted.

    Raises:
        ValueError: a sample is damaged.
    """
    named = _distinct(loaded)
    curves = merge_seeds(named)
    firsts = {id(group[0]) for group in group_seeds(named)}
    sources = [
        (each, path.parent, shown.name)
        for (each, path), shown in zip(loaded, named, strict=True)
        if id(shown) in firsts
    ]
    samples, num_samples = read_samples(sources)
    reference = next(shown for shown, (each, _) in zip(named, loaded, strict=True) if each is reference)
    dataset = named[0].dataset
    num_images = max(point.num_images for each in named for point in each.points)
    data = {**_curves(curves), "samples": samples}
    parts = [
        f'<section id="{identifier}">\n<h2>{escape(named[0].data)}</h2>\n',
        _SYNTHETIC if "synthetic" in dataset or "demo" in dataset else "",
        f'<p class="note">{num_images} images. {_networks(named)}{_bands(curves)}{_seeds(named)}</p>\n',
        '<div><div class="legend" aria-label="codecs"></div>\n<div class="panels"></div></div>\n',
        _viewer(len(samples), num_samples, any(sample.is_shrunk for sample in samples)) if samples else "",
        "<h3>Operating points</h3>\n",
        f'<p class="note">T{escape(in_percent(named))[1:]}. A click on a heading sorts.</p>\n',
        summary_table(named),
        bd_table(reference, named, fit) if len(curves) > 1 else "",
        drop_table(named, at_bpp),
        "<h3>How each curve was made</h3>\n",
        *(_provenance(each, path) for each, (_, path) in zip(named, loaded, strict=True)),
        f'<script type="application/json">{_embed(data)}</script>\n</section>',
    ]
    return "".join(parts)


def _distinct(loaded: Loaded) -> list[Results]:
    """Return the results, with the folder in the names that several files share but for the seeds of one curve."""
    groups = group_seeds([each for each, _ in loaded])
    counts = Counter(group[0].name for group in groups)
    first = {id(each): id(group[0]) for group in groups for each in group}
    paths = {id(each): path for each, path in loaded}

    def distinct(each: Results) -> Results:
        if counts[each.name] == 1:
            return each
        path = paths[first[id(each)]]
        return replace(each, codec=f"{each.codec} ({path.parent.name}/{path.stem})")

    return [distinct(each) for each, _ in loaded]


def _networks(results: Sequence[Results]) -> str:
    networks = {task: names for each in results for task, names in each.networks.items()}
    listed = "; ".join(f"{escape(task)} by {escape(', '.join(map(str, names)))}" for task, names in networks.items())
    return f"Judged: {listed}. " if listed else ""


def _bands(results: Sequence[Results]) -> str:
    has_bands = any(p.interval(task) for each in results for p in each.points for task in list_tasks(results))
    return "Bands: 95 % bootstrap intervals over images." if has_bands else ""


def _seeds(results: Sequence[Results]) -> str:
    listed = [(group[0].name, [each.seed for each in group]) for group in group_seeds(results) if len(group) > 1]
    if not listed:
        return ""
    names = "; ".join(f"{escape(name)} of seeds {', '.join(map(str, seeds))}" for name, seeds in listed)
    return f" Means over seeds: {names}; bands from the lowest end to the highest, samples of the first seed."


def _viewer(num_shown: int, num_samples: int, is_shrunk: bool) -> str:
    shrunk = " Large images are shown smaller than they are." if is_shrunk else ""
    shown = f"{num_shown} of {num_samples} samples are shown." if num_shown < num_samples else ""
    return (
        "<h3>Look at the images</h3>\n"
        '<p class="note">Each codec at its operating point nearest to the chosen rate on this image. '
        f"Detections with a score of at least {MIN_SCORE:g} are drawn.{shrunk} {shown}</p>\n"
        '<div class="viewer"></div>\n'
    )


def _curves(results: Sequence[Results]) -> dict[str, Any]:
    """Return what the scripts draw curves from; scores in the units that the axes show."""
    tasks = list_tasks(results)
    keys = [*list_qualities(results), *(name for task in tasks for name in (task, *list_networks(results, task)))]
    facts = {key: facts_of(results, key) for key in keys}
    panels = [
        {
            "quality": quality,
            "title": facts[quality].title,
            "digits": facts[quality].digits,
            "networks": [(name, name.partition("@")[2]) for name in list_networks(results, quality)],
            "ceilings": _ceilings(results, quality, facts[quality].factor),
        }
        for quality in (*tasks, *list_qualities(results))
        if any(math.isfinite(point.score(quality)) for each in results for point in each.points)
    ]
    curves = [
        {
            "name": each.name,
            "colour": look.colour,
            "dashes": " ".join(map(str, look.dashes)),
            "isLearned": each.is_learned,
            "points": [
                {
                    "setting": setting(point),
                    "bpp": point.bpp,
                    "scores": {key: facts[key].factor * point.score(key) for key in keys},
                    "intervals": {
                        key: [facts[key].factor * end for end in ends]
                        for key in keys
                        if (ends := point.interval(key))
                    },
                }
                for point in each.points
            ],
        }
        for each, look in zip(results, looks(results), strict=True)
    ]
    return {"panels": panels, "curves": curves}


def _ceilings(results: Sequence[Results], quality: str, factor: float) -> list[float]:
    return sorted({factor * each.ceiling_score(quality) for each in results if quality in each.ceiling})


def _provenance(results: Results, path: Path) -> str:
    checkpoints = {setting(p): p.checkpoint for p in results.points if p.checkpoint}
    blocks = [
        ("file", str(path)),
        ("command", results.command or "not recorded"),
        ("protocol and bits", f"{results.protocol}, {results.bits}"),
        ("networks", "\n".join(f"{task}: {', '.join(map(str, names))}" for task, names in results.networks.items())),
        ("checkpoints' SHA-256", "\n".join(f"{name}  {digest}" for name, digest in checkpoints.items())),
        ("costs", "\n".join(dict.fromkeys(map(str, results.costs.values())))),
        ("settings", json.dumps(results.config, indent=2, ensure_ascii=False) if results.config else "not recorded"),
        ("environment", "\n".join(f"{name}: {value}" for name, value in results.environment.items())),
    ]
    listed = "".join(f"<dt>{name}</dt><dd><pre>{escape(text)}</pre></dd>" for name, text in blocks if text)
    seed = "" if results.seed is None else f", seed {results.seed}"
    return f"<details><summary>{escape(results.name)}{seed}</summary><dl>{listed}</dl></details>\n"


def _embed(data: Any) -> str:
    """Return JSON that no text in it can end a script element with; null for what is not finite."""
    text = json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
