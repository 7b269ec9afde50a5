"""What a training step costs: ours beside CompressAI's, and ML-CLIPSim's beside what it cannot do without.

python benchmarks/train.py                                        # fp32
python benchmarks/train.py --precision bf16
python benchmarks/train.py --codec mbt2018-mean --num_channels 48 --num_latent_channels 64 --batch_size 4 --crop_px 128
ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/train.py          # as a weaker processor would

All take turns in one process, on the same images and from the same weights:

- *theirs*: the loop of CompressAI's `examples/train.py`, in fp32 as there: Adam and a second one for the quantiles,
  RateDistortionLoss, gradient clipped to 1;
- *mse*, *mlclipsim*: our steps with all that Lightning's trainer, its log and our progress bar add;
- *encoder*: ML-CLIPSim's encoder alone, over the originals and, there and back, over the reconstructions.

Our steps take Adam here, as theirs; what each `--optimizer` costs instead stands in the last table.

Wanted: mse / theirs 0.6 in fp32 and 0.4 in bf16, mlclipsim / (mse + encoder) 1.05. Each side's peak memory is that of a
process of its own.
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import pytorch_lightning as pl
import torch
from compressai.losses import RateDistortionLoss
from compressai.optimizers import net_aux_optimizer
from compressai.registry import MODELS
from pytorch_lightning.loggers import CSVLogger
from rich.console import Console
from torch import Tensor

from lic.codecs import build_codec
from lic.codecs.build import codec_card
from lic.data.crops import Batch
from lic.distortions import MLCLIPSim, build_distortion, with_backbones
from lic.distortions.looking import tile
from lic.images import to_uint8
from lic.settings.metrics import MetricsConfig
from lic.settings.names import LEARNING_RATES, OptimizerName
from lic.settings.train import TrainConfig, TrainerConfig
from lic.training.callbacks import StepProgress
from lic.training.module import CodecTraining
from lic.training.optimizers import build_optimizer

SIDES = ("theirs", "mse", "encoder", "mlclipsim")
WARM_UP = 2  # turns


def main() -> None:
    """Measure what the command line names and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", default="bmshj2018-hyperprior")
    parser.add_argument("--num_channels", type=int)
    parser.add_argument("--num_latent_channels", type=int)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--crop_px", type=int, default=256)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=SIDES, help="print the peak memory of one side's steps, in MiB")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    widths = codec_card(options.codec).choose(options.num_channels, options.num_latent_channels)
    options.num_channels, options.num_latent_channels = widths["num_channels"], widths.get("num_latent_channels")
    if options.only:
        Turns(options, [options.only], 2)
        unit = 1024**2 if sys.platform == "darwin" else 1024
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit)
        return
    peaks = {side: peak_mib(side) for side in SIDES}  # first: a process starts with the peak of the one that calls it
    turns = Turns(options, SIDES, options.repeats + WARM_UP)
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}; {options.codec} "
        f"{options.num_channels}/{options.num_latent_channels}, {options.batch_size} x {options.crop_px} px, "
        f"{options.precision}, medians of {options.repeats}\n"
    )
    print("| step | s | peak MiB |\n|---|---:|---:|")
    for side in SIDES:
        print(f"| {side} | {statistics.median(turns.of(side)):.3f} | {peaks[side]} |")
    floor = [a + b for a, b in zip(turns.of("mse"), turns.of("encoder"), strict=True)]
    print(f"\nmse / theirs: {ratio(turns.of('mse'), turns.of('theirs'))}")
    print(f"mlclipsim / (mse + encoder): {ratio(turns.of('mlclipsim'), floor)}")
    print("\n| optimiser | s a step |\n|---|---:|")
    for name in get_args(OptimizerName):
        print(f"| {name} | {optimizer_seconds(options, name):.3f} |")


