"""Protocols: what is coded, how it is counted, and that answers fit labels; by torchvision and by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision import transforms

from lic.curves.files import load_results
from lic.evaluation.baselines import PillowCoder, quality_for_bpp
from lic.evaluation.evaluate import code, plan_batches
from lic.evaluation.measure import build_measures
from lic.evaluation.protocols import PROTOCOLS, find_protocol
from lic.evaluation.rate_task import RateTask
from lic.evaluation.run import evaluate
from lic.images import quantise, read_image, write_image
from lic.metrics import psnr_db
from lic.printing import Console
from lic.settings.evaluate import EvalConfig
from lic.settings.metrics import MetricsConfig
from lic.settings.names import ProtocolName
from lic.settings.tracking import WandbConfig
from lic.tasks import build_tasks
from tests.evaluation.test_evaluate import MeanColour, Spoiler
from tests.support import noise_image

CPU = torch.device("cpu")
NAMES: tuple[ProtocolName, ...] = get_args(ProtocolName)
NOTHING = build_measures([], MetricsConfig(), CPU)


def darker(image: Tensor) -> Tensor:
    return image * 0.5


def test_names_are_those_of_the_settings() -> None:
    assert tuple(each.name for each in PROTOCOLS) == NAMES


@pytest.mark.parametrize("size", [(97, 301), (300, 97), (256, 256), (600, 411)])
def test_centre_crop_is_torchvision_s(size: tuple[int, int], tmp_path: Path) -> None:
    write_image(noise_image(0, *size), tmp_path / "a.png")
    steps = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(256), transforms.ToTensor()])
    with Image.open(tmp_path / "a.png") as opened:
        expected = steps(opened)[None]
    protocol = find_protocol("center-crop-256")
    assert torch.equal(protocol.show(read_image(tmp_path / "a.png")), expected)
    assert protocol.shown_size(size) == (256, 256)


@pytest.mark.parametrize(
    ("size", "shown", "coded"),
    [
        ((480, 640), (800, 1067), (1024, 1280)),  # torchvision's own resize would say 1066
        ((640, 427), (1199, 800), (1280, 1024)),
        ((300, 1000), (400, 1333), (512, 1536)),
        ((1024, 1024), (800, 800), (1024, 1024)),
        ((800, 1280), (800, 1280), (1024, 1280)),
    ],
)
def test_short_side_is_detectron2_s(
    size: tuple[int, int], shown: tuple[int, int], coded: tuple[int, int], tmp_path: Path
) -> None:
    """Pillow's resize, and then what TransTIC and Adapt-ICMH do to the result."""
    write_image(noise_image(1, *size), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        page = opened.resize(shown[::-1], Image.Resampling.BILINEAR)
    picture = transforms.ToTensor()(page)[None]
    stretching, padding = find_protocol("short-side-800"), find_protocol("short-side-800-pad-256")
    for protocol in (stretching, padding):
        assert protocol.shown_size(size) == shown
        assert torch.equal(protocol.show(read_image(tmp_path / "a.png")), picture)
    stretched = F.interpolate(picture, coded, mode="bilinear", align_corners=False)
    assert (stretching.to_coder(picture) - stretched).abs().max() <= 0.5001 / 255  # on the 8-bit grid
    back = F.interpolate(stretching.to_coder(picture), shown, mode="bilinear", align_corners=False)
    assert torch.equal(stretching.from_coder(stretching.to_coder(picture), shown), quantise(back))
    padded = padding.to_coder(picture)
    assert padded.shape[-2:] == coded and padded[..., shown[0] :, :].sum() == padded[..., shown[1] :].sum() == 0
    assert torch.equal(padding.from_coder(padded, shown), picture)


@pytest.mark.parametrize("name", NAMES)
def test_bits_of_what_is_coded_over_pixels_of_the_picture(name: ProtocolName) -> None:
    protocol, seen = find_protocol(name), []

    def decoder(image: Tensor) -> Tensor:
        seen.append(image)
        return darker(image)

    picture = protocol.show(noise_image(0, 60, 100).mul(255).round() / 255)
    coded = code(Spoiler(decoder), picture, Path("a.png"), protocol)
    assert coded.reconstruction.shape == picture.shape == (1, 3, *protocol.shown_size((60, 100)))
    assert coded.bpp == pytest.approx(80 / picture[0, 0].numel()), "Spoiler's streams have ten bytes"
    assert all(side % protocol.multiple == 0 for side in seen[0].shape[-2:])
    assert psnr_db(coded.reconstruction, darker(picture)).item() > 40
    with pytest.raises(ValueError, match="gave back the original of"):
        code(Spoiler(lambda image: image), picture, Path("a.png"), protocol)


def test_padding_costs_bits() -> None:
    """A JPEG of the padded image is the stream, and its own length the rate."""
    picture = noise_image(3, 250, 300).mul(255).round() / 255
    padded = torch.zeros(1, 3, 256, 512)
    padded[..., :250, :300] = picture
    coder = PillowCoder("jpeg", 60)
    coded = code(coder, picture, Path("a.png"), find_protocol("pad-256"))
    assert coded.bpp == 8 * len(coder.encode(padded).content) / (250 * 300)
    assert coded.bpp > code(coder, picture, Path("a.png")).bpp


def test_rates_of_all_images(images: list[Path]) -> None:
    """The mean over images, and all bits over all pixels; ceiling and batches are those of the pictures."""
    coder, protocol = PillowCoder("webp", 40), find_protocol("pad-64")
    task = MeanColour("imagenet-cls", images)
    (result,) = RateTask("demo", images, [task], NOTHING, protocol=protocol).results([coder])
    bits, pixels = [], []
    for path in images:
        image = read_image(path)
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 64, 0, -height % 64))
        bits.append(8 * len(coder.encode(padded).content))
        pixels.append(height * width)
    point = result.points[0]
    assert point.bpp == pytest.approx(sum(b / p for b, p in zip(bits, pixels, strict=True)) / len(bits))
    assert point.bpp_pooled == pytest.approx(sum(bits) / sum(pixels)) and point.bpp_pooled != pytest.approx(point.bpp)
    assert (result.protocol, result.bits) == ("pad-64", "real")

    crop = find_protocol("center-crop-256")
    assert [len(batch) for batch in plan_batches(images, crop)] == [6], "all pictures are of one size"
    cut = RateTask("demo", images, [task], NOTHING, protocol=crop)
    means = [float(crop.show(read_image(path)).double().mean()) for path in images]
    assert cut.ceiling["imagenet-cls"]["top1"] == pytest.approx(sum((i + 1) * m for i, m in enumerate(means)) / 6)
    assert task.batches[-1] == (6, 3, 256, 256)


