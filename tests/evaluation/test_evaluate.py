"""Evaluation: rates are real bytes, tasks see reconstructions only, and batching changes no number."""

import json
import math
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from lic.bitstream import Encoded
from lic.codecs import load_codec
from lic.curves.facts import TASKS_OF_OLDER_FILES
from lic.curves.files import load_results
from lic.curves.results import Point, task_of
from lic.distortions.mlclipsim import Seen
from lic.evaluation.baselines import PillowCoder
from lic.evaluation.coders import Coder, LearnedCoder
from lic.evaluation.evaluate import code, evaluate, plan_batches
from lic.evaluation.measure import Measures, build_measures
from lic.evaluation.rate_task import RateTask, group_by_dataset, readable
from lic.evaluation.records import Records
from lic.evaluation.run import learned_coders
from lic.evaluation.written import write_results
from lic.images import crop_to, quantise, read_image, write_image
from lic.metrics import build_metric, ms_ssim, psnr_db
from lic.settings.metrics import FeaturesConfig, MetricsConfig
from tests.support import ON_DEMO


class Spoiler:
    """A coder whose decoder is a function of the image that it has just seen."""

    codec, distortion, lmbda, quality, checkpoint = "spoiler", None, None, 1, None
    fingerprint, is_threadsafe, scale_percent, program = "spoiler", False, None, None

    def __init__(self, decoder: Callable[[Tensor], Tensor]) -> None:
        self.decoder = decoder

    def encode(self, image: Tensor) -> Encoded:
        self.image = image
        return Encoded(bytes(10), None)

    def decode(self, stream: bytes) -> Tensor:
        return self.decoder(self.image)


class MeanColour:
    """A task whose score tells which pixels it was shown, and which images."""

    dataset, network, fingerprint = "demo", "mean", "of no weights"
    classes: ClassVar[dict[int, str]] = {}

    def __init__(self, name: str, images: Sequence[Path]) -> None:
        self.name, self.images, self.facts = name, list(images), TASKS_OF_OLDER_FILES[task_of(name)]
        self.batches: list[tuple[int, ...]] = []
        self.more: dict[str, float] = {}

    def predict(self, images: Tensor, paths: Sequence[Path]) -> list[float]:
        assert len(images) == len(paths) and set(paths) <= set(self.images)
        self.batches.append(tuple(images.shape))
        return [float(each.double().mean()) for each in images]

    def score(self, predictions: Sequence[float], originals: Sequence[float]) -> dict[str, float]:
        assert len(predictions) == len(originals) == len(self.images)
        total = sum((i + 1) * prediction for i, prediction in enumerate(predictions))  # the order matters
        return {self.facts.headline: total / len(predictions), **self.more}


class Tasks:
    def __init__(self, images: list[Path]) -> None:
        self.all = [
            MeanColour("imagenet-cls", images),
            MeanColour("coco-det", [images[4], images[0]]),
            MeanColour("voc-seg", images[2:3]),
        ]


@pytest.fixture
def learned(make_checkpoint: Callable[..., Path]) -> LearnedCoder:
    return LearnedCoder(load_codec(make_checkpoint("codec.safetensors", [0.01])), 0.01, torch.device("cpu"))


def by_hand(coder: Coder, images: list[Path], metric: Measures) -> dict[str, float]:
    """Means over images, each coded and measured alone."""
    rows = []
    for path in images:
        image = read_image(path)
        stream = coder.encode(image)
        decoded = quantise(coder.decode(stream.content))
        with torch.no_grad():
            similarity = metric.metrics["mlclipsim"](decoded, image).item()
        bpp = 8 * len(stream.content) / (image.shape[-2] * image.shape[-1])
        estimate = (stream.num_bits_estimated or 0.0) / (image.shape[-2] * image.shape[-1])
        rows.append((bpp, estimate, psnr_db(decoded, image).item(), ms_ssim(decoded, image).item(), similarity))
    means = torch.tensor(rows, dtype=torch.float64).mean(0).tolist()
    return dict(zip(("bpp", "bpp_estimated", "psnr", "ms-ssim", "mlclipsim"), means, strict=True))


