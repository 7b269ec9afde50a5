"""The trainings and measurements of `python -m lic calibrate`; the method is in lic/commands/calibrate.py."""

import dataclasses
import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop

from lic.calibration.rounds import (
    Calibration,
    Round,
    Settings,
    print_calibrations,
    read_calibration,
    write_calibration,
)
from lic.codecs import PHOTOS, SHIPPED, Codec, load_codec
from lic.codecs.build import codec_card
from lic.codecs.checkpoint import LoadedCodec
from lic.data.source import Source
from lic.data.subset import subset
from lic.device import pick_precision
from lic.distortions import MSE_SCALE, Distortion, build_distortion, with_backbones
from lic.distortions.scale import settings_of
from lic.embedded import here_or_embedded
from lic.images import from_pixels
from lic.printing import Console
from lic.settings import require
from lic.settings.calibrate import CalibrateConfig
from lic.settings.metrics import MetricsConfig
from lic.settings.tracking import WandbConfig
from lic.settings.train import TrainConfig
from lic.tracking.runs import finish_wandb, start_wandb
from lic.training.callbacks import LastCheckpoint, StepProgress
from lic.training.images import training_images
from lic.training.module import CodecTraining
from lic.training.run import check_devices, fit, initial_codec

BATCH = 25  # images measured at a time
MEASURED_PX = 512  # of larger images the middle
SPREAD = 0.15
LEARNING_RATE = 5e-4  # the default throws a trained codec back by 10 dB
NUM_LINES = 4  # of progress in each training, where the output is no terminal


@dataclass(frozen=True)
class Bench:
    """What all trainings and measurements share.

    Attributes:
        training: the settings of every training but its distortion.
        images: to train on.
        measured: some of them, whose rates are averaged, in batches of one size, (N, 3, H, W).
        metrics: settings of the distortions, with their backbones named.
        device: of the measurements.
        settings: what is written beside the results.
        command: that was given, to be written beside them.
        folder: where results go.
        console: where progress goes.
    """

    training: TrainConfig
    images: Source
    measured: list[Tensor]
    metrics: MetricsConfig
    device: torch.device
    settings: Settings
    command: str
    folder: Path
    console: Console


def calibrate(config: CalibrateConfig, command: str, console: Console) -> None:
    """Find the scales, write a file for each, and print the table.

    Args:
        config: every setting.
        command: the command line, which is written beside the results.
        console: where progress and table go.

    Raises:
        ValueError: in one line: a checkpoint that does not do, files made with other settings, no distortion is left.
        KeyboardInterrupt: after Ctrl-C in a training; the rounds before it are kept.
    """
    device = check_devices(config.trainer)
    shipped = SHIPPED if config.data == "scenes" else PHOTOS
    path = here_or_embedded(config.init) if config.init is not None else shipped / "mbt2018-mean-vbr-mse.safetensors"
    loaded = load_codec(path)
    check_start(path, loaded)
    metrics = with_backbones(MetricsConfig(config.mlclipsim, config.features), config.data == "scenes")
    distortions = build_all(list(dict.fromkeys(config.distortion)), metrics, console)
    bench = _bench(config, path, loaded, metrics, device, command, console)
    reference = _reference(bench, loaded.codec)
    found = []
    for name, distortion in distortions.items():
        try:
            found.append(_calibrate_one(name, distortion, reference, config.rounds, loaded.codec, bench))
        except ValueError as error:  # the others may still do
            console.print(f"{name} is left out: {error}", soft_wrap=True)
    require(len(found) > 0, "no distortion could be calibrated")
    print_calibrations(reference, found, console)
    console.print(f"written: {bench.folder}/*.json", soft_wrap=True)


def check_start(path: Path, loaded: LoadedCodec) -> None:
    """Refuse, in one line, a checkpoint that holds no grid or was trained for something else than mse."""
    header = loaded.header
    require(codec_card(header.codec).has_grid and len(header.lmbda) > 1,
            f"checkpoint {path} is of {header.codec} for lmbda {' '.join(f'{one:g}' for one in header.lmbda)}; "
            "calibrate starts from a variable-rate one (-vbr) with a grid of them")
    require(header.distortion == "mse",
            f"checkpoint {path} was trained for {header.distortion}; calibrate starts from one trained for mse")


def build_all(names: Sequence[str], metrics: MetricsConfig, console: Console) -> dict[str, Distortion]:
    """Return the distortions by name or guest's file; print in one line what cannot be had.

    Raises:
        ValueError: none can be had.
    """
    built = {}
    for name in names:
        try:
            built[name] = build_distortion(name, metrics)
        except ValueError as error:
            console.print(f"{name} is left out: {error}", soft_wrap=True)
    require(len(built) > 0, f"none of these distortions can be had here: {', '.join(names)}")
    return built


def _bench(
    config: CalibrateConfig,
    path: Path,
    loaded: LoadedCodec,
    metrics: MetricsConfig,
    device: torch.device,
    command: str,
    console: Console,
) -> Bench:
    header = loaded.header
    precision = pick_precision(config.trainer.precision, device)
    trainer = dataclasses.replace(config.trainer, precision=precision.name)
    training = TrainConfig(
        lmbda=header.lmbda, distortion="mse", codec=header.codec, init=str(path), single_rate=0.0, warmup_mse=0.0,
        num_channels=header.options["num_channels"], num_latent_channels=header.options["num_latent_channels"],
        optimizer="adam", learning_rate=LEARNING_RATE, batch_size=config.batch_size, seed=config.seed,
        data=config.data, data_root=config.data_root, crop_px=config.crop_px, wandb=WandbConfig(mode="disabled"),
        trainer=trainer,
    )  # fmt: skip
    images = training_images(config.data, config.data_root, console)[0]
    console.print(f"{precision}", soft_wrap=True)
    names = [Path(images.name(i)).name for i in range(len(images))]
    measured = [from_pixels(images.read(i)) for i in subset(names, config.limit)]
    settings = Settings(loaded.sha256, config.trainer.max_steps, config.seed, precision.name,
                        len(images), len(measured), config.crop_px,
                        "demo scenes" if config.data == "scenes" else Path(str(config.data_root)).name)  # fmt: skip
    return Bench(training, images, _batches(measured), metrics, device, settings, command,
                 Path(config.output).expanduser(), console)


