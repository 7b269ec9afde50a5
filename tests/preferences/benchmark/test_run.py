"""The benchmark end to end: directions, kinds, what is kept and what is measured once, what cannot be had."""

import csv
import dataclasses
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lic.commands import preferences as command
from lic.images import read_image, to_uint8
from lic.metrics import Metric, build_metric, metric_card, psnr_db
from lic.preferences.benchmark import run as benchmark
from lic.preferences.benchmark.followed import MAJORITY, Opinions
from lic.preferences.benchmark.scores import Item, Scores, Work, list_items, measure
from lic.preferences.benchmark.significance import contrast_all, not_worse
from lic.preferences.pcmp.files import PCMP, soft_label
from lic.preferences.sets.opinions import Compared, Picture, PreferenceSet, Rated
from lic.printing import Console
from lic.settings.metrics import MetricsConfig
from lic.settings.preferences import BenchmarkConfig
from tests.support import ON_DEMO, noise_image

NUM_REFERENCES = 5
QUALITIES = (90, 50, 10)


class Reads:
    """Pictures that count how often they are read."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def picture(self, name: str, image: Tensor) -> Picture:
        def read() -> Tensor:
            self.counts[name] = self.counts.get(name, 0) + 1
            return image

        return Picture(name, read)


def _jpeg(image: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(to_uint8(image[0]).permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255


def _sets(reads: Reads) -> PreferenceSet:
    """Return JPEGs and noises whose opinions fall with strength, and their comparisons: the milder is preferred."""
    rated, compared = [], []
    generator = torch.Generator().manual_seed(0)
    for k in range(NUM_REFERENCES):
        image = noise_image(k, 64, 64)
        reference = reads.picture(f"r{k}", image)
        by_kind = {
            "jpeg": [_jpeg(image, quality) for quality in QUALITIES],
            "noise": [(image + strength * torch.randn(image.shape, generator=generator)).clamp(0, 1)
                      for strength in (0.02, 0.1, 0.3)],
        }  # fmt: skip
        for kind, images in by_kind.items():
            pictures = [reads.picture(f"r{k}-{kind}-{level}", each) for level, each in enumerate(images)]
            rated += [Rated(each, reference, -level, kind, level + 1) for level, each in enumerate(pictures)]
            compared.append(Compared(pictures[0], pictures[2], reference, 0.9, f"{kind} / {kind}"))
            compared.append(Compared(pictures[2], pictures[1], reference, 0.25, f"{kind} / blur"))
    return PreferenceSet("drawn", rated, compared)


def _rows(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with (folder / "benchmark.csv").open(encoding="utf-8") as file:
        return {(row["metric"], row["kind"], row["statistic"]): row for row in csv.DictReader(file)}


def _run(preferences: PreferenceSet, folder: Path, metrics: list[str], **settings: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    settings = {"metric": ON_DEMO, **settings}
    config = BenchmarkConfig(["drawn"], metrics, str(folder), resamples=200, device="cpu", **settings)
    folder.mkdir(exist_ok=True)
    benchmark.benchmark([("drawn", preferences)], config, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_end_to_end(tmp_path: Path) -> None:
    reads = Reads()
    text = _run(_sets(reads), tmp_path, ["psnr", "mlclipsim"])
    rows = _rows(tmp_path)
    assert float(rows["PSNR", "all", "srcc"]["value"]) > 0.7
    assert float(rows["PSNR", "noise", "srcc"]["value"]) > 0.94, "the most that three levels of five images allow"
    assert rows["PSNR", "all", "srcc"]["n"] == "30" and rows["PSNR", "all", "srcc"]["references"] == "5"
    low, high = (float(rows["PSNR", "all", "srcc"][key]) for key in ("low", "high"))
    assert 0.7 < low < high < 1
    assert float(rows["PSNR", "all", "2afc"]["value"]) == pytest.approx((0.9 + 0.75) / 2)
    assert float(rows["PSNR", "all", "accuracy_hard"]["value"]) == 1
    assert float(rows[MAJORITY, "all", "2afc"]["value"]) == pytest.approx((0.9 + 0.75) / 2)
    assert rows["PSNR", "blur", "2afc"]["n"] == "10" and rows["PSNR", "jpeg", "2afc"]["n"] == "10"
    assert {metric for metric, _, _ in rows} == {"PSNR", "ML-CLIPSim", MAJORITY}
    assert set(reads.counts.values()) == {1}, "every image is read once for all metrics"
    assert "ML-CLIPSim looks through the demo encoder" in text
    markdown = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert "## drawn: 30 rated images of 5 references" in markdown and "## drawn: 20 pairs of 5 references" in markdown
    assert read_image(tmp_path / "benchmark.png").shape[-1] > 400
    significance = (tmp_path / "significance.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:4] for line in significance[1:]] == [
        ["drawn", "srcc", "PSNR", "ML-CLIPSim"], ["drawn", "2afc", "PSNR", "ML-CLIPSim"],
    ]  # fmt: skip


def test_nothing_is_measured_twice_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    first = Reads()
    _run(_sets(first), tmp_path, ["psnr"])
    whole = (tmp_path / "benchmark.csv").read_text(encoding="utf-8")
    (file,) = (tmp_path / "scores").glob("*.jsonl")
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[:12]) + '\n["r3-jpeg-0", "r', encoding="utf-8")  # killed while it wrote
    again = Reads()
    _run(_sets(again), tmp_path, ["psnr"])
    assert 0 < len(again.counts) < len(first.counts)
    kept = [line for line in lines[:12] if line]
    assert not any(line.split('"')[1] in again.counts for line in kept)
    assert (tmp_path / "benchmark.csv").read_text(encoding="utf-8") == whole
    third = Reads()
    _run(_sets(third), tmp_path, ["psnr"])
    assert third.counts == {}


def test_another_metric_costs_no_more_than_itself(tmp_path: Path) -> None:
    _run(_sets(Reads()), tmp_path, ["psnr"])
    stamp = next((tmp_path / "scores").glob("*psnr*")).stat().st_mtime_ns
    _run(_sets(Reads()), tmp_path, ["psnr", "ms-ssim"])
    assert next((tmp_path / "scores").glob("*psnr*")).stat().st_mtime_ns == stamp
    assert len(list((tmp_path / "scores").glob("*"))) == 2


def test_other_settings_are_other_values(tmp_path: Path) -> None:
    from lic.settings.metrics import MLCLIPSimConfig

    _run(_sets(Reads()), tmp_path, ["psnr", "mlclipsim"])
    one_layer = MetricsConfig(MLCLIPSimConfig("demo", layers=[0]))
    _run(_sets(Reads()), tmp_path, ["psnr", "mlclipsim"], metric=one_layer)
    names = sorted(path.name.split(".")[0] for path in (tmp_path / "scores").glob("*"))
    assert names == ["drawn_mlclipsim", "drawn_mlclipsim", "drawn_psnr"]


def test_values_are_those_of_the_metric_whatever_the_batches(tmp_path: Path) -> None:
    preferences = _sets(Reads())
    scores = Scores(tmp_path / "psnr.jsonl")
    items = list_items(preferences)
    list(measure(items, {"psnr": Work(build_metric("psnr", MetricsConfig()), scores)}, torch.device("cpu")))
    for item in items[:7]:
        assert item.reference is not None
        direct = psnr_db(item.picture.read(), item.reference.read()).item()
        assert scores.values[item.key] == pytest.approx(direct, abs=1e-5)
    assert Scores(tmp_path / "psnr.jsonl").values == scores.values, "as they were kept"


def test_a_metric_whose_lower_values_are_better_is_turned() -> None:
    preferences = _sets(Reads())
    opinions = Opinions(preferences, "rated", 50)
    distance = {(f"r{k}-{kind}-{level}", f"r{k}"): float(level)
                for k in range(NUM_REFERENCES) for kind in ("jpeg", "noise") for level in range(3)}  # fmt: skip
    rows, headline = opinions.follow("distance", distance, -1)
    assert headline is not None and headline.score == pytest.approx(1)
    assert [row.value for row in rows if row.statistic == "krcc"] == pytest.approx([1, 1, 1])
    turned, _ = opinions.follow("distance", distance, 1)
    assert turned[0].value == pytest.approx(-1)


def test_values_that_are_not_finite_are_said_not_passed_over() -> None:
    preferences = _sets(Reads())
    values = {item.key: float(number) for number, item in enumerate(list_items(preferences))}
    values[next(iter(values))] = float("nan")
    rows, headline = Opinions(preferences, "rated", 20).follow("broken", values, 1)
    assert headline is None and rows[0].value is None
    assert rows[0].note == "scores: 1 of 30 values are not finite, the first (nan) at position 1"
    assert next(row for row in rows if row.kind == "noise").value is not None, "the other kind has all its values"


def test_equal_scores_have_no_correlation_but_an_accuracy_of_one_half() -> None:
    preferences = _sets(Reads())
    values = dict.fromkeys((item.key for item in list_items(preferences)), 1.0)
    rated, _ = Opinions(preferences, "rated", 20).follow("constant", values, 1)
    assert rated[0].value is None and "all 30 values are 1" in rated[0].note
    compared, _ = Opinions(preferences, "compared", 20).follow("constant", values, 1)
    assert [row.value for row in compared if row.kind == "all"] == [0.5, 0.5]


def test_metrics_that_differ_are_told_from_those_that_do_not() -> None:
    generator = np.random.default_rng(0)
    rated = [Rated(Picture(f"{r}-{k}", Tensor), Picture(f"{r}", Tensor), float(k), "all") for r in range(20)
             for k in range(6)]  # fmt: skip
    opinions = Opinions(PreferenceSet("drawn", rated), "rated", 300)
    noise = {"good": 0.3, "as good": 0.3, "bad": 6.0}
    headlines = {}
    for name, strength in noise.items():
        values = {(one.picture.name, one.reference.name if one.reference else ""): one.opinion + strength * draw
                  for one, draw in zip(rated, generator.normal(size=120), strict=True)}  # fmt: skip
        _, headline = opinions.follow(name, values, 1)
        assert headline is not None
        headlines[name] = headline
    contrasts = contrast_all("drawn", "srcc", headlines, opinions.num_references)
    assert len(contrasts) == 3
    assert not_worse(contrasts, "good") == {"as good"}


def test_a_metric_without_weights_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.json")
    text = _run(_sets(Reads()), tmp_path / "out", ["psnr", f"mlclipsim:{missing}"])
    assert text.count(f"mlclipsim:{missing} is left out: no fitted weights at {missing}") == 1
    row = _rows(tmp_path / "out")["mlclipsim:none.json", "all", "srcc"]
    assert row["value"] == "" and "no fitted weights" in row["note"]
    line = next(line for line in text.splitlines() if line.lstrip().startswith("mlclipsim:") and " - " in line)
    assert line.split()[-1] == "-"


def test_a_limit_takes_the_same_references(tmp_path: Path) -> None:
    preferences = benchmark.limited(_sets(Reads()), 2)
    names = {pair.reference.name for pair in preferences.compared}
    assert len(names) == 2 and names == {one.reference.name for one in preferences.rated if one.reference}
    assert names == {pair.reference.name for pair in benchmark.limited(_sets(Reads()), 2).compared}


def test_sizes_must_agree(tmp_path: Path) -> None:
    reads = Reads()
    pair = Rated(reads.picture("small", torch.zeros(1, 3, 8, 9)), reads.picture("r", torch.zeros(1, 3, 8, 8)), 1, "x")
    with pytest.raises(ValueError, match="'small' and its reference 'r' differ in size: 9 x 8 and 8 x 8"):
        _run(PreferenceSet("drawn", [pair]), tmp_path, ["psnr"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name at least one set: --sets pcmp:FOLDER tid2013:FOLDER ..."),
        (["--sets", "tid203:x"], "set 'tid203' is unknown; did you mean 'tid2013'"),
        (["--sets", "tid2013:/nowhere"], "there is no folder /nowhere"),
        (["--sets", "tid2013:/tmp", "--metrics", "psnrr"], "metric 'psnrr' is unknown; did you mean 'psnr'"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        command.main(["benchmark", *arguments])


@pytest.mark.skipif("LIC_TEST_DATA" not in os.environ, reason="needs photographs: LIC_TEST_DATA")
def test_photographs(tmp_path: Path) -> None:
    """JPEG of real photographs: whoever measures quality must follow the quality setting closely."""
    folder = tmp_path / "set"
    (folder / "dist").mkdir(parents=True)
    lines = ["img,src,quality"]
    for path in sorted((Path(os.environ["LIC_TEST_DATA"]) / "kodak24").glob("*.png"))[:8]:
        small = Image.open(path).convert("RGB").resize((192, 128))
        small.save(folder / f"{path.stem}.png")
        for quality in (5, 15, 30, 60, 90):
            small.save(folder / "dist" / f"{path.stem}_{quality}.jpg", quality=quality)
            lines.append(f"dist/{path.stem}_{quality}.jpg,{path.stem}.png,{quality}")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    columns = tmp_path / "columns.yaml"
    columns.write_text("manifest: labels.csv\ndistorted: img\nreference: src\nopinion: quality\nbetter: higher\n")
    command.main(["benchmark", "--sets", f"mpd:{folder}", "--columns", str(columns), "--metrics", "psnr", "ms-ssim",
                  "mlclipsim", "--metric.mlclipsim.backbone", "demo", "--output", str(tmp_path / "out"),
                  "--resamples", "100"])  # fmt: skip
    rows = _rows(tmp_path / "out")
    assert float(rows["MS-SSIM", "all", "srcc"]["value"]) > 0.9
    assert float(rows["PSNR", "all", "plcc_logistic4"]["value"]) > float(rows["PSNR", "all", "plcc"]["value"])
    assert float(rows["ML-CLIPSim", "all", "srcc"]["low"]) > 0.8


def test_a_metric_of_one_image_needs_no_reference_and_one_of_two_gives_up(tmp_path: Path) -> None:
    class Brightness(Metric):
        def measure(self, image: Tensor, seen: None) -> Tensor:
            assert seen is None
            return image.mean((1, 2, 3))

    reads = Reads()
    pictures = [reads.picture(f"{k}", torch.full((1, 3, 8 + k % 2, 8), k / 10)) for k in range(6)]
    items = [Item(picture, None) for picture in pictures]
    card = dataclasses.replace(metric_card("psnr"), reference="none")
    work = {"brightness": Work(Brightness(card), Scores(tmp_path / "b.jsonl")),
            "psnr": Work(build_metric("psnr", MetricsConfig()), Scores(tmp_path / "p.jsonl"))}  # fmt: skip
    failed = {name: why for _, some in measure(items, work, torch.device("cpu")) for name, why in some.items()}
    assert failed == {"psnr": "it needs a reference, which '0' has not"}
    assert work["brightness"].scores.values == pytest.approx({(f"{k}", ""): k / 10 for k in range(6)})


def test_pcmp_from_its_folder(small_pcmp: PCMP, tmp_path: Path) -> None:
    """Held-out references and voters only, whose votes the metric is on the side of as often as counted by hand."""
    out = tmp_path / "out"
    words = ["--sets", f"pcmp:{small_pcmp.folder}", "--metrics", "ssim", "--resamples", "20", "--output", str(out)]
    assert command.main(["benchmark", *words]) == 0
    with (out / "benchmark.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["kind"], row["statistic"]) == ("all", "2afc")]
    (found,) = (float(row["value"]) for row in rows if row["metric"] == "SSIM")
    pairs = small_pcmp.select("test")
    metric = build_metric("ssim", MetricsConfig())
    shares = []
    for pair in pairs:
        reference = read_image(small_pcmp.folder / pair.reference)
        first, second = (metric(small_pcmp.read(pair, one), reference).item() for one in (pair.a, pair.b))
        label = soft_label(pair, small_pcmp.voters_of("test"))
        shares.append(label if first > second else 1 - label)
    assert found == pytest.approx(sum(shares) / len(shares), abs=1e-6)
    assert rows[0]["n"] == str(len(pairs)) and len(pairs) < len(small_pcmp.pairs)
