"""lic COMMAND, or python -m lic COMMAND.

train --lmbda 0.01 --distortion mlclipsim          a codec and its rate-task point, as train.py does
eval --task coco-det            code to real bytes, decode, and let networks judge, as eval.py does
encode photo.png -o photo.lic   images, folders or globs to .lic streams
decode photo.lic -o out.png     and back
info photo.lic                  what a stream says of itself
convert CODEC weights.pth.tar out.safetensors      other projects' checkpoints: CompressAI's, official MLIC++
compare a.png b.png             ML-CLIPSim, PSNR and MS-SSIM of two images
sweep configs/sweeps/demo.yaml --jobs 2            every run of a W&B grid sweep on this machine, without an account
metrics                         what metrics there are, what they declare of themselves
distortions probe mlclipsim     is it a good loss? stability, gradients, speed, what it does not see
preferences build|fit|benchmark|inspect            PCMP; metrics measured against machines' and people's preferences
correlate scores.csv            SRCC, KRCC, PLCC of anybody's scores
curves results/*.json           figure and BD-rate table of results files
report results/*.json           one HTML page about them, which opens without network
download coco-val -o data       fetch a set: coco-val, voc2012, kodak, clic2020; for imagenet, how to get it
dashboard --project lic         W&B workspace that compares a project's runs
calibrate --distortion ms-ssim  scales by which one --lmbda gives the same bits per pixel whatever the distortion
demo-networks [NAME ...]        train the embedded CLIP, classifier, detector, segmenter, or `voters` from nothing
"""

import sys
from collections.abc import Callable

from lic.cli import fail, reporting_mistakes, unknown

COMMANDS = (
    "train", "eval", "encode", "decode", "info", "convert", "compare", "sweep", "calibrate", "metrics", "distortions",
    "preferences", "correlate", "curves", "report", "dashboard", "download", "demo-networks",
)  # fmt: skip


def main(argv: list[str]) -> None:
    """Run a command."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return
    name, arguments = argv[0], argv[1:]
    if name not in COMMANDS:
        fail("lic", unknown("command", name, COMMANDS))
    with reporting_mistakes(f"lic {name}"):
        code = _command(name)(arguments)
    if code:
        sys.exit(code)


def _command(name: str) -> Callable[[list[str]], int | None]:
    """Import a command when it is called: torch takes seconds."""
    if name == "train":
        from lic.commands import train

        return train.main
    if name == "eval":
        from lic.commands import eval as evaluation

        return evaluation.main
    if name in ("encode", "decode", "info"):
        from lic.bitstream import commands

        return commands.COMMANDS[name]
    if name == "convert":
        from lic.codecs import convert

        return convert.main
    if name == "compare":
        from lic.evaluation import compare

        return compare.main
    if name == "sweep":
        from lic.sweep import run as sweep

        return sweep.main
    if name == "metrics":
        from lic.metrics import command as metrics

        return metrics.main
    if name == "distortions":
        from lic.probe import command as probe

        return probe.main
    if name == "preferences":
        from lic.preferences import command as preferences

        return preferences.main
    if name == "correlate":
        from lic.preferences import correlate

        return correlate.main
    if name == "curves":
        from lic.curves import command

        return command.main
    if name == "report":
        from lic.report import page as report

        return report.main
    if name == "dashboard":
        from lic.tracking import dashboard

        return dashboard.main
    if name == "download":
        from lic.data import download

        return download.main
    if name == "calibrate":
        from lic.calibration import command as calibrate

        return calibrate.main
    from lic.demo import train as demo_networks

    return demo_networks.main


def run() -> None:
    """Run the command of this process's command line; Ctrl-C is one line."""
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("lic: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run()
