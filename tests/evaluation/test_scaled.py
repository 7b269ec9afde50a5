"""Coding at smaller sizes: sizes as MPEG scales, streams alone give the image back."""

from pathlib import Path

import pytest
import torch

from lic.evaluation.baselines import PillowCoder
from lic.evaluation.evaluate import code
from lic.evaluation.measure import build_measures
from lic.evaluation.rate_task import RateTask
from lic.evaluation.scaled import SCALES, ScaledCoder, scaled_side
from lic.metrics import psnr_db
from lic.settings.metrics import MetricsConfig
from tests.evaluation.test_evaluate import MeanColour
from tests.support import noise_image


def test_sides_are_ffmpeg_s() -> None:
    """scale=ceil(iw*3/8)*2 at 75 %, ceil(iw/4)*2 at 50 %, ceil(iw/8)*2 at 25 %."""
    for side in (7, 100, 427, 640):
        expected = [side, -(-side * 3 // 8) * 2, -(-side // 4) * 2, -(-side // 8) * 2]
        assert [scaled_side(side, percent) for percent in SCALES] == expected


@pytest.mark.parametrize("percent", SCALES)
def test_stream_alone_gives_the_image(percent: int) -> None:
    image = noise_image(0, 61, 103).mul(255).round() / 255
    coder = ScaledCoder(PillowCoder("webp", 60), percent)
    stream = coder.encode(image).content
    assert (coder.codec, coder.quality, coder.scale_percent) == ("webp-scaled", 60, percent)
    decoded = ScaledCoder(PillowCoder("webp", 60), 100).decode(stream)
    assert decoded.shape == image.shape and psnr_db(decoded, image).item() > (28 if percent > 50 else 18)
    if percent == 100:
        assert stream[4:] == PillowCoder("webp", 60).encode(image).content
    assert code(coder, image, Path("a.png")).bpp == pytest.approx(8 * len(stream) / (61 * 103))


def test_results_are_the_front(images: list[Path], tmp_path: Path) -> None:
    """Every point of the results is better than all cheaper ones, of which there were more."""
    coders = [ScaledCoder(PillowCoder("jpeg", quality), percent) for percent in SCALES for quality in (5, 30, 80)]
    measures = build_measures(["psnr"], MetricsConfig(), torch.device("cpu"))
    (result,) = RateTask("demo", images, [MeanColour("voc-seg", images)], measures, tmp_path).results(coders)
    psnr = [score for point in result.points if (score := point.score("psnr")) > 0]
    assert psnr == sorted(psnr) and 3 < len(psnr) < 12 and result.codec == "jpeg-scaled"
    assert len({(point.quality, point.scale_percent) for point in result.points}) == len(result.points)
    assert (tmp_path / "samples/jpeg-scaled/q30-50/0.png").is_file()
