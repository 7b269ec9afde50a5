"""Settings of `lic calibrate`."""

from dataclasses import dataclass, field

from lic.settings import require
from lic.settings.names import DistortionName
from lic.settings.train import TrainerConfig


@dataclass(frozen=True)
class CalibrateConfig:
    """Find the scales by which one lmbda gives the same bits per pixel whatever the distortion."""

    distortion: list[DistortionName] = field(
        default_factory=lambda: ["ms-ssim", "mlclipsim", "ssim", "fsim", "gmsd", "vif", "features"]
    )
    """whose scales to find; mse is what they are compared with"""
    init: str | None = None
    """variable-rate checkpoint trained for mse that every training starts from; default the shipped one"""
    rounds: int = 3
    """most trainings of a distortion"""
    seed: int = 0
    """of crops and noise"""
    output: str = "results/calibration"
    """-o: folder for a JSON file of each distortion; the same command goes on where they end"""
    trainer: TrainerConfig = TrainerConfig(max_steps=600)
    """Lightning"""

    def __post_init__(self) -> None:
        require(len(self.distortion) > 0, "distortion is an empty list; name at least one, such as ms-ssim")
        require("mse" not in self.distortion, "mse is what the others are compared with: its scale is 255^2, always")
        require(self.rounds > 0, f"rounds must be positive, got {self.rounds}")
        require(self.trainer.devices * self.trainer.num_nodes == 1, "calibrate trains on one device of one machine")
