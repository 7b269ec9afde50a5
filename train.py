"""Train a learned image codec for machines, then see its rate-task point.

python train.py --lmbda 0.01 --distortion mlclipsim            # on the embedded demo scenes
python train.py --lmbda 0.01 --distortion mse
python train.py --data folder --data_root ~/photos --lmbda 0.0067
python train.py --config configs/train/demo.yaml --trainer.max_steps 2000
python train.py --resume runs/NAME/last.ckpt
"""

import sys

from lic.cli import parse_config, reporting_mistakes, with_resumed_config
from lic.config import TrainConfig


def main(argv: list[str]) -> int:
    """Train as the command line says; return the exit code."""
    config = parse_config(TrainConfig, with_resumed_config(argv), "train.py", str(__doc__))
    with reporting_mistakes("train.py"):
        from rich.console import Console  # after the settings, so that --help and mistakes answer at once

        from lic.evaluation.judge import Judge
        from lic.training.run import train

        return train(config, Judge, Console())
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
