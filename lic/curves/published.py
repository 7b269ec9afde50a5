"""Other people's curves: CompressAI's results JSON and its common variants, CSV -> results; and ours -> CompressAI's.

Read are

    {"name": ..., "results": {"bpp": [...], "psnr-rgb": [...], "ms-ssim-rgb": [...], ...}}        CompressAI
    the same with "psnr" (LALIC), without "results" (MLIC++), with "test-set" (lossy-vae)
    {"Kodak": {"bpp": [...], "PSNR": [...], "MS_SSIM": [... in dB]}, "CLIC": ...}                 DCAE, CCA
    bpp,top1                                                                                       CSV, a line a point
    {"codec": ..., "points": [...]}                                          results, as those in results/published

Beside them may stand "protocol" and "bits" (real, estimated), in the file or its "meta"; CSV has columns of these
names. Who names no protocol has coded files as they are.

A key that is the shown score of a task of the results beside it (`top1`, `ap`, `miou`) is that task's.
"""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from lic.atomic import write_file
from lic.curves.files import load_results
from lic.curves.results import Bits, Point, Results, list_tasks

Columns = Mapping[str, list[float]]
_QUALITIES = {"psnr": "psnr", "psnr-rgb": "psnr", "ms-ssim": "ms-ssim", "ms-ssim-rgb": "ms-ssim"}
_RULES = ("protocol", "bits")
_SECONDS = {"encoding-time": "encode_seconds", "decoding-time": "decode_seconds"}


def read_curves(spec: str, beside: Sequence[Results]) -> list[Results]:
    """Return the curves in somebody's file that are on a dataset of some results.

    Args:
        spec: FILE or FILE:NAME, JSON or CSV; without a name the file's own.
        beside: results that they are compared with: they say which datasets count, and what tasks are.

    Raises:
        ValueError: in one line: no such file, another format, other datasets.
    """
    path, _, name = spec.rpartition(":") if not Path(spec).is_file() and ":" in spec else (spec, "", "")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        datasets = list(dict.fromkeys(each.dataset for each in beside))
        if not path.lower().endswith(".csv") and _is_results(text):
            return [_as_on(load_results(path), beside, name)]
        parts: Mapping[str, Columns] = {"": _csv(text)} if path.lower().endswith(".csv") else _json(text)
        found = [(_dataset(own, datasets), columns) for own, columns in parts.items()]
        protocol, bits = _rules(text, path)
        curves = [_results(name or _name(text, path), dataset, columns, beside, path, protocol, bits)
                  for dataset, columns in found if dataset]  # fmt: skip
    except FileNotFoundError:
        raise ValueError(f"curve file '{path}' does not exist") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"curve file '{path}': {getattr(error, 'strerror', None) or error}") from error
    if not curves:
        raise ValueError(f"curve file '{path}' is on {', '.join(parts)}; the results are on {', '.join(datasets)}")
    return curves


def _is_results(text: str) -> bool:
    content = json.loads(text)
    return isinstance(content, dict) and "points" in content and "codec" in content


def _as_on(results: Results, beside: Sequence[Results], name: str) -> Results:
    """Return results under the name that the dataset has in those beside them, and under the name asked for.

    Raises:
        ValueError: they are on another dataset, or on another part of it.
    """
    datasets = list(dict.fromkeys(each.dataset for each in beside))
    dataset = _dataset(results.dataset, datasets)
    if not dataset:
        raise ValueError(f"it is on {results.dataset}; the results are on {', '.join(datasets)}")
    ours = {point.num_images for each in beside if each.dataset == dataset for point in each.points}
    for point in results.points:
        if ours and point.num_images not in ours:
            raise ValueError(f"it is of {point.num_images} images; the results are of {', '.join(map(str, ours))}")
    named = replace(results, codec=name, distortion=None, label=None) if name else results
    return replace(named, dataset=dataset)


def _csv(text: str) -> Columns:
    rows = list(csv.reader(text.splitlines()))
    if len(rows) < 2 or "bpp" not in (head := [cell.strip().lower() for cell in rows[0]]):
        raise ValueError("expected a header such as bpp,top1 and a line for each point")
    if any(len(row) != len(head) for row in rows):
        raise ValueError(f"expected {len(head)} numbers a line, as the header has")
    return {key: [float(row[i]) for row in rows[1:]] for i, key in enumerate(head) if key not in _RULES}