def value_of(point: Point, name: str) -> float:
    return float(getattr(point, name)) if name.startswith("bpp") else point.score(name)


def expected_scores(tasks: list[MeanColour], coder: Coder | None) -> dict[str, dict[str, float]]:
    """The tasks' scores from images one by one, decoded or as they are."""
    scores = {}
    for task in tasks:
        shown = [read_image(path) for path in task.images]
        if coder is not None:
            shown = [quantise(coder.decode(coder.encode(image).content)) for image in shown]
        predictions = [float(image.double().mean()) for image in shown]
        (values,) = task.score(predictions, predictions).items()
        scores[task.name] = {values[0]: pytest.approx(values[1], abs=1e-9)}
    return scores


def reach(coder: Coder, images: list[Path], tasks: Sequence[MeanColour], metric: Measures) -> Point:
    """The point of one coder on images and tasks."""
    ((point,),) = [each.points for each in RateTask("demo", images, tasks, metric).results([coder])]
    return point


def test_point_of_a_learned_codec(learned: LearnedCoder, images: list[Path], metric: Measures) -> None:
    tasks = Tasks(images).all
    point = reach(learned, images, tasks, metric)
    for name, value in by_hand(learned, images, metric).items():
        assert value_of(point, name) == pytest.approx(value, rel=1e-5), name
    assert (point.lmbda, point.quality, point.checkpoint) == (0.01, None, learned.checkpoint)
    assert point.num_images == 6 and point.encode_seconds > 0 and point.decode_seconds > 0
    assert point.tasks == expected_scores(tasks, learned)


