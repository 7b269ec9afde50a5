"""What is measured of a reconstruction besides the tasks: PSNR, MS-SSIM, ML-CLIPSim."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lic.distortions import MLCLIPSim
from lic.distortions.mlclipsim import Seen
from lic.metrics import ms_ssim, psnr_db

ROOM_BYTES = 2**29
CACHED_PX = 2**16  # MS-SSIM's many planes of so many pixels stay in a processor's cache


class Similarity:
    """ML-CLIPSim to originals whose features are kept from one operating point to the next, while there is room.

    Every point goes through the same images in the same order: keeping the first ones for good serves more of them than
    keeping the latest would.

    Attributes:
        metric: in eval mode.
    """

    def __init__(self, metric: MLCLIPSim) -> None:
        self.metric, self._room = metric, ROOM_BYTES
        self._seen: dict[tuple[Path, ...], Seen] = {}

    def __call__(self, paths: Sequence[Path], reconstructions: Tensor, originals: Tensor) -> Tensor:
        """Return the similarity of each of (N, 3, H, W), (N,); the paths are the originals' files."""
        device = self.metric.layer_weights.device
        with torch.no_grad():
            seen = self._seen.get(tuple(paths)) or self._see(tuple(paths), originals.to(device))
            return 1 - self.metric.distance_to(reconstructions.to(device), seen).cpu()

    def _see(self, paths: tuple[Path, ...], originals: Tensor) -> Seen:
        seen = self.metric.see(originals)
        size = sum(vectors.nbytes for vectors in seen.vectors)
        if size <= self._room:
            self._seen[paths], self._room = seen, self._room - size
        return seen


def measure(
    paths: Sequence[Path], reconstructions: Sequence[Tensor], originals: Sequence[Tensor], similarity: Similarity | None
) -> list[tuple[float, float, float]]:
    """Return PSNR in dB, MS-SSIM and ML-CLIPSim (NaN without it) of each image, (1, 3, H, W), all of one size."""
    shown, references = torch.cat(list(reconstructions)), torch.cat(list(originals))
    similarities = similarity(paths, shown, references) if similarity else torch.full((len(paths),), torch.nan)
    pieces = (pair.split(max(1, CACHED_PX // shown[0, 0].numel())) for pair in (shown, references))
    structural = torch.cat([ms_ssim(*pair) for pair in zip(*pieces, strict=True)])
    columns = psnr_db(shown, references), structural, similarities
    return list(zip(*(column.tolist() for column in columns), strict=True))
