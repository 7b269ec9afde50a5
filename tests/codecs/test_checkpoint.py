"""Checkpoints: what is saved decodes alike after loading, and a bad file is one line."""

import dataclasses
import hashlib
import json
import math
import pickle
import resource
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from lic.codecs import Codec, Header, load_codec, save_codec
from lic.codecs.build import codec_card
from lic.settings.names import CodecName
from tests.codecs.conftest import GRID, a_point, small_widths
from tests.support import SMALL

HEADER = Header("mbt2018-mean", SMALL, [0.01, 0.02], "mlclipsim", "demo scenes", 7, {"torch": "2.11.0"})


def refusal(path: Path) -> str:
    """The one line that loading a file is refused with."""
    with pytest.raises(ValueError) as error:
        load_codec(path)
    message = str(error.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.fixture
def saved(make_codec: Any, tmp_path: Path) -> Path:
    """A codec's checkpoint."""
    save_codec(make_codec(), HEADER, tmp_path / "codec.safetensors")
    return tmp_path / "codec.safetensors"


def rewritten(path: Path, **changes: object) -> Path:
    """A copy of a checkpoint with other values in its header."""
    target = path.with_name("rewritten.safetensors")
    header = {**dataclasses.asdict(HEADER), **changes}
    save_file(load_file(path), target, {"lic": json.dumps(header)})
    return target


def rounded(codec: Codec) -> Codec:
    """The codec with its weights as a checkpoint stores them."""
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.copy_(parameter.half().float())
    return codec


@pytest.mark.parametrize("name", get_args(CodecName))
@pytest.mark.parametrize("has_tables", [False, True])
def test_round_trip(name: CodecName, has_tables: bool, make_codec: Any, make_image: Any, tmp_path: Path) -> None:
    codec, image, path = rounded(make_codec(name)).train(), make_image(70, 64), tmp_path / "a.b.safetensors"
    if has_tables:
        codec.build_tables()
    options = codec_card(name).choose(*small_widths(name))
    header = dataclasses.replace(HEADER, codec=name, options=options, lmbda=list(GRID))
    version = codec._version_of_tables
    save_codec(codec, header, path)
    assert codec.training and codec._version_of_tables == version, "saving changed the codec"
    loaded = load_codec(path)
    assert loaded.header == header
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not loaded.codec.training
    point = a_point(name)
    coded = codec.eval().compress(image, point)
    assert loaded.codec.compress(image, point) == coded
    assert torch.equal(loaded.codec.decompress(coded, 70, 64, point), codec.decompress(coded, 70, 64, point))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


def test_older_headers_load(saved: Path) -> None:
    header = dataclasses.replace(HEADER, label="mlclipsim pure", seed=3)
    assert load_codec(rewritten(saved, label="mlclipsim pure", seed=3)).header == header
    old = {key: value for key, value in dataclasses.asdict(HEADER).items() if key not in ("label", "seed")}
    save_file(load_file(saved), saved, {"lic": json.dumps(old)})
    assert load_codec(saved).header == HEADER and (HEADER.label, HEADER.seed) == (None, None)


def test_half_precision_round_trip(make_codec: Any, make_image: Any, tmp_path: Path) -> None:
    codec, image, path = make_codec(), make_image(64, 64), tmp_path / "half.safetensors"
    codec.build_tables()
    before = {name: tensor.clone() for name, tensor in codec.state_dict().items()}
    save_codec(codec, HEADER, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in codec.state_dict().items())
    by_hand = rounded(make_codec())
    loaded = load_codec(path).codec
    for (name, one), other in zip(loaded.named_parameters(), by_hand.parameters(), strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other), name
    strings = by_hand.compress(image)
    assert loaded.compress(image) == strings != codec.compress(image)
    with torch.no_grad():
        assert torch.equal(loaded.decompress(strings, 64, 64), loaded(image).reconstruction.clamp(0, 1))
    stored = load_file(path)
    assert all(stored[name].dtype == torch.float16 for name, _ in codec.named_parameters())


def test_stored_tables_are_used_and_not_built_again(
    saved: Path, make_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("built again: another machine's floats may differ")

    codec: Codec = load_codec(saved).codec
    monkeypatch.setattr(codec.network, "update", refuse)
    codec.decompress(codec.compress(make_image(64, 64)), 64, 64)
    stored = load_file(saved)
    for name, tensor in codec.state_dict().items():
        values = torch.cat([row[:n] for row, n in zip(tensor, stored[name[:-14] + "_cdf_length"], strict=True)]) \
            if name.endswith("_quantized_cdf") else tensor  # fmt: skip
        assert torch.equal(values, stored[name].to(values.dtype)) and (len(values) or "_cdf" not in name), name


def test_failed_write_leaves_the_older_file(saved: Path, make_codec: Any) -> None:
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as a full disk: the write fails half-way
    try:
        with pytest.raises(OSError, match=str(saved)):
            save_codec(make_codec(seed=3), HEADER, saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_lightning_checkpoint(make_codec: Any, make_image: Any, tmp_path: Path) -> None:
    codec, image = make_codec(), make_image(64, 64)
    state = {f"codec.{name}": tensor for name, tensor in codec.state_dict().items()}
    content = {"state_dict": {**state, "other.weight": torch.zeros(2)}, "lic": dataclasses.asdict(HEADER)}
    torch.save(content, tmp_path / "last.ckpt")
    loaded = load_codec(tmp_path / "last.ckpt")
    assert loaded.header == HEADER and loaded.codec.compress(image) == codec.compress(image)


def test_truncated(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (0, 1, 8, 100, 5000, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        assert "is damaged or is not a codec's" in refusal(saved), length


def test_truncated_lightning_checkpoint(make_codec: Any, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    state = {f"codec.{name}": tensor for name, tensor in make_codec().state_dict().items()}
    torch.save({"state_dict": state, "lic": dataclasses.asdict(HEADER)}, path)
    whole = path.read_bytes()
    for length in (0, 1, 2, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "is damaged or is not a codec's" in refusal(path), length


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(200), b"\xff" * 50])
@pytest.mark.parametrize("name", ["codec.safetensors", "last.ckpt", "codec"])
def test_no_checkpoint_at_all(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert "is damaged or is not a codec's" in refusal(tmp_path / name)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, ("open('exploded', 'w').close()",)


def test_pickle_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "lic": Bomb()}, "zipped.ckpt")
    Path("plain.ckpt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    Path("renamed.safetensors").write_bytes(Path("plain.ckpt").read_bytes())
    for name in ("zipped.ckpt", "plain.ckpt", "renamed.safetensors"):
        assert "is damaged or is not a codec's" in refusal(Path(name))
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"state_dict": {}},
        {"state_dict": {}, "lic": {"codec": "mbt2018-mean"}},
        {"state_dict": {}, "lic": dataclasses.asdict(HEADER)},
        {"state_dict": [1], "lic": dataclasses.asdict(HEADER)},
        [1, 2],
        torch.zeros(3),
        5,
    ],
)
def test_lightning_checkpoint_of_something_else(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "last.ckpt")
    assert "is damaged or is not a codec's" in refusal(tmp_path / "last.ckpt")


def test_unknown_codec(saved: Path) -> None:
    message = refusal(rewritten(saved, codec="cheng2021"))
    assert "is of the codec 'cheng2021', which is none of the house's (" in message
    assert "bmshj2018-hyperprior, mbt2018-mean" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"num_channels": 16, "num_latent_channels": 12}},
        {"options": {"num_channels": 8, "num_latent_channels": 24}},
        {"codec": "bmshj2018-hyperprior"},
        {"options": {"num_channels": 8}},
        {"options": {"num_channels": 8, "num_latent_channels": 12, "depth": 3}},
        {"options": {"num_channels": "many", "num_latent_channels": 12}},
        {"options": {"num_channels": -1, "num_latent_channels": 12}},
        {"options": {"num_channels": None, "num_latent_channels": 12}},
        {"options": None},
        {"options": ["num_channels"]},
        {"colour": "red"},
    ],
)
def test_header_that_does_not_fit_the_weights(saved: Path, changes: dict[str, object]) -> None:
    assert "is damaged or is not a codec's" in refusal(rewritten(saved, **changes))