def test_progress_counts_images(images: list[Path], metric: Measures) -> None:
    seen: list[tuple[int, int]] = []
    batches = plan_batches(images)
    similarity = metric
    evaluate(PillowCoder("jpeg", 30), batches, [], similarity, Records(None), progress=lambda *each: seen.append(each))
    assert seen == [(0, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]


def test_point_of_jpeg(images: list[Path], metric: Measures) -> None:
    coder = PillowCoder("jpeg", 30)
    point = reach(coder, images, [], metric)
    for name, value in by_hand(coder, images, metric).items():
        if name != "bpp_estimated":
            assert value_of(point, name) == pytest.approx(value, rel=1e-5), name
    assert (point.bpp_estimated, point.lmbda, point.quality, point.tasks) == (None, None, 30, {})


def test_mixed_sizes_are_batched_by_size(images: list[Path], metric: Measures) -> None:
    task = MeanColour("imagenet-cls", images)
    together = reach(PillowCoder("webp", 20), images, [task], metric)
    assert task.batches[-5:] == [(2, 3, 64, 64), (1, 3, 48, 80), (1, 3, 64, 64), (1, 3, 48, 80), (1, 3, 33, 20)]
    reordered = [images[i] for i in (0, 1, 3, 2, 4, 5)]
    task = MeanColour("imagenet-cls", images)  # its own order stays
    other = reach(PillowCoder("webp", 20), reordered, [task], metric)
    assert task.batches[-3:] == [(3, 3, 64, 64), (2, 3, 48, 80), (1, 3, 33, 20)]
    for name in ("bpp", "psnr", "ms-ssim", "mlclipsim"):
        assert value_of(other, name) == pytest.approx(value_of(together, name), rel=1e-5), name
    assert other.tasks["imagenet-cls"]["top1"] == pytest.approx(together.tasks["imagenet-cls"]["top1"])


def test_batches_are_bounded(images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    same_size = [images[i] for i in (0, 1, 3)]
    for limit, value in (("MAX_BATCH", 2), ("MAX_BATCH_PX", 2 * 64 * 64)):
        with monkeypatch.context() as patch:
            patch.setattr(f"lic.evaluation.evaluate.{limit}", value)
            assert [len(batch) for batch in plan_batches(same_size)] == [2, 1], limit
            patch.setattr("lic.evaluation.evaluate.MAX_BATCH_PX", 1)
            assert [len(batch) for batch in plan_batches(same_size)] == [1, 1, 1], "a large image goes alone"


def test_ceiling_is_the_originals(images: list[Path], metric: Measures) -> None:
    tasks = Tasks(images).all
    assert RateTask("demo", images, tasks, metric).ceiling == expected_scores(tasks, None)


def test_several_networks_have_scores_of_their_own_and_a_mean(images: list[Path], metric: Measures) -> None:
    tasks = [MeanColour("coco-det@a", images), MeanColour("coco-det@b", images[:2]), MeanColour("voc-seg", images)]
    tasks[0].more = tasks[1].more = {"ap_low": 0.1, "ap_high": 0.2, "ap_large": 0.5}
    scores = RateTask("demo", images, tasks, metric).ceiling
    assert scores["coco-det"].keys() == {"ap", "ap_large"}, "no mean of intervals' ends"
    assert list(scores) == ["coco-det@a", "coco-det@b", "voc-seg", "coco-det"]
    assert scores["coco-det"]["ap"] == pytest.approx((scores["coco-det@a"]["ap"] + scores["coco-det@b"]["ap"]) / 2)


def test_tasks_on_links_to_the_same_images_share_them(images: list[Path], tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(images[3])
    tasks = [MeanColour("imagenet-cls", images), MeanColour("voc-seg", [link])]
    ((dataset, shared, own),) = group_by_dataset(tasks)
    assert (dataset, shared, own) == ("demo", [path.resolve() for path in images], tasks)
    assert tasks[1].images == [images[3].resolve()]


@pytest.mark.parametrize(
    ("decoder", "cause"),
    [
        (lambda image: image, "gave back the original of"),
        (lambda image: image.clone(), "gave back the original of"),
        (lambda image: image + 1e-4, "gave back the original of"),  # the same 8 bits
        (lambda image: crop_to(image, 64, 63), "changed the size of"),
        (lambda image: torch.cat([image, image], 2), "changed the size of"),
        (lambda image: image[:, :1], "changed the size of"),
    ],
)
def test_originals_and_other_sizes_are_refused(
    decoder: Callable[[Tensor], Tensor], cause: str, images: list[Path], metric: Measures
) -> None:
    task = MeanColour("imagenet-cls", images)
    with pytest.raises(ValueError, match=f"spoiler {cause} {images[0]}") as error:
        evaluate(Spoiler(decoder), plan_batches(images), [task], metric, Records(None))
    assert not task.batches and "\n" not in str(error.value)


def test_a_single_leak_among_good_images_is_refused(images: list[Path], metric: Measures) -> None:
    leaky = Spoiler(lambda image: image if image.shape[-1] == 20 else 1 - image)
    with pytest.raises(ValueError, match=str(images[5])):
        evaluate(leaky, plan_batches(images), [], metric, Records(None))


def test_reconstructions_are_8_bit(images: list[Path]) -> None:
    coded = code(Spoiler(lambda image: image * 0.777 - 0.01), read_image(images[0]), images[0])
    steps = coded.reconstruction * 255
    assert torch.allclose(steps, steps.round(), atol=1e-4) and coded.reconstruction.min() >= 0
    assert coded.bpp == pytest.approx(80 / 64**2)


def test_results_are_grouped_by_codec_and_distortion(
    images: list[Path], metric: Measures, make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    coders: list[Coder] = [PillowCoder("jpeg", 60), PillowCoder("webp", 20), PillowCoder("jpeg", 10)]
    for name, distortion in (("a", "mse"), ("b", "mlclipsim")):
        loaded = load_codec(make_checkpoint(f"{name}.safetensors", [0.01, 0.02], distortion))
        coders += [LearnedCoder(loaded, lmbda, cpu) for lmbda in loaded.header.lmbda]
    results = RateTask("demo", images[:2], [MeanColour("voc-seg", images[:2])], metric, config={"a": 1}).results(coders)
    groups = {(each.codec, each.distortion): [p.lmbda or p.quality for p in each.points] for each in results}
    assert groups == {
        ("jpeg", None): [10, 60],  # by rate
        ("webp", None): [20],
        ("mbt2018-mean", "mse"): [0.01, 0.02],
        ("mbt2018-mean", "mlclipsim"): [0.01, 0.02],
    }
    for each in results:
        assert each.dataset == "demo" and each.networks == {"voc-seg": ["mean"]} and each.config == {"a": 1}
        assert each.environment["torch"] == version("torch") and each.command.startswith("python ")
        assert each.costs.keys() == {point.checkpoint for point in each.points if each.is_learned}
        for costs in each.costs.values():
            assert costs.num_parameters == sum(each.numel() for each in loaded.codec.parameters())
            assert costs.device == "cpu" and min(costs.encode_bytes or 0, costs.decode_bytes or 0) > 4 * 3 * 512 * 768
    assert RateTask("demo", images, [], metric).results(coders[:1])[0].ceiling == {}


def test_labels_and_seeds_are_other_curves(
    images: list[Path], metric: Measures, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    for i, trained in enumerate(({}, {"seed": 0}, {"seed": 1}, {"seed": 0, "label": "mse, longer"})):
        make_checkpoint(f"shelf/{i}.safetensors", [0.01, 0.02], "mse", "mbt2018-mean-vbr", i, trained)
    coders = learned_coders([str(tmp_path / "shelf")], torch.device("cpu"))
    assert [(coder.label, coder.seed) for coder in coders[::2]] == [
        (None, None), (None, 0), (None, 1), ("mse, longer", 0),
    ]  # fmt: skip
    results = RateTask("demo", images[:2], [], metric, tmp_path / "out", num_samples=1).results(coders)
    assert [len(each.points) for each in results] == [2] * 4
    assert {each.name for each in results} == {"mbt2018-mean-vbr / mse", "mbt2018-mean-vbr / mse, longer"}
    stems = [f"mbt2018-mean-vbr-mse{end}" for end in ("", "-seed0", "-seed1", "-longer")]
    assert sorted(path.name for path in (tmp_path / "out/samples").glob("mbt*")) == sorted(stems)
    paths = write_results(results, tmp_path / "out")
    assert [path.stem for path in paths] == stems
    assert [load_results(path) for path in paths] == results
    (alone,) = write_results(results[2:3], tmp_path / "alone")
    assert alone.name == "mbt2018-mean-vbr-mse.json"
    make_checkpoint("shelf/4.safetensors", [0.01], "mse", "mbt2018-mean-vbr", 4, {"seed": 2})
    with pytest.raises(ValueError, match=r"0\.01, 0\.02 of seed 0 and 0\.01 of seed 2"):
        learned_coders([str(tmp_path / "shelf")], torch.device("cpu"))


def test_samples_are_the_tasks_images(images: list[Path], metric: Measures, tmp_path: Path) -> None:
    coders: list[Coder] = [PillowCoder("jpeg", 60), PillowCoder("jpeg", 10)]
    task = MeanColour("voc-seg", images[:2])
    RateTask("demo", images[:3], [task], metric, tmp_path, num_samples=2).results(coders)
    place = tmp_path / "samples"
    saved = sorted(str(path.relative_to(place)) for path in place.rglob("*.png"))
    assert saved == [f"{kind}/{i}.png" for kind in ("jpeg/q10", "jpeg/q60", "original") for i in (0, 1)]
    for i, path in enumerate(images[:2]):
        original = read_image(path)
        shown = quantise(coders[0].decode(coders[0].encode(original).content))
        assert torch.equal(read_image(place / f"jpeg/q60/{i}.png"), shown)
        sample = json.loads((place / f"jpeg/q60/{i}.json").read_text())
        assert sample["tasks"] == {"voc-seg": float(shown.double().mean())}
        assert sample["qualities"]["psnr"] == pytest.approx(psnr_db(shown, original).item(), rel=1e-5)
        assert sample["bpp"] > 0
        original_sample = json.loads((place / f"original/{i}.json").read_text())
        assert original_sample == {"tasks": {"voc-seg": float(original.double().mean())}}
    assert json.loads((place / "classes.json").read_text()) == {"voc-seg": {}}


def test_samples_of_one_name_are_numbered(images: list[Path], metric: Measures, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / images[0].name
    write_image(1 - read_image(images[0]), twin)
    RateTask("demo", [images[0], twin], [], metric, tmp_path / "out").results([PillowCoder("webp", 5)])
    saved = sorted(path.name for path in (tmp_path / "out/samples/webp/q5").glob("*.png"))
    assert saved == ["000000-0.png", "000001-0.png"]


def test_unreadable_images_are_named_and_skipped(images: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    images[1].write_bytes(b"no image")
    images[4].write_bytes(images[4].read_bytes()[:60])
    assert readable(images) == [images[i].resolve() for i in (0, 2, 3, 5)]
    lines = capsys.readouterr().err.splitlines()
    assert str(images[1]) in lines[0] and str(images[4]) in lines[1]
    assert lines[2] == "2 of 6 images could not be read and are skipped" and len(lines) == 3
    with pytest.raises(ValueError, match="none of the 1 images could be read"):
        readable(images[1:2])


def test_comparable_baselines(images: list[Path], metric: Measures) -> None:
    rate_task = RateTask("photos", images, [], metric)
    target = reach(PillowCoder("jpeg", 33), images, [], metric).bpp
    jpeg, webp = rate_task.comparable(("jpeg", "webp"), target)
    assert (jpeg.codec, webp.codec) == ("jpeg", "webp")
    (result,) = rate_task.results([jpeg])
    assert result.points[0].bpp == pytest.approx(target, rel=0.03)


def test_flat_image_is_no_leak(metric: Measures, tmp_path: Path) -> None:
    """JPEG keeps a grey page to the bit; two greys make an image that only the original itself can equal."""
    page = torch.full((1, 3, 16, 16), 128 / 255)
    write_image(page, tmp_path / "grey.png")
    point = reach(PillowCoder("jpeg", 90), [tmp_path / "grey.png"], [], metric)
    assert point.score("mlclipsim") == pytest.approx(1) and point.bpp > 1
    page[..., 0, 0] = 0.2
    write_image(page, tmp_path / "grey.png")
    with pytest.raises(ValueError, match="gave back the original of"):
        evaluate(Spoiler(lambda image: image), [[tmp_path / "grey.png"]], [], metric, Records(None))


def test_originals_are_seen_once(images: list[Path], metric: Measures, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their features serve every operating point; beyond the room for them, they are seen again."""
    similarity, num_calls = metric.metrics["mlclipsim"], 0
    prepare = similarity.prepare

    def counted(image: Tensor) -> Seen:
        nonlocal num_calls
        num_calls += 1
        return prepare(image)

    monkeypatch.setattr(similarity, "prepare", counted)
    original = torch.cat([read_image(path) for path in images[:2]])
    for strength in (0.1, 0.2):
        noisy = (original + strength * torch.rand(original.shape)).clamp(0, 1)
        found = metric(images[:2], noisy.split(1), original.split(1))
        expected = 1 - similarity.similarity.distance_to(noisy, prepare(original))
        assert torch.allclose(torch.tensor([each["mlclipsim"] for each in found]), expected, atol=1e-5)
    assert num_calls == 1
    monkeypatch.setattr(metric, "_room", 0)
    for _ in range(2):
        metric(images[1:2], [original[1:]], [original[1:]])
    assert num_calls == 3


def test_any_metric_is_measured(images: list[Path]) -> None:
    """By name, and with the metric's own settings; what depends on them changes the records' key."""
    cpu = torch.device("cpu")
    measures = build_measures(["vif", "gmsd", "features"], ON_DEMO, cpu)
    point = reach(PillowCoder("jpeg", 30), images[:1], [], measures)
    original = read_image(images[0])
    decoded = quantise(PillowCoder("jpeg", 30).decode(PillowCoder("jpeg", 30).encode(original).content))
    for name in ("vif", "gmsd", "features"):
        with torch.no_grad():
            expected = build_metric(name, ON_DEMO)(decoded, original).item()
        assert point.score(name) == pytest.approx(expected, rel=1e-5), name
    assert list(point.qualities) == ["vif", "gmsd", "features"] and math.isnan(point.score("psnr"))
    other = build_measures(["features"], MetricsConfig(features=FeaturesConfig(backbone="demo", distance="l2")), cpu)
    assert other.fingerprint != build_measures(["features"], ON_DEMO, cpu).fingerprint
