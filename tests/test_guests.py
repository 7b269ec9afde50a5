"""Codecs, distortions and metrics of one's own: the page's examples run, and what cannot work is one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lic.codecs import build_codec, load_codec
from lic.codecs.strings import join, split
from lic.distortions import build_distortion
from lic.distortions.scale import read_scale, settings_of
from lic.evaluation.measure import Measures
from lic.metrics import build_metric
from tests.support import ON_DEMO, noise_image

ROOT = Path(__file__).parents[1]

RANS = """
import torch
from compressai.ans import BufferedRansEncoder, RansDecoder
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from torch import nn
from lic.codecs import CodecCard


class Own(nn.Module):
    '''As codecs of other repositories do: the latent by a coder of their own, the hyper latent by CompressAI's.'''

    def __init__(self, num_channels, depth):
        super().__init__()
        n = num_channels
        self.down, self.up = nn.Conv2d(3, n, 4, 4), nn.ConvTranspose2d(n, 3, 4, 4)
        self.h_a, self.h_s = nn.Conv2d(n, n, 2, 2), nn.ConvTranspose2d(n, n, 2, 2)
        self.z, self.y = EntropyBottleneck(n), GaussianConditional(None)

    def forward(self, x):
        y = self.down(x)
        z_hat, z_likelihoods = self.z(self.h_a(y))
        y_hat, y_likelihoods = self.y(y, self.h_s(z_hat).exp())
        return {"x_hat": self.up(y_hat), "likelihoods": {"y": y_likelihoods, "z": z_likelihoods}}

    def tables(self):
        return self.y.quantized_cdf.tolist(), self.y.cdf_length.tolist(), self.y.offset.tolist()

    def compress(self, x):
        y = self.down(x)
        z = self.h_a(y)
        z_strings = self.z.compress(z)
        indexes = self.y.build_indexes(self.h_s(self.z.decompress(z_strings, z.shape[-2:])).exp())
        coder = BufferedRansEncoder()
        symbols = self.y.quantize(y, "symbols").flatten().tolist()
        coder.encode_with_indexes(symbols, indexes.flatten().tolist(), *self.tables())
        return {"strings": [[coder.flush()], z_strings], "shape": z.shape[-2:]}

    def decompress(self, strings, shape):
        indexes = self.y.build_indexes(self.h_s(self.z.decompress(strings[1], shape)).exp())
        coder = RansDecoder()
        coder.set_stream(strings[0][0])
        y = torch.tensor(coder.decode_stream(indexes.flatten().tolist(), *self.tables())).view(indexes.shape)
        return {"x_hat": self.up(y.float())}


