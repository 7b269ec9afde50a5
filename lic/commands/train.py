"""Train a learned image codec for machines, then see its rate-task point.

lic train --lmbda 0.01 --distortion mlclipsim            # on the embedded demo scenes
lic train --data folder --data_root ~/photos --lmbda 0.0067
lic train --config configs/train/demo.yaml --trainer.max_steps 2000
lic train --data folder --data_root ~/photos --eval.task coco-det --eval.data_root ~/coco --eval.every_n_steps 2000
lic train --resume runs/NAME/last.ckpt
"""

from collections.abc import Sequence

from lic.cli import parse_config, reporting_mistakes, with_resumed_config
from lic.settings.train import TrainConfig

PROGRAM = "lic train"


def main(argv: Sequence[str], program: str = PROGRAM) -> int:
    """Train as the command line says; return the exit code.

    Args:
        argv: the words after the program.
        program: how the user calls it, for help and messages.
    """
    name = program.removeprefix("python ")
    config = parse_config(TrainConfig, with_resumed_config(argv), name, str(__doc__).replace(PROGRAM, program))
    with reporting_mistakes(name):
        from lic.printing import Console  # after the settings, so that --help and mistakes answer at once
        from lic.training.run import train

        return train(config, Console(), program)
