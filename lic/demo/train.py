"""How the demo scenes' networks are trained, from nothing.

They learn from scenes of the split "networks" alone and are judged on those of "val", as drawn and as JPEG of
quality 10. **No codec and no compressed image takes part in the training**, nor any blur or noise that resembles one:
the only augmentation is that the CLIP sees pieces of scenes with captions that leave words out, and that RegNet sees
scenes mirrored, shifted and recoloured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from rich.progress import Progress
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lic.atomic import write_file
from lic.demo import networks as demo
from lic.demo import other_networks as voters
from lic.demo.arrays import SceneArrays, jpeg_compressed, to_images
from lic.demo.drawing import WORLD_SEED
from lic.demo.losses import attribute_loss, clip_loss, reader_loss, vicreg_loss
from lic.demo.networks import NetworkName
from lic.demo.other_networks import VoterName
from lic.demo.reader import build_scene_reader
from lic.demo.scores import score_network
from lic.device import pick_precision
from lic.printing import Console, Words

NAMES: tuple[NetworkName, ...] = ("clip", "classifier", "detector", "segmenter", "reader")
VOTERS: tuple[VoterName, ...] = ("mobilenet", "regnet", "vit", "ssd", "unet", "convnext")
NUM_SCENES = 20480
SEED = 0
JPEG_QUALITY = 10
BACKGROUND_WEIGHT = 0.3


@dataclass(frozen=True)
class Recipe:
    """How one network is trained: AdamW under a one-cycle schedule."""

    build: Callable[[], nn.Module]
    loss: Callable[[nn.Module, SceneArrays, np.random.Generator], Tensor]
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float


def make(name: NetworkName | VoterName, scenes: SceneArrays, held_out: SceneArrays, steps: int, out: Path) -> None:
    """Trains one network, prints its scores and writes its file."""
    start = perf_counter()
    network = train_network(name, scenes, steps)
    minutes = (perf_counter() - start) / 60
    header = {"name": name, "lic": version("lic"), "torch": torch.__version__, "seed": str(SEED), "steps": str(steps)}
    header |= {"world_seed": str(WORLD_SEED), "scenes": str(len(scenes)), "minutes": f"{minutes:.1f}"}
    judged = {"": held_out, f" on JPEG quality {JPEG_QUALITY}": jpeg_compressed(held_out, JPEG_QUALITY)}
    for suffix, images in judged.items():
        for score, value in score_network(name, network, images).items():
            header[f"{score}{suffix}"] = f"{value:.4f}"
    chance = f" (retrieval among {len(held_out)}: chance is {1 / len(held_out):.4f})" if name == "clip" else ""
    Console(width=120).print(", ".join(f"{key} {value}" for key, value in header.items()) + chance)
    _write(network, header, out / f"{name}.safetensors")


def train_network(name: NetworkName | VoterName, scenes: SceneArrays, steps: int) -> nn.Module:
    """A network trained on the scenes from a fixed seed, in eval mode."""
    recipe = RECIPES[name]
    is_bf16 = pick_precision("auto", torch.device("cpu")).is_bf16
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    network = recipe.build().train().to(memory_format=torch.channels_last)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}]
    groups.append({"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0})
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, steps + 1, pct_start=0.15)
    with Progress(*Progress.get_default_columns(), Words("{task.fields[loss]}")) as progress:
        task = progress.add_task(f"training the {name}", total=steps, loss="")
        mean = 0.0
        for step in range(steps):
            rows = rng.integers(len(scenes), size=min(recipe.batch_size, len(scenes)))
            with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
                loss = recipe.loss(network, scenes.take(rows), rng)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0 if name == "clip" else 5.0)
            optimiser.step()
            schedule.step()
            mean += (loss.item() - mean) / min(step + 1, 50)
            progress.update(task, advance=1, loss=f"loss {mean:.3f}")
            if step % max(1, steps // 20) == 0:
                progress.console.print(f"{name}: step {step}, loss {mean:.3f}")
    return network.eval()


def _classifier_loss(network: nn.Module, batch: SceneArrays, rng: np.random.Generator) -> Tensor:
    """Cross entropy of the main object's shape, and of each square's whose centre lies on an object."""
    assert isinstance(network, demo.Classifier)
    places = network.logit_map(to_images(batch.images)).float()
    shapes = torch.from_numpy(batch.masks[:, 8::16, 8::16].astype(np.int64)) - 1
    whole = cross_entropy(places.mean(dim=(2, 3)), torch.from_numpy(batch.labels[:, 0]))
    return whole + cross_entropy(places, shapes, ignore_index=-1)


def _segmenter_loss(network: nn.Module, batch: SceneArrays, rng: np.random.Generator) -> Tensor:
    """Cross entropy of every pixel's class; the background, which is most of them, counts less."""
    classes = torch.from_numpy(batch.masks.astype(np.int64))
    weight = torch.tensor([BACKGROUND_WEIGHT] + demo.NUM_SHAPES * [1.0])
    return cross_entropy(network(to_images(batch.images)).float(), classes, weight)


def _detector_loss(network: nn.Module, batch: SceneArrays, rng: np.random.Generator) -> Tensor:
    """FCOS's own losses, summed."""
    targets = []
    for boxes, labels in zip(batch.boxes, batch.labels, strict=True):
        present = labels >= 0
        targets.append({"boxes": torch.from_numpy(boxes[present]), "labels": torch.from_numpy(labels[present] + 1)})
    losses: dict[str, Tensor] = network(list(to_images(batch.images)), targets)
    return torch.stack(list(losses.values())).sum()


def _write(network: nn.Module, header: dict[str, str], path: Path) -> None:
    """The weights in half precision, whole or not at all."""
    weights = network.state_dict()
    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in weights.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(save(half, header), path)


def _attribute_loss(network: nn.Module, batch: SceneArrays, rng: np.random.Generator) -> Tensor:
    return attribute_loss(network, to_images(batch.images), batch)


def _vicreg_loss(network: nn.Module, batch: SceneArrays, rng: np.random.Generator) -> Tensor:
    return vicreg_loss(network, to_images(batch.images), rng)


def _reader_loss(network: nn.Module, batch: SceneArrays, rng: np.random.Generator) -> Tensor:
    return reader_loss(network, to_images(batch.images), batch, rng)


RECIPES: dict[NetworkName | VoterName, Recipe] = {
    "clip": Recipe(demo.build_demo_clip, clip_loss, 3000, 128, 2e-3, 0.1),
    "classifier": Recipe(demo.build_demo_classifier, _classifier_loss, 2700, 64, 4e-3, 0.05),
    "detector": Recipe(demo.build_demo_detector, _detector_loss, 2700, 32, 2e-3, 0.05),
    "segmenter": Recipe(demo.build_demo_segmenter, _segmenter_loss, 2000, 32, 4e-3, 0.05),
    "reader": Recipe(build_scene_reader, _reader_loss, 2400, 32, 3e-3, 0.05),
    "mobilenet": Recipe(voters.build_mobilenet, _classifier_loss, 900, 32, 4e-3, 0.05),
    "regnet": Recipe(voters.build_regnet, _vicreg_loss, 1500, 64, 2e-3, 0.05),
    "vit": Recipe(voters.build_vit, _classifier_loss, 2500, 64, 1e-3, 0.1),
    "ssd": Recipe(voters.build_ssd, _detector_loss, 2000, 32, 2e-3, 0.05),
    "unet": Recipe(voters.build_unet, _segmenter_loss, 1500, 32, 4e-3, 0.05),
    "convnext": Recipe(voters.build_convnext, _attribute_loss, 2400, 64, 3e-3, 0.05),
}
