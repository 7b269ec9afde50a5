"""Which networks judge which tasks on which images; what does not fit is one line, before anything is coded."""

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image

from lic.backbones.networks import Network, build_network
from lic.curves.facts import TASKS_OF_OLDER_FILES
from lic.demo.networks import load_demo_classifier, load_demo_detector, load_demo_segmenter
from lic.demo.scenes import SHAPES, scenes_root
from lic.images import read_image
from lic.settings.names import TaskName
from lic.tasks import CARDS, DEMO_DATASET, build_tasks
from lic.tasks.task import Task
from tests.tasks.scripted import Answers, plain_cocoeval

CPU = torch.device("cpu")
DEMO: tuple[TaskName, ...] = ("imagenet-cls", "coco-det", "voc-seg")


def demo_scores(task: Task) -> dict[str, float]:
    pixels = torch.cat([read_image(path) for path in task.images])
    predictions = json.loads(json.dumps(task.predict(pixels, task.images)))
    return task.score(predictions, predictions)


def test_demo_scores_are_the_networks_own(tmp_path: Path) -> None:
    """The demo networks as they are, on the demo's files, scored by the plainest means."""
    classes, boxes, pixels = (demo_scores(task) for task in build_tasks(DEMO, (), None, CPU))
    root = scenes_root()
    files = sorted((root / "imagenet/val").glob("*/*.png"))
    with torch.no_grad():
        answers = load_demo_classifier()(torch.cat([read_image(file) for file in files])).argmax(1)
    assert classes["top1"] == np.mean([SHAPES[a] == file.parent.name for a, file in zip(answers, files, strict=True)])

    content = json.loads((root / "coco/annotations/instances_val2017.json").read_text())
    rows = []
    for image in content["images"]:
        with torch.no_grad():
            (found,) = load_demo_detector()(list(read_image(root / "coco/val2017" / image["file_name"])))
        found["boxes"][:, 2:] -= found["boxes"][:, :2]
        for box, score, label in zip(*(found[key].tolist() for key in ("boxes", "scores", "labels")), strict=True):
            rows.append({"image_id": image["id"], "category_id": label, "bbox": box, "score": score})
    assert boxes["ap"] == pytest.approx(plain_cocoeval(content, rows, tmp_path).stats[0], abs=1e-4)  # batched or not

    folder = root / "VOCdevkit/VOC2012"
    overlap, union, true = np.zeros(11), np.zeros(11), np.zeros(11)
    for file in sorted((folder / "SegmentationClass").glob("1*.png")):
        truth = np.array(Image.open(file))
        with torch.no_grad():
            guess = load_demo_segmenter()(read_image(folder / "JPEGImages" / file.name)).argmax(1)[0].numpy()
        overlap += [np.sum((truth == i) & (guess == i)) for i in range(11)]
        true += np.bincount(truth.flatten(), minlength=11)
        union += [np.sum((truth == i) | (guess == i)) for i in range(11)]
    assert pixels["miou"] == pytest.approx((overlap / np.maximum(union, 1))[true > 0].mean(), abs=1e-4)
    assert min(classes["top1"], boxes["ap"], pixels["miou"]) > 0.7


def test_demo_tasks_share_dataset_and_scenes() -> None:
    tasks = build_tasks([*DEMO, "consistency", "coco-det"], (), None, CPU, limit=5)
    names = [*DEMO, "consistency-cls", "consistency-det", "consistency-seg"]
    assert [task.name for task in tasks] == names and len({task.fingerprint for task in tasks}) >= 5
    assert {task.dataset for task in tasks} == {f"{DEMO_DATASET}, 5 of 16"}
    assert len({frozenset(path.resolve() for path in task.images) for task in tasks}) == 1
    assert {task.dataset for task in build_tasks(DEMO, (), None, CPU)} == {DEMO_DATASET}
    segmentation = build_tasks(["voc-seg"], (), None, CPU)[0]
    assert segmentation.classes == dict(enumerate(("background", *SHAPES)))


def test_consistency_of_the_originals_is_perfect() -> None:
    for task in build_tasks(["consistency"], (), None, CPU, limit=4):
        scores = demo_scores(task)
        headline = "miou" if "miou" in scores else "ap" if "ap" in scores else "agreement"
        assert scores[headline] == pytest.approx(1.0)


def test_every_network_judges_the_tasks_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(spec: str, weights: str | None, device: torch.device) -> Network:
        built.append(spec)
        return Answers("semantic", [], ("background", *SHAPES), spec)

    monkeypatch.setattr("lic.tasks.build_network", build)
    networks = [Answers("detection", [], SHAPES, "first"), Answers("classification", [], SHAPES, "only"),
                Answers("detection", [], SHAPES, "second")]  # fmt: skip
    monkeypatch.setattr("lic.tasks.segmentation.read_voc", lambda root: _demo_voc())
    tasks = build_tasks(["coco-det", "voc-seg", "consistency", "imagenet-cls"], networks, scenes_root(), CPU)
    assert [(task.name, task.network) for task in tasks] == [
        ("coco-det@first", "first"),
        ("coco-det@second", "second"),
        ("voc-seg", "deeplabv3_resnet50"),  # none was given
        ("consistency-cls", "only"),
        ("consistency-det@first", "first"),
        ("consistency-det@second", "second"),
        ("imagenet-cls", "only"),
    ]
    assert built == ["deeplabv3_resnet50"]
    assert [task.dataset for task in tasks] == [
        scenes_root().name  # the scenes are none of the published sets whose layouts they have
    ] * 7


