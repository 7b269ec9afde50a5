"""Settings of `lic sweep`."""

from dataclasses import dataclass, field

from lic.settings import require


@dataclass(frozen=True)
class SweepConfig:
    """Run every combination of a W&B grid sweep on this machine."""

    inputs: list[str] = field(default_factory=list)
    """the sweep's YAML file (the flag may be left out: `sweep configs/sweeps/demo.yaml`)"""
    output: str | None = None
    """-o: folder that gets a folder and a log for each run; default runs/ and the file's name"""
    jobs: int = 1
    """runs at a time, each in a process with its share of the processor's threads and of the GPUs"""

    def __post_init__(self) -> None:
        require(len(self.inputs) == 1, f"name one sweep file, such as configs/sweeps/demo.yaml; got {len(self.inputs)}")
        require(self.jobs > 0, f"jobs must be positive, got {self.jobs}")
