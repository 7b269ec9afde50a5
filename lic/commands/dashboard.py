"""Save a W&B workspace that compares all runs of a project, and print its address.

    python -m lic dashboard --project lic
    python -m lic dashboard --project lic --entity my-team --task coco-det voc-seg

It needs the package wandb-workspaces (`pip install 'lic[dashboard]'`), a W&B account and the network.
"""

import argparse

import wandb

from lic.cli import KEEP_LINES
from lic.settings import require
from lic.settings.tracking import WandbConfig
from lic.tracking.dashboard import USUAL_TASKS, build_workspace
from lic.tracking.runs import has_key


def main(argv: list[str]) -> None:
    """Save a workspace with rate-task curves, media and training curves."""
    parser = argparse.ArgumentParser("lic dashboard", description=__doc__, formatter_class=KEEP_LINES)
    parser.add_argument("--project", default=WandbConfig.project, help="W&B project (%(default)s)")
    parser.add_argument("--entity", help="W&B user or team (the account's default)")
    parser.add_argument("--task", nargs="+", default=USUAL_TASKS, metavar="TASK",
                        help="tasks to show, as results name them (%(default)s)")  # fmt: skip
    options = parser.parse_args(argv)
    require(
        has_key(),
        "the dashboard is kept by W&B and this machine is not logged in: run `wandb login` first "
        "(curves without an account: `python -m lic curves results/*.json`)",
    )
    try:
        entity = options.entity or wandb.Api().default_entity
        workspace = build_workspace(entity, options.project, options.task).save()
    except (wandb.Error, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"W&B did not take the dashboard of project {options.project}: {reason}") from error
    print(f"dashboard: {workspace.url}")
