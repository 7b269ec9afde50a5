"""What several tests share."""

import torch
from torch import Tensor

from lic.distortions import with_backbones
from lic.settings.evaluate import TrainingEvalConfig
from lic.settings.metrics import MetricsConfig
from lic.settings.tracking import WandbConfig
from lic.settings.train import TrainConfig, TrainerConfig

ON_DEMO = with_backbones(MetricsConfig(), is_demo=True)
"""The metrics' settings with the embedded encoder named."""
SMALL = {"num_channels": 8, "num_latent_channels": 12}
"""Options of a codec that is built in no time."""
SMALL_TRAINING = TrainConfig(
    num_channels=8, num_latent_channels=12, crop_px=64, batch_size=4, num_workers=0,
    eval=TrainingEvalConfig(task=["imagenet-cls"], limit=1), wandb=WandbConfig(mode="disabled"),
    trainer=TrainerConfig(max_steps=6, accelerator="cpu"),
)  # fmt: skip
"""A training of seconds."""
SMALLER_WORLD = "16,24"
"""LIC_SCENES of tests for which 64 training scenes are too many, or 16 validation scenes too few."""
TRAIN = ["--trainer.max_steps", "2", "--num_channels", "8", "--num_latent_channels", "12", "--batch_size", "2",
         "--num_workers", "0", "--eval.limit", "2"]  # fmt: skip


def shorten(command: list[str]) -> list[str]:
    """Return a train.py or eval.py command with flags appended that make it take seconds."""
    return [*command, *(TRAIN if "train.py" in command else ["--limit", "2"])]


def noise_image(seed: int, height: int, width: int) -> Tensor:
    """Return an image (1, 3, height, width) of smooth noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
