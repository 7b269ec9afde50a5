"""W&B: what offline runs have in their files."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import wandb

from lic.codecs.checkpoint import SHIPPED, load_codec, save_codec
from lic.curves.files import save_results
from lic.curves.results import Results
from lic.evaluation.written import write_results
from lic.images import write_image
from lic.printing import Console
from lic.settings.tracking import WandbConfig
from lic.tracking.artifacts import log_artifacts
from lic.tracking.curves import COLUMNS, log_curve, log_evaluation, log_results
from lic.tracking.runs import finish_wandb, has_key, present_run, start_wandb
from tests.made_results import MakeResults
from tests.support import noise_image
from tests.wandb_file import RunFile, read_run, read_runs

CHECKPOINTS = [SHIPPED / f"mbt2018-mean-vbr-{distortion}.safetensors" for distortion in ("mse", "mlclipsim")]


@pytest.fixture(autouse=True)
def no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave no staged artifacts in the home folder, and no run behind."""
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staging"))
    yield
    wandb.finish()


@pytest.fixture
def evaluation(tmp_path: Path, make_results: MakeResults) -> dict[str, RunFile]:
    """The runs of an evaluation of a learned codec by two networks, and of JPEG, with a checkpoint of neither."""
    learned = make_results([0.1, 0.2], [20.0, 25.0])
    sources = [load_codec(path).sha256 for path in CHECKPOINTS]
    points = [replace(point, checkpoint=sha256) for point, sha256 in zip(learned.points, sources, strict=True)]
    learned = replace(learned, points=tuple(points))
    for point in learned.points:
        point.tasks["coco-det"] |= {"ap_low": 0.1, "ap_high": 0.6}
        point.tasks["coco-det@yolox"] = {"ap": point.tasks["coco-det"]["ap"] + 0.1, "ap50": 0.7}
    jpeg = make_results([0.3], [22.0], "jpeg", None, is_learned=False)
    folder, paths = tmp_path / "scores", []
    folder.mkdir()
    write_image(noise_image(0, 20, 30), folder / "curves.png")
    for result, name in ((learned, "mbt2018-mean-mse"), (jpeg, "jpeg")):
        paths.append(folder / f"{name}.json")
        paths[-1].write_text("{}") if result is learned else save_results(result, paths[-1])
    text = io.StringIO()
    loaded = load_codec(CHECKPOINTS[0])
    save_codec(loaded.codec, replace(loaded.header, seed=9), tmp_path / "another.safetensors")
    checkpoints = [*CHECKPOINTS, tmp_path / "another.safetensors"]
    log_evaluation(WandbConfig(mode="offline"), {"limit": 7}, [learned, jpeg], paths, checkpoints, Console(file=text))
    assert f"wandb sync {folder}/wandb/offline-run-*" in text.getvalue().replace("\n", "")
    return read_runs(folder)


def test_a_run_for_each_curve(evaluation: dict[str, RunFile]) -> None:
    assert sorted(evaluation) == ["scores-jpeg", "scores-mbt2018-mean-mse"]
    learned, jpeg = evaluation["scores-mbt2018-mean-mse"], evaluation["scores-jpeg"]
    assert (learned.run.run_group, jpeg.run.run_group) == ("mbt2018-mean / mse", "jpeg")
    assert (list(learned.run.tags), list(jpeg.run.tags)) == (["lmbda=0.01", "lmbda=0.02"], [])
    assert {run.run.job_type for run in evaluation.values()} == {"eval"}
    assert {run.run.project for run in evaluation.values()} == {"lic"}
    config = learned.config()
    assert (config["limit"], config["codec"], config["distortion"]) == (7, "mbt2018-mean", "mse")
    assert config["dataset"] == "demo-scenes (embedded)" and jpeg.config()["distortion"] is None


def test_table(evaluation: dict[str, RunFile]) -> None:
    rows = evaluation["scores-mbt2018-mean-mse"].table("rate_task/coco-det")
    assert tuple(rows[0]) == COLUMNS
    curve, data = "mbt2018-mean / mse, demo-scenes (embedded)", {"codec": "mbt2018-mean", "distortion": "mse"}
    first = {"seed": None, "lmbda": 0.01, "quality": None, "bpp": 0.1} | data
    assert rows[0] == {"curve": curve, "score": 0.2, "low": 0.1, "high": 0.6, "ceiling": 0.6, "network": None} | first
    other = {"curve": f"{curve}, yolox", "low": None, "high": None, "ceiling": None, "network": "yolox"} | first
    assert rows[1] == other | {"score": pytest.approx(0.3)}
    assert [(row["bpp"], row["network"]) for row in rows[2:]] == [(0.2, None), (0.2, "yolox")]
    (row,) = evaluation["scores-jpeg"].table("rate_task/psnr")
    assert (row["codec"], row["quality"], row["score"], row["ceiling"]) == ("jpeg", 10, 22.0, None)


