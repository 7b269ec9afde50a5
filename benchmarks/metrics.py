"""What ML-CLIPSim costs over its encoder, and beside a straightforward implementation.

    python benchmarks/metrics.py                                    # ViT-B/16, 224 px, as they ship in open_clip
    python benchmarks/metrics.py --encoder ViT-B-16 --batch 32 --device cuda

Untrained weights: they do not change the time. All candidates take turns in one run; medians.

- loss: forward (reference, no gradient) + forward and backward (reconstruction), against the bare encoder doing the
  same with nothing compared. The aim is at most 1.05.
- eval: similarity without gradient, against two passes with hooks on the blocks and torch's cosine_similarity.
- one reference, many images: the reference's features once, against once for each image.
- first layers only: the last of four layers used is the sixth block; nothing after it is run.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from lic.backbones.features import clip_backbone
from lic.distortions import MLCLIPSim


def main() -> None:
    """Print a table of times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="ViT-B-16", help="a ViT of open_clip (%(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="images (%(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="turns (%(default)s)")
    parser.add_argument("--device", default="cpu")
    settings = parser.parse_args()
    device = torch.device(settings.device)
    torch.manual_seed(0)
    tower = clip_backbone(open_clip.create_model(settings.encoder).visual).to(device)
    metric = MLCLIPSim(tower).to(device).eval()
    early = MLCLIPSim(tower, [0, 2, 4, 5], [1, 1, 1, 1, 0]).to(device).eval()
    image = torch.rand(settings.batch, 3, tower.input_px, tower.input_px, device=device)
    reconstruction = (image + 0.05 * torch.randn_like(image)).clamp(0, 1)
    pairs = [
        ("loss / bare encoder", lambda: loss(metric, reconstruction, image),
         lambda: bare(metric, reconstruction, image)),
        ("loss, training mode / bare encoder", lambda: training_loss(metric, reconstruction, image),
         lambda: bare(metric, reconstruction, image)),
        ("eval / two passes with hooks", lambda: similarity(metric, reconstruction, image),
         lambda: hooked(metric, reconstruction, image)),
        ("one reference / a reference each", lambda: one_reference(metric, reconstruction, image[:1]),
         lambda: similarity(metric, reconstruction, image[:1].expand_as(image))),
        ("first six blocks / all of them", lambda: similarity(early, reconstruction, image),
         lambda: similarity(metric, reconstruction, image)),
    ]  # fmt: skip
    difference = (similarity(metric, reconstruction, image) - hooked(metric, reconstruction, image)).abs().max()
    print(f"{platform.machine()}, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"{settings.encoder} at {tower.input_px} px, batch {settings.batch}, medians of {settings.repeats}; "
          f"largest difference to the hooks' values {difference:.1e}\n")  # fmt: skip
    print("| what / against what | s | s | ratio | images/s | images/s |\n|---|---:|---:|---:|---:|---:|")
    for name, ours, theirs in pairs:
        one, other = in_turns(ours, theirs, settings.repeats, device)
        rates = f"{settings.batch / one:.2f} | {settings.batch / other:.2f}"
        print(f"| {name} | {one:.3f} | {other:.3f} | {one / other:.3f} | {rates} |", flush=True)


def loss(metric: MLCLIPSim, reconstruction: Tensor, image: Tensor) -> None:
    """ML-CLIPSim as a loss, without the random shift."""
    pixels = reconstruction.clone().requires_grad_(True)
    metric.distance(pixels, image).sum().backward()


def training_loss(metric: MLCLIPSim, reconstruction: Tensor, image: Tensor) -> None:
    """ML-CLIPSim as a loss, as training calls it."""
    metric.train()
    loss(metric, reconstruction, image)
    metric.eval()


def bare(metric: MLCLIPSim, reconstruction: Tensor, image: Tensor) -> None:
    """The encoder alone: forward of the image; forward and backward of the reconstruction, from the layers used."""
    visual, tower = metric.backbone.reader.visual, metric.backbone
    pixels = reconstruction.clone().requires_grad_(True)
    options = {"indices": metric.layers, "output_fmt": "NLC"}
    with torch.no_grad():
        visual.forward_intermediates((image - tower.mean[:, None, None]) / tower.std[:, None, None], **options)
    output = visual.forward_intermediates((pixels - tower.mean[:, None, None]) / tower.std[:, None, None], **options)
    sum(x.sum() for x in [*output["image_intermediates"], output["image_features"]]).backward()


def similarity(metric: MLCLIPSim, reconstruction: Tensor, image: Tensor) -> Tensor:
    """ML-CLIPSim measured."""
    with torch.no_grad():
        return metric(reconstruction, image)


def one_reference(metric: MLCLIPSim, reconstruction: Tensor, image: Tensor) -> Tensor:
    """ML-CLIPSim of many images of one reference."""
    with torch.no_grad():
        return 1 - metric.distance_to(reconstruction, metric.see(image))


def hooked(metric: MLCLIPSim, reconstruction: Tensor, image: Tensor) -> Tensor:
    """The definition, straightforwardly: hooks on every block, two passes, cosine_similarity."""
    tower, tokens = metric.backbone, []
    blocks = tower.reader.visual.transformer.resblocks
    handles = [block.register_forward_hook(lambda _module, _input, output: tokens.append(output)) for block in blocks]
    sides = []
    with torch.no_grad():
        for x in (reconstruction, image):
            tokens.clear()
            embedding = tower.reader.visual((x - tower.mean[:, None, None]) / tower.std[:, None, None])
            sides.append([*(tokens[layer][:, 1:] for layer in metric.layers), embedding])
    for handle in handles:
        handle.remove()
    parts = [F.cosine_similarity(a, b, dim=-1).reshape(len(image), -1).mean(1) for a, b in zip(*sides, strict=True)]
    return torch.stack(parts, 1) @ metric.layer_weights


def in_turns(
    one: Callable[[], object], other: Callable[[], object], repeats: int, device: torch.device
) -> tuple[float, float]:
    """Return the medians, in seconds, of two works that take turns, after one turn each that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for work, times in zip((one, other), seconds, strict=True):
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                times.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


if __name__ == "__main__":
    main()