CARD = CodecCard("own-rans", Own, {"num_channels": 8, "depth": 2}, stride=8)
"""


def example(what: str) -> str:
    """The code of a section of docs/extend.md."""
    section = (ROOT / "docs/extend.md").read_text().split(f"## A {what} of your own\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    return str(code)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, what in (("centred", "codec"), ("charbonnier", "distortion"), ("worst_pixel", "metric")):
        (tmp_path / f"{name}.py").write_text(example(what))
    (tmp_path / "rans.py").write_text(RANS)
    return tmp_path


def lic(*words: str, cwd: Path, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}
    command = [sys.executable, "-m", "lic", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


SHORT = ["--lmbda", "0.01", "--trainer.max_steps", "2", "--num_workers", "0", "--eval.limit", "2", "--name", "mine",
         "--eval.task", "imagenet-cls", "--eval.baseline", "jpeg"]  # fmt: skip


def test_codec_distortion_and_metric_train_and_are_judged(folder: Path) -> None:
    own = ["--codec", "centred.py", "--num_channels", "8", "--distortion", "charbonnier.py"]
    lic("train", *own, *SHORT, "--eval.metric", "psnr", "worst_pixel.py", cwd=folder)
    results = json.loads((folder / "runs/mine/centred-charbonnier.json").read_text())
    assert (results["codec"], results["distortion"]) == ("centred", "charbonnier")
    assert results["metrics"]["worst-pixel"]["label"] == "Worst pixel"
    assert 0 < results["points"][0]["qualities"]["worst-pixel"] <= 1
    lic("train", "--resume", "runs/mine/last.ckpt", "--trainer.max_steps", "3", cwd=folder)

    checkpoint = ["--checkpoint", "runs/mine/codec.safetensors", "--limit", "2", "--baseline", "[]"]
    lic("eval", "--codec", "centred.py", *checkpoint, "--output", "out", "--task", "imagenet-cls", cwd=folder)
    (point,) = json.loads((folder / "out/centred-charbonnier.json").read_text())["points"]
    assert point["bpp"] > 28 * 8 / 128**2 and point["bpp_estimated"] is not None
    refusal = lic("eval", *checkpoint, "--output", "out", cwd=folder, code=2)
    assert "is of the codec 'centred', which is none of the house's" in refusal and refusal.count("\n") == 1

    for name in ("centred", "charbonnier", "worst_pixel"):
        (folder / f"{name}.py").unlink()
    assert "Worst pixel" in lic("curves", "runs/mine/centred-charbonnier.json", "--output", "again.png", cwd=folder)


@pytest.mark.parametrize("name", ["centred", "rans"])
def test_strings_of_its_own_are_coded_with(name: str, folder: Path) -> None:
    torch.manual_seed(0)
    codec = build_codec(str(folder / f"{name}.py"), 8).eval()
    codec.check_coding()
    image = noise_image(0, 45, 70)
    coded = codec.compress(image)
    decoded = codec.decompress(coded, 45, 70)
    torch.testing.assert_close(decoded, codec(image).reconstruction.clamp(0, 1))
    assert coded.num_bits_estimated == pytest.approx(codec(image).bpp.item() * 45 * 70)
    symbols, own = split(coded.string, 1)
    assert join(symbols, own) == coded.string and (name != "centred" or len(own[0]) == 3)
    damaged = coded._replace(string=join(symbols, [bytes([own[0][0] ^ 1]) + own[0][1:]]))
    with pytest.raises((ValueError, RuntimeError)):
        codec.decompress(damaged, 45, 70)
    for length in (0, 3, 5):
        with pytest.raises(ValueError, match="cut short"):
            split(coded.string[:length], 1)


def test_header_holds_the_options(folder: Path) -> None:
    lic("train", "--codec", "rans.py", "--distortion", "mse", *SHORT, cwd=folder)
    loaded = load_codec(folder / "runs/mine/codec.safetensors", [str(folder / "rans.py")])
    assert loaded.header.options == {"num_channels": 8, "depth": 2} and loaded.codec.stride == 8 and loaded.code_sha256
    (folder / "rans.py").write_text(RANS.replace('"depth": 2', '"depth": 2, "width": 3'))
    refusal = lic("eval", "--codec", "rans.py", "--checkpoint", "runs/mine", "--limit", "2", cwd=folder, code=2)
    assert "codec own-rans takes num_channels, depth, width; it is given num_channels, depth" in refusal


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("[colour]]", "[colour] * round(x.mean().item())]"), "returns more or fewer strings"),
        (('"x_hat": self.g_s(y) + mean', '"x": self.g_s(y) + mean'), "cannot code an image: KeyError: 'x_hat'"),
        (("4, 4))", "4, 2))"), "this codec cannot code an image"),
        (("stride=8", "stride=0"), "codec centred has the stride 0"),
        (('"centred", Centred', '"mlicpp", Centred'), "calls itself 'mlicpp', as one of the house's own: rename it"),
    ],
)
def test_what_cannot_code_is_refused_before_training(change: tuple[str, str], line: str, folder: Path) -> None:
    code = example("codec")
    assert change[0] in code
    (folder / "centred.py").write_text(code.replace(*change))
    refusal = lic("train", "--codec", "centred.py", "--num_channels", "4", *SHORT, cwd=folder, code=2)
    assert line in refusal and refusal.count("\n") == 1
    assert not (folder / "runs").exists()


def test_a_width_that_it_does_not_have(folder: Path) -> None:
    refusal = lic("train", "--codec", "centred.py", "--num_latent_channels", "4", *SHORT, cwd=folder, code=2)
    assert "centred takes no --num_latent_channels, but num_channels" in refusal


def test_distortion_and_metric_are_what_the_page_says(folder: Path) -> None:
    image = noise_image(1, 40, 40)
    distortion = build_distortion(str(folder / "charbonnier.py"), ON_DEMO)
    assert (distortion.name, distortion.scale) == ("charbonnier", 2000) and distortion(image, image).item() < 1e-6
    metric = build_metric(str(folder / "worst_pixel.py"), ON_DEMO)
    assert metric((image + 0.25).clamp(max=1.2), image).item() == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"must define CARD, a lic.distortions.card.DistortionCard; it defines"):
        build_distortion(str(folder / "worst_pixel.py"), ON_DEMO)


def test_what_is_on_record_holds_for_the_file_as_it_is(tmp_path: Path) -> None:
    """An edited metric is measured anew; the scale of a distortion was found for its file."""
    found = []
    for name, edit in (("a", ""), ("b", ""), ("c", "\n# edited\n")):
        (tmp_path / name).mkdir()
        for file, what in (("own.py", "metric"), ("loss.py", "distortion")):
            (tmp_path / name / file).write_text(example(what) + edit)
        metric = build_metric(str(tmp_path / name / "own.py"), ON_DEMO)
        fingerprint = Measures({metric.card.name: metric}, torch.device("cpu")).fingerprint
        found.append((fingerprint, settings_of(build_distortion(str(tmp_path / name / "loss.py"), ON_DEMO), ON_DEMO)))
    (one, scale), (same, same_scale), (other, other_scale) = found
    assert one == same != other and scale == same_scale != other_scale
    record = {"distortion": "charbonnier", "scale": 1500.0, "metric": other_scale}
    (tmp_path / "charbonnier.json").write_text(json.dumps(record))
    path, edited = str(tmp_path / "charbonnier.json"), build_distortion(str(tmp_path / "c/loss.py"), ON_DEMO)
    assert read_scale(path, edited, ON_DEMO) == 1500
    with pytest.raises(ValueError, match="has the scale of charbonnier with code_sha256"):
        read_scale(path, build_distortion(str(tmp_path / "a/loss.py"), ON_DEMO), ON_DEMO)