def test_seeds_are_kept_apart(tmp_path: Path, make_results: MakeResults) -> None:
    folder, paths = tmp_path / "scores", []
    folder.mkdir()
    results = [replace(make_results([0.1 + seed / 100], [20.0]), label="pure", seed=seed) for seed in (0, 1)]
    for result in results:
        paths.append(folder / f"{result.curve.stem_with_seed}.json")
        save_results(result, paths[-1])
    write_image(noise_image(0, 20, 30), folder / "curves.png")
    log_evaluation(WandbConfig(mode="offline"), {}, results, paths, [], Console(file=io.StringIO()))
    runs = read_runs(folder)
    assert sorted(runs) == ["scores-mbt2018-mean-pure-seed0", "scores-mbt2018-mean-pure-seed1"]
    for seed, run in enumerate(runs[name] for name in sorted(runs)):
        (row,) = run.table("rate_task/coco-det")
        curve = f"mbt2018-mean / pure, seed {seed}, demo-scenes (embedded)"
        assert (row["curve"], row["distortion"], row["seed"]) == (curve, "mse", seed)
        assert run.run.run_group == "mbt2018-mean / pure"
        assert (run.config()["label"], run.config()["seed"]) == ("pure", seed)
        assert [json.loads(artifact.metadata)["seeds"] for artifact in run.artifacts] == [[seed]]


def test_chart_draws_the_table(evaluation: dict[str, RunFile]) -> None:
    run = evaluation["scores-jpeg"]
    assert run.table("rate_task/coco-det/curves_table") == run.table("rate_task/coco-det")
    charts = [item.value_json for item in run.run.config.update]
    texts = " ".join([*charts, *map(str, run.configs)])
    assert "wandb/lineseries/v0" in texts and "rate_task/coco-det/curves_table" in texts


def test_history_is_the_curve(evaluation: dict[str, RunFile]) -> None:
    run = evaluation["scores-mbt2018-mean-mse"]
    rows = [row for row in run.history if "rate_task/bpp" in row]
    assert [(row["rate_task/bpp"], row["rate_task/coco-det/score"]) for row in rows] == [(0.1, 0.2), (0.2, 0.25)]
    assert [row["rate_task/psnr/score"] for row in rows] == [20.0, 25.0]
    assert run.summary["rate_task/bpp"] == 0.2 and run.summary["rate_task/coco-det/score"] == 0.25
    assert "rate_task/figures/curves" in run.history[0]


def test_bits_needed_for_shares_of_the_ceiling(tmp_path: Path, make_results: MakeResults) -> None:
    """0.57 and 0.594 of detection's 0.6 are a half and 0.98 of a doubling above 0.1 bpp; top-1 is there at once."""
    start_wandb(WandbConfig(mode="offline"), "a", {}, tmp_path, "eval", "mbt2018-mean / mse", [0.01])
    log_curve(make_results([0.1, 0.2], [54.5, 59.5]))
    text = io.StringIO()
    finish_wandb(Console(file=text))
    (command,) = re.findall(r"wandb sync (\S+)", text.getvalue().replace("\n", ""))
    summary = read_run(Path(command)).summary
    needed = {key: value for key, value in summary.items() if "bpp_for" in key}
    assert needed == {
        "rate_task/coco-det/bpp_for_95": pytest.approx(0.1 * 2**0.5),
        "rate_task/coco-det/bpp_for_99": pytest.approx(0.1 * 2**0.98),
        "rate_task/imagenet-cls/bpp_for_95": pytest.approx(0.1),
        "rate_task/imagenet-cls/bpp_for_99": pytest.approx(0.1),
    }


def test_nothing_is_said_of_shares_out_of_reach(evaluation: dict[str, RunFile]) -> None:
    assert not [key for run in evaluation.values() for key in run.summary if "bpp_for" in key]


