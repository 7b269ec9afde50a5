"""Calibration: which scale comes next, what is kept, that rates follow the scale, and going on where it was."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lic import __main__
from lic.calibration import search as scale_search
from lic.calibration.rounds import Calibration, Round, Settings, read_calibration, write_calibration
from lic.codecs import SHIPPED, CodecOutput, Header, build_codec, load_codec, save_codec
from lic.device import pick_precision
from lic.distortions import build_distortion, distortion_card
from lic.images import write_image
from lic.printing import Console
from lic.settings.calibrate import CalibrateConfig
from lic.settings.metrics import MetricsConfig
from lic.settings.train import TrainerConfig
from tests.support import ON_DEMO, SMALL, noise_image

ROOT = Path(__file__).parents[2]
GRID = [0.003, 0.01, 0.03]
GMSD_SCALE, SSIM_SCALE = distortion_card("gmsd").scale, distortion_card("ssim").scale
SETTINGS = Settings("ab", 600, 0, "bf16-mixed", 4096, 200)
STEPS = ["--trainer.max_steps", "2", "--trainer.accelerator", "cpu", "--limit", "8", "--crop_px", "64",
         "--batch_size", "3"]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo codec for mse with the gains of another grid."""
    shipped = load_codec(SHIPPED / "mbt2018-mean-vbr-mse.safetensors")
    codec = build_codec("mbt2018-mean-vbr", **shipped.header.options, lmbda=GRID)
    own = codec.state_dict()
    codec.load_state_dict({k: v for k, v in shipped.codec.named_parameters() if v.shape == own[k].shape}, strict=False)
    path = tmp_path_factory.mktemp("checkpoint") / "codec.safetensors"
    save_codec(codec, dataclasses.replace(shipped.header, lmbda=GRID), path)
    return path


def run(*words: str) -> None:
    __main__.main(["calibrate", *words])


