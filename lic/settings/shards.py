"""Settings of `lic shards`."""

from dataclasses import dataclass, field

from lic.settings import require


@dataclass(frozen=True)
class ShardsConfig:
    """Write folders of images as WebDataset shards."""

    inputs: list[str] = field(default_factory=list)
    """folders of images (the flag may be left out: `shards ~/photos`)"""
    output: str = "shards"
    """-o: folder for the shards; the same command goes on where it ended"""
    shard_mb: int = 512
    """megabytes of image files in a shard"""
    min_side: int = 0
    """leave out images whose shorter side, as stored, has fewer px"""
    downscale: int = 1
    """store images so many times smaller, as PNG, which takes the marks of JPEG away; 1: the files as they are"""
    seed: int = 0
    """of the order: a shard is a random part of the images"""
    jobs: int = 2
    """shards at a time"""

    def __post_init__(self) -> None:
        require(len(self.inputs) > 0, "name at least one folder of images")
        for name in ("shard_mb", "downscale", "jobs"):
            require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}")
        require(self.min_side >= 0, f"min_side must not be negative, got {self.min_side}")
        require(self.seed >= 0, f"seed must not be negative, got {self.seed}")