def ratio(ours: list[float], others: list[float]) -> str:
    """Return the median ratio of a turn, and the range."""
    ratios = [a / b for a, b in zip(ours, others, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def peak_mib(side: str) -> int:
    """Return the peak memory of a process that takes two steps of one side."""
    command = [sys.executable, *sys.argv, "--only", side]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


class Turns:
    """The sides' steps by turns: ours are one run of Lightning's trainer, which asks here for its batches.

    What passes between handing out a batch and being asked for the next is a step with all that Lightning adds.
    """

    def __init__(self, options: argparse.Namespace, sides: Sequence[str], num_turns: int) -> None:
        self.seconds: dict[str, list[float]] = {side: [] for side in sides}
        self.num_turns, self.images = num_turns, smooth_noise(options.batch_size, options.crop_px)
        self.others = {"theirs": theirs(options, self.images), "encoder": encoder(options, self.images)}
        self.num_own = len(self.seconds.keys() - self.others.keys())
        if self.num_own == 0:
            list(self)
            return
        self.module = Alternating(options, max_steps=len(self))
        with tempfile.TemporaryDirectory() as folder:
            trainer = pl.Trainer(
                max_steps=len(self), accelerator="cpu", precision=precision(options),
                callbacks=[StepProgress(Console(quiet=True))], logger=CSVLogger(folder), log_every_n_steps=10,
                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, deterministic="warn",
            )  # fmt: skip
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # as in `lic.training.run`
            trainer.fit(self.module, self)

    def __len__(self) -> int:
        return self.num_own * (self.num_turns + 1)  # nobody asks for a batch after the last, so one turn more

    def __iter__(self) -> Iterator[Batch]:
        batch = Batch(to_uint8(self.images).permute(0, 2, 3, 1), [])
        for _ in range(self.num_turns + 1):
            for side, seconds in self.seconds.items():
                start = time.perf_counter()
                if side in self.others:
                    next(self.others[side])
                else:
                    self.module.warmup_steps = 0 if side == "mlclipsim" else len(self)
                    yield batch
                seconds.append(time.perf_counter() - start)

    def of(self, side: str) -> list[float]:
        """Return the seconds of a side's steps after the warm-up."""
        return self.seconds[side][WARM_UP : self.num_turns]


class Alternating(CodecTraining):
    """Our steps: against mse alone, which is what a warm-up is, or against ML-CLIPSim."""

    warmup_steps = 0

    def __init__(self, options: argparse.Namespace, max_steps: int) -> None:
        trainer = TrainerConfig(max_steps=max_steps)
        config = TrainConfig(codec=options.codec, optimizer="adam", trainer=trainer)
        torch.manual_seed(0)
        codec = build_codec(options.codec, options.num_channels, options.num_latent_channels)
        super().__init__(codec, build_distortion("mlclipsim", with_backbones(MetricsConfig(), is_demo=True)), config)
        self.train()


def optimizer_seconds(options: argparse.Namespace, name: OptimizerName, num_steps: int = 20) -> float:
    """Return the mean seconds of an optimiser's own part of a step: SOAP's steps are dear and cheap by turns."""
    codec = build_codec(options.codec, options.num_channels, options.num_latent_channels)
    optimizer = build_optimizer(name, codec.to(memory_format=torch.channels_last), LEARNING_RATES[name], 1e-3)
    for parameter in codec.parameters():
        parameter.grad = torch.randn_like(parameter)
    for step in range(num_steps + WARM_UP):
        if step == WARM_UP:
            start = time.perf_counter()
        optimizer.step()
    return (time.perf_counter() - start) / num_steps


def theirs(options: argparse.Namespace, image: Tensor) -> Iterator[None]:
    """Take the steps of CompressAI's `examples/train.py`."""
    torch.manual_seed(0)
    widths = codec_card(options.codec).choose(options.num_channels, options.num_latent_channels)
    network: Any = MODELS[options.codec](*widths.values()).train()
    net, auxiliary = ({"type": "Adam", "lr": rate} for rate in (1e-4, 1e-3))
    optimizers = net_aux_optimizer(network, {"net": net, "aux": auxiliary})
    criterion = RateDistortionLoss(lmbda=1e-2)
    while True:
        optimizers["net"].zero_grad()
        optimizers["aux"].zero_grad()
        criterion(network(image), image)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizers["net"].step()
        network.aux_loss().backward()
        optimizers["aux"].step()
        yield


def encoder(options: argparse.Namespace, image: Tensor) -> Iterator[None]:
    """Run ML-CLIPSim's encoder on images, and back again on as many reconstructions."""
    metric = MLCLIPSim.from_pretrained("demo")
    originals = tile(image, metric.backbone.input_px).contiguous(memory_format=torch.channels_last)
    reconstructions = originals.clone().requires_grad_()
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            with torch.no_grad():
                metric.backbone(originals, metric.layers, metric.has_embedding)
            tokens = metric.backbone(reconstructions, metric.layers, metric.has_embedding).patches
        torch.autograd.backward(tokens, [each.detach() for each in tokens])
        yield


def precision(options: argparse.Namespace) -> Any:
    """Return Lightning's name of it."""
    return "bf16-mixed" if options.precision == "bf16" else "32-true"


def smooth_noise(num_images: int, side_px: int) -> Tensor:
    """Return images, (N, 3, side_px, side_px) in [0, 1]."""
    coarse = torch.rand(num_images, 3, side_px // 8, side_px // 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")


if __name__ == "__main__":
    main()