def _json(text: str) -> Mapping[str, Columns]:
    """Return the columns of each dataset in a file; one that the file does not name is the empty text."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("expected a JSON object")
    meta, columns = content.get("meta"), content.get("results", content)
    if isinstance(columns, dict) and "bpp" in columns:
        dataset = meta.get("dataset") if isinstance(meta, dict) else None
        return {str(dataset or content.get("test-set") or ""): columns}
    tables = {str(key): value for key, value in content.items() if isinstance(value, dict)}
    parts: dict[str, Columns] = {key: value for key, value in tables.items() if "bpp" in value}
    if not parts:
        raise ValueError("expected 'bpp', 'results' with 'bpp', or datasets with 'bpp'")
    return parts


def _name(text: str, path: str) -> str:
    if path.lower().endswith(".csv"):
        return Path(path).stem
    content = json.loads(text)
    return str(content.get("name") or Path(path).stem)


def _rules(text: str, path: str) -> tuple[str, Bits]:
    """Return the protocol that a file names, and whether its bits are real.

    Raises:
        ValueError: it names several, or another kind of bits.
    """
    if path.lower().endswith(".csv"):
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
        head = [cell.lower() for cell in rows[0]]
        columns = {key: {row[head.index(key)] for row in rows[1:]} for key in _RULES if key in head}
        if any(len(values) > 1 for values in columns.values()):
            raise ValueError("expected one protocol, and one kind of bits, in all lines")
        named: Mapping[str, Any] = {key: values.pop() for key, values in columns.items()}
    else:
        content = json.loads(text)
        meta = content.get("meta")
        named = {**content, **(meta if isinstance(meta, dict) else {})}
    protocol, bits = named.get("protocol", "file"), named.get("bits", "unknown")
    if bits not in get_args(Bits):
        raise ValueError(f"bits '{bits}' are unknown; choose from: {', '.join(get_args(Bits))}")
    return str(protocol), bits


def _dataset(own: str, datasets: Sequence[str]) -> str:
    """Return which dataset is meant: that of this name, or the only one there is where the file has no name for it.

    Raises:
        ValueError: the file does not say, and there are several.
    """
    if not own:
        if len(datasets) > 1:
            raise ValueError(f"it does not say on which dataset it is, and the results are on {len(datasets)}")
        return datasets[0]
    plain = [re.sub(r"[^a-z0-9]", "", each.lower()) for each in (own, *datasets)]
    return next((each for each, name in zip(datasets, plain[1:], strict=True) if plain[0] in name), "")


def _results(
    name: str, dataset: str, columns: Columns, beside: Sequence[Results], path: str, protocol: str, bits: Bits
) -> Results:
    like = [each for each in beside if each.dataset == dataset]
    facts = {task: facts for each in reversed(like) for task, facts in each.tasks.items()}
    by_headline = {facts[task].headline: task for task in reversed(list_tasks(like))}
    bpp = _numbers("bpp", columns["bpp"])
    qualities: dict[str, list[float]] = {}
    tasks: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for key, values in columns.items():
        plain = key.lower().replace("_", "-")
        if plain in _QUALITIES:
            qualities[_QUALITIES[plain]] = _numbers(key, values, len(bpp))
        elif plain in _SECONDS:
            seconds[_SECONDS[plain]] = _numbers(key, values, len(bpp))
        elif key.lower() in by_headline:
            scores = _numbers(key, values, len(bpp))
            tasks[by_headline[key.lower()]] = [s / 100 for s in scores] if max(scores) > 1 else scores
    if max(qualities.get("ms-ssim", [0.0])) > 1:  # in dB
        qualities["ms-ssim"] = [1 - 10 ** (-value / 10) for value in qualities["ms-ssim"]]
    if not qualities and not tasks:
        known = ", ".join([*_QUALITIES, *by_headline])
        raise ValueError(f"it has none of {known}, which the results beside it have")
    points = [
        Point(
            None, number, None, bpp[number], None,
            seconds.get("encode_seconds", [math.nan] * len(bpp))[number],
            seconds.get("decode_seconds", [math.nan] * len(bpp))[number],
            like[0].points[0].num_images if like[0].points else 0,
            {quality: values[number] for quality, values in qualities.items()},
            {task: {facts[task].headline: values[number]} for task, values in tasks.items()},
        )
        for number in range(len(bpp))
    ]  # fmt: skip
    return Results(name, None, dataset, tuple(points), {}, {"file": path}, tasks={task: facts[task] for task in tasks},
                   protocol=protocol, bits=bits)  # fmt: skip


def _numbers(key: str, values: Any, length: int | None = None) -> list[float]:
    is_list = isinstance(values, list) and values and all(isinstance(value, int | float) for value in values)
    if not is_list or (length is not None and len(values) != length) or not all(map(math.isfinite, values)):
        raise ValueError(f"expected {key} as a list of {length or 'finite'} numbers, one for each point")
    return [float(value) for value in values]


def export_compressai(results: Sequence[Results], folder: Path) -> list[Path]:
    """Write curves as CompressAI's results JSON, which `python -m compressai.utils.plot -f FILE -m top1` draws.

    A task's shown score, in percent, stands under its own name, such as `top1`; where several tasks share one, under
    `coco-det.ap`, too, the plain name being the first's.
    """
    paths = []
    for each in results:
        content: dict[str, list[float | None]] = {"bpp": [point.bpp for point in each.points]}
        for quality in dict.fromkeys(name for point in each.points for name in point.qualities):
            key = f"{quality}-rgb" if quality in ("psnr", "ms-ssim") else quality
            content[key] = [point.score(quality) for point in each.points]
        for task in list_tasks([each]):
            facts = each.tasks[task]
            scores: list[float | None] = [facts.factor * point.score(task) for point in each.points]
            content.setdefault(facts.headline, scores)
            content[f"{task}.{facts.headline}"] = scores
        content["encoding_time"] = [point.encode_seconds for point in each.points]
        content["decoding_time"] = [point.decode_seconds for point in each.points]
        whole = {key: values for key, values in content.items()
                 if all(value is not None and math.isfinite(value) for value in values)}  # fmt: skip
        text = {"name": each.name, "description": f"{each.name} on {each.dataset}", "results": whole,
                "meta": {"dataset": each.dataset, "protocol": each.protocol, "bits": each.bits}}  # fmt: skip
        paths.append(folder / f"{each.curve.stem_with_seed}.json")
        write_file(json.dumps(text, indent=2, ensure_ascii=False) + "\n", paths[-1])
    return paths
