"""Results files: what is written is read again, and a damaged file is one clear line."""

import json
import math
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from lic.curves.bjontegaard_delta import bd_accuracy, bd_rate
from lic.curves.costs import Costs
from lic.curves.facts import Facts
from lic.curves.files import load_results, save_results
from lic.curves.results import Point, facts_of, list_networks, list_tasks, read_environment
from lic.curves.seeds import merge_seeds
from lic.curves.table import markdown_table
from lic.report.page import build_report

AP = {"headline": "ap", "label": "box AP", "subject": "Detection", "unit": "%", "digits": 1, "is_lower_better": False}

COSTS = Costs(1_760_000, 12.9, 13.1, 45_000_000, 53_000_000, "cpu")


def test_round_trip(make_results: Any, tmp_path: Path) -> None:
    for is_learned in (True, False):
        results = make_results([0.1, 0.2], [24, 27], is_learned=is_learned)
        results = replace(results, label="pure", seed=2) if is_learned else results
        save_results(results, tmp_path / "results.json")
        assert load_results(tmp_path / "results.json") == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_costs_are_read_back(make_results: Any, tmp_path: Path) -> None:
    for costs in ({}, {"ab" * 32: COSTS}, {"ab" * 32: replace(COSTS, encode_bytes=None, decode_bytes=None)}):
        results = replace(make_results([0.1, 0.2], [24, 27]), costs=costs)
        save_results(results, tmp_path / "results.json")
        assert load_results(tmp_path / "results.json") == results
        assert ("costs" in json.loads((tmp_path / "results.json").read_text())) == bool(costs)
    assert str(COSTS) == ("1.76 million parameters; per pixel 12.9 kMAC to encode, 13.1 to decode; "
                          "peak memory 45 MB to encode 768 x 512 px, 53 to decode (cpu)")  # fmt: skip


