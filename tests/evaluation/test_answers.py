"""Vision-language models as readers, the whole way: coded, asked, scored, written, exported."""

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from lic.backbones.vlm import Reader
from lic.commands import eval as evaluation
from lic.curves.files import load_results
from lic.evaluation import plan
from lic.evaluation.baselines import PillowCoder
from lic.evaluation.exported import export
from lic.printing import Console
from lic.settings.evaluate import EvalConfig
from lic.settings.metrics import MetricsConfig
from tests.tiny_vlms import save_internvl, save_qwen

TASKS = ["--task", "pope", "seedbench", "--checkpoint", "[]", "--metric", "psnr", "--wandb.mode", "disabled"]


def evaluate(output: Path, *further: str) -> None:
    assert evaluation.main([*TASKS, "--output", str(output), *further], "lic eval") == 0


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("vlms")
    return ["--network", f"hf:{save_internvl(folder / 'one')}", f"hf:{save_qwen(folder / 'two')}"]


def test_two_models_judge(networks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(tmp_path, *networks, "--baseline", "jpeg", "--limit", "4")
    results = load_results(tmp_path / "jpeg.json")
    assert results.networks == {"pope": ["one", "two"], "seedbench": ["one", "two"]}
    readers = results.config["readers"]
    assert readers["pope@one"]["prompt"] == "QUESTION\nAnswer the question using a single word or phrase."
    assert readers["seedbench@two"]["image_of_640x480"].startswith("image_grid_thw")
    for scores in (results.ceiling, *(point.tasks for point in results.points)):
        pope = scores["pope@one"]
        assert pope["recall_random"] == pope["recall_popular"] == pope["recall_adversarial"]
        assert {"f1", "f1_low", "f1_high", "accuracy_strict", "yes_rate", "unparsed"} <= pope.keys()
        assert scores["pope"]["f1"] == pytest.approx((pope["f1"] + scores["pope@two"]["f1"]) / 2)
    said = capsys.readouterr().err
    assert "answers are none of those asked for, as '" in said
    folders = sorted(path for path in (tmp_path / "answers").rglob("pope@one.jsonl"))
    assert len(folders) == 1 + len(results.points)
    lines = [[json.loads(line) for line in path.read_text().splitlines()] for path in folders]
    assert len({len(each) for each in lines}) == 1 and len({str(each) for each in lines}) > 1
    parsed = [line["parsed"] is None for line in lines[-1]]
    assert results.ceiling["pope@one"]["unparsed"] == pytest.approx(sum(parsed) / len(parsed))


def test_a_resumed_evaluation_asks_nothing_twice(
    networks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(tmp_path, *networks[:2], "--baseline", "jpeg", "--limit", "3")
    before = load_results(tmp_path / "jpeg.json")
    records = next((tmp_path / "records").glob("*.jsonl"))
    lines = records.read_text().splitlines()
    records.write_text("\n".join([*lines[:-1], lines[-1][:40]]))  # killed while it wrote
    asked: list[int] = []
    original = Reader.__call__

    def count(self: Reader, questions: list[str]) -> list[str]:
        asked.append(len(questions))
        return original(self, questions)

    monkeypatch.setattr(Reader, "__call__", count)
    evaluate(tmp_path, *networks[:2], "--baseline", "jpeg", "--limit", "3")
    after = load_results(tmp_path / "jpeg.json")
    assert len(asked) in range(1, 7)  # of the last batch's images, by both tasks
    assert [point.tasks for point in after.points] == [point.tasks for point in before.points]


def test_exported_for_vlmevalkit(tmp_path: Path) -> None:
    evaluate(tmp_path / "out", "--baseline", "jpeg", "--export", "lmudata", str(tmp_path / "lmu"))
    point = tmp_path / "lmu/jpeg/q10"
    for place in (point, tmp_path / "lmu/original"):
        with (place / "POPE.tsv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        assert {row["answer"] for row in rows} == {"Yes", "No"} and {row["category"] for row in rows} == {
            "random", "popular", "adversarial"}  # fmt: skip
        assert all(Path(row["image_path"]).is_relative_to(place) and Path(row["image_path"]).is_file() for row in rows)
        with (place / "SEEDBench_IMG.tsv").open(newline="") as file:
            choices = list(csv.DictReader(file, delimiter="\t"))
        assert [*choices[0]] == ["index", "question", "A", "B", "C", "D", "answer", "category", "image_path"]
        assert all(row[row["answer"]] for row in choices)
    name = Path(rows[0]["image_path"]).name
    coded, original = (Image.open(place / "images/POPE" / name) for place in (point, tmp_path / "lmu/original"))
    assert coded.size == original.size and coded.tobytes() != original.tobytes()


def test_exported_for_lmms_eval(tmp_path: Path) -> None:
    evaluate(tmp_path / "out", "--baseline", "jpeg", "--export", "lmms-eval", str(tmp_path / "lmms"))
    folder = tmp_path / "lmms/jpeg/q40/lmms-lab-encoder"
    rows = [json.loads(line) for line in (folder / "POPE/test/metadata.jsonl").read_text().splitlines()]
    assert {row["answer"] for row in rows} == {"yes", "no"}
    assert all((folder / "POPE/test" / row["file_name"]).is_file() for row in rows)
    rows = [json.loads(line) for line in (folder / "SEED-Bench/test/metadata.jsonl").read_text().splitlines()]
    assert all((folder / "SEED-Bench/test" / row["image_file_names"][0]).is_file() for row in rows)


@pytest.mark.parametrize(
    ("further", "line"),
    [
        (["--export", "lmudata", "x", "--limit", "3"], "--export is for whole sets, as harnesses score them: leave"),
        (["--export", "lmudata"], "export takes a harness and a folder (lmudata FOLDER or lmms-eval FOLDER), got lmu"),
        (["--export", "x", "y"], "got x y"),
        (["--export", "lmudata", "/proc/x"], "--export cannot write to /proc/x (No such file or directory); choose"),
        (["--export", "lmudata", "x", "--task", "voc-seg"], "give --task pope, seedbench, textvqa"),
        (["--network", "demo:vit"], "network demo-vit is a classifier; pope needs a vision-language model, seedbench"),
        (["--task", "textvqa"], "textvqa has no demo scenes; give --data_root"),
        (["--data_root", "."], "no coco_pope_random.json in .: expected it there or in pope"),
    ],
)
def test_mistakes_are_a_line(
    further: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as info:
        evaluate(tmp_path / "out", "--baseline", "jpeg", *further)
    assert info.value.code == 2 and line in capsys.readouterr().err.splitlines()[-1]


def test_a_missing_picture_is_not_exported(tmp_path: Path) -> None:
    config = EvalConfig(task=["pope"], metric=["psnr"], baseline=["jpeg"])
    (rate_task,) = plan.plan_evaluation(config, MetricsConfig(), torch.device("cpu"), Console(quiet=True), {})
    plan.place([rate_task], tmp_path / "out", None)
    results = list(rate_task.results([PillowCoder("jpeg", 30)]))
    export("lmudata", tmp_path / "whole", rate_task, results)
    (tmp_path / "whole/mine.txt").write_text("mine")
    export("lmudata", tmp_path / "whole", rate_task, results)  # again: in the place of the first
    assert (tmp_path / "whole/mine.txt").exists()
    (tmp_path / "whole/jpeg/q30/images/POPE/holiday.png").write_text("mine")
    with pytest.raises(ValueError, match=r"q30/images/POPE holds holiday\.png, which is not of this export; choose"):
        export("lmudata", tmp_path / "whole", rate_task, results)
    lost = next((tmp_path / "out/samples/jpeg/q30").glob("*.png"))
    lost.unlink()
    with pytest.raises(ValueError, match=rf"1 of 16 pictures of pope are missing from .*q30, first .*{lost.stem}"):
        export("lmudata", tmp_path / "part", rate_task, results)
    assert not (tmp_path / "part/jpeg").exists()
