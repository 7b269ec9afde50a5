"""What the codecs of some results cost, as results files hold it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Of one checkpoint; baselines have none. What each number counts: lic/codecs/cost.py and memory.py."""

    num_parameters: int
    encode_kmac: float | None
    """Thousands of multiply-accumulates per pixel; None where they cannot be told apart."""
    decode_kmac: float | None
    encode_bytes: int | None
    """Peak memory, of an image of 768 x 512 px; None where it is not known."""
    decode_bytes: int | None
    device: str
    """Where memory was measured: cpu, cuda."""

    def __str__(self) -> str:
        cost = f"{self.num_parameters / 1e6:.2f} million parameters"
        if self.encode_kmac is not None and self.decode_kmac is not None:
            cost += f"; per pixel {self.encode_kmac:.1f} kMAC to encode, {self.decode_kmac:.1f} to decode"
        if self.encode_bytes is None or self.decode_bytes is None:
            return cost
        return (f"{cost}; peak memory {self.encode_bytes / 1e6:.0f} MB to encode 768 x 512 px, "
                f"{self.decode_bytes / 1e6:.0f} to decode ({self.device})")  # fmt: skip
