"""The training step: bits per pixel + lmbda * scale * distortion, and the quantiles' auxiliary loss beside it."""

import dataclasses
import math
from importlib.metadata import version
from typing import Any, NamedTuple, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerConfig, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lic.codecs import Codec, Header
from lic.codecs.build import codec_card
from lic.codecs.rates import middle
from lic.codecs.synthesis import reconstruct_from_symbols
from lic.data.crops import Batch
from lic.distortions import MSE_SCALE, Distortion, mse
from lic.distortions.ms_ssim import CARD as MS_SSIM
from lic.distortions.ms_ssim import ms_ssim_distance
from lic.settings.names import UpstreamCodecName
from lic.settings.stages import value_at
from lic.settings.train import TrainConfig
from lic.training.optimizers import build_optimizer

RISE_STEPS = 200  # of the rate after --init: an optimiser without history undoes a trained codec in a few steps


class Loss(NamedTuple):
    """A step's loss and its parts, means over the batch: bits per pixel, unscaled distortion, mean squared error."""

    total: Tensor
    bpp: Tensor
    distortion: Tensor
    mse: Tensor


class CodecTraining(pl.LightningModule):
    """A codec under the rate-distortion loss.

    Unless the distortion is mse, the first `warmup_mse` of the steps minimise mse alone (from scratch ML-CLIPSim finds
    poor optima, and MS-SSIM may start without gradient), and a small pixel anchor stays for the rest. One backward pass
    of loss + auxiliary loss serves both optimisers' parameters: the two losses touch disjoint sets, and nothing is
    unused under DDP.

    Where the decoder alone is tuned, it starts trained: there are no first steps of another kind. The loss has the same
    sum, of which the rate is a constant then.
    """

    def __init__(self, codec: Codec, distortion: Distortion, config: TrainConfig) -> None:
        super().__init__()
        self.codec = codec.to(memory_format=torch.channels_last)  # a third faster on CPU in bf16
        self.distortion, self.config = distortion, config
        averaging = get_ema_multi_avg_fn(config.ema_decay)
        self.ema = AveragedModel(codec, multi_avg_fn=averaging) if config.ema_decay else None
        self.pass_loss = torch.zeros(2)  # sum and number of this pass's losses
        self.plateau: ReduceLROnPlateau | None = None
        self.plateau_state: dict[str, Any] = {}
        self.unreadable: set[int] = set()
        self.parts: dict[str, Tensor] = {}  # of the last step's loss
        self.skipped: list[int] = []  # steps whose gradients were not finite

    @property
    def strict_loading(self) -> bool:
        """False: checkpoints hold the codec, not the frozen metric."""
        return False

    @strict_loading.setter
    def strict_loading(self, _: bool) -> None: ...

    @property
    def is_decoder(self) -> bool:
        """Whether the codec's decoder alone is tuned."""
        return self.config.train == "decoder"

    def train(self, mode: bool = True) -> "CodecTraining":
        """Switch to training; a codec whose decoder alone is tuned codes, in eval mode."""
        super().train(mode)
        self.codec.train(mode and not self.is_decoder)
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make the step's noise and shifts a function of seed, step and rank: a resumed run draws the same."""
        accumulated = self.config.trainer.accumulated
        number = self.global_step * accumulated + batch_idx % accumulated
        torch.manual_seed((self.config.seed * 1_000_003 + number) * 1009 + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch of crops and log its parts."""
        loss = self.rate_distortion(batch.images, self.global_step)
        auxiliary = self.codec.auxiliary_loss()
        parts = {"loss": loss.total, "bpp": loss.bpp, "distortion": loss.distortion, "auxiliary": auxiliary}
        parts["psnr_db"] = -10 * loss.mse.log10()
        values = torch.stack([value.detach() for value in parts.values()])
        self.parts = dict(zip(parts, self.trainer.strategy.reduce(values, reduce_op="mean"), strict=True))  # over ranks
        one_more = torch.stack([self.parts["loss"], torch.ones_like(values[0])])
        self.pass_loss = self.pass_loss.to(values.device) + one_more
        self.log_dict({f"train/{name}": value for name, value in self.parts.items()})
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        self.unreadable.update(batch.unreadable)
        return loss.total + auxiliary

    def rate_distortion(self, image: Tensor, step: int) -> Loss:
        """Return the loss of images, (N, 3, H, W), as a step minimises it.

        A variable-rate codec sees the whole grid in each step, its points on equal parts of the batch; one with rates
        of its own codes each image at a random one. Their losses weigh inversely to their size, so that no rate is
        served at another's cost; Kamisli et al. 2024 (arXiv 2402.18930, eq. 8) find the weights that do so from one
        gradient per point.
        """
        points = self.operating_points(len(image), step)
        if self.codec.rates and points != [None]:
            losses = self._losses(image, points, step)
        else:
            parts = zip(image.tensor_split(len(points)), points, strict=True)
            of_parts = [self._losses(part, [point], step) for part, point in parts]
            losses = Loss(*(torch.stack([each.mean() for each in one]) for one in zip(*of_parts, strict=True)))
        weights = 1 / losses.total.detach()
        total = (losses.total * weights / weights.sum()).sum()
        return Loss(total, losses.bpp.mean(), losses.distortion.mean(), losses.mse.mean())

    def operating_points(self, num_images: int, step: int) -> list[float | None]:
        """Return the lmbdas of a step, in random order; None: a single rate, without gain."""
        is_single = step < self.config.single_rate * self.config.trainer.max_steps and not self.is_decoder
        if not self.codec.grid or is_single:
            return [None]
        if self.codec.rates:
            return [self.codec.rates[i] for i in torch.randint(len(self.codec.rates), (num_images,)).tolist()]
        return [self.codec.grid[i] for i in torch.randperm(len(self.codec.grid)).tolist()][:num_images]

    def _losses(self, image: Tensor, points: list[float | None], step: int) -> Loss:
        """Return the loss of each image and its parts, (N,); there is one point for all or one for each."""
        lmbdas = [middle(self.config.lmbdas) if point is None else point for point in points]
        lmbda = torch.tensor(lmbdas, device=image.device)
        is_past_warmup = step >= self.warmup_steps
        if self.is_decoder:
            output = reconstruct_from_symbols(self.codec, image, points[0])
        else:
            output = self.codec(image, points[0] if len(points) == 1 else lmbdas)
        squared = mse(output.reconstruction, image)
        distortion = self.distortion(output.reconstruction, image) if is_past_warmup else squared
        scale = self.distortion.scale if is_past_warmup else MSE_SCALE
        anchor = self._anchor(output.reconstruction, image, squared) if is_past_warmup else 0.0
        total = output.bpp + lmbda * (scale * distortion + anchor)
        return Loss(total, output.bpp, distortion, squared.detach())

    def _anchor(self, reconstruction: Tensor, image: Tensor, squared: Tensor) -> Tensor | float:
        """Return what holds each reconstruction to pixels and structure, (N,); nothing where mse is trained for."""
        config = self.config
        anchor: Tensor | float = 0.0
        if self.has_own_distortion and config.anchor_mse:
            anchor = anchor + config.anchor_mse * MSE_SCALE * squared
        if self.has_own_distortion and config.anchor_ms_ssim:
            anchor = anchor + config.anchor_ms_ssim * MS_SSIM.scale * ms_ssim_distance(reconstruction, image)
        return anchor

    @property
    def leaves_weights_aside(self) -> bool:
        """Whether there are steps that not every weight has a part in.

        A variable-rate codec's first stage and a batch smaller than its grid leave some of its gains aside; some of
        CompressAI's newer classes have weights for losses of their own, which are not minimised here.
        """
        if self.config.codec in get_args(UpstreamCodecName):
            return True
        if not self.codec.grid or self.codec.rates or self.is_decoder:  # gains of own rates are rows of one parameter
            return False
        return self.config.single_rate > 0 or self.config.batch_size < len(self.codec.grid)

    @property
    def has_own_distortion(self) -> bool:
        """Whether the distortion is another than mse, so that warm-up and anchor mean anything."""
        return self.config.distortion != "mse"

    @property
    def warmup_steps(self) -> int:
        """How many of the first steps minimise mse in place of the chosen distortion."""
        has_any = self.has_own_distortion and not self.is_decoder
        return math.ceil(self.config.warmup_mse * self.config.trainer.max_steps) if has_any else 0

    def configure_optimizers(self) -> OptimizerConfig | OptimizerLRSchedulerConfig:
        """Return the optimiser and --schedule of the weights' learning rates; the quantiles' is constant.

        Plateau is CompressAI's: halved after 20 passes over the images whose mean loss was not below the lowest.
        """
        config = self.config
        optimizer = build_optimizer(config.optimizer, self.codec, config.rate_stages[0][1], config.aux_learning_rate)
        if config.schedule == "plateau":
            lowest = [0.0] * (len(optimizer.param_groups) - 1)
            self.plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=20,
                                             min_lr=[*lowest, config.aux_learning_rate])  # fmt: skip
            return {"optimizer": optimizer}
        of_weights = [self._rate] * (len(optimizer.param_groups) - 1)
        scheduler = LambdaLR(optimizer, [*of_weights, lambda _: 1.0])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Return a step's learning rate as a share of the first."""
        stages = self.config.rate_stages
        rise = min((step + 1) / RISE_STEPS, 1.0) if self.config.init else 1.0
        if self.config.schedule == "steps":
            return rise * value_at(stages, step) / stages[0][1]
        share = min(step / self.config.trainer.max_steps, 1.0)
        return rise * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)

    def on_train_start(self) -> None:
        """Give the plateau schedule what a checkpoint knew of it."""
        if self.plateau is not None and self.plateau_state:
            self.plateau.load_state_dict(self.plateau_state)

    def configure_gradient_clipping(self, *_: Any, gradient_clip_algorithm: str | None = None, **__: Any) -> None:
        """Clip the weights' gradient by its norm, or each value of it; the quantiles' is another loss's."""
        weights = list(self.codec.weights())
        norm = torch.nn.utils.get_total_norm([each.grad for each in weights if each.grad is not None])
        if norm.isfinite() and gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(weights, self.config.clip_norm)
        elif norm.isfinite():
            torch.nn.utils.clip_grads_with_norm_(weights, self.config.clip_norm, norm)
        else:
            self._skip_or_stop()

    def _skip_or_stop(self) -> None:
        """Drop a gradient that is not finite, so that the step changes nothing.

        Raises:
            ValueError: --skip_nonfinite is used up; the weights and last.ckpt are as they were.
        """
        if len(self.skipped) == self.config.skip_nonfinite:
            gradients = {k: float(v.grad.abs().max()) for k, v in self.codec.named_parameters() if v.grad is not None}
            name = next(name for name, value in gradients.items() if not math.isfinite(value))
            parts = ", ".join(f"{part} {float(value):.3g}" for part, value in self.parts.items())
            raise ValueError(f"step {self.global_step + 1} has a gradient that is not finite ({parts}; of {name} "
                             f"{gradients[name]:g}). last.ckpt, if there is one, is older and good. A lower "
                             "--learning_rate may help; --skip_nonfinite N leaves out up to N such steps")
        self.skipped.append(self.global_step + 1)
        self.zero_grad()

    def optimizer_step(self, *arguments: Any, **settings: Any) -> None:
        """Step, and move the average and the plateau schedule with it: before any callback saves a checkpoint."""
        super().optimizer_step(*arguments, **settings)
        self.update_average()
        if self.plateau is not None and (self.global_step + 1) % self._steps_a_pass == 0:
            self.plateau.step(float(self.pass_loss[0] / self.pass_loss[1]))
            self.pass_loss = torch.zeros_like(self.pass_loss)

    @property
    def _steps_a_pass(self) -> int:
        return int(self.trainer.num_training_batches) // self.config.trainer.accumulated

    def update_average(self) -> None:
        """Move the exponential moving average, if there is one, towards the codec."""
        if self.ema is not None:
            self.ema.update_parameters(self.codec)

    @property
    def best_codec(self) -> Codec:
        """The codec to evaluate: the average where there is one."""
        averaged = self.ema.module if self.ema is not None else self.codec
        assert isinstance(averaged, Codec)
        return averaged

    def header(self) -> Header:
        """Return what the checkpoint says of this codec."""
        config = self.config
        card = codec_card(config.codec)
        options = card.choose(config.num_channels, config.num_latent_channels)
        versions = {name: version(name) for name in ("lic", "torch", "compressai")}
        data = "demo scenes (embedded, synthetic)" if config.data == "scenes" else str(config.data_root)
        return Header(card.name, options, config.lmbdas, self.distortion.name, data, self.global_step, versions,
                      config.label, config.seed, self.codec.streams_of)  # fmt: skip

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen metric out, and say what the codec is and whose state the optimiser's is."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: v for name, v in state.items() if not name.startswith("distortion.")}
        checkpoint["lic"] = dataclasses.asdict(self.header())
        checkpoint["optimizer"] = self.config.optimizer
        if self.plateau is not None:
            checkpoint["plateau"] = {"pass_loss": self.pass_loss, "state": self.plateau.state_dict()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the losses of this pass and the lowest of all: the plateau schedule's optimiser comes later."""
        if plateau := checkpoint.get("plateau"):
            self.pass_loss, self.plateau_state = plateau["pass_loss"], plateau["state"]
