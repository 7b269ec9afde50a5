"""The settings of the commands about preferences; like `lic.settings`, whose second half it is, it imports no torch."""

from dataclasses import dataclass, field
from typing import Literal

from lic.settings import require
from lic.settings.metrics import MetricsConfig


@dataclass(frozen=True)
class BuildConfig:
    """Build PCMP: pairs of distortions of equal PSNR, labelled by the votes of pretrained networks."""

    output: str = "runs/pcmp"
    """folder that gets manifest, images and votes; an interrupted build goes on there"""
    data_root: str | None = None
    """folder of photographs; default demo scenes that no network was trained on"""
    network: list[str] | None = None
    """voters, as eval.py takes them (names, onnx:FILE, timm:FILE); default small ones, for photographs torchvision's"""
    test_network: list[str] | None = None
    """those of the voters that are held out for testing; default about a third, of families of their own"""
    num_references: int = 400
    """images taken (of a folder: at most, the smallest SHA-256 of their names)"""
    pairs_per_reference: int = 8
    """pairs of each image"""
    tolerance_db: float = 0.1
    """largest difference in PSNR within a pair"""
    test_share: float = 0.3
    """share of the references that is held out for testing"""
    images: bool = True
    """keep the distorted images; without, they are drawn anew from their recipe when needed"""
    seed: int = 0
    """of kinds, strengths and noise"""
    jobs: int = 0
    """processes that distort; 0: as many as there are cores"""
    device: str = "auto"
    """where voters run: cpu, cuda, ..."""

    def __post_init__(self) -> None:
        for name in ("num_references", "pairs_per_reference", "tolerance_db"):
            require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}")
        require(0 < self.test_share < 1, f"test_share must lie between 0 and 1, got {self.test_share}")
        require(self.jobs >= 0, f"jobs must not be negative, got {self.jobs}")


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure how well metrics follow the preferences of machines and people."""

    sets: list[str] = field(default_factory=list)
    """NAME:FOLDER, several; names: pcmp mpd tid2013 kadid10k live csiq pipal bapps pieapp"""
    metrics: list[str] = field(default_factory=lambda: ["psnr", "ssim", "ms-ssim", "fsim", "gmsd", "vif", "mlclipsim"])
    """names (python -m lic metrics), with an argument after a colon: mlclipsim:fitted.json"""
    output: str = "runs/benchmark"
    """folder for CSV, Markdown, figure and the metrics' scores (kept: an interrupted run goes on)"""
    split: Literal["test", "fit", "all"] = "test"
    """part of a set that is split: test, fit or all"""
    limit: int | None = None
    """use only so many references of each set: a fixed subset, the smallest SHA-256 of their names"""
    columns: str | None = None
    """mpd: YAML that maps a manifest's columns (lic/preferences/sets)"""
    resamples: int = 1000
    """bootstrap resamples, over references"""
    device: str = "auto"
    """cpu, cuda, ..."""
    metric: MetricsConfig = field(default_factory=MetricsConfig)
    """the metrics' own settings"""

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit > 0, f"limit must be positive, got {self.limit}")
        require(self.resamples > 0, f"resamples must be positive, got {self.resamples}")


@dataclass(frozen=True)
class InspectConfig:
    """Show what a set on disk holds."""

    inputs: list[str] = field(default_factory=list)
    """NAME:FOLDER, or any folder (the flag may be left out: `inspect tid2013:FOLDER`)"""
    columns: str | None = None
    """mpd: YAML that maps a manifest's columns (lic/preferences/sets)"""
    split: Literal["test", "fit", "all"] = "all"
    """part of a set that is split: test, fit or all"""

    def __post_init__(self) -> None:
        require(len(self.inputs) > 0, "name a set or a folder")


@dataclass(frozen=True)
class FitConfig:
    """Fit ML-CLIPSim's weights and temperature to the votes of PCMP."""

    pcmp: str = "runs/pcmp"
    """folder that `preferences build` wrote"""
    output: str | None = None
    """-o: the JSON that --mlclipsim.fitted takes; default fitted.json in that folder"""
    folds: int = 5
    """of the cross-validation over references"""
    device: str = "auto"
    """cpu, cuda, ..."""
    metric: MetricsConfig = field(default_factory=MetricsConfig)
    """the encoder"""

    def __post_init__(self) -> None:
        require(self.folds > 1, f"folds must be 2 or more, got {self.folds}")


@dataclass(frozen=True)
class CorrelateConfig:
    """Correlate anybody's scores with opinions."""

    inputs: list[str] = field(default_factory=list)
    """a CSV file with a header (the flag may be left out: `correlate scores.csv`)"""
    prediction: str = "prediction"
    """column of the metric's values"""
    opinion: str = "opinion"
    """column of the opinions"""
    json: bool = False
    """print JSON"""

    def __post_init__(self) -> None:
        require(len(self.inputs) == 1, "name one CSV file")


@dataclass(frozen=True)
class ProbeConfig:
    """Ask a distortion whether it is a good loss."""

    inputs: list[str] = field(default_factory=list)
    """names of distortions (the flag may be left out: `distortions probe mlclipsim`)"""
    output: str = "runs/probe"
    """folder for figures and JSON"""
    data_root: str | None = None
    """folder of photographs; default demo scenes"""
    num_images: int = 4
    """images looked at"""
    steps: int = 300
    """of the reconstruction by gradient descent"""
    seed: int = 0
    """of noise"""
    device: str = "auto"
    """cpu, cuda, ..."""
    metric: MetricsConfig = field(default_factory=MetricsConfig)
    """the metrics' own settings"""

    def __post_init__(self) -> None:
        require(len(self.inputs) > 0, "name at least one distortion")
        require(self.num_images > 0 and self.steps > 0, "num_images and steps must be positive")