def _batches(images: Sequence[Tensor]) -> list[Tensor]:
    """Return the middles of images, at most `MEASURED_PX` a side, those of one size together."""
    middles = [center_crop(image, [min(side, MEASURED_PX) for side in image.shape[-2:]]) for image in images]
    groups = itertools.groupby(sorted(middles, key=lambda image: image.shape), key=lambda image: image.shape)
    return [batch for _, group in groups for batch in torch.cat(list(group)).split(BATCH)]


def _reference(bench: Bench, start: Codec) -> Calibration:
    """Return what mse gives after the same number of steps, trained for unless a file tells."""
    found = read_calibration("mse", bench.settings, bench.folder)
    if found is None:
        distortion = build_distortion("mse", MetricsConfig())
        bpp = train_and_measure("mse", distortion, bench)
        probe = probe_scales(start, distortion, bench.measured, bench.device)
        found = Calibration("mse", list(start.grid), bpp, probe, [Round(MSE_SCALE, bpp)])
        write_calibration(found, bench.settings, bench.command, bench.folder)
    return found


def _calibrate_one(
    name: str, distortion: Distortion, reference: Calibration, most_rounds: int, start: Codec, bench: Bench
) -> Calibration:
    """Return a distortion's calibration, gone on with from its file and written after each round."""
    own = settings_of(distortion, bench.metrics)
    found = read_calibration(distortion.name, bench.settings, bench.folder, own)
    if found is None:
        probe = probe_scales(start, distortion, bench.measured, bench.device)
        found = Calibration(distortion.name, reference.lmbda, reference.reference_bpp, probe, [], own)
    found = dataclasses.replace(found, reference_bpp=reference.reference_bpp)
    first = distortion.scale
    while not found.is_done(most_rounds):
        distortion.scale = found.next_scale(first)
        found = found.with_round(Round(distortion.scale, train_and_measure(name, distortion, bench)))
        write_calibration(found, bench.settings, bench.command, bench.folder)
    return found


def train_and_measure(name: str, distortion: Distortion, bench: Bench) -> list[float]:
    """Return the mean bits per pixel at each lmbda after a training for a distortion at its present scale.

    Raises:
        ValueError: it diverged.
        KeyboardInterrupt: Ctrl-C, once the step at hand was done.
    """
    bench.console.print(f"{name}: training with scale {distortion.scale:.5g}")
    config = dataclasses.replace(bench.training, distortion=name)
    pl.seed_everything(config.seed, verbose=False)
    module = CodecTraining(initial_codec(config), distortion, config)
    with tempfile.TemporaryDirectory(prefix="lic-calibrate-") as temporary:
        folder = Path(temporary)
        last = LastCheckpoint(folder, config)  # it ends the training in order after Ctrl-C
        start_wandb(config.wandb, name, {}, folder, "calibrate", name, config.lmbdas)
        fit(module, bench.images, folder, [StepProgress(bench.console, NUM_LINES), last])
        finish_wandb(bench.console)
    if last.stopped_by:
        raise KeyboardInterrupt
    codec, batches, device = module.codec, bench.measured, bench.device
    rates = [mean_rate_distortion(codec, None, batches, lmbda, device)[0] for lmbda in config.lmbdas]
    require(all(math.isfinite(rate) and rate > 0 for rate in rates), f"training with scale {distortion.scale:.5g} "
            f"diverged: bpp {' '.join(f'{rate:g}' for rate in rates)}")  # fmt: skip
    return rates


@torch.no_grad()
def mean_rate_distortion(
    codec: Codec, distortion: Distortion | None, batches: Sequence[Tensor], lmbda: float, device: torch.device
) -> tuple[float, float]:
    """Return the mean bits per pixel, quantised, and the mean unscaled distortion (NaN without one), in eval mode.

    Args:
        codec: variable-rate.
        distortion: what to measure besides.
        batches: of images, (N, 3, H, W), RGB in [0, 1].
        lmbda: inside the codec's range.
        device: where to compute.
    """
    codec.to(device).eval()
    if distortion is not None:
        distortion.to(device).eval()
    bpp, distances = [], []
    for image in batches:
        output = codec(image.to(device), lmbda)
        bpp.append(output.bpp.cpu())
        if distortion is not None:
            distances.append(distortion(output.reconstruction, image.to(device)).cpu())
    return float(torch.cat(bpp).mean()), float(torch.cat(distances).mean()) if distances else math.nan


def probe_scales(
    codec: Codec, distortion: Distortion, batches: Sequence[Tensor], device: torch.device
) -> list[float | None]:
    """Return, for each lmbda, the scale at which changing the gain buys no loss; None if distortion does not fall.

    At the grid's ends the difference is taken to one side, and stands for its middle.
    """
    lowest, highest = min(codec.grid), max(codec.grid)
    scales: list[float | None] = []
    for lmbda in codec.grid:
        ends = max(lmbda * (1 - SPREAD), lowest), min(lmbda * (1 + SPREAD), highest)
        (rate, distance), (more, less) = (mean_rate_distortion(codec, distortion, batches, end, device) for end in ends)
        scales.append((more - rate) / (distance - less) / math.sqrt(ends[0] * ends[1]) if distance > less else None)
    return scales
