"""python -m lic correlate: keys, failed fits, and every mistake in one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lic.commands import correlate


def _write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _scores(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    opinion = generator.uniform(0, 5, 50).round(3)
    prediction = (1 / (1 + np.exp(-opinion)) + generator.normal(0, 0.02, 50)).round(5)
    lines = [f"image {i},{x},{y}" for i, (x, y) in enumerate(zip(prediction, opinion, strict=True))]
    return _write(path, ["name,lpips,mos", *lines]), prediction, opinion


@pytest.mark.parametrize("flag", [["--json"], ["--json", "true"], ["--json=true"]])
def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: list[str]) -> None:
    path, prediction, opinion = _scores(tmp_path / "scores.csv")
    correlate.main([*flag, path, "--prediction", "lpips", "--opinion", "mos"])
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["n", "srcc", "krcc", "plcc", "plcc_logistic4", "plcc_logistic5"]
    assert found["n"] == 50
    assert found["srcc"] == pytest.approx(stats.spearmanr(prediction, opinion)[0])
    assert found["krcc"] == pytest.approx(stats.kendalltau(prediction, opinion)[0])
    assert found["plcc"] == pytest.approx(stats.pearsonr(prediction, opinion)[0])
    assert found["plcc"] < found["plcc_logistic4"] < 1


def test_a_failed_fit_is_null_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path / "few.csv", ["prediction;opinion", "1;2", "2;3", "3;5", "4;4"])
    correlate.main([path, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["plcc_logistic4"] is None and found["plcc_logistic5"] is None
    assert found["plcc_logistic4_reason"] == "4 values cannot fit 4 parameters"
    assert found["srcc"] == pytest.approx(0.8)
    correlate.main([path])
    assert "plcc_logistic5  failed: 4 values cannot fit 5 parameters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["predictoin,opinion", "1,2", "2,3"], "column 'prediction' is unknown; did you mean 'predictoin'"),
        (["prediction,opinion", "1,2", "x,3"], "line 3: expected a number, found 'x'"),
        (["prediction,opinion", "1,2", ",3"], "line 3: expected a number, found ''"),
        (["prediction,opinion", "1,2", "nan,3"], "line 3: column 'prediction' holds 'nan', no finite number"),
        (["prediction,opinion", "1,2", "1,3"], "column 'prediction': all 2 values are 1, so that no correlation"),
        (["prediction,opinion", "1,2"], "column 'prediction': a correlation needs a list of two values or more"),
        (["prediction,opinion", "1,2,3", "1,3,4"], "line 2: expected 2 cells, as in the header, found 3"),
        (["prediction,prediction,opinion", "1,2,3"], "2 columns are called 'prediction'"),
        ([""], "is empty"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        correlate.main([_write(tmp_path / "scores.csv", lines)])
    assert "\n" not in str(caught.value) and "scores.csv" in str(caught.value)


def test_no_traceback_on_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "lic", "correlate", str(tmp_path / "none.csv")], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"lic correlate: no file {tmp_path / 'none.csv'}\n"
