"""--train decoder: one stream, two readers."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lic.__main__ import main
from lic.bitstream import decode, encode, find_codec
from lic.codecs import load_codec
from lic.codecs.build import codec_card
from lic.images import read_image, write_image
from lic.printing import Console
from lic.settings.names import CodecName
from lic.settings.train import TrainConfig, TrainerConfig
from lic.training.run import train
from tests.bitstream.conftest import VBR_GRID, WIDTHS, save_untrained
from tests.support import SMALL_TRAINING, SMALLER_WORLD, noise_image


def another_machines(path: Path) -> None:
    """Move a count in every CDF table of a checkpoint, as another machine's rounding would."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    (name,) = [name for name in tensors if name.endswith("entropy_bottleneck._quantized_cdf")]
    lengths = tensors[name.replace("_quantized_cdf", "_cdf_length")]
    tensors[name][(lengths.cumsum(0) - lengths).long() + 1] += 1
    save_file(tensors, path, metadata)


def tuning(name: CodecName, folder: Path, **changes: object) -> TrainConfig:
    """The settings that tune the decoder of an untrained codec, whose file is written; two steps for mse."""
    if not (folder / "parent.safetensors").exists():
        save_untrained(name, folder / "parent.safetensors")
        another_machines(folder / "parent.safetensors")
    n, m = WIDTHS.get(name, (8, 8))
    settings = {"train": "decoder", "codec": name, "lmbda": VBR_GRID if codec_card(name).has_grid else 0.01,
                "num_channels": n, "num_latent_channels": m, "init": str(folder / "parent.safetensors"),
                "distortion": "mse", "learning_rate": 0.5, "output": str(folder / "runs"), "name": "tuned",
                "trainer": TrainerConfig(max_steps=2, accelerator="cpu")}  # fmt: skip
    return replace(SMALL_TRAINING, **settings | changes)  # type: ignore[arg-type]


def tuned(config: TrainConfig) -> Path:
    """Train, and return the checkpoint."""
    assert train(config, Console(quiet=True)) == 0
    return Path(config.output) / "tuned" / "codec.safetensors"


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_SCENES", SMALLER_WORLD)


@pytest.mark.parametrize("name", ["mbt2018-mean-vbr", "bmshj2018-factorized", "cheng2020-anchor-checkerboard"])
def test_both_decoders_read_the_streams_of_either(name: CodecName, tmp_path: Path) -> None:
    config, image = tuning(name, tmp_path), noise_image(0, 70, 90)
    parent = load_codec(str(config.init))
    points = list(VBR_GRID) if parent.codec.grid else [None]
    streams = [encode(image, parent, point) for point in points]
    pictures = [decode(stream, parent) for stream in streams]
    path = tuned(config)
    own = load_codec(path)

    assert [encode(image, own, point) for point in points] == streams
    assert [encode(image, load_codec(str(config.init)), point) for point in points] == streams
    for stream, picture in zip(streams, pictures, strict=True):
        other = decode(stream, own)
        assert torch.equal(decode(stream, parent), picture) and other.shape == picture.shape
        assert (other - picture).abs().max() > 1 / 255  # a step in a photograph's 8 bits
    before, after = parent.codec.state_dict(), own.codec.state_dict()  # both have coded: weights that masks hide are 0
    weights = {key for key, _ in own.codec.named_parameters()}
    assert before.keys() == after.keys()
    for key in before:
        assert torch.equal(before[key], after[key]) != (key.startswith("network.g_s.") and key in weights), key

    assert own.header.streams_of == own.streams_of == parent.sha256 != own.sha256
    assert (own.header.distortion, own.header.label) == ("mse", "mse with mse decoder")
    for first, second in ((path, config.init), (config.init, path)):
        assert find_codec(parent.fingerprint, [Path(str(first)), Path(str(second))]).sha256 == load_codec(first).sha256  # type: ignore[arg-type]
    if name == "bmshj2018-factorized":  # a decoder's decoder reads them as well
        again = tuned(replace(config, init=str(path), output=str(tmp_path / "again")))
        assert load_codec(again).streams_of == parent.sha256
        assert encode(image, load_codec(again)) == streams[0]
    last = load_codec(path.with_name("last.ckpt"))
    assert encode(image, last, points[0]) == streams[0]


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    config = tuning("mbt2018-mean-vbr", tmp_path, ema_decay=0.5, checkpoint_every=1, keep_checkpoints=2,
                    distortion="ms-ssim", optimizer="adam")  # fmt: skip
    whole = tuned(config)
    part = tmp_path / "part" / "tuned"
    part.mkdir(parents=True)
    for name in ("config.yaml", "step-1.ckpt"):
        shutil.copy(whole.with_name(name), part)
    label = "mse with ms-ssim decoder"  # as config.yaml has it
    resumed = replace(config, resume=str(part / "step-1.ckpt"), label=label)
    assert train(resumed, Console(quiet=True)) == 0
    assert (part / "codec.safetensors").read_bytes() == whole.read_bytes()
    assert load_codec(part / "last.ckpt").codec.state_dict().keys() == load_codec(whole).codec.state_dict().keys()

    save_untrained("mbt2018-mean-vbr", tmp_path / "parent.safetensors")  # whose tables are this machine's own
    with pytest.raises(ValueError, match=r"tunes the decoder of checkpoint \w{8}; .* is another one now, \w{8}: put"):
        train(resumed, Console(quiet=True))


def test_its_streams_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tuning("mbt2018-mean", tmp_path)
    parent, own = str(config.init), str(tuned(config))
    write_image(noise_image(0, 64, 80), tmp_path / "a.png")
    found: dict[str, tuple[bytes, Tensor]] = {}
    for writer, reader in ((parent, own), (own, parent)):
        main(["encode", "a.png", "-o", "a.lic", "--checkpoint", writer])
        main(["decode", "a.lic", "-o", "out.png", "--checkpoint", reader])
        found[reader] = (tmp_path / "a.lic").read_bytes(), read_image(tmp_path / "out.png")
    assert found[own][0] == found[parent][0] and not torch.equal(found[own][1], found[parent][1])
    capsys.readouterr()
    main(["info", own, parent])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  name ")]
    name, its = load_codec(parent).sha256[:8], load_codec(own).sha256[:8]
    assert lines == [f"  name     {name} in streams; a decoder of its own, {its}, reads them",
                     f"  name     {name} in streams"]  # fmt: skip


def test_wrong_uses_are_one_line(tmp_path: Path) -> None:
    config = tuning("mbt2018-mean", tmp_path)
    for init in (None, "runs/x/last.ckpt", "compressai:3"):
        with pytest.raises(ValueError, match=f"give --init its .safetensors file, got {init}"):
            replace(config, init=init)
    for changes, line in (
        ({"lmbda": 0.02}, "has --lmbda 0.01; give the same"),
        ({"num_channels": 12}, "is of codec mbt2018-mean num_channels 8"),
        ({"init": str(tmp_path / "none.safetensors")}, "none.safetensors does not exist"),
    ):
        with pytest.raises(ValueError, match=line):
            train(replace(config, **changes), Console(quiet=True))  # type: ignore[arg-type]
    assert not (tmp_path / "runs").exists()


def test_a_header_that_names_no_checkpoint(tmp_path: Path) -> None:
    save_untrained("mbt2018-mean", tmp_path / "a.safetensors")
    header = load_codec(tmp_path / "a.safetensors").header
    for streams_of in ("", "abcd", "A" * 64, "../x"):
        with pytest.raises(ValueError, match="names no checkpoint whose streams it codes"):
            replace(header, streams_of=streams_of)
