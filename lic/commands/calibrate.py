"""Find scales by which one --lmbda gives the same bits per pixel whatever the distortion.

    python -m lic calibrate --distortion ms-ssim mlclipsim           # from the shipped codec for mse
    python -m lic calibrate --init codec.safetensors --trainer.max_steps 400 -o runs/calibration

Every training goes on for the same number of steps from the same variable-rate checkpoint, trained for mse, over its
whole grid of lmbdas. The reference is what further steps on mse give: the mean estimated bpp of 200 training scenes,
quantised, at each lmbda. A distortion is trained for at once (no warm-up) with the default pixel anchor, first at its
present scale; the mean over the grid of log(bpp / reference) corrects log(scale), first as if bpp went with
scale^0.4, then by the secant through the latest two rounds. It ends when bpp lies within 15 % of the reference at every
lmbda, or after --rounds trainings; the round whose largest deviation is least is kept. Lmbdas outside of 0.0018 .. 0.09
are told but have no say.

Beside it stands a probe without training: at the checkpoint, the scale at which changing the gain buys no loss, if the
distortion stood alone (no anchor),

    s = -(dR / dgain) / (dD / dgain) / lmbda,

R the bpp, D the unscaled distortion, by differences between lmbda (1 - 0.15) and lmbda (1 + 0.15), inside the grid.
The probe of mse tells how near the checkpoint's gains are to its own optimum: 65025.

Writes OUTPUT/mse.json, the reference, and OUTPUT/DISTORTION.json after each training; the same command goes on there.
"""

import shlex

from lic.cli import parse_config
from lic.printing import Console
from lic.settings.calibrate import CalibrateConfig

WIDTH = 120
"""Columns of the table where no terminal tells its width."""


def main(argv: list[str]) -> int:
    """Calibrate what the command line names; return 0, the exit code."""
    config = parse_config(CalibrateConfig, argv, "lic calibrate", str(__doc__))
    from lic.calibration.search import calibrate  # after the settings: torch takes seconds

    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    calibrate(config, shlex.join(["python", "-m", "lic", "calibrate", *argv]), console)
    return 0