def test_safetensors_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "classifier.safetensors"
    for metadata in (None, {"format": "pt"}, {"lic": "no json"}, {"lic": "[1]"}, {"lic": "{}"}):
        save_file({"weight": torch.zeros(3)}, path, metadata)
        assert "is damaged or is not a codec's" in refusal(path), metadata


def test_weights_that_no_stream_could_be_decoded_with(saved: Path, make_codec: Any, tmp_path: Path) -> None:
    tensors = load_file(saved)
    with safetensors.safe_open(saved, "pt") as file:
        metadata = file.metadata()
    tensors["network.g_a.0.bias"][0] = torch.nan
    save_file(tensors, saved, metadata)
    assert "weights are not finite: network.g_a.0.bias" in refusal(saved)
    codec = make_codec()
    with torch.no_grad():
        codec.network.g_a[0].bias[0] = 1e6  # infinite in fp16
    with pytest.raises(ValueError, match=r"weights are not finite: network\.g_a\.0\.bias"):
        save_codec(codec, HEADER, tmp_path / "new.safetensors")
    assert not (tmp_path / "new.safetensors").exists()


@pytest.mark.parametrize("lmbda", [[], [0.0], [10**400], ["0.01"], [math.nan], 0.01, None])
def test_an_lmbda_that_no_stream_can_hold(lmbda: Any, saved: Path) -> None:
    assert "is damaged or is not a codec's: " in refusal(rewritten(saved, lmbda=lmbda))


def test_widths_that_the_weights_do_not_have_are_not_built(saved: Path) -> None:
    message = refusal(rewritten(saved, options={"num_channels": 30000, "num_latent_channels": 12}))
    assert "num_channels is 30000, its weights have no such side" in message


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.safetensors")
    assert "does not exist" in refusal(tmp_path)
