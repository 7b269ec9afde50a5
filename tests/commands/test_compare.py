"""`python -m lic compare` reads pictures as encode does."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lic.commands.compare import main
from lic.images import read_image, write_image
from tests.profiles import wide_gamut_profile


def test_a_colour_profile_is_applied_as_encode_applies_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (176, 176, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png", icc_profile=wide_gamut_profile())
    write_image(read_image(tmp_path / "wide.png", to_srgb=True), tmp_path / "lossless.png")
    main([str(tmp_path / "lossless.png"), str(tmp_path / "wide.png"), "--backbone", "demo"])
    assert "PSNR        100.00 dB" in capsys.readouterr().out
