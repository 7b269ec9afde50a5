"""Samples: pictures a browser shows as they are, predictions as boxes and masks, and a page that stays small."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lic.report import samples
from lic.report.samples import read_samples


def _pixels(uri: str) -> Any:
    head, _, data = uri.partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image)


@pytest.fixture
def sources(make_results: Any, save_samples: Any, tmp_path: Path) -> Any:
    learned = make_results([0.1, 0.2], [24, 27])
    jpeg = make_results([0.3], [25], codec="jpeg", distortion=None, is_learned=False)
    save_samples(tmp_path, [learned, jpeg])
    return [(learned, tmp_path, "mine"), (jpeg, tmp_path, "jpeg")]


def test_views_and_pixels(sources: Any, tmp_path: Path) -> None:
    found, num_samples = read_samples(sources)
    assert num_samples == 2 and [sample.stem for sample in found] == ["a", "b"]
    views = found[0].views
    assert [(view.source, view.setting) for view in views] == [
        ("original", ""), ("mine", "λ 0.01"), ("mine", "λ 0.02"), ("jpeg", "q 10"),
    ]  # fmt: skip
    assert views[0].bpp is None and views[2].bpp == pytest.approx(0.3) and views[2].psnr_db == 27
    with Image.open(tmp_path / "samples" / "jpeg" / "q10" / "a.png") as image:
        assert (_pixels(views[3].picture) == np.asarray(image)).all()


def test_layers(sources: Any) -> None:
    layers = read_samples(sources)[0][0].views[1].layers
    ((box, text, colour),) = layers["coco-det@yolox"].boxes  # the other one's score is low
    assert (box, text) == ([10, 12, 20, 24], "<i>cat 0.90") and colour.startswith("#")
    instances, semantic = _pixels(layers["coco-seg"].mask), _pixels(layers["voc-seg"].mask)
    assert (instances[:8, :8, 3] > 0).all() and (instances[..., 3] > 0).sum() == 64
    assert (semantic[:32, :, 3] == 0).all() and (semantic[32:, :, 3] > 0).all()
    assert layers["imagenet-cls"].text == "tabby, 1, 2"


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        ({"answer": "<yes>"}, '{"answer": "<yes>"}'),
        ("a cat", "a cat"),
        (0.5, "0.5"),
        (["yes", "no"], '["yes", "no"]'),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_what_nobody_knows_to_draw_is_text(sources: Any, tmp_path: Path, prediction: Any, text: str) -> None:
    path = tmp_path / "samples" / "jpeg" / "q10" / "a.json"
    path.write_text(json.dumps({"tasks": {"question": prediction}}))
    assert read_samples(sources)[0][0].views[3].layers == {"question": samples.Layer([], "", text)}


def test_large_images_are_shrunk_and_the_page_is_bounded(
    make_results: Any, save_samples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = make_results([0.1], [24])
    save_samples(tmp_path, [results], stems=[f"{i:02}" for i in range(10)])
    source = [(results, tmp_path, "mine")]
    assert (len(read_samples(source)[0]), read_samples(source)[1]) == (samples.MAX_IMAGES, 10)
    monkeypatch.setattr(samples, "MAX_PX", 32)
    shrunk = read_samples(source)[0][0]
    assert shrunk.is_shrunk and (shrunk.width, shrunk.height) == (64, 64)
    assert _pixels(shrunk.views[0].picture).shape[:2] == (32, 32)
    monkeypatch.setattr(samples, "MAX_BYTES", 1)
    assert len(read_samples(source)[0]) == 1


def test_no_samples_and_damaged_ones(sources: Any, make_results: Any, tmp_path: Path) -> None:
    assert read_samples([(make_results([0.1], [24]), tmp_path / "elsewhere", "mine")]) == ([], 0)
    prediction = tmp_path / "samples" / "jpeg" / "q10" / "b.json"
    for text in ("{", json.dumps({"tasks": {"coco-det": [{"score": 1}]}}), "[]"):
        prediction.write_text(text)
        with pytest.raises(ValueError, match=r"sample 'b' in '.*samples' is damaged") as caught:
            read_samples(sources)
        assert "\n" not in str(caught.value)
