"""`python -m lic curves`: figure, tables, and mistakes in one line."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lic.commands.curves import main
from lic.commands.report import main as report
from lic.curves.files import load_results, save_results
from lic.curves.looks import looks


@pytest.fixture
def files(make_results: Any, tmp_path: Path) -> list[str]:
    bpp, psnr_db = [0.1, 0.2, 0.4, 0.7], [24, 27, 30, 32]
    jpeg = make_results([2 * value for value in bpp], psnr_db, codec="jpeg", distortion=None, is_learned=False)
    mlclipsim = make_results([0.8 * value for value in bpp], psnr_db, distortion="mlclipsim")
    paths = [tmp_path / f"{name}.json" for name in ("jpeg", "mlclipsim", "mse")]
    for results, path in zip([jpeg, mlclipsim, make_results(bpp, psnr_db)], paths, strict=True):
        save_results(results, path)
    return [str(path) for path in paths]


def test_draws_and_prints(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figure.png"
    assert main([*files, "--output", str(out)]) == 0
    with Image.open(out) as image:
        assert image.format == "PNG" and image.width > 1000
    text = capsys.readouterr().out
    assert "BD-rate against mbt2018-mean / mse" in text
    assert "+100.0 %" in text and "-20.0 %" in text and str(out) in text
    assert max(map(len, text.splitlines()[:-1])) <= 100


def test_several_datasets_share_a_figure_and_no_table(
    files: list[str], make_results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    save_results(make_results([0.1, 0.2], [24, 26], dataset="kodak"), other)
    assert main([*files, str(other), "--output", str(tmp_path / "figure.png")]) == 0
    text = capsys.readouterr().out
    assert text.count("BD-rate against") == 1 and "kodak" in text and "demo-scenes" in text
    many = [replace(load_results(file), dataset=dataset) for dataset in ("coco", "imagenet") for file in files]
    shown = looks(many)
    assert shown[:3] == shown[3:] and len({look.colour for look in shown}) == 3


def test_drops_at_chosen_rates(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*files, "--at_bpp", "0.3", "2", "--output", str(tmp_path / "figure.png")])
    lines = capsys.readouterr().out.splitlines()
    (head,) = (line for line in lines if line.split()[:2] == ["task", "codec"])
    assert head.split()[2:] == ["0.3", "bpp", "2", "bpp", "for", "95%", "for", "99%"]


def test_mpegs_fit_is_shown_beside_ours(
    files: list[str], make_results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bumpy = tmp_path / "bumpy.json"
    save_results(make_results([0.1, 0.2, 0.4, 0.7], [24, 28, 27.5, 32], codec="bumpy"), bumpy)
    main([*files, str(bumpy), "--fit", "mpeg", "--output", str(tmp_path / "figure.png")])
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if re.search(r" (bumpy / mse|jpeg) .* pp ", line)]
    assert any("BD-rate" in line and "MPEG's fit" in line and "BD-accuracy" in line for line in lines)
    assert len(rows) == 4 and all(len(re.findall(r"[-+][\d.]+ %", row)) == 2 for row in rows)
    assert any(row.count("+100.0 %") == 2 for row in rows), "of jpeg, which rises"
    assert any("bumpy / mse: no better than a cheaper point at 0.4 bpp, fitted" in line for line in lines)
    page = tmp_path / "page.html"
    report([*files, str(bumpy), "--fit", "mpeg", "-o", str(page)])
    assert "MPEG's fit</button>" in page.read_text().replace("&#x27;", "'")


def test_reference(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--output", str(tmp_path / "figure.png")]
    for arguments, name in (
        ([*files[:2]], "jpeg"),
        ([files[1]], None),
        ([*files, "--reference", "jpeg"], "jpeg"),
        ([*files, "--reference", "mbt2018-mean / mlclipsim"], "mbt2018-mean / mlclipsim"),
        ([*files, "--reference", files[1]], "mbt2018-mean / mlclipsim"),
        ([files[1], "--reference", files[0]], "jpeg"),
    ):
        assert main([*arguments, *out]) == 0
        text = capsys.readouterr().out
        assert (f"BD-rate against {name}:" in text) if name else ("BD-rate" not in text)


def test_seeds_are_one_curve(make_results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bpp, psnr_db = [0.1, 0.2, 0.4, 0.7], [24, 27, 30, 32]
    paths = []
    for label, factor in ((None, 1.0), ("pure", 0.5)):
        for seed in range(3):
            rates = [factor * (1 + (seed if label else 0) / 10) * value for value in bpp]
            results = replace(make_results(rates, psnr_db, codec="mbt2018-mean-vbr"), label=label, seed=seed)
            paths.append(str(tmp_path / f"{label}-{seed}.json"))
            save_results(results, Path(paths[-1]))
    out = ["--output", str(tmp_path / "figure.png")]
    for reference in ([], ["--reference", "mse"], ["--reference", paths[2]], ["--reference", "mbt2018-mean-vbr / mse"]):
        assert main([*reversed(paths), *reference, *out]) == 0
        text = capsys.readouterr().out
        assert "BD-rate against mbt2018-mean-vbr / mse:" in text and text.count("λ 0.01") == 2
        assert "-45.0 %" in text and "(-50.0 to -40.0)" in text and "…" not in text
        assert max(map(len, text.splitlines()[:-1])) <= 100
    with pytest.raises(SystemExit):
        main([*paths, paths[0], *out])
    error = capsys.readouterr().err
    assert "seed 0 of mbt2018-mean-vbr / mse is there more than once" in error and error.count("\n") == 1


def test_mistakes_are_one_line(
    files: list[str], make_results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    save_results(make_results([0.1], [24], dataset="kodak"), other)
    for arguments, message in (
        ([], "required: results"),
        ([str(tmp_path / "*.jsn")], "does not exist"),
        ([*files, "--reference", "jpg"], "did you mean 'jpeg'"),
        ([*files, "--reference", "mbt2018-mean"], "fits 2 of the results"),
        ([*files, str(other), "--reference", files[0]], "is on 'demo-scenes (embedded)', the others on 'kodak'"),
        ([*files, "--output", str(tmp_path / "figure.pdf")], "end in .png"),
        ([*files, "--output", str(tmp_path / "nowhere" / "figure.png")], "cannot write"),
        ([*files, "--at_bpp", "0"], "expected positive numbers of bits per pixel, came 0"),
        ([*files, "--colour", "red"], "unrecognized arguments: --colour"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        captured = capsys.readouterr()
        assert stopped.value.code == 2
        assert message in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from lic.commands.curves import main
try:
    main(["--help"])
finally:
    assert not {"torch", "matplotlib", "scipy", "numpy"} & set(sys.modules), "heavy"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--reference" in done.stdout and not done.stderr