def content(folder: Path, distortion: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{distortion}.json").read_text())
    return found


def imagined(rounds: list[tuple[float, float]]) -> Calibration:
    """A calibration whose rounds had these scales and ratios, the same at each lmbda."""
    reference = [0.1, 0.2, 0.4]
    tried = [Round(scale, [ratio * bpp for bpp in reference]) for scale, ratio in rounds]
    return Calibration("ms-ssim", GRID, reference, [1.0, None, 2.0], tried)


def test_next_scale_finds_the_root_of_a_power_law() -> None:
    for slope in (0.25, 0.4, 0.7):
        found = imagined([])
        for _ in range(3):
            scale = found.next_scale(600.0)
            found = found.with_round(Round(scale, [bpp * (scale / 300) ** slope for bpp in found.reference_bpp]))
        assert found.rounds[0].scale == 600
        assert found.rounds[2].scale == pytest.approx(300, rel=1e-6)


def test_next_scale_is_not_carried_away_by_noise() -> None:
    assert imagined([(600, 1.5)]).next_scale(600) == pytest.approx(600 * 1.5 ** (-1 / 0.4))
    assert imagined([(600, 2.0), (300, 2.1)]).next_scale(600) == pytest.approx(30)  # it rose: a tenth at the most
    assert imagined([(600, 2.0), (600, 2.0)]).next_scale(600) == pytest.approx(600 * 2 ** (-1 / 0.4))


def test_best_round_and_when_it_ends() -> None:
    found = imagined([(600, 1.5), (300, 1.1), (200, 0.8)])
    assert found.best.scale == 300 and found.within == GRID and found.is_done(9)
    assert not imagined([(600, 1.5), (300, 1.2)]).is_done(3)
    assert imagined([(600, 1.5), (300, 1.2)]).is_done(2)
    assert not imagined([]).is_done(1)
    apart = imagined([]).with_round(Round(1, [0.1, 0.24, 0.3]))
    assert apart.within == [0.003] and not apart.is_done(2)


def test_lmbdas_below_the_range_are_told_but_have_no_say() -> None:
    tried = [Round(444, [0.084, 0.242, 0.484]), Round(380, [0.075, 0.224, 0.448])]
    found = Calibration("ssim", [0.0006, 0.0018, 0.09], [0.1, 0.2, 0.4], [None, None, None], tried)
    assert found.best.scale == 380 and found.within == [0.0018, 0.09] and found.is_done(9)
    rising = dataclasses.replace(found, rounds=tried[:1]).next_scale(444)
    assert rising == pytest.approx(444 * 1.21 ** (-1 / 0.4))  # too many bits in the range, too few below it


def test_files_are_read_back_and_refused_for_other_settings(tmp_path: Path) -> None:
    found = imagined([(600, 1.5), (300, 1.1)])
    assert read_calibration("ms-ssim", SETTINGS, tmp_path) is None
    write_calibration(found, SETTINGS, "command", tmp_path / "new")
    assert read_calibration("ms-ssim", SETTINGS, tmp_path / "new") == found
    with pytest.raises(ValueError, match=r"was made with steps 600, not 300; seed 0, not 1: give the same"):
        read_calibration("ms-ssim", dataclasses.replace(SETTINGS, steps=300, seed=1), tmp_path / "new")
    for text in ("", "[]", "{}", '{"settings": {}}'):
        (tmp_path / "ms-ssim.json").write_text(text)
        with pytest.raises(ValueError, match="is not a file of `python -m lic calibrate`"):
            read_calibration("ms-ssim", SETTINGS, tmp_path)


def trainings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that say which trainings there were."""
    return [line for line in capsys.readouterr().out.splitlines() if ": training with scale " in line]


def test_what_is_written_and_going_on(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--init", str(checkpoint), "-o", str(tmp_path / "out"), *STEPS]
    run("--distortion", "gmsd", "--rounds", "1", *words)
    assert trainings(capsys) == ["mse: training with scale 65025", f"gmsd: training with scale {GMSD_SCALE:g}"]
    mse, gmsd = (content(tmp_path / "out", name) for name in ("mse", "gmsd"))
    assert mse["ratio"] == [1, 1, 1] and mse["scale"] == 65025 and mse["bpp"] == gmsd["reference_bpp"]
    assert gmsd["within_15_percent"] == GRID  # two steps change next to nothing
    gmsd["rounds"][0]["bpp"] = [2 * bpp for bpp in mse["bpp"]]  # as if its first round had given twice the bits
    (tmp_path / "out/gmsd.json").write_text(json.dumps(gmsd))
    run("--distortion", "ssim", "gmsd", "--rounds", "2", *words)
    assert trainings(capsys) == [f"ssim: training with scale {SSIM_SCALE:g}",
                                 f"gmsd: training with scale {GMSD_SCALE * 2**-2.5:.5g}"]  # fmt: skip
    run("--distortion", "ssim", "gmsd", "--rounds", "2", *words)
    text = capsys.readouterr().out
    assert "training with" not in text and "3 of 3" in text and "probe" in text  # all is known
    gmsd = content(tmp_path / "out", "gmsd")
    assert gmsd["distortion"] == "gmsd" and gmsd["lmbda"] == GRID and len(gmsd["rounds"]) == 2
    for one in gmsd["rounds"]:
        expected = [a / b for a, b in zip(one["bpp"], mse["bpp"], strict=True)]
        assert one["ratio"] == pytest.approx(expected)
    assert gmsd["scale"] == gmsd["rounds"][1]["scale"] and gmsd["within_15_percent"] == GRID
    precision = pick_precision("auto", torch.device("cpu")).name
    assert gmsd["settings"] == {"checkpoint_sha256": load_codec(checkpoint).sha256, "steps": 2, "seed": 0,
                                "precision": precision, "num_scenes": 64, "num_measured": 8, "crop_px": 64,
                                "data": "demo scenes"}  # fmt: skip
    assert "torch" in gmsd["environment"]
    assert gmsd["command"].startswith("python -m lic calibrate --distortion ssim gmsd --rounds 2 --init ")
    with pytest.raises(SystemExit):
        run("--distortion", "ssim", *words, "--seed", "1")
    assert "mse.json was made with seed 0, not 1" in capsys.readouterr().err


def test_any_data_and_backbone_and_what_train_takes_of_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Photographs of several sizes; the file holds for the settings it was made with, and for no others."""
    (tmp_path / "photos").mkdir()
    for i in range(4):
        write_image(noise_image(i, 90, 70 + 60 * (i % 2)), tmp_path / "photos" / f"{i}.png")
    data = ["--data", "folder", "--data_root", str(tmp_path / "photos"), "--crop_px", "64"]
    metric = ["--distortion", "mlclipsim", "--mlclipsim.backbone", "photos"]
    run(*metric, "--rounds", "1", "--init", str(checkpoint), "-o", str(tmp_path / "out"), *STEPS, *data)
    found = content(tmp_path / "out", "mlclipsim")
    assert found["metric"]["backbone"] == "photos" and found["settings"]["data"] == "photos"
    assert found["settings"]["num_measured"] == 3 and found["scale"] == 480  # one is held out
    capsys.readouterr()
    training = ["--codec", "mbt2018-mean", "--num_channels", "8", "--num_latent_channels", "12", "--batch_size", "2",
                "--trainer.max_steps", "1", "--num_workers", "0", "--output", str(tmp_path / "runs"), "--eval.metric",
                "psnr", "--eval.baseline", "[]", *data]  # fmt: skip
    scale = ["--distortion_scale", str(tmp_path / "out/mlclipsim.json")]
    __main__.main(["train", *training, *metric, *scale, "--name", "own"])
    assert "distortion_scale: 480.0" in (tmp_path / "runs/own/config.yaml").read_text()
    for words, line in (
        ([*metric, "--mlclipsim.layers", "1", "2"], "has the scale of mlclipsim with layers None, not [1, 2]"),
        (["--distortion", "gmsd"], "has the scale of mlclipsim, not of gmsd"),
    ):
        with pytest.raises(SystemExit):
            __main__.main(["train", *training, *words, *scale])
        assert line in capsys.readouterr().err


def test_a_larger_scale_gives_more_bits(checkpoint: Path, tmp_path: Path) -> None:
    config = CalibrateConfig(init=str(checkpoint), output=str(tmp_path), limit=8, crop_px=64, batch_size=3,
                             trainer=TrainerConfig(20, "cpu"))  # fmt: skip
    cpu, quiet = torch.device("cpu"), Console(quiet=True)
    bench = scale_search._bench(config, checkpoint, load_codec(checkpoint), ON_DEMO, cpu, "", quiet)
    distortion = build_distortion("vif", MetricsConfig())
    rates = []
    for distortion.scale in (250.0, 500.0):
        rates.append(scale_search.train_and_measure("vif", distortion, bench))
    assert all(less < more for less, more in zip(*rates, strict=True)), rates


class _Scripted(torch.nn.Module):
    """A codec of R = a + b log(gain) and mse c / gain: at lmbda the loss R + lmbda s D has its optimum at one s."""

    grid = (0.002, 0.01, 0.05)

    def forward(self, image: torch.Tensor, lmbda: float) -> CodecOutput:
        error = math.sqrt(1e-4 / lmbda)
        return CodecOutput(image + error, torch.full((len(image),), 3 + 0.5 * math.log(lmbda)))


def test_probe_finds_the_scale_at_which_the_gain_is_optimal() -> None:
    """dR/dD = -0.5 lmbda / 1e-4: the scale is 5000 at every lmbda, one-sided differences at the ends included."""
    mse = build_distortion("mse", MetricsConfig())
    codec: Any = _Scripted()
    found = scale_search.probe_scales(codec, mse, [torch.full((4, 3, 8, 8), 0.5)], torch.device("cpu"))
    assert found == pytest.approx([5000] * 3, rel=0.01)
    mse.measure = lambda reconstruction, image: torch.ones(len(image))  # blind: no scale would do
    assert scale_search.probe_scales(codec, mse, [torch.rand(4, 3, 8, 8)], torch.device("cpu")) == [None] * 3


def test_what_cannot_be_had_gets_a_line_and_the_others_go_on(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("no_proxy", "")
    words = ["--init", str(checkpoint), "-o", str(tmp_path / "out"), "--rounds", "1", *STEPS]
    run("--distortion", "lpips", "gmsd", *words)
    lines = [line for line in capsys.readouterr().out.splitlines() if "lpips" in line]
    assert len(lines) == 1 and lines[0].startswith("lpips is left out: the weights of alexnet cannot be downloaded")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gmsd.json", "mse.json"]
    with pytest.raises(SystemExit):
        run("--distortion", "lpips", "dists", *words)
    assert "none of these distortions can be had here: lpips, dists" in capsys.readouterr().err


def guest(path: Path, measure: str) -> str:
    """A distortion of one's own, `measure` of `reconstruction`, `image` and what stands above; return its file."""
    path.write_text(f"""import os
import signal

import torch

from lic.distortions import DistortionCard

sent = []
def ctrl_c_in_the_second_step():  # whose noise is seeded with 1009
    if torch.initial_seed() == 1009 and not sent:
        sent.append(os.kill(os.getpid(), signal.SIGINT))

CARD = DistortionCard("{path.stem}", 1000.0, lambda config: lambda reconstruction, image: {measure})
""")
    return str(path)


def test_divergence_leaves_a_distortion_out(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diverges = guest(tmp_path / "diverges.py", "(reconstruction - image).square().mean((1, 2, 3)) * float('nan')")
    words = ["--init", str(checkpoint), "-o", str(tmp_path / "out"), "--rounds", "1", *STEPS]
    run("--distortion", diverges, "gmsd", *words)
    assert f"{diverges} is left out: step 1 has a gradient that is not finite (loss nan" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gmsd.json", "mse.json"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--distortion", "mse"], "mse is what the others are compared with: its scale is 255^2, always"),
        (["--distortion"], "distortion is an empty list; name at least one, such as ms-ssim"),
        (["--distortion", "ssmi"], "distortion 'ssmi' is unknown; did you mean 'ssim'? "),
        (["--rounds", "0"], "rounds must be positive, got 0"),
        (["--trainer.devices", "2"], "calibrate trains on one device of one machine"),
        (["--lmbda", "0.01"], "setting '--lmbda' is unknown"),
        (["--init", "none.safetensors"], "checkpoint none.safetensors does not exist"),
    ],
)
def test_bad_input_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(*words)
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and error.startswith(f"lic calibrate: {line}") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (("mbt2018-mean", [0.01], "mse"), "is of mbt2018-mean for lmbda 0.01; calibrate starts from a variable-rate"),
        (("mbt2018-mean-vbr", [0.01], "mse"), "is of mbt2018-mean-vbr for lmbda 0.01; calibrate starts from"),
        (("mbt2018-mean-vbr", GRID, "ssim"), "was trained for ssim; calibrate starts from one trained for mse"),
    ],
)
def test_checkpoints_that_do_not_do(
    header: tuple[Any, list[float], str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, lmbda, distortion = header
    path = tmp_path / "codec.safetensors"
    save_codec(build_codec(name, 8, 12, lmbda), Header(name, SMALL, lmbda, distortion, "", 0, {}), path)
    with pytest.raises(SystemExit):
        run("--init", str(path))
    assert f"checkpoint {path} {line}" in capsys.readouterr().err


def test_help_answers_without_torch() -> None:
    code = "import sys; from lic.__main__ import main\n"
    code += "try: main(['calibrate', '--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("False\n") and "--rounds" in done.stdout


def test_ctrl_c_keeps_the_rounds_before_it(checkpoint: Path, tmp_path: Path) -> None:
    stops = guest(tmp_path / "stops.py", "ctrl_c_in_the_second_step() or (reconstruction - image).mean((1, 2, 3))")
    with pytest.raises(SystemExit) as caught:
        run("--distortion", stops, "--init", str(checkpoint), "-o", str(tmp_path / "out"), *STEPS)
    assert caught.value.code == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mse.json"]