def test_baselines_at_a_rate_follow_the_protocol(images: list[Path]) -> None:
    pictures = [read_image(path) for path in images]
    protocol = find_protocol("pad-256")
    rate = RateTask("demo", images, [], NOTHING, protocol=protocol).results([PillowCoder("jpeg", 33)])[0].points[0].bpp
    assert quality_for_bpp("jpeg", pictures, rate, protocol) in (32, 33, 34)
    assert quality_for_bpp("jpeg", pictures, rate) > 34, "less is coded, and so more quality is had"


class BrightBox:
    """A network that finds the one bright rectangle of the picture that it is shown."""

    name, fingerprint, classes = "bright", "of no weights", ("background", "car")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.shown: list[tuple[int, int]] = []

    def __call__(self, images: Tensor) -> list[Any]:
        self.shown.append((images.shape[-2], images.shape[-1]))
        inside = images.mean(1) > 0.6
        return [self._answer(each) for each in inside]

    def _answer(self, inside: Tensor) -> Any:
        if self.kind == "semantic":
            return inside.to(torch.uint8)
        rows, columns = (inside.any(axis).nonzero().flatten() for axis in (1, 0))
        box = torch.tensor([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]).float()
        return {"boxes": box, "scores": torch.tensor([0.9]), "labels": torch.tensor([1]), "masks": inside[None]}


