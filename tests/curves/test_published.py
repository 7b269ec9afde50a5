"""Other people's curves: every form in which they come, on the right dataset, and ours in CompressAI's form."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lic.commands.curves import main
from lic.curves.bjontegaard_delta import bd_rate
from lic.curves.files import load_results
from lic.curves.published import export_compressai, read_curves
from lic.curves.results import Results

RESULTS = Path(__file__).parents[2] / "results"
KODAK = [load_results(RESULTS / "photo_codecs" / "kodak" / f"{name}.json") for name in ("jpeg", "webp")]
IMAGENET = [load_results(RESULTS / "photo_codecs" / "imagenet" / f"{name}.json") for name in ("jpeg", "webp")]
BPP, PSNR, MS_SSIM = [0.1, 0.2, 0.4], [29.0, 31.5, 33.25], [0.9, 0.96, 0.984]

FORMS = {
    "compressai": {"name": "Theirs", "results": {"bpp": BPP, "psnr-rgb": PSNR, "ms-ssim-rgb": MS_SSIM}},
    "meta": {"name": "Theirs", "meta": {"dataset": "kodak"},
             "results": {"bpp": BPP, "psnr-rgb": PSNR, "ms-ssim": MS_SSIM}},
    "lalic": {"name": "Theirs", "results": {"bpp": BPP, "psnr": PSNR, "ms-ssim": MS_SSIM}},
    "mlicpp": {"bpp": BPP, "psnr": PSNR, "ms-ssim": MS_SSIM},
    "lossy-vae": {"name": "Theirs", "test-set": "kodak", "lambdas": [1, 2, 3],
                  "results": {"bpp": BPP, "psnr": PSNR, "ms-ssim": MS_SSIM, "bd-rate": -1.5}},
    "dcae": {"CLIC": {"bpp": [1.0], "PSNR": [40.0]},
             "Kodak": {"bpp": BPP, "PSNR": PSNR, "MS_SSIM": [10.0, 13.97940, 17.95880]}},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form: str, tmp_path: Path) -> None:
    path = tmp_path / "Theirs.json"
    path.write_text(json.dumps(FORMS[form]))
    (curve,) = read_curves(str(path), KODAK)
    assert (curve.name, curve.dataset, curve.is_learned) == ("Theirs", KODAK[0].dataset, False)
    assert [point.bpp for point in curve.points] == BPP
    assert [point.score("psnr") for point in curve.points] == PSNR
    assert [point.score("ms-ssim") for point in curve.points] == pytest.approx(MS_SSIM, abs=1e-5)
    (renamed,) = read_curves(f"{path}:Other name", KODAK)
    assert renamed.name == "Other name" and renamed.points == curve.points


def test_scores_of_tasks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("bpp,Top1\n0.4,70\n0.1,40.5\n0.2,60\n")
    (curve,) = read_curves(str(path), IMAGENET)
    scores = [(point.bpp, point.score("imagenet-cls")) for point in curve.points]
    assert scores == [(0.1, 0.405), (0.2, 0.6), (0.4, 0.7)]
    assert curve.tasks == {"imagenet-cls": IMAGENET[0].tasks["imagenet-cls"]}
    assert curve.points[0].interval("imagenet-cls") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting"), ("[]", "expected a JSON object"), ("{}", "expected 'bpp', 'results' with 'bpp'"),
        ({"bpp": [0.1, 0.2], "psnr": [30]}, "expected psnr as a list of 2 numbers"),
        ({"bpp": [0.1, "x"], "psnr": [30, 31]}, "expected bpp as a list of finite numbers"),
        ({"bpp": [0.1, -1], "psnr": [30, 31]}, "positive number of bits per pixel"),
        ({"bpp": [0.1], "vmaf": [30]}, "it has none of psnr"),
        ({"test-set": "Tecnick", "results": {"bpp": [1], "psnr": [3]}}, "is on Tecnick; the results are on 24 im"),
    ],
)  # fmt: skip
def test_refused_in_a_line(content: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    jpeg = RESULTS / "photo_codecs" / "kodak" / "jpeg.json"
    with pytest.raises(SystemExit, match="2"):
        main([str(jpeg), "--curve", str(path), "-o", str(tmp_path / "x.png")])
    line = capsys.readouterr().err
    assert message in line and line.count("\n") == 1 and str(path) in line


def test_more_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("rate,psnr\n1,2\n")
    (tmp_path / "b.csv").write_text("bpp,psnr\n1,2\n1\n")
    (tmp_path / "c.json").write_text(json.dumps(FORMS["compressai"]))
    messages = {"a.csv": "a header such as bpp,top1", "b.csv": "2 numbers a line", "no.json": "does not exist"}
    for name, message in messages.items():
        with pytest.raises(ValueError, match=message):
            read_curves(str(tmp_path / name), KODAK)
    with pytest.raises(ValueError, match="does not say on which dataset it is, and the results are on 2"):
        read_curves(str(tmp_path / "c.json"), [*KODAK, *IMAGENET])


def test_the_command_draws_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "theirs.json").write_text(json.dumps(FORMS["compressai"]))
    files = [str(RESULTS / "photo_codecs" / "kodak" / f"{name}.json") for name in ("jpeg", "webp")]
    main([*files, "--curve", f"{tmp_path / 'theirs.json'}:Theirs et al.", "-o", str(tmp_path / "x.png"),
          "--export", "compressai", str(tmp_path / "out")])  # fmt: skip
    printed = capsys.readouterr().out
    assert "Theirs et al." in printed and "BD-rate against jpeg" in printed and (tmp_path / "x.png").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["jpeg.json", "webp.json"]


def test_what_is_exported_is_read_back_and_drawn_by_compressai(tmp_path: Path) -> None:
    path, other = export_compressai(IMAGENET, tmp_path)
    (back,) = read_curves(str(path), IMAGENET[:1])
    for ours, theirs in zip(IMAGENET[0].points, back.points, strict=True):
        assert (ours.bpp, ours.score("psnr")) == (theirs.bpp, theirs.score("psnr"))
        assert theirs.score("imagenet-cls") == pytest.approx(ours.score("imagenet-cls"))
    plot = [sys.executable, "-m", "compressai.utils.plot", "-f", str(path), str(other), "-m", "top1"]
    subprocess.run([*plot, "-o", str(tmp_path / "x.png")], check=True, capture_output=True)
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_published_results_are_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((RESULTS / "published" / "kodak").iterdir())
    for path in files:
        (curve,) = read_curves(str(path), [*KODAK, *IMAGENET])
        assert curve.dataset == KODAK[0].dataset and not curve.is_learned, "dashed"
        assert {"source", "protocol", "caveat"} <= curve.environment.keys()
        assert len(curve.points) >= 6 and len(curve.points[0].qualities) >= 1
    (dcae,) = read_curves(f"{RESULTS}/published/kodak/dcae-mse.json:Lu et al.", KODAK)
    assert dcae.name == "Lu et al."
    assert [(point.bpp, point.score("psnr")) for point in dcae.points] == [
        (0.109, 29.24), (0.175, 30.74), (0.292, 32.68), (0.426, 34.41), (0.593, 36.11), (0.811, 37.87),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="it is on Kodak; the results are on"):
        read_curves(str(files[0]), IMAGENET)
    half = [replace(KODAK[0], points=tuple(replace(point, num_images=12) for point in KODAK[0].points))]
    with pytest.raises(ValueError, match="it is of 24 images; the results are of 12"):
        read_curves(str(files[0]), half)
    jpeg = str(RESULTS / "photo_codecs" / "kodak" / "jpeg.json")
    main([jpeg, "--curve", *map(str, files[:3]), "-o", str(tmp_path / "x.png")])
    assert read_curves(str(files[0]), KODAK)[0].name in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main([jpeg, "--export", "csv", str(tmp_path)])
    assert "expected --export compressai FOLDER, came the format 'csv'" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "stated"), [("lalic-mse", -15.26), ("chwdta-mse", -17.82)])
def test_stated_bd_rates_on_kodak(name: str, stated: float) -> None:
    """Of their READMEs, against VTM 9.1; nobody says by which interpolation."""
    vtm, theirs = (load_results(RESULTS / "published" / "kodak" / f"{each}.json") for each in ("vtm-9.1", name))
    assert bd_rate(vtm, theirs, "psnr").value == pytest.approx(stated, abs=0.1)


def test_bd_rates_of_published_points() -> None:
    """Of OpenImages detection against VTM, as recomputed by others: +28.9, +13.5, -5.4, -6.3 %."""
    curves: dict[str, Results] = {}
    for path in (RESULTS / "published" / "openimages").iterdir():
        curves[path.stem] = load_results(path)
    expected = {"bmshj2018-factorized": 28.9, "bmshj2018-hyperprior": 13.5, "mbt2018": -5.4, "cheng2020-attn": -6.3}
    for name, value in expected.items():
        delta = bd_rate(curves["vtm"], curves[name], "openimages-det")
        assert delta.value == pytest.approx(value, abs=0.1), name


def test_protocol_and_bits_of_a_file(tmp_path: Path) -> None:
    """In the file or its meta, or a column; who names none coded files as they are."""
    columns = {"bpp": BPP, "psnr": PSNR}
    files = {
        "a.json": json.dumps(columns),
        "b.json": json.dumps({"protocol": "pad-256", "bits": "estimated", **columns}),
        "c.json": json.dumps({"meta": {"protocol": "pad-256", "bits": "estimated"}, "results": columns}),
        "d.csv": "bpp,psnr,protocol,bits\n0.1,29,pad-256,estimated\n0.2,31.5,pad-256,estimated\n",
    }
    found = {}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (curve,) = read_curves(str(tmp_path / name), KODAK)
        found[name] = (curve.protocol, curve.bits)
    assert found.pop("a.json") == ("file", "unknown") and set(found.values()) == {("pad-256", "estimated")}
    (tmp_path / "e.csv").write_text("bpp,psnr,protocol\n0.1,29,pad-256\n0.2,31.5,file\n")
    with pytest.raises(ValueError, match="expected one protocol"):
        read_curves(str(tmp_path / "e.csv"), KODAK)
    (tmp_path / "f.json").write_text(json.dumps({"bits": "guessed", **columns}))
    with pytest.raises(ValueError, match="bits 'guessed' are unknown; choose from: real, estimated, unknown"):
        read_curves(str(tmp_path / "f.json"), KODAK)


def test_curves_of_another_protocol_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jpeg = str(RESULTS / "photo_codecs" / "kodak" / "jpeg.json")
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({"protocol": "pad-256", **FORMS["mlicpp"]}))
    with pytest.raises(SystemExit, match="2"):
        main([jpeg, "--curve", f"{path}:Theirs", "-o", str(tmp_path / "x.png")])
    line = capsys.readouterr().err
    assert "follow several protocols, file (jpeg), pad-256 (Theirs)" in line and line.count("\n") == 1
    assert not (tmp_path / "x.png").exists()


def test_exported_protocol_is_read_back(tmp_path: Path) -> None:
    (path,) = export_compressai([replace(KODAK[0], protocol="pad-256", bits="estimated")], tmp_path)
    (back,) = read_curves(str(path), KODAK)
    assert (back.protocol, back.bits) == ("pad-256", "estimated")
