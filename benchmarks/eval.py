"""What an evaluation costs beyond coding and network forward passes.

python benchmarks/eval.py                                   # the shipped codec and JPEG on 64 demo scenes
python benchmarks/eval.py --task coco-det --data_root ~/coco --network ssdlite320_mobilenet_v3_large --limit 32

For each operating point, taking turns on the same images: *bare* is encoding and decoding in a loop, and then each
network (the tasks', and ML-CLIPSim's encoder) on the reconstructions in memory; *eval* is what `eval.py` does: it reads
files, codes, decodes, predicts, measures PSNR, MS-SSIM and ML-CLIPSim, and writes records. Their ratio should be 1.15.
What ML-CLIPSim's encoder makes of the originals is kept from the first operating point on, as in `eval.py`.
"""

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from lic.backbones.networks import build_network
from lic.distortions import MLCLIPSim, with_backbones
from lic.evaluation.baselines import PillowCoder, PillowName
from lic.evaluation.coders import Coder
from lic.evaluation.evaluate import code, evaluate, plan_batches
from lic.evaluation.measure import Measures, build_measures
from lic.evaluation.rate_task import group_by_dataset
from lic.evaluation.records import Records
from lic.evaluation.run import learned_coders
from lic.images import read_image
from lic.settings.metrics import MetricsConfig
from lic.settings.names import DEFAULT_METRICS, TaskName
from lic.tasks import Task, build_tasks


def bare(coder: Coder, batches: list[list[Path]], tasks: list[Task], metric: MLCLIPSim) -> tuple[float, float]:
    """Return the seconds of coding, and of the networks."""
    shown: list[torch.Tensor] = []
    originals: list[torch.Tensor] = []
    coding = 0.0
    for paths in batches:
        images = [read_image(path) for path in paths]
        start = time.perf_counter()
        coded = [code(coder, image, path) for image, path in zip(images, paths, strict=True)]
        coding += time.perf_counter() - start
        shown.append(torch.cat([each.reconstruction for each in coded]))
        originals.append(torch.cat(images))
    start = time.perf_counter()
    with torch.no_grad():
        for paths, reconstructions, references in zip(batches, shown, originals, strict=True):
            for task in tasks:
                task.predict(reconstructions, paths)
            metric(reconstructions, references)
    return coding, time.perf_counter() - start


def whole(coder: Coder, batches: list[list[Path]], tasks: list[Task], measures: Measures) -> float:
    """Return the seconds of an evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        evaluate(coder, batches, tasks, measures, Records(Path(folder), "key"))
        return time.perf_counter() - start


def main() -> None:
    """Print a table of seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["imagenet-cls", "coco-det", "voc-seg"])
    parser.add_argument("--data_root", type=Path)
    parser.add_argument("--network", nargs="*", default=[])
    parser.add_argument("--network_weights", nargs="*", default=[])
    parser.add_argument("--checkpoint", default="checkpoints/demo/codecs/mbt2018-mean-vbr-mse.safetensors")
    parser.add_argument("--baseline", nargs="*", default=["jpeg", "avif"])
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cpu = torch.device("cpu")
    weights = options.network_weights or ["-"] * len(options.network)
    pairs = zip(options.network, weights, strict=True)
    networks = [build_network(name, None if file == "-" else file, cpu) for name, file in pairs]
    names: list[TaskName] = options.task
    baselines: list[PillowName] = options.baseline
    ((dataset, images, tasks),) = group_by_dataset(build_tasks(names, networks, options.data_root, cpu, options.limit))
    metric, batches = MLCLIPSim.from_pretrained("demo"), plan_batches(images)
    measures = build_measures(DEFAULT_METRICS, with_backbones(MetricsConfig(), is_demo=True), cpu)
    judges = ", ".join(task.network for task in tasks)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, medians of "
          f"{options.repeats}; {len(images)} images of {dataset}, networks {judges}\n")
    print("| codec | coding s | networks s | eval s | ratio |\n|---|---:|---:|---:|---:|")
    for coder in [*learned_coders([options.checkpoint], cpu), *(PillowCoder(name, 40) for name in baselines)]:
        rows = []
        for _ in range(options.repeats):
            rows.append((*bare(coder, batches, tasks, metric), whole(coder, batches, tasks, measures)))
        coding, forward, wall = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {coder.codec} | {coding:.2f} | {forward:.2f} | {wall:.2f} | {wall / (coding + forward):.2f} |")


if __name__ == "__main__":
    main()