@pytest.mark.parametrize("name", ["file", "short-side-800", "short-side-800-pad-256", "pad-256"])
@pytest.mark.parametrize(("task", "kind"), [("coco-det", "detection"), ("coco-seg", "instances"),
                                            ("coco-semseg", "semantic")])  # fmt: skip
def test_answers_fit_labels(name: ProtocolName, task: str, kind: str, tmp_path: Path) -> None:
    """One bright car in each of two pictures: found at its place whatever size the network was shown."""
    places = {"a": ((60, 90), (20, 10, 70, 40)), "b": ((90, 60), (6, 30, 36, 80))}
    write_coco(tmp_path, places)
    protocol, network = find_protocol(name), BrightBox(kind)
    (built,) = build_tasks([task], [network], tmp_path, CPU, None, None, protocol.short_px is not None)
    rate_task = RateTask("cars", built.images, [built], NOTHING, tmp_path / "out", protocol=protocol)
    assert rate_task.ceiling[task][built.facts.headline] > 0.85
    (result,) = rate_task.results([PillowCoder("jpeg", 95)])
    assert result.points[0].score(task) > 0.85
    assert set(network.shown) == {protocol.shown_size(size) for size, _ in places.values()}
    for original, shown in rate_task.sample_files(result.curve, result.points[0]):
        size = places[original.stem][0]
        assert read_image(original).shape[-2:] == read_image(shown).shape[-2:] == size, "where labels fit"


def write_coco(root: Path, places: dict[str, tuple[tuple[int, int], tuple[int, int, int, int]]]) -> None:
    """COCO's layout, with one box of one class in each image, which it is drawn in."""
    (root / "val2017").mkdir()
    (root / "annotations").mkdir()
    images, objects = [], []
    for i, (stem, ((height, width), (x0, y0, x1, y1))) in enumerate(places.items(), 1):
        image = torch.full((1, 3, height, width), 0.2) + 0.02 * noise_image(i, height, width)
        image[..., y0:y1, x0:x1] += 0.7
        write_image(image, root / "val2017" / f"{stem}.png")
        images.append({"id": i, "file_name": f"{stem}.png", "height": height, "width": width})
        objects.append({"id": i, "image_id": i, "category_id": 3, "iscrowd": 0, "area": (x1 - x0) * (y1 - y0),
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]})  # fmt: skip
    content = {"images": images, "annotations": objects, "categories": [{"id": 3, "name": "car"}]}
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


@pytest.mark.parametrize("tasks", [["coco-det"], ["imagenet-cls", "voc-seg"]])
def test_cut_pictures_are_for_classifiers(tasks: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="has labels at places, which a protocol that cuts pictures") as error:
        build_tasks(tasks, [], None, CPU, 2, 256)
    assert "\n" not in str(error.value)
    (alone,) = build_tasks(["consistency"], [], None, CPU, 2, 256)
    assert alone.name == "consistency-cls"


def test_evaluation_writes_its_protocol(tmp_path: Path) -> None:
    """The whole command, on the demo scenes; another protocol in the same folder takes no record over."""
    found = {}
    for name in ("file", "center-crop-256"):
        config = EvalConfig(task=["imagenet-cls"], checkpoint=[], baseline=["jpeg"], metric=["psnr"], limit=2,
                            protocol=name, output=str(tmp_path), wandb=WandbConfig(mode="disabled"))  # fmt: skip
        evaluate(config, Console(quiet=True))
        found[name] = load_results(tmp_path / "jpeg.json")
    for name, result in found.items():
        assert result.protocol == name and result.environment["program"].startswith("Pillow ")
    assert found["file"].points[0].bpp > 2 * found["center-crop-256"].points[0].bpp, "scenes are enlarged to 256"
    with Image.open(next((tmp_path / "samples/original").glob("*.png"))) as original:
        assert original.size == (256, 256)
