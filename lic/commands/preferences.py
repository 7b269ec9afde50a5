"""build, fit, benchmark, inspect: PCMP; metrics measured against machines' and people's preferences.

build --output pcmp                      pairs of distortions of equal PSNR, voted on by networks (--data_root photos)
fit --pcmp pcmp -o fitted.json          ML-CLIPSim's layer weights, fitted to the votes
benchmark --sets pcmp:pcmp --metrics psnr mlclipsim    how well metrics follow machines, or people (tid2013:FOLDER ...)
inspect SET                              what a set on disk holds, before a benchmark
"""

import sys

from lic.cli import fail, unknown

COMMANDS = ("build", "fit", "benchmark", "inspect")


def main(argv: list[str]) -> int | None:
    """Run a command; return its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(str(__doc__))
        return 0
    name, arguments = argv[0], argv[1:]
    match name:
        case "build":
            from lic.preferences.pcmp import build

            return build.main(arguments)
        case "fit":
            from lic.preferences.pcmp import fit

            return fit.main(arguments)
        case "benchmark":
            from lic.preferences.benchmark import run as benchmark

            benchmark.main(arguments)
            return 0
        case "inspect":
            from lic.preferences import inspection

            inspection.main(arguments)
            return 0
    fail("lic preferences", unknown("command", name, COMMANDS))