def _demo_voc() -> Any:
    from lic.data.voc import read_voc

    return read_voc(scenes_root())._replace(classes=("background", *SHAPES))


def refused(names: list[TaskName], networks: list[Any], data_root: Path | None = None) -> str:
    with pytest.raises(ValueError) as error:
        build_tasks(names, networks, data_root, CPU)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_networks_that_fit_no_task() -> None:
    classifier = Answers("classification", [], name="resnet50")
    assert refused(["coco-det"], [classifier]) == "network resnet50 is a classifier; coco-det needs a detector"
    message = refused(["imagenet-cls", "consistency"], [classifier, Answers("instances", [], name="mask")])
    assert message == ("network mask is an instance segmenter; imagenet-cls needs a classifier, "
                       "consistency needs a classifier or a detector or a semantic segmenter")  # fmt: skip
    assert "two of the networks are called resnet50" in refused(["imagenet-cls"], [classifier, classifier])
    demo = build_network("demo:vit", None, CPU)
    assert "network demo-vit knows nothing but the demo scenes" in refused(["imagenet-cls"], [demo], scenes_root())
    message = refused(["coco-det"], [Answers("detection", [], ("person", "Circle"), "yolo")])
    assert message.startswith(f"network yolo lacks classes of {DEMO_DATASET}: arrow, crescent")
    assert " and 1 more; choose another with --network" in message


def test_demo_scenes_are_judged_by_networks_of_other_families_too() -> None:
    specs = ("classifier", "mobilenet", "vit", "ssd", "unet")
    tasks = build_tasks(DEMO, [build_network(f"demo:{spec}", None, CPU) for spec in specs], None, CPU, limit=48)
    scores = {task.name: demo_scores(task) for task in tasks}
    assert set(scores) == {"imagenet-cls@demo-classification", "imagenet-cls@demo-mobilenet", "imagenet-cls@demo-vit",
                           "coco-det", "voc-seg"}  # fmt: skip
    assert min(score["top1"] for name, score in scores.items() if "cls" in name) > 0.8
    assert scores["coco-det"]["ap"] > 0.6 and scores["voc-seg"]["miou"] > 0.6


def test_settings_list_the_cards() -> None:
    assert get_args(TaskName) == tuple(card.name for card in CARDS)


def test_files_of_before_the_cards_are_shown_alike() -> None:
    """Should a card's words change, this goes: older files keep theirs."""
    facts = {card.name + verdict.suffix: verdict.facts for card in CARDS for verdict in card.verdicts}
    assert {name: facts[name] for name in TASKS_OF_OLDER_FILES} == TASKS_OF_OLDER_FILES


def test_tasks_without_demo_scenes() -> None:
    for name in get_args(TaskName):
        if name not in (*DEMO, "pope", "seedbench", "consistency"):
            assert refused([name], []).startswith(f"{name} has no demo scenes; give --data_root")


@pytest.mark.parametrize("name", [*DEMO, "voc-det", "coco-seg", "coco-semseg", "camvid-seg"])
def test_missing_data(name: TaskName, tmp_path: Path) -> None:
    assert str(tmp_path) in refused([name], [], tmp_path)


def test_data_are_read_before_networks_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lic.tasks.build_network", None)  # would be a TypeError
    (tmp_path / "imagenet").symlink_to(scenes_root() / "imagenet")
    assert "no COCO" in refused(["imagenet-cls", "coco-det"], [], tmp_path)


def test_annotations_of_another_size(tmp_path: Path) -> None:
    shutil.copytree(scenes_root() / "coco", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    content["images"][3]["width"] = 64
    file.write_text(json.dumps(content))
    message = refused(["coco-det"], [], tmp_path)
    assert content["images"][3]["file_name"] in message and "is 128 x 128, but annotated as 64 x 128" in message


def test_upright_images_fit_their_annotations(tmp_path: Path) -> None:
    """A photograph that EXIF turns is coded, and so annotated, as it is seen."""
    shutil.copytree(scenes_root() / "coco", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    content["images"][0].update(file_name="turned.jpg", width=30, height=40)
    file.write_text(json.dumps(content))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "val2017/turned.jpg", exif=exif)
    assert read_image(tmp_path / "val2017/turned.jpg").shape == (1, 3, 40, 30)
    (task,) = build_tasks(["coco-det"], [Answers("detection", [], SHAPES)], tmp_path, CPU)
    assert len(task.images) == 16


def test_masks_of_another_size(tmp_path: Path) -> None:
    shutil.copytree(scenes_root() / "VOCdevkit", tmp_path / "VOCdevkit")
    mask = next((tmp_path / "VOCdevkit/VOC2012/SegmentationClass").glob("1*.png"))
    Image.new("L", (64, 128)).save(mask)
    assert f"{mask.name} is 128 x 128, but annotated as 64 x 128" in refused(["voc-seg"], [], tmp_path)
