"""Every YAML runs two steps on small data, without network or GPU."""

import runpy
from pathlib import Path

import pytest

from lic.images import write_image
from tests.support import noise_image, shorten

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("config", sorted(ROOT.glob("configs/train/**/*.yaml")), ids=lambda path: path.stem)
def test_runs_two_steps(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", str(config), "--output", str(tmp_path / "runs")]
    if "data: folder" in config.read_text():
        (tmp_path / "photos").mkdir()
        for i in range(4):
            write_image(noise_image(i, 64 + 50 * i, 150), tmp_path / "photos" / f"{i}.png")
        arguments += ["--data_root", str(tmp_path / "photos")]
        arguments += ["--mlclipsim.backbone", "demo"]  # the default's weights are fetched
    main = runpy.run_path(str(ROOT / "train.py"))["main"]
    arguments = shorten(["train.py", *arguments])[1:]
    if "\ninit:" in config.read_text():
        arguments += ["--num_channels", "48", "--num_latent_channels", "64"]  # as the checkpoint has them
    if any(f"codec: {name}" in config.read_text() for name in ("mlicpp", "dcvc")):
        arguments += ["--num_channels", "16", "--num_latent_channels", "32"]  # multiples of its slices
    if "devices:" in config.read_text():
        arguments += ["--trainer.devices", "1"]
    assert main(arguments) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "last.ckpt", "codec.safetensors", "curves.png", "reconstructions.png", "jpeg.json"} <= names
    assert "ML-CLIPSim" in capsys.readouterr().out

    again = ["--config", str(folder / "config.yaml")]  # the saved settings rerun the experiment
    assert main(again) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2
