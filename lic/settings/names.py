"""What can be chosen by name.

These lists answer `--help` and mistyped names at once, without torch; a test holds that they are the rooms' cards.
"""

from typing import Literal

from jsonargparse.typing import restricted_string_type

GuestFile = restricted_string_type("GuestFile", r".+\.py", docstring="A Python file that defines CARD.")
"""Stands where a name is expected (lic/guests.py)."""

CodecName = Literal[
    "bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018",
    "cheng2020-anchor", "cheng2020-attn", "cheng2020-anchor-checkerboard",
    "elic2022-official", "elic2022-chandelier", "mlicpp", "mlicpp-old",
    "bmshj2018-hyperprior-vbr", "mbt2018-mean-vbr", "mbt2018-vbr", "elic2022-official-vbr", "mlicpp-vbr",
    "dcvc-uf-intra",
]  # fmt: skip
UpstreamCodecName = Literal["stf", "stf-wacnn", "tcm", "cca", "dcae", "saaf", "mlic", "mlicplus", "mlicv2"]
"""CompressAI's own, where the installed one has them (lic/codecs/upstream.py)."""
AnyCodecName = Literal[CodecName, UpstreamCodecName]
DistortionName = Literal[
    "mse", "ssim", "ms-ssim", "lpips", "dists", "fsim", "gmsd", "vif", "mlclipsim", "features",
]  # fmt: skip
MetricName = Literal[
    "psnr", "ssim", "ms-ssim", "lpips", "dists", "fsim", "gmsd", "vif", "mlclipsim", "features", "maclip", "clipiqa",
]  # fmt: skip
DEFAULT_METRICS: tuple[MetricName, ...] = ("psnr", "ms-ssim", "mlclipsim")
"""Of an evaluation."""
FeatureDistance = Literal["cos", "l2", "swd", "wsd", "jsd", "skld"]
FeaturesPreset = Literal["lic", "zs-iqa"]
MACLIPPreset = Literal["code", "paper"]
ReaderName = Literal["machines", "eyes"]
RateOfName = Literal["image", "folder"]
TrainedName = Literal["codec", "decoder"]
DataName = Literal["scenes", "folder", "webdataset"]
TaskName = Literal[
    "imagenet-cls", "folder-cls", "coco-det", "voc-det", "coco-seg", "coco-semseg", "voc-seg", "camvid-seg",
    "pope", "seedbench", "textvqa", "consistency",
]  # fmt: skip
BaselineName = Literal["jpeg", "webp", "avif", "jpeg2000", "vtm", "vtm-scaled", "vvenc", "hm", "bpg"]
ProgramName = Literal["vtm", "vtm-scaled", "vvenc", "hm", "bpg"]
"""Baselines that are programs of the user's."""
ProtocolName = Literal[
    "file", "center-crop-256", "short-side-800", "short-side-800-pad-256", "pad-64", "pad-128", "pad-256",
]  # fmt: skip
HarnessName = Literal["lmudata", "lmms-eval"]
FitName = Literal["mpeg"]
"""What becomes of a curve that does not rise throughout, for a second BD-rate beside ours."""
OptimizerName = Literal["adam", "soap", "muon"]
PrecisionName = Literal["auto", "32-true", "bf16-mixed"]
WandbMode = Literal["auto", "online", "offline", "disabled"]
ScheduleName = Literal["cosine", "steps", "plateau"]
FlipsName = Literal["none", "horizontal", "both"]
TRAINER_TAKEN = {
    "callbacks": "the progress, the checkpoints and the judging", "logger": "metrics.csv and --wandb.*",
    "gradient_clip_val": "it is --clip_norm", "enable_checkpointing": "last.ckpt is --checkpoint_every's",
    "enable_progress_bar": "lic has its own", "enable_model_summary": "a codec is in its card",
    "use_distributed_sampler": "crops are shared out by lic", "max_epochs": "a run ends with --trainer.max_steps",
    "reload_dataloaders_every_n_epochs": "crops are drawn by step", "default_root_dir": "it is --output",
    "barebones": "it leaves callbacks out",
}  # fmt: skip
"""Arguments of Lightning's Trainer that are not to be given, and why."""
TRAINER_FURTHER = (
    "strategy", "accumulate_grad_batches", "gradient_clip_algorithm", "log_every_n_steps", "deterministic", "benchmark",
    "profiler", "detect_anomaly", "plugins", "sync_batchnorm", "max_time", "fast_dev_run", "overfit_batches",
    "limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches", "min_epochs",
    "min_steps", "val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps", "inference_mode",
    "enable_autolog_hparams", "model_registry",
)  # fmt: skip
"""Those that are handed on as they are given; others have a setting of their own."""
LEARNING_RATES: dict[OptimizerName, float] = {"adam": 1e-3, "soap": 6e-3, "muon": 2e-2}
"""Peaks by default."""
