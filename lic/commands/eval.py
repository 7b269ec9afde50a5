"""Code images to real bytes at every operating point, decode them, and let task networks judge.

lic eval --task coco-det                                  # shipped checkpoints on the embedded demo scenes
lic eval --task imagenet-cls coco-det voc-seg --checkpoint runs/*/codec.safetensors
lic eval --data_root ~/photos --checkpoint runs/NAME      # no labels: bpp, PSNR, MS-SSIM, ML-CLIPSim
lic eval --task coco-det --data_root ~/coco --checkpoint runs/NAME
"""

from collections.abc import Sequence

from lic.cli import INTERRUPTED, fail, parse_config, reporting_mistakes
from lic.settings.evaluate import EvalConfig

PROGRAM = "lic eval"


def main(argv: Sequence[str], program: str = PROGRAM) -> int:
    """Evaluate as the command line says; return the exit code.

    Args:
        argv: the words after the program.
        program: how the user calls it, for help and messages.
    """
    name = program.removeprefix("python ")
    config = parse_config(EvalConfig, argv, name, str(__doc__).replace(PROGRAM, program))
    with reporting_mistakes(name):
        from lic.evaluation.run import evaluate
        from lic.printing import Console  # after the settings, so that --help and mistakes answer at once

        try:
            evaluate(config, Console())
        except KeyboardInterrupt:
            fail(name, "interrupted; the same command goes on from the images that were judged", INTERRUPTED)
        return 0
