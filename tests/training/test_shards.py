"""Training on shards: resumed in the middle of a pass it is the uninterrupted one, and damage is named and counted."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch

from lic import __main__
from lic.codecs import load_codec
from lic.images import write_image
from lic.printing import Console
from lic.settings.evaluate import TrainingEvalConfig
from lic.settings.tracking import WandbConfig
from lic.settings.train import TrainConfig, TrainerConfig
from lic.training.run import train
from tests.support import noise_image

CONFIG = TrainConfig(
    distortion="mse", data="webdataset", data_root="?", num_channels=8, num_latent_channels=12, crop_px=64,
    batch_size=2, eval=TrainingEvalConfig(limit=2), wandb=WandbConfig(mode="disabled"), name="run", checkpoint_every=1,
    keep_checkpoints=20, trainer=TrainerConfig(max_steps=15, accelerator="cpu"),
)  # fmt: skip


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shards of 24 images; a pass over those trained on has eleven steps."""
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lic.data.shard_writer.MEGABYTE", 50_000)
    monkeypatch.setattr("lic.data.source.GROUPS_AT_ONCE", 2)
    (tmp_path / "photos").mkdir()
    for i in range(24):
        write_image(noise_image(i, 70, 80), tmp_path / "photos" / f"{i}.png")
    __main__.main(["shards", str(tmp_path / "photos"), "-o", str(tmp_path / "shards"), "--shard_mb", "1"])
    assert len(list((tmp_path / "shards").glob("*.tar"))) > 3
    return tmp_path / "shards"


def test_resumed_equals_uninterrupted_and_damage_is_counted(shards: Path, tmp_path: Path) -> None:
    path = shards / "000001.tar"
    content = bytearray(path.read_bytes())
    offset, size = np.load(shards / "000001.index.npy")[1].tolist()
    content[offset : offset + size] = bytes(size)
    path.write_bytes(content)
    config = replace(CONFIG, data_root=str(shards), output=str(tmp_path))
    console = Console(file=StringIO(), width=500)
    assert train(config, console) == 0
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 images could not be read and were skipped" in said and "000001.tar: 0000000" in said
    whole = load_codec(tmp_path / "run" / "last.ckpt").codec.state_dict()
    assert train(replace(config, resume=str(tmp_path / "run" / "step-7.ckpt")), Console(quiet=True)) == 0
    resumed = load_codec(tmp_path / "run" / "last.ckpt").codec.state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert list((tmp_path / "run").glob("*.json")), "the images held out are judged"
