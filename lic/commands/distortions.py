"""Ask a distortion whether it is a good loss.

    python -m lic distortions probe mlclipsim
    python -m lic distortions probe mse ms-ssim mlclipsim --data_root photos --num_images 2

Prints and writes (JSON, one figure a distortion): value and gradient at identity; what a shift of a few pixels costs;
whether the value grows with every kind of distortion; how far gradients hang on chance and bfloat16; time and memory;
and what gradient descent on the pixels makes of noise: what the distortion does not see stays noise.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lic.atomic import write_file
from lic.cli import parse_config, unknown
from lic.data.subset import subset
from lic.degradations import Kind, kinds_for
from lic.demo.drawing import draw_scene
from lic.device import pick_device
from lic.distortions import Distortion, FeatureDistortion, MLCLIPSim, build_distortion, distortion_card, with_backbones
from lic.images import crop_to, read_image
from lic.listing import list_images
from lic.printing import Console
from lic.probe import questions as probing
from lic.probe.figure import draw_probe
from lic.settings.preferences import ProbeConfig

SIDE_PX = 128
CONTROL_PX = 13  # a period that no encoder's patches have


class Probe(NamedTuple):
    """Everything asked of one distortion.

    Attributes:
        shifts: pixels -> distortion as a multiple of that of white noise of 30 dB.
        monotonicity: kind -> rank correlation of strength and value.
        reconstructions: by training mode's chance: "as in training", and "without shift" where there is one.
        grid: by reconstruction: share of the error's variance that the patch grid explains, and a grid of 13 px.
    """

    identity: probing.Identity
    shifts: dict[int, float]
    monotonicity: dict[str, float]
    noise: probing.GradientNoise
    cost: probing.Cost
    reconstructions: dict[str, probing.Reconstruction]
    grid: dict[str, tuple[float, float]]


def main(argv: list[str]) -> int:
    """Probe distortions; return the exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(str(__doc__))
        return 0
    if argv[0] != "probe":
        raise ValueError(unknown("command", argv[0], ["probe"]))
    config = parse_config(ProbeConfig, argv[1:], "lic distortions probe", str(ProbeConfig.__doc__))
    for name in config.inputs:
        distortion_card(name)  # refused before anything is drawn
    device = pick_device(config.device)
    images = read_images(config).to(device)
    folder = Path(config.output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    metric = with_backbones(config.metric, config.data_root is None)
    for name in config.inputs:
        distortion = build_distortion(name, metric).to(device).eval()
        name = distortion.name
        found = probe(distortion, images, kinds_for(config.data_root is not None), config.steps, config.seed)
        _print(name, found)
        draw_probe(name, images.cpu(), found.reconstructions, patch_px(distortion), folder / f"{name}.png")
        write_file((json.dumps(_as_json(found), indent=1) + "\n").encode(), folder / f"{name}.json")
        print(f"figure: {folder / name}.png\n")
    return 0


def read_images(config: ProbeConfig) -> Tensor:
    """Return (N, 3, 128, 128): demo scenes, or the top left corners of photographs."""
    if config.data_root is None:
        scenes = [torch.from_numpy(draw_scene("preferences", i).image) for i in range(config.num_images)]
        return torch.stack(scenes).permute(0, 3, 1, 2).float() / 255
    paths = list_images(Path(config.data_root).expanduser())
    chosen = [paths[i] for i in subset([path.name for path in paths], config.num_images)]
    images = [read_image(path) for path in chosen]
    for path, image in zip(chosen, images, strict=True):
        if min(image.shape[-2:]) < SIDE_PX:
            raise ValueError(f"{path} is smaller than {SIDE_PX} x {SIDE_PX} px")
    return torch.cat([crop_to(image, SIDE_PX, SIDE_PX) for image in images])


def probe(distortion: Distortion, images: Tensor, kinds: Sequence[Kind], steps: int, seed: int) -> Probe:
    """Ask everything of a distortion, about kinds of degradation."""
    modes = {"as in training": True}
    if isinstance(distortion.metric, MLCLIPSim | FeatureDistortion):
        modes["without shift"] = False
    reconstructions = {
        mode: probing.reconstruct(distortion, images, steps, seed, is_training) for mode, is_training in modes.items()
    }
    errors = {mode: each.image.to(images.device) - images for mode, each in reconstructions.items()}
    return Probe(
        probing.at_identity(distortion, images),
        probing.under_shifts(distortion, images, seed),
        probing.monotonicity(distortion, images, kinds, seed),
        probing.gradient_noise(distortion, images, seed),
        probing.cost(distortion, images),
        reconstructions,
        {
            mode: (probing.grid_share(error, patch_px(distortion)), probing.grid_share(error, CONTROL_PX))
            for mode, error in errors.items()
        },
    )


def patch_px(distortion: Distortion) -> int:
    """Return the side of the encoder's patches; 16, the codecs' stride, where there is no encoder."""
    match distortion.metric:
        case MLCLIPSim() | FeatureDistortion() as metric:
            return int(metric.backbone.patch_px)
        case _:
            return 16


def _print(name: str, found: Probe) -> None:
    show = Console().print
    show(name, style="bold")
    show(f"at identity       value {found.identity.value:.2g}, largest gradient {found.identity.gradient:.2g}"
         f"{'' if found.identity.is_finite else ', NOT FINITE'}")  # fmt: skip
    shifts = ", ".join(f"{px} px {value:.2f}" for px, value in found.shifts.items())
    show(f"shifts            {shifts}  (as multiples of white noise of 30 dB)")
    worst = sorted(found.monotonicity.items(), key=lambda item: item[1])
    perfect = sum(value > 0.999 for _, value in worst)
    weakest = ", ".join(f"{kind} {value:.2f}" for kind, value in worst[:4])
    show(f"monotonicity      perfect in {perfect} of {len(worst)} kinds; weakest: {weakest}")
    show(f"gradient noise    {100 * found.noise.random_share:.1f} % of the power is chance; "
         f"cosine of bf16 with fp32 {found.noise.bf16_cosine:.4f}")  # fmt: skip
    show(f"cost              {1000 * found.cost.seconds:.1f} ms, {found.cost.kept_bytes / 1e6:.1f} MB an image of "
         f"{SIDE_PX} px, forward and backward")  # fmt: skip
    for mode, each in found.reconstructions.items():
        own, control = (100 * share for share in found.grid[mode])
        show(f"from noise        {mode}: {each.psnr_db:.2f} dB, distortion {each.start:.3g} -> {each.end:.3g}; the "
             f"patch grid explains {own:.1f} % of the error, a grid of {CONTROL_PX} px {control:.1f} %")  # fmt: skip


def _as_json(found: Probe) -> Mapping[str, object]:
    content = found._asdict()
    content["reconstructions"] = {
        mode: {key: value for key, value in each._asdict().items() if key != "image"}
        for mode, each in found.reconstructions.items()
    }
    return {key: value._asdict() if hasattr(value, "_asdict") else value for key, value in content.items()}