def test_tasks_stand_flat_in_the_file(make_results: Any, tmp_path: Path) -> None:
    save_results(make_results([0.1], [24]), tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["points"][0]["coco-det"] == {"ap": 0.24, "ap50": 0.4}
    assert content["points"][0]["bpp"] == 0.1
    assert "tasks" not in content["points"][0]


def test_the_file_says_how_its_tasks_are_shown(make_results: Any, tmp_path: Path) -> None:
    """Of a task that nobody here knows, too; scores of another unit are not in percent."""
    plain = make_results([0.1], [24])
    points = (replace(plain.points[0], tasks={"counting": {"error": 2.5, "error_low": 2.0, "error_high": 3.25}}),)
    facts = {"counting": Facts("error", "negated error", "Counting", unit="", digits=2)}
    results = replace(plain, points=points, ceiling={"counting": {"error": 3.0}}, tasks=facts)
    save_results(results, tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["tasks"] == {
        "counting": {"headline": "error", "label": "negated error", "subject": "Counting", "unit": "", "digits": 2,
                     "is_lower_better": False}
    }
    assert "headlines" not in content["points"][0]
    loaded = load_results(tmp_path / "results.json")
    assert loaded == results and list_tasks([loaded]) == ["counting"]
    assert (loaded.points[0].score("counting"), loaded.points[0].interval("counting")) == (2.5, (2.0, 3.25))
    assert facts_of([plain, loaded], "counting@a").title == "Counting, negated error"
    assert facts_of([plain, loaded], "coco-det").title == "Detection, box AP (%)"
    assert markdown_table([loaded]).splitlines()[2:] == [
        "| mbt2018-mean / mse | λ 0.01 | 0.100 | 24.00 | 0.4800 | 0.6000 | 2.50 |",
        "| uncompressed |  |  |  |  |  | 3.00 |",
    ]


def test_tasks_are_listed_as_the_first_results_have_them(make_results: Any) -> None:
    one, other = make_results([0.1], [24]), make_results([0.1], [24])
    turned = replace(other, tasks=dict(reversed(other.tasks.items())))
    assert list_tasks([one, turned]) == ["imagenet-cls", "coco-det"]
    assert list_tasks([turned, one]) == ["coco-det", "imagenet-cls"]


def test_replicates_are_one_line_each_and_read_back(make_results: Any, tmp_path: Path) -> None:
    results = make_results([0.1], [24])
    drawn = {"coco-det": [i / 1000 for i in range(199)] + [math.nan]}
    save_results(replace(results, points=(replace(results.points[0], replicates=drawn),)), tmp_path / "results.json")
    text = (tmp_path / "results.json").read_text()
    assert '"coco-det": [ 0.0, 0.001, ' in text and "0.198, null ]" in text
    (loaded,) = load_results(tmp_path / "results.json").points
    *known, last = loaded.replicates["coco-det"]
    assert known == drawn["coco-det"][:-1] and math.isnan(last)
    assert loaded.tasks == results.points[0].tasks
    (tmp_path / "bad.json").write_text(text.replace("0.198, null ]", '"x" ]'))
    with pytest.raises(ValueError, match="expected replicates of coco-det as"):
        load_results(tmp_path / "bad.json")


def test_what_is_not_finite_is_null_in_the_file_and_nan_here(make_results: Any, tmp_path: Path) -> None:
    results = make_results([0.1], [24])
    point = replace(results.points[0], qualities={"psnr": math.inf}, tasks={"voc-seg": {"miou": math.nan}})
    save_results(replace(results, points=(point,)), tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["points"][0]["qualities"]["psnr"] is None
    (loaded,) = load_results(tmp_path / "results.json").points
    assert math.isnan(loaded.score("psnr")) and math.isnan(loaded.score("voc-seg"))


def test_points_are_sorted_and_named(make_results: Any) -> None:
    results = make_results([0.4, 0.1, 0.2], [30, 24, 27])
    assert [point.bpp for point in results.points] == [0.1, 0.2, 0.4]
    assert results.name == "mbt2018-mean / mse" and results.is_learned
    assert replace(results, label="mse longer", seed=1).name == "mbt2018-mean / mse longer", "seeds share the name"
    jpeg = make_results([0.4], [30], codec="jpeg", distortion=None, is_learned=False)
    assert jpeg.name == "jpeg" and not jpeg.is_learned
    assert list_tasks([jpeg]) == ["imagenet-cls", "coco-det"]


def test_scores(make_results: Any) -> None:
    point: Point = make_results([0.1], [27]).points[0]
    assert point.score("psnr") == 27
    assert point.score("coco-det") == 0.27
    assert math.isnan(point.score("voc-seg"))
    with pytest.raises(ValueError, match="'psnr_db' is unknown; did you mean 'psnr'"):
        facts_of([make_results([0.1], [27])], "psnr_db")


def test_impossible_points_are_refused(make_results: Any) -> None:
    results = make_results([0.1], [27])
    point: Point = results.points[0]
    with pytest.raises(ValueError, match="positive number of bits per pixel, came bpp 0"):
        replace(point, bpp=0)
    with pytest.raises(ValueError, match="did you mean 'coco-det'"):
        replace(results, points=(replace(point, tasks={"coco-dt": {"ap": 0.5}}),))
    with pytest.raises(ValueError, match="expected the score 'ap' in coco-det, came ap50"):
        replace(results, points=(replace(point, tasks={"coco-det": {"ap50": 0.5}}),))
    with pytest.raises(ValueError, match="expected the score 'ap' in coco-det, came ap50"):
        replace(results, ceiling={"coco-det": {"ap50": 0.5}})


def test_networks_and_intervals(make_results: Any, tmp_path: Path) -> None:
    results = make_results([0.1], [24], networks=["a", "b"])
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == results
    assert results.networks == {"coco-det": ["a", "b"]} and results.command.startswith("python eval.py")
    point = results.points[0]
    assert point.score("coco-det@b") == pytest.approx(0.29) and math.isnan(point.score("coco-det@c"))
    assert point.interval("coco-det") == pytest.approx((0.22, 0.27))
    assert point.interval("coco-det@b") is None and point.interval("psnr") is None
    assert list_tasks([results]) == ["imagenet-cls", "coco-det"]
    assert list_networks([results], "coco-det") == ["coco-det@a", "coco-det@b"]
    with pytest.raises(ValueError, match="'coco-dt@a' is unknown"):
        replace(results, points=(replace(point, tasks={"coco-dt@a": {"ap": 0.5}}),))


def test_older_files_load(make_results: Any, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    save_results(make_results([0.1], [24]), path)
    content = json.loads(path.read_text())
    newer = ("networks", "command", "config", "label", "seed", "tasks", "protocol", "bits")
    path.write_text(json.dumps({k: v for k, v in content.items() if k not in newer}))
    assert load_results(path) == replace(make_results([0.1], [24]), networks={}, command="", config={})
    (point,) = content["points"]
    measured = point.pop("qualities")
    older = {"psnr_db": measured["psnr"], "ms_ssim": measured["ms-ssim"], "mlclipsim": None}
    path.write_text(json.dumps({**content, "points": [{**point, **older}]}))
    (loaded,) = load_results(path).points
    assert list(loaded.qualities) == ["psnr", "ms-ssim", "mlclipsim"] and math.isnan(loaded.score("mlclipsim"))
    assert (loaded.score("psnr"), loaded.score("ms-ssim")) == (measured["psnr"], measured["ms-ssim"])
    folder, others = Path(__file__).parents[2] / "results", ("calibration", "pcmp", "probe")
    shipped = [path for path in folder.rglob("*.json") if path.relative_to(folder).parts[0] not in others]
    assert shipped and all(load_results(each).points for each in shipped)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected results as dict, came"),
        ("{}", "codec, distortion, dataset, points, ceiling, environment is missing"),
    ],
)
def test_damaged_files_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_results(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("codec", 1, "expected codec as str, came 1"),
        ("points", {}, "expected points as list"),
        ("points", [{"bpp": 1}], "but lmbda, quality, checkpoint, bpp_estimated, .* is missing"),
        ("networks", {"coco-det": "a"}, "expected networks of coco-det as list"),
        ("command", None, "expected command as str, came null"),
        ("label", 1, "expected label as str | None, came 1"),
        ("seed", "0", "expected seed as int | None, came "),
        ("seed", True, "expected seed as int | None, came true"),
        ("seed", 10**400, "expected seed as int | None, came 1000"),
        ("points", [{}] * 1001, "expected at most 1000 operating points, came 1001"),
        ("tasks", ["coco-det"], "expected tasks as dict"),
        ("tasks", {}, "task 'imagenet-cls' is unknown|task 'coco-det' is unknown"),
        ("tasks", {"coco-det": "ap"}, "expected facts of coco-det as dict, came"),
        ("tasks", {"coco-det": {"headline": "ap"}}, "but label, subject, unit, digits, is_lower_better is missing"),
        ("tasks", {"coco-det": {**AP, "unit": "pp"}}, "expected the unit of coco-det as %, dB or nothing, came"),
        ("tasks", {"coco-det": {**AP, "digits": "1"}}, "expected digits of coco-det as int, came"),
        ("tasks", {"coco-det": {**AP, "axis": "AP"}}, "key of coco-det 'axis' is unknown"),
        ("costs", [], "expected costs as dict"),
        ("costs", {"ab": {}}, "but num_parameters, encode_kmac, .* is missing"),
        ("costs", {"ab": {**asdict(COSTS), "device": 1}}, "expected device as str, came 1"),
        ("costs", {"ab": {**asdict(COSTS), "euro": 1}}, "key of costs 'euro' is unknown"),
        ("point", [], "key 'point' is unknown; did you mean 'points'"),
    ],
)
def test_damaged_content_is_one_line(make_results: Any, tmp_path: Path, key: str, value: object, message: str) -> None:
    path = tmp_path / "results.json"
    save_results(make_results([0.1], [24]), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ValueError, match=message):
        load_results(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("qualities", {"psnr": "24"}, "expected psnr as"),
        ("qualities", [24], "expected qualities as dict"),
        ("psnr_db", 24, "task 'psnr_db' is unknown"),  # beside qualities it is no older file's
        ("bpp", None, "bits per pixel, came bpp nan"),
        ("bpp", 10**400, "expected bpp as .*, came 1000"),
        ("lmbda", 10**400, "expected lmbda as .*, came 1000"),
        ("lmbda", float("inf"), "expected lmbda as .*, came Infinity"),
        ("qualities", {"psnr": 10**400}, "expected psnr as .*, came 1000"),
        ("voc-seg", {"miou": 10**400}, "expected voc-seg miou as .*, came 1000"),
        ("replicates", {"voc-seg": [10**400]}, "expected replicates of voc-seg as .*, came 1000"),
        ("num_images", 1.5, "expected num_images as int, came 1.5"),
        ("num_images", None, "expected num_images as int, came null"),
        ("psnr", 24, "task 'psnr' is unknown"),
        ("voc-seg", 0.5, "expected voc-seg as dict, came 0.5"),
        ("voc-seg", {"miou": "high"}, "expected voc-seg miou as"),
    ],
)
def test_damaged_points_are_one_line(make_results: Any, tmp_path: Path, key: str, value: object, message: str) -> None:
    path = tmp_path / "results.json"
    save_results(make_results([0.1], [24]), path)
    content = json.loads(path.read_text())
    content["points"][0][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_results(path)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        load_results(tmp_path / "nothing.json")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        load_results(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match="is not text"):
        load_results(tmp_path / "binary.json")


def test_a_failed_write_keeps_the_old_file(make_results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        save_results(make_results([0.1], [24]), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_environment_names_versions_and_machine() -> None:
    environment = read_environment()
    assert environment["torch"] == version("torch")
    assert environment["cpu"] and environment["platform"] and environment["date"].startswith("20")
    assert all(isinstance(value, str) for value in environment.values())


def test_protocol_bits_and_pooled_rate(make_results: Any, tmp_path: Path) -> None:
    """Files without them are of files as they are, with real bits; unknown bits are refused."""
    path = tmp_path / "a.json"
    plain = make_results([0.1, 0.2], [24, 27])
    save_results(plain, path)
    content = json.loads(path.read_text())
    assert "bpp_pooled" not in content["points"][0]
    assert (content.pop("protocol"), content.pop("bits")) == ("file", "real")
    path.write_text(json.dumps(content))
    assert load_results(path) == plain and plain.data == plain.dataset
    points = tuple(replace(point, bpp_pooled=0.9 * point.bpp) for point in plain.points)
    full = replace(plain, points=points, protocol="pad-64", bits="estimated")
    save_results(full, path)
    assert load_results(path) == full and full.data == f"{plain.dataset}, pad-64"
    path.write_text(path.read_text().replace('"estimated"', '"guessed"'))
    with pytest.raises(ValueError, match=r"kind of bits 'guessed' is unknown\. Choose from: real, estimated, unknown"):
        load_results(path)


def test_protocols_do_not_compare(make_results: Any, tmp_path: Path) -> None:
    """Neither by number nor in the report; seeds of several are no seeds of one curve."""
    one = make_results([0.1, 0.2, 0.4], [24, 27, 30])
    other = replace(one, protocol="center-crop-256", codec="mlicpp")
    message = r"on demo-scenes \(embedded\) follow several protocols, center-crop-256 \(mlicpp / mse\), file \(mbt2018"
    for delta in (bd_rate, bd_accuracy):
        with pytest.raises(ValueError, match=message):
            delta(one, other, "psnr")
    paths = [tmp_path / "one.json", tmp_path / "other.json"]
    for results, path in zip((one, other), paths, strict=True):
        save_results(results, path)
    with pytest.raises(ValueError, match=message):
        build_report(paths)
    save_results(replace(other, dataset="kodak"), paths[1])
    assert "kodak, center-crop-256" in build_report(paths)
    seeds = [replace(one, seed=0), replace(one, seed=1, protocol="pad-64")]
    assert merge_seeds(seeds) == seeds
