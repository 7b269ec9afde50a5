"""Code images to real bytes, decode them, and let task networks judge; installed, this is `lic eval`.

python eval.py --task coco-det                                  # shipped checkpoints on the embedded demo scenes
python eval.py --help                                           # further commands, and every setting
"""

import sys

from lic.commands import eval as evaluation


def main(argv: list[str]) -> int:
    """Evaluate as the command line says; return the exit code."""
    return evaluation.main(argv, "python eval.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
