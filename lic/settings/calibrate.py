"""Settings of `lic calibrate`."""

from dataclasses import dataclass, field

from lic.settings import require
from lic.settings.metrics import FeaturesConfig, MLCLIPSimConfig
from lic.settings.names import DataName, DistortionName, GuestFile
from lic.settings.train import TrainerConfig


@dataclass(frozen=True)
class CalibrateConfig:
    """Find the scales by which one lmbda gives the same bits per pixel whatever the distortion."""

    distortion: list[DistortionName | GuestFile] = field(
        default_factory=lambda: ["ms-ssim", "mlclipsim", "ssim", "fsim", "gmsd", "vif", "features"]
    )
    """whose scales to find; mse is what they are compared with"""
    init: str | None = None
    """variable-rate checkpoint trained for mse that trainings start from; default the one that ships for the data"""
    data: DataName = "scenes"
    """to train and measure on: the embedded demo scenes, a folder of images, or shards of them"""
    data_root: str | None = None
    """the folder, or the shards as 'shards/{000000..000999}.tar'"""
    crop_px: int = 128
    """side of the training crops"""
    batch_size: int = 8
    """crops per step"""
    limit: int = 200
    """measure the rates of so many training images: a fixed subset, the smallest SHA-256 of their names"""
    rounds: int = 3
    """most trainings of a distortion"""
    seed: int = 0
    """of crops and noise"""
    output: str = "results/calibration"
    """-o: folder for a JSON file of each distortion; the same command goes on where they end"""
    mlclipsim: MLCLIPSimConfig = MLCLIPSimConfig()
    """for --distortion mlclipsim"""
    features: FeaturesConfig = FeaturesConfig()
    """for --distortion features"""
    trainer: TrainerConfig = TrainerConfig(max_steps=600)
    """Lightning"""

    def __post_init__(self) -> None:
        require(len(self.distortion) > 0, "distortion is an empty list; name at least one, such as ms-ssim")
        require("mse" not in self.distortion, "mse is what the others are compared with: its scale is 255^2, always")
        require((self.data == "scenes") == (self.data_root is None), "--data_root goes with --data folder, webdataset")
        require(self.limit > 0, f"limit must be positive, got {self.limit}")
        require(self.rounds > 0, f"rounds must be positive, got {self.rounds}")
        require(self.trainer.devices * self.trainer.num_nodes == 1, "calibrate trains on one device of one machine")
