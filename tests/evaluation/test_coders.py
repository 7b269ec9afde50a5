"""Coders: what the codecs would give by themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lic.bitstream import FIXED_BYTES, read_stream_header
from lic.codecs import PHOTOS, SHIPPED, load_codec
from lic.data.imagenet import read_imagenet
from lic.demo.scenes import scenes_root
from lic.device import pick_device
from lic.evaluation.coders import LearnedCoder
from lic.evaluation.run import checkpoint_files, learned_coders
from lic.images import read_image
from tests.support import noise_image

CPU = torch.device("cpu")


def test_learned_coder(images: list[Path], make_checkpoint: Callable[..., Path]) -> None:
    path = make_checkpoint("codec.safetensors", [0.01, 0.02], "mlclipsim")
    loaded, image = load_codec(path), read_image(images[2])
    coder = LearnedCoder(loaded, 0.02, CPU)
    stream, estimate = coder.encode(image)
    header = read_stream_header(stream)
    assert header.fingerprint.hex() == loaded.sha256[:8] and header.lmbda == pytest.approx(0.02, rel=1e-3)
    with torch.no_grad():
        output = loaded.codec(image)
    assert torch.equal(coder.decode(stream), output.reconstruction.clamp(0, 1))
    assert estimate == pytest.approx(8 * len(stream), abs=40)
    assert (coder.codec, coder.distortion, coder.lmbda) == ("mbt2018-mean", "mlclipsim", 0.02)
    assert (coder.quality, coder.checkpoint) == (None, loaded.sha256)
    other = LearnedCoder(load_codec(make_checkpoint("other.safetensors", [0.01], seed=1)), 0.01, CPU)
    with pytest.raises(ValueError, match="coded with checkpoint"):
        other.decode(stream)


@pytest.fixture
def world(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """Checkpoints of two runs and of a shelf of three."""
    make_checkpoint("runs/a/codec.safetensors", [0.02], "mse", seed=1)
    make_checkpoint("runs/b/codec.safetensors", [0.01], "mlclipsim", seed=2)
    (tmp_path / "runs" / "b" / "config.yaml").write_text("lmbda: 0.01\n")
    make_checkpoint("shelf/z.safetensors", [0.004, 0.001], "mse", seed=3)
    make_checkpoint("shelf/y.safetensors", [0.01], "mse", seed=4)
    make_checkpoint("shelf/x.safetensors", [0.002], "mse", "bmshj2018-hyperprior", seed=5)
    return tmp_path


def found(*patterns: object) -> list[tuple[str, str | None, float | None]]:
    coders = learned_coders([str(pattern) for pattern in patterns], CPU)
    return [(coder.codec, coder.distortion, coder.lmbda) for coder in coders]


def test_learned_coders(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = ("mbt2018-mean", "mse", 0.02), ("mbt2018-mean", "mlclipsim", 0.01)
    shelf = [
        ("bmshj2018-hyperprior", "mse", 0.002),
        *(("mbt2018-mean", "mse", lmbda) for lmbda in (0.001, 0.004, 0.01)),
    ]
    assert found(world / "runs/a/codec.safetensors") == [one]
    assert found(world / "runs/*/codec.safetensors") == [other, one]
    assert found(world / "runs/b") == [other]
    assert found(world / "shelf") == shelf
    assert found(world / "shelf", world / "runs/*") == [shelf[0], other, *shelf[1:], one]
    assert found(world / "runs/a", world / "runs/a/*.safetensors") == [one], "named twice, coded once"
    monkeypatch.setenv("HOME", str(world))
    assert found("~/runs/a") == [one]


def test_photographs_and_demo_scenes_have_pairs_of_their_own() -> None:
    for folder in (PHOTOS, SHIPPED):
        loaded = [load_codec(path).header for path in sorted(folder.glob("*.safetensors"))]
        assert [header.distortion for header in loaded] == ["mlclipsim", "mse"]
        assert all(("photographs" in header.data) == (folder == PHOTOS) for header in loaded)


def test_points_of_one_checkpoint_share_it(world: Path) -> None:
    first, second = learned_coders([str(world / "shelf/z.safetensors")], CPU)
    assert first.checkpoint == second.checkpoint == load_codec(world / "shelf/z.safetensors").sha256


def test_fingerprints_tell_operating_points_apart(world: Path) -> None:
    fingerprints = [coder.fingerprint for coder in learned_coders([str(world / "shelf"), str(world / "runs/*")], CPU)]
    assert len(set(fingerprints)) == len(fingerprints) == 6
    assert set(fingerprints) >= {coder.fingerprint for coder in learned_coders([str(world / "shelf")], CPU)}


def test_variable_rate_checkpoint_at_any_lmbda(images: list[Path], make_checkpoint: Callable[..., Path]) -> None:
    path = str(make_checkpoint("grid.safetensors", [0.002, 0.02, 0.08], codec="mbt2018-mean-vbr"))
    assert [coder.lmbda for coder in learned_coders([path], CPU)] == [0.002, 0.02, 0.08]
    coders = learned_coders([path], CPU, [0.004, 0.04])
    image = read_image(images[0])
    streams = [coder.encode(image).content for coder in coders]
    assert len(streams[0]) < len(streams[1])
    for coder, stream in zip(coders, streams, strict=True):
        with torch.no_grad():
            expected = load_codec(Path(path)).codec(image, coder.lmbda).reconstruction.clamp(0, 1)
        assert torch.allclose(coder.decode(stream), expected, rtol=0, atol=1e-3)  # lmbda is a float16 in the stream
    with pytest.raises(ValueError, match=r"lmbda 0.1 is outside of this checkpoint's 0.002 .. 0.08"):
        learned_coders([path], CPU, [0.1])


def test_no_checkpoint(world: Path) -> None:
    (world / "empty").mkdir()
    for pattern in ("none.safetensors", "runs/c", "runs/*.ckpt", "empty"):
        with pytest.raises(ValueError) as error:
            found(world / "shelf", world / pattern)
        assert str(world / pattern) in str(error.value) and "\n" not in str(error.value)
    (world / "runs/a/codec.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"runs/a/codec\.safetensors is damaged or is not a codec's"):
        found(world / "runs/*")


def test_devices() -> None:
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:99", "tpu"):
        with pytest.raises(ValueError, match=f"device '{name}' is not to be had on this machine") as error:
            pick_device(name)
        assert "\n" not in str(error.value)


@torch.no_grad()
def test_estimated_rates_are_the_real_one_within_a_percent_or_four_bytes() -> None:
    """What the likelihoods promise, and what the tables promise: these hold a grid of scales."""
    images = [read_image(path) for path in read_imagenet(scenes_root()).images]
    for coder in learned_coders([str(SHIPPED)], CPU):
        shipped = map(load_codec, checkpoint_files([str(SHIPPED)]))
        (codec,) = [each.codec for each in shipped if each.sha256 == coder.checkpoint]
        coded = [coder.encode(image) for image in images]
        real = sum(8 * len(each.content) for each in coded)
        within = max(0.01 * real, 32 * len(images))
        rates = [float(codec.eval()(image, coder.lmbda).bpp) for image in images]
        likely = sum(bpp * image[0, 0].numel() + 8 * FIXED_BYTES for bpp, image in zip(rates, images, strict=True))
        assert likely == pytest.approx(real, abs=within)
        assert sum(each.num_bits_estimated or 0 for each in coded) == pytest.approx(real, abs=within)


def test_large_images_are_evaluated_in_tiles(make_checkpoint: Callable[..., Path]) -> None:
    path, image = make_checkpoint("codec.safetensors", [0.01]), noise_image(0, 300, 420)
    (whole,), (tiled,) = learned_coders([str(path)], CPU), learned_coders([str(path)], CPU, tile=128)
    sides: list[int] = []
    transform = tiled._loaded.codec.network.g_s  # type: ignore[attr-defined]
    transform.register_forward_pre_hook(lambda _, arguments: sides.append(max(arguments[0].shape[-2:])))
    stream = tiled.encode(image).content
    assert (tiled.decode(stream) - whole.decode(stream)).abs().max() < 1e-4
    assert len(sides) > 6 and max(sides) == (128 + 2 * 128) // 16, "with what lies around a tile"
    assert whole.fingerprint != tiled.fingerprint, "records of one are not taken for the other"
