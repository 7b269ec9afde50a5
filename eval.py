"""Code images to real bytes at every operating point, decode them, and let task networks judge.

python eval.py --task coco-det                                  # shipped checkpoints on the embedded demo scenes
python eval.py --task imagenet-cls coco-det voc-seg --checkpoint runs/*/codec.safetensors
python eval.py --data_root ~/photos --checkpoint runs/NAME      # no labels: bpp, PSNR, MS-SSIM, ML-CLIPSim
python eval.py --task coco-det --data_root ~/coco --checkpoint runs/NAME
"""

import sys

from lic.cli import parse_config, reporting_mistakes
from lic.config import EvalConfig


def main(argv: list[str]) -> int:
    """Evaluate as the command line says; return the exit code."""
    config = parse_config(EvalConfig, argv, "eval.py", str(__doc__))
    with reporting_mistakes("eval.py"):
        from rich.console import Console  # after the settings, so that --help and mistakes answer at once

        from lic.evaluation.run import evaluate_all

        evaluate_all(config, Console())
        return 0
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
