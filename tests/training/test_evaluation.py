"""A training's evaluation: that of `lic eval`, during the training and at its end, on demo scenes and photographs."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lic.curves.files import load_results
from lic.curves.results import Results
from lic.evaluation.rate_task import RateTask
from lic.printing import Console
from lic.settings.evaluate import EvalConfig, TrainingEvalConfig
from lic.settings.tracking import WandbConfig
from lic.settings.train import TrainConfig, TrainerConfig
from lic.training.run import train
from tests.wandb_file import read_runs

DATA = Path(os.environ.get("LIC_TEST_DATA", "absent"))
SMALL = TrainConfig(
    lmbda=[0.0067, 0.025], codec="mbt2018-mean-vbr", distortion="mse", num_channels=8, num_latent_channels=12,
    crop_px=64, batch_size=2, num_workers=0, name="run", eval=TrainingEvalConfig(limit=2, every_n_steps=2),
    wandb=WandbConfig(mode="disabled"), trainer=TrainerConfig(max_steps=4, accelerator="cpu"),
)  # fmt: skip


def trained(config: TrainConfig, output: Path) -> Path:
    """Train and return the run's folder."""
    assert train(replace(config, output=str(output)), Console(quiet=True)) == 0
    return output / "run"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs-1" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def comparable(results: Results) -> list[object]:
    return [replace(point, encode_seconds=0, decode_seconds=0, checkpoint="") for point in results.points]


def test_during_the_training_and_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operating point is judged, W&B gets the steps' scalars, and the weights are those without evaluations."""
    judged: list[list[Results]] = []
    measure = RateTask.results

    def noted(self: RateTask, coders: list[object]) -> list[Results]:
        judged.append(measure(self, coders))  # type: ignore[arg-type]
        return judged[-1]

    monkeypatch.setattr(RateTask, "results", noted)
    config = replace(SMALL, eval=replace(SMALL.eval, task=["imagenet-cls"]), wandb=WandbConfig("mine", mode="offline"))
    folder = trained(config, tmp_path)
    middle, final, baselines = judged
    assert [[point.lmbda for point in each[0].points] for each in (middle, final)] == [[0.0067, 0.025]] * 2
    assert middle[0].points[0].checkpoint != final[0].points[0].checkpoint
    assert [each.codec for each in baselines] == ["jpeg", "webp"]
    assert comparable(load_results(folder / "mbt2018-mean-vbr-mse.json")) == comparable(final[0])
    judged_at = {row["step"]: row["val/imagenet-cls/top1"] for row in rows(folder) if row["val/imagenet-cls/top1"]}
    assert list(judged_at) == ["2", "4"]
    ((run,),) = [list(read_runs(folder).values())]
    assert len([row for row in run.history if "rate_task/imagenet-cls/curves" in str(row)]) >= 2
    assert (folder / "reconstructions.png").is_file() and (folder / "curves.png").is_file()
    monkeypatch.undo()
    without = trained(replace(SMALL, eval=TrainingEvalConfig(task=["imagenet-cls"], limit=2)), tmp_path / "without")
    states = [torch.load(each / "last.ckpt", weights_only=True)["state_dict"] for each in (folder, without)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1]), "judging changes no step"


def test_the_same_numbers_as_lic_eval(tmp_path: Path) -> None:
    from lic.evaluation.run import evaluate

    folder = trained(replace(SMALL, eval=TrainingEvalConfig(limit=2)), tmp_path)
    evaluate(
        EvalConfig(checkpoint=[str(folder)], baseline=[], limit=2, output=str(tmp_path / "eval"), device="cpu",
                   wandb=WandbConfig(mode="disabled")),
        Console(quiet=True),
    )  # fmt: skip
    own, other = (load_results(place / "mbt2018-mean-vbr-mse.json") for place in (folder, tmp_path / "eval"))
    assert comparable(own) == comparable(other) and own.ceiling == other.ceiling
    assert set(own.ceiling) == {"imagenet-cls", "coco-det", "voc-seg"}


def test_what_is_missing_shows_before_the_first_step(tmp_path: Path) -> None:
    for settings, message in (
        (TrainingEvalConfig(data_root=str(tmp_path / "none"), task=["coco-det"]), "is not a folder"),
        (TrainingEvalConfig(data_root=str(tmp_path), task=["coco-det"]), "no COCO in"),
        (TrainingEvalConfig(network=["onnx:none.onnx"]), "none.onnx"),
    ):
        with pytest.raises(ValueError, match=message):
            train(replace(SMALL, eval=settings, output=str(tmp_path / "runs")), Console(quiet=True))
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not DATA.is_dir(), reason="LIC_TEST_DATA names no folder of real photographs and networks")
@pytest.mark.parametrize(
    ("task", "folder", "network"),
    [
        ("imagenet-cls", "imagenet378", "timm:mobilenetv2_imagenet_a.timm.fp16.safetensors"),
        ("coco-det", "coco128", "onnx:yolox_nano_coco80_416.onnx"),
        ("camvid-seg", "camvid", "onnx:deeplab_edgetpu_cityscapes19_513.onnx"),
    ],
)
def test_photographs_judged_by_published_networks(task: str, folder: str, network: str, tmp_path: Path) -> None:
    source, _, file = network.partition(":")
    config = replace(
        SMALL, data="folder", data_root=str(DATA / "kodak24"),
        eval=TrainingEvalConfig(task=[task], network=[f"{source}:{DATA / 'networks' / file}"],  # type: ignore[list-item]
                                data_root=str(DATA / folder), limit=4, every_n_steps=2),
    )  # fmt: skip
    run = trained(config, tmp_path)
    results = load_results(run / "mbt2018-mean-vbr-mse.json")
    assert [point.num_images for point in results.points] == [4, 4] and task in results.ceiling
    assert all(task in point.tasks for point in results.points) and results.networks[task]
    settings = json.loads((run / "mbt2018-mean-vbr-mse.json").read_text())["config"]
    assert settings["eval"]["data_root"] == str(DATA / folder)
