"""Results with chosen numbers."""

from collections.abc import Callable, Sequence

import pytest

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
            psnr_db=value,
            ms_ssim=value / 50,
            mlclipsim=value / 40,
            encode_seconds=0.02,
            decode_seconds=0.03,
            num_images=200,
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
    )


@pytest.fixture
def make_results() -> MakeResults:
    """A function from rates and PSNRs to results; the other scores are multiples of the PSNR."""
    return _make
