"""What a distortion does as a loss: at identity, under shifts, its gradients, its cost, what it does not see."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from lic.degradations import Kind, distort
from lic.distortions import Distortion
from lic.images import from_pixels, to_pixels
from lic.metrics import psnr_db

SHIFTS_PX = (1, 2, 4, 8)
NOISE_DB = 30.0  # the ruler of shifts: an error that hardly shows
STRENGTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
GRADIENT_DRAWS = 8
LEARNING_RATE = 0.03


class Identity(NamedTuple):
    """At two equal images: the distortion, the largest size of a gradient's element, whether all are finite."""

    value: float
    gradient: float
    is_finite: bool


class GradientNoise(NamedTuple):
    """How far gradients hang on chance and on arithmetic.

    Attributes:
        random_share: share of a gradient's power that differs between draws of the distortion's own chance, in [0, 1].
        bf16_cosine: cosine between the gradients in bfloat16 autocast and in float32.
    """

    random_share: float
    bf16_cosine: float


class Cost(NamedTuple):
    """Of forward and backward: seconds an image (median of five), bytes an image that the forward pass keeps."""

    seconds: float
    kept_bytes: float


class Reconstruction(NamedTuple):
    """What gradient descent makes of noise.

    Attributes:
        image: (N, 3, H, W), in [0, 1].
        psnr_db: mean over the images.
        start, end: the distortion before and after.
    """

    image: Tensor
    psnr_db: float
    start: float
    end: float


def at_identity(distortion: Distortion, image: Tensor) -> Identity:
    """Return value and gradient at the image itself; both should be 0."""
    gradient, value = _gradient(distortion, image, image)
    finite = bool(gradient.isfinite().all()) and bool(value.isfinite().all())
    return Identity(float(value.mean()), float(gradient.abs().max()), finite)


def under_shifts(distortion: Distortion, image: Tensor, seed: int) -> dict[int, float]:
    """Return the distortion of moving the picture by some pixels to the right, as a multiple of that of faint noise.

    Both images are crops of one picture: no border is made up. The noise is white, of 30 dB.
    """
    width = image.shape[-1] - max(SHIFTS_PX)
    still = image[..., :width]
    with torch.no_grad():
        ruler = distortion(_noisy(still, NOISE_DB, seed), still).mean()
        moved = {px: distortion(image[..., px : px + width], still).mean() for px in SHIFTS_PX}
    return {px: float(value / ruler) for px, value in moved.items()}


def monotonicity(distortion: Distortion, image: Tensor, kinds: Sequence[Kind], seed: int) -> dict[str, float]:
    """Return, by kind of distortion, the rank correlation between strength and value, mean over images; 1 is best."""
    correlations = {}
    for kind in kinds:
        ranks = []
        for one in image.split(1):
            distorted = torch.cat([_distort(one, kind.name, strength, seed) for strength in STRENGTHS])
            with torch.no_grad():
                values = distortion(distorted, one.expand_as(distorted))
            ranks.append(_rank_correlation(values.tolist()))
        correlations[kind.name] = float(np.mean(ranks))
    return correlations


def _distort(image: Tensor, kind: str, strength: float, seed: int) -> Tensor:
    return from_pixels(distort(to_pixels(image.cpu()), kind, strength, seed)).to(image.device)


def _rank_correlation(values: list[float]) -> float:
    return float(spearmanr(STRENGTHS, values).statistic) if len(set(values)) > 1 else 0.0


def gradient_noise(distortion: Distortion, image: Tensor, seed: int) -> GradientNoise:
    """Return how gradients at a picture with white noise of 25 dB hang on chance (training mode) and on bfloat16."""
    noisy = _noisy(image, 25.0, seed)
    distortion.train()
    draws = torch.stack([_gradient(distortion, noisy, image)[0] for _ in range(GRADIENT_DRAWS)]).double()
    distortion.eval()
    power, common = draws.square().sum((1, 2, 3, 4)).mean(), draws.mean(0).square().sum()
    unbiased = (common - power / GRADIENT_DRAWS) / (1 - 1 / GRADIENT_DRAWS)  # the mean of few draws holds noise too
    exact = _gradient(distortion, noisy, image)[0]
    with torch.autocast(image.device.type, torch.bfloat16):
        rounded = _gradient(distortion, noisy, image)[0]
    cosine = torch.nn.functional.cosine_similarity(exact.flatten().double(), rounded.flatten().double(), 0)
    return GradientNoise(float(1 - unbiased / power), float(cosine))


def cost(distortion: Distortion, image: Tensor) -> Cost:
    """Return time and memory of a forward and backward pass over a batch, per image."""
    noisy, kept = _noisy(image, 25.0, 0), 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        _gradient(distortion, noisy, image)
    seconds = [_timed(lambda: _gradient(distortion, noisy, image), image.device) for _ in range(5)]
    return Cost(float(np.median(seconds)) / len(image), kept / len(image))


def _timed(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def reconstruct(distortion: Distortion, image: Tensor, steps: int, seed: int, is_training: bool) -> Reconstruction:
    """Return what Adam on the pixels makes of noise under the distortion alone: what it ignores stays noise.

    Args:
        is_training: whether the distortion takes its own chance (ML-CLIPSim's random shift).
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(image.shape, generator=generator).to(image.device)
    pixels = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([pixels], LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    torch.manual_seed(seed)
    distortion.train(is_training)
    for _ in range(steps):
        optimiser.zero_grad()
        distortion(pixels, image).sum().backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
    distortion.eval()
    with torch.no_grad():
        values = [float(distortion(each, image).mean()) for each in (start, pixels)]
        return Reconstruction(pixels.detach().cpu(), float(psnr_db(pixels, image).mean()), *values)


def fold(error: Tensor, period_px: int) -> NDArray[np.float64]:
    """Return the mean size of an error, (N, 3, H, W), at each place of a square grid, (period_px, period_px)."""
    return np.asarray(_folded(error, period_px).mean(0))


def grid_share(error: Tensor, period_px: int) -> float:
    """Return the share of the error's variance that its place in a square grid explains, 0 = none (may be below).

    It is the one-way analysis of variance's unbiased component: what chance alone explains is taken off.
    """
    cells = _folded(error, period_px).reshape(-1, period_px**2)
    within = cells.var(0, ddof=1).mean()
    between = cells.mean(0).var(ddof=1) - within / len(cells)
    return float(between / (between + within))


def _folded(error: Tensor, period_px: int) -> NDArray[np.float64]:
    size = error.abs().mean(1).double().cpu().numpy()
    rows, columns = (side // period_px for side in size.shape[1:])
    whole = size[:, : rows * period_px, : columns * period_px]
    cells = whole.reshape(len(size), rows, period_px, columns, period_px).transpose(0, 1, 3, 2, 4)
    return cells.reshape(-1, period_px, period_px)


def _noisy(image: Tensor, decibels: float, seed: int) -> Tensor:
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)).to(image.device)
    return image + 10 ** (-decibels / 20) * noise


def _gradient(distortion: Distortion, reconstruction: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    pixels = reconstruction.detach().clone().requires_grad_(True)
    value = distortion(pixels, image)
    (gradient,) = torch.autograd.grad(value.float().sum(), pixels)
    return gradient.float(), value.detach()
