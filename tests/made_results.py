"""Results with chosen numbers, and samples beside them."""

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from lic.curves.facts import TASKS_OF_OLDER_FILES
from lic.curves.results import Point, Results

MakeResults = Callable[..., Results]


def _make(
    bpp: Sequence[float],
    psnr_db: Sequence[float],
    codec: str = "mbt2018-mean",
    distortion: str | None = "mse",
    is_learned: bool = True,
    dataset: str = "demo-scenes (embedded)",
    networks: Sequence[str] = (),
) -> Results:
    def tasks(value: float) -> dict[str, dict[str, float]]:
        """One network: a single score. Several: their mean and its interval, and those of each."""
        ap = {"ap": value / 100, "ap50": value / 60}
        if networks:
            ap |= {"ap_low": value / 100 - 0.02, "ap_high": value / 100 + 0.03}
        own = {f"coco-det@{name}": {"ap": value / 100 + 0.05 * i} for i, name in enumerate(networks)}
        return {"coco-det": ap, "imagenet-cls": {"top1": value / 45}, **own}

    points = [
        Point(
            lmbda=0.01 * (index + 1) if is_learned else None,
            quality=None if is_learned else 10 * (index + 1),
            checkpoint="ab" * 32 if is_learned else None,
            bpp=rate,
            bpp_estimated=0.99 * rate if is_learned else None,
            encode_seconds=0.02,
            decode_seconds=0.03,
            num_images=200,
            qualities={"psnr": value, "ms-ssim": value / 50, "mlclipsim": value / 40},
            tasks=tasks(value),
        )
        for index, (rate, value) in enumerate(zip(bpp, psnr_db, strict=True))
    ]
    ceiling = {"coco-det": {"ap": 0.6, "ap50": 0.9}, "imagenet-cls": {"top1": 0.95}}
    return Results(
        codec,
        distortion,
        dataset,
        tuple(points),
        ceiling,
        {"torch": "2.11.0"},
        {"coco-det": list(networks)} if networks else {},
        "python eval.py --task coco-det",
        {"limit": None, "baseline": ["jpeg"]},
        tasks=dict(TASKS_OF_OLDER_FILES),
    )


@pytest.fixture(scope="session")
def make_results() -> MakeResults:
    """A function from rates and PSNRs to results; the other scores are multiples of the PSNR."""
    return _make


def write_samples(folder: Path, results: Sequence[Results], stems: Sequence[str] = ("a", "b"), side: int = 64) -> None:
    """Write samples as eval.py does: noise as images, one box, one mask, a class for each half of the image."""
    generator = np.random.default_rng(0)
    inside = np.zeros((side, side), np.uint8, order="F")
    inside[:8, :8] = 1
    rle = coco_mask.encode(inside)
    rle["counts"] = rle["counts"].decode()
    halves = io.BytesIO()
    Image.fromarray(np.repeat([[0], [2]], side // 2, axis=0).repeat(side, axis=1).astype(np.uint8)).save(halves, "PNG")
    box = {"bbox": [10, 12, 20, 24], "category_id": 1}
    tasks: dict[str, object] = {
        "imagenet-cls": {"top5": [3, 1, 2, 4, 5]},
        "coco-det@yolox": [{**box, "score": 0.9}, {**box, "score": 0.3}],
        "coco-seg": [{**box, "score": 0.8, "segmentation": rle}],
        "voc-seg": {"png": base64.b64encode(halves.getvalue()).decode()},
    }
    points: list[tuple[str, dict[str, object]]] = [("original", {})]
    for each in results:
        for point in each.points:
            setting = f"q{point.quality}" if point.quality is not None else f"lmbda-{point.lmbda:g}"
            facts = {"bpp": 1.5 * point.bpp, "qualities": {"psnr": point.score("psnr")}}
            points.append((f"{each.name.replace(' / ', '-')}/{setting}", facts))
    for name, facts in points:
        (folder / "samples" / name).mkdir(parents=True, exist_ok=True)
        for stem in stems:
            path = folder / "samples" / name / f"{stem}.png"
            Image.fromarray(generator.integers(0, 256, (side, side, 3), np.uint8)).save(path)
            path.with_suffix(".json").write_text(json.dumps({**facts, "tasks": tasks}))
    classes = {"coco-det": {"1": "<i>cat"}, "voc-seg": {"0": "background", "2": "dog"}, "imagenet-cls": {"3": "tabby"}}
    (folder / "samples" / "classes.json").write_text(json.dumps(classes))


@pytest.fixture(scope="session")
def save_samples() -> Callable[..., None]:
    """`write_samples`."""
    return write_samples