def test_artifacts_have_a_lineage(evaluation: dict[str, RunFile]) -> None:
    *models, results = evaluation["scores-mbt2018-mean-mse"].artifacts
    names = [f"mbt2018-mean-vbr-{distortion}-0.0006-0.09-seed0" for distortion in ("mse", "mlclipsim")]
    assert [model.name for model in models] == names
    assert all(model.type == "model" and model.use_after_commit for model in models), "inputs, not outputs"
    sources = [load_codec(path).sha256 for path in CHECKPOINTS]
    assert [json.loads(model.metadata)["sha256"] for model in models] == sources
    assert (results.type, results.use_after_commit) == ("results", False)
    assert results.name == "results-scores-mbt2018-mean-mse"
    assert [content.path for content in results.manifest.contents] == ["curves.png", "mbt2018-mean-mse.json"]
    assert json.loads(results.metadata)["checkpoints"] == sorted(sources)
    (alone,) = evaluation["scores-jpeg"].artifacts
    assert alone.type == "results" and json.loads(alone.metadata)["checkpoints"] == []


def test_disabled_runs_leave_nothing(tmp_path: Path, make_results: MakeResults) -> None:
    results: list[Results] = [make_results([0.1], [20.0])]
    log_evaluation(WandbConfig(mode="disabled"), {}, results, [tmp_path / "a.json"], CHECKPOINTS, Console())
    start_wandb(WandbConfig(mode="disabled"), "a", {}, tmp_path, "train", "codec / mse", [0.01])
    assert present_run() is None
    log_results(results, [tmp_path])
    log_curve(results[0])
    finish_wandb(Console())
    assert wandb.run is None and not list(tmp_path.glob("**/offline-run-*"))


def test_results_of_a_training_keep_its_steps(tmp_path: Path, make_results: MakeResults) -> None:
    start_wandb(WandbConfig(mode="offline"), "a", {}, tmp_path, "train", "mbt2018-mean / mse", [0.01])
    log_results([make_results([0.1], [20.0]), make_results([0.3], [22.0], "jpeg", None, False)], [tmp_path], 50)
    text = io.StringIO()
    finish_wandb(Console(file=text))
    (command,) = re.findall(r"wandb sync (\S+)", text.getvalue().replace("\n", ""))
    run = read_run(Path(command))
    assert run.history[0]["trainer/global_step"] == 50
    assert [row["codec"] for row in run.table("rate_task/ms-ssim")] == ["mbt2018-mean", "jpeg"]


def test_files_of_several_sets_have_places_of_their_own(tmp_path: Path, make_results: MakeResults) -> None:
    """A training that is judged on COCO and ImageNet has files of one name in two folders."""
    start_wandb(WandbConfig(mode="offline"), "a", {}, tmp_path, "train", "mbt2018-mean / mse", [0.01])
    files = [tmp_path / folder / "mse.json" for folder in ("coco", "imagenet")]
    results = [replace(make_results([0.1], [20.0]), dataset=path.parent.name) for path in files]
    for path, one in zip(files, results, strict=True):
        path.parent.mkdir()
        save_results(one, path)
    log_artifacts(results, files)
    text = io.StringIO()
    finish_wandb(Console(file=text))
    (command,) = re.findall(r"wandb sync (\S+)", text.getvalue().replace("\n", ""))
    (artifact,) = read_run(Path(command)).artifacts
    assert sorted(entry.path for entry in artifact.manifest.contents) == ["coco/mse.json", "imagenet/mse.json"]
    assert json.loads(artifact.metadata)["dataset"] == "coco, imagenet"


def test_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not has_key()
    host = wandb.Settings().base_url.removeprefix("https://")
    for machine, expected in ((host, True), ("api.wandb.ai", True), ("example.com", False)):
        (tmp_path / ".netrc").write_text(f"machine {machine} login user password {'a' * 40}\n")
        (tmp_path / ".netrc").chmod(0o600)
        assert has_key() is expected
    (tmp_path / ".netrc").write_text("nonsense nonsense")
    assert not has_key()
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    assert has_key()


@pytest.mark.parametrize("trouble", [
    {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40},  # a key, and nobody who answers
    {"HOME": "/dev/null", "WANDB_MODE": "offline"},  # nowhere to stage files
])  # fmt: skip
def test_a_run_without_server_or_home_is_kept_offline(
    tmp_path: Path, make_results: MakeResults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    trouble: dict[str, str],
) -> None:  # fmt: skip
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    for name, value in trouble.items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    results, text = make_results([0.3], [22.0], "jpeg", None, False), io.StringIO()
    paths = write_results([results], tmp_path)
    log_evaluation(WandbConfig(), {}, [results], paths, [], Console(file=text))
    assert "W&B runs kept offline" in text.getvalue()
    assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == ("WANDB_BASE_URL" in trouble) and all("which is kept offline" in line for line in lines)
    wandb.teardown()
