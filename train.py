"""Train a learned image codec for machines, then see its rate-task point; installed, this is `lic train`.

python train.py --lmbda 0.01 --distortion mlclipsim            # on the embedded demo scenes
python train.py --help                                         # further commands, and every setting
"""

import sys

from lic.commands import train


def main(argv: list[str]) -> int:
    """Train as the command line says; return the exit code."""
    return train.main(argv, "python train.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
