"""How time and memory grow: with the image's size, the batch, the operating points, the tasks, the processes.

python benchmarks/growth.py
python benchmarks/growth.py --only sizes

Each number comes from a process of its own, whose peak memory is the kernel's count. What a process has after its
imports, codec included, is subtracted nowhere: the first row shows it. One thread for each process.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SIDES = (256, 512, 1024, 2048, 4096)
TILE = 1024

PRELUDE = """
import json, resource, sys, time
from pathlib import Path
import torch
from lic.printing import Console
torch.set_num_threads(1)
def done(seconds, **more):
    print(json.dumps({"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **more}))
"""

CODING = """
from lic.bitstream import decode, encode
from lic.codecs import PHOTOS, load_codec
from lic.images import read_image
path, what, tile = sys.argv[1:]
loaded = load_codec(PHOTOS / "mbt2018-mean-vbr-mse.safetensors")
small = torch.rand(1, 3, 64, 64)
decode(encode(small, loaded, 0.0067), loaded)  # tables and kernels
loaded.codec.tile_px = int(tile) or None
stream = Path(path).with_suffix(".lic")
image = read_image(path) if what == "encode" else None
start = time.perf_counter()
if what == "encode":
    stream.write_bytes(encode(image, loaded, 0.0067))
else:
    decode(stream.read_bytes(), loaded)
done(time.perf_counter() - start)
"""

EVALUATION = """
from lic.evaluation.run import evaluate
from lic.settings.evaluate import EvalConfig
from lic.settings.tracking import WandbConfig
config = EvalConfig(baseline=[], wandb=WandbConfig(mode="disabled"), **json.loads(sys.argv[1]))
start = time.perf_counter()
evaluate(config, Console(quiet=True))
done(time.perf_counter() - start)
"""

STEPS = """
from lic.codecs import build_codec
from lic.distortions import build_distortion, with_backbones
from lic.settings.metrics import MetricsConfig
from lic.settings.train import TrainConfig
from lic.training.module import CodecTraining
from lic.training.optimizers import build_optimizer
name, distortion, batch, crop, optimizer, precision = sys.argv[1:]
config = TrainConfig(codec=name, distortion=distortion, batch_size=int(batch), warmup_mse=0.0)
module = CodecTraining(build_codec(name), build_distortion(distortion, with_backbones(MetricsConfig(), True)), config)
module.train()
own = build_optimizer(optimizer, module.codec, 1e-4, 1e-3)
image = torch.rand(int(batch), 3, int(crop), int(crop))
seconds = []
for _ in range(4):
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = module.rate_distortion(image, 0).total + module.codec.auxiliary_loss()
    loss.backward()
    own.step()
    own.zero_grad()
    seconds.append(time.perf_counter() - start)
done(min(seconds[1:]), parameters=sum(each.numel() for each in module.codec.parameters()))
"""


def measure(code: str, *arguments: object, processes: int = 1) -> dict[str, float]:
    """Return what a process of its own measures, or the first of several that share an evaluation."""
    command = [sys.executable, "-W", "ignore", "-c", PRELUDE + code, *map(str, arguments)]
    own = os.environ | {"OMP_NUM_THREADS": "1"}
    rendezvous = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    started = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True,
            env=own | (rendezvous | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}),
        )
        for rank in range(processes)
    ]  # fmt: skip
    outputs = [process.communicate()[0] for process in started]
    assert all(process.returncode == 0 for process in started), "a process failed"
    found: dict[str, float] = json.loads(outputs[0].splitlines()[-1])
    return found


def measure_evaluation(settings: dict[str, object], processes: int = 1) -> dict[str, float]:
    """Return what an evaluation takes, in a folder that its processes share."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(EVALUATION, json.dumps(settings | {"output": folder}), processes=processes)


def row(*cells: object) -> None:
    """Print a row of a table."""
    print("|", " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells), "|", flush=True)


def sizes(folder: Path) -> None:
    """Coding and evaluating one image, by its side."""
    import torch

    from lic.images import write_image

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 600, 600, generator=generator)
    picture = torch.nn.functional.interpolate(coarse, (4096, 4096), mode="bicubic", antialias=False).clamp(0, 1)
    print("\n| side px | encode s | MiB | tiled s | MiB | decode s | MiB | tiled s | MiB | eval s | MiB | tiled MiB |")
    print("|---:|" + "---:|" * 11)
    for side in SIDES:
        place = folder / str(side)
        place.mkdir()
        write_image(picture[..., :side, :side], place / "image.png")
        cells: list[object] = [side]
        for what in ("encode", "decode"):
            for tile in (0, TILE):
                found = measure(CODING, place / "image.png", what, tile)
                cells += [found["seconds"], round(found["mib"])]
        settings: dict[str, object] = {"data_root": str(place), "checkpoint": ["checkpoints/photos/codecs/*-mse*"],
                                       "lmbda": [0.0067], "metric": ["psnr", "ms-ssim"]}  # fmt: skip
        (place / "image.lic").unlink()
        found, tiled = measure_evaluation(settings), measure_evaluation(settings | {"tile": TILE})
        row(*cells, found["seconds"], round(found["mib"]), round(tiled["mib"]))


def batches(_: Path) -> None:
    """A training step, by the batch."""
    print("\n| codec, crops of 256 px | batch | s a step | MiB |\n|---|---:|---:|---:|")
    for batch in (1, 2, 4, 8, 16):
        found = measure(STEPS, "mbt2018-mean", "mse", batch, 256, "adam", "fp32")
        row("mbt2018-mean, mse, fp32", batch, found["seconds"], round(found["mib"]))
    for batch in (1, 2):
        found = measure(STEPS, "mlicpp", "mse", batch, 256, "adam", "fp32")
        label = f"mlicpp, {found['parameters'] / 1e6:.1f} million parameters, mse, fp32"
        row(label, batch, found["seconds"], round(found["mib"]))


def points(_: Path) -> None:
    """An evaluation on the demo scenes, by operating points, tasks and processes."""
    codec = ["checkpoints/demo/codecs/mbt2018-mean-vbr-mse.safetensors"]
    tasks = ["imagenet-cls", "coco-det", "voc-seg"]
    print("\n| images | operating points | tasks | processes | s |\n|---:|---:|---:|---:|---:|")
    for images, lmbdas, number, processes in (
        (50, 1, 1, 1), (100, 1, 1, 1), (200, 1, 1, 1), (100, 2, 1, 1), (100, 4, 1, 1), (100, 2, 2, 1), (100, 2, 3, 1),
        (200, 4, 3, 1), (200, 4, 3, 2),
    ):  # fmt: skip
        settings: dict[str, object] = {
            "checkpoint": codec, "lmbda": [0.01, 0.02, 0.04, 0.08][:lmbdas], "task": tasks[:number], "limit": images,
            "metric": ["psnr"], "device": "cpu",
        }  # fmt: skip
        found = measure_evaluation(settings, processes)
        row(images, lmbdas, number, processes, found["seconds"])


PARTS: dict[str, Callable[[Path], None]] = {"sizes": sizes, "batches": batches, "points": points}


def main() -> None:
    """Measure what the command line names and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; tiles of {TILE} px")
    with tempfile.TemporaryDirectory() as folder:
        for part in options.only:
            PARTS[part](Path(folder))


if __name__ == "__main__":
    main()
