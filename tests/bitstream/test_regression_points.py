"""What the shipped codecs make of four photographs: a library's update cannot move it unseen.

    python -m tests.bitstream.test_regression_points     # writes regression_points.json anew, after a change on purpose
"""

import json
import os
from pathlib import Path

import pytest

from lic.bitstream import decode, encode
from lic.bitstream.container import load_cached
from lic.codecs import shipped_codecs
from lic.images import quantise, read_image
from lic.metrics import psnr_db

DATA = Path(os.environ.get("LIC_TEST_DATA", "absent"))
RECORDED = Path(__file__).with_name("regression_points.json")
PHOTOGRAPHS = ("kodim04", "kodim05", "kodim13", "kodim23")
LMBDA = 0.0067


def measured(codec: Path, photograph: str) -> dict[str, float]:
    """Length of the stream and PSNR of what it decodes to."""
    image, loaded = read_image(DATA / "kodak24" / f"{photograph}.png"), load_cached(codec)
    stream = encode(image, loaded, LMBDA)
    psnr = psnr_db(quantise(decode(stream, loaded)), image).item()
    return {"num_bytes": len(stream), "psnr_db": round(psnr, 4)}


def name_of(codec: Path) -> str:
    return f"{codec.parents[1].name}/{codec.stem}"


def test_every_shipped_codec_is_on_record() -> None:
    assert set(json.loads(RECORDED.read_text())) == {name_of(path) for path in shipped_codecs()}


@pytest.mark.skipif(not DATA.is_dir(), reason="LIC_TEST_DATA names no folder of photographs")
@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
@pytest.mark.parametrize("codec", shipped_codecs(), ids=name_of)
def test_points(codec: Path, photograph: str) -> None:
    """Processors round differently, so that a symbol in some thousands may."""
    recorded, found = json.loads(RECORDED.read_text())[name_of(codec)][photograph], measured(codec, photograph)
    assert found["num_bytes"] == pytest.approx(recorded["num_bytes"], rel=1e-3)
    assert found["psnr_db"] == pytest.approx(recorded["psnr_db"], abs=0.01)


if __name__ == "__main__":
    points = {name_of(path): {name: measured(path, name) for name in PHOTOGRAPHS} for path in shipped_codecs()}
    RECORDED.write_text(json.dumps(points, indent=1) + "\n")
