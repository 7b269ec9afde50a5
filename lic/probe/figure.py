"""The figure of a probe: what gradient descent from noise finds, what is left wrong, and where in the patches."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from lic.atomic import replacing
from lic.probe.questions import Reconstruction, fold


def draw_probe(
    name: str, images: Tensor, reconstructions: Mapping[str, Reconstruction], patch_px: int, path: Path
) -> None:
    """Write a PNG: a row of originals; for each reconstruction a row of results and one of errors, and the fold.

    The fold is the error's mean size at each place of the patch grid: an even grey means that the grid left no trace.
    """
    num_images, num_rows = len(images), 1 + 2 * len(reconstructions)
    figure = Figure(figsize=(1.7 * (num_images + 1), 1.8 * num_rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(num_rows, num_images + 1, squeeze=False)
    _show_row(axes[0], images, "original")
    for i, (mode, each) in enumerate(reconstructions.items()):
        error = each.image - images
        _show_row(axes[1 + 2 * i], each.image, f"{name} from noise,\n{mode}: {each.psnr_db:.1f} dB")
        _show_row(axes[2 + 2 * i], (0.5 + 2 * error).clamp(0, 1), "error, twice")
        folded = fold(error, patch_px)
        axis = axes[2 + 2 * i][-1]
        axis.imshow(folded, cmap="gray", vmin=0, vmax=2 * folded.mean())
        axis.set_title(f"error over {patch_px} px patches", fontsize=7)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _show_row(axes: list[Axes], images: Tensor, label: str) -> None:
    for axis, image in zip(axes, images, strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy())
    axes[0].set_ylabel(label, fontsize=7)
