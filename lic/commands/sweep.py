"""Run every combination of a W&B grid sweep on this machine, without an account.

python -m lic sweep configs/sweeps/demo.yaml                    # one run after the other, in runs/demo
python -m lic sweep configs/sweeps/demo.yaml --jobs 2 -o runs/demo

Each run has the command line that `wandb agent` would give it, its folder OUTPUT/NAME, named by the parameters that
vary, and its log OUTPUT/NAME.log. The same command goes on after an interruption: complete runs are skipped, runs
with a last.ckpt resumed, others started anew. Ctrl-C has the runs save and stop; a second one kills them.
A sweep's program train.py is `lic train` where no such file is.
"""

from collections.abc import Sequence
from pathlib import Path

from lic.cli import parse_config
from lic.embedded import here_or_embedded
from lic.settings.sweep import SweepConfig
from lic.sweep.file import read_sweep
from lic.sweep.run import Sweep, check_folder, is_complete, locked, tell


def main(argv: Sequence[str]) -> int:
    """Run a sweep; return the exit code: 1 if a run failed, 130 after Ctrl-C."""
    config = parse_config(SweepConfig, argv, "lic sweep", str(__doc__))
    path = here_or_embedded(config.inputs[0])
    output = Path(config.output or f"runs/{path.stem}")
    runs = read_sweep(path, output)
    with locked(output) as lock:
        unfinished = [run for run in runs if not is_complete(run.folder)]
        for run in unfinished:
            check_folder(run.folder)
        tell(f"{path}: {len(runs)} runs in {output}, {len(runs) - len(unfinished)} of them complete already")
        return Sweep(config.jobs, lock).run(unfinished)
