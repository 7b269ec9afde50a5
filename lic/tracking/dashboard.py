"""A saved W&B workspace that compares all runs of a project.

It needs the package wandb-workspaces (`pip install 'lic[dashboard]'`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lic.settings.names import DEFAULT_METRICS
from lic.tracking.curves import CHART, LINES

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

USUAL_TASKS = ("imagenet-cls", "coco-det", "voc-seg")
NAME = "rate-task curves"


def build_workspace(entity: str, project: str, tasks: Sequence[str]) -> "ws.Workspace":
    """Return a workspace: a section for each task, one for what needs no task, media, and training.

    Args:
        entity: W&B user or team.
        project: its project.
        tasks: as results name them, guests' too.

    Raises:
        ValueError: the package is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise ValueError("the dashboard needs the package wandb-workspaces: pip install 'lic[dashboard]'") from error

    def curves(name: str) -> list["ws.Panel"]:
        chart = wr.CustomChart.from_table(f"rate_task/{name}", LINES, {"title": f"{name} over bpp", "xname": "bpp"})
        chart.chart_name = CHART
        score = f"rate_task/{name}/score"
        lines = wr.LinePlot(title=f"{name} by run", x="rate_task/bpp", y=[score], title_x="bpp", max_runs_to_show=100)
        points = wr.ScatterPlot(title=f"{name}, last point of each run", x=wr.SummaryMetric("rate_task/bpp"),
                                y=wr.SummaryMetric(score))  # fmt: skip
        return [chart, lines, points]

    sections = [ws.Section(name=f"rate_task/{task}", panels=curves(task), is_open=True) for task in tasks]
    quality = [panel for name in DEFAULT_METRICS for panel in curves(name)[:2]]
    shown = ["samples/original", "samples/reconstruction"]
    media = [
        wr.MediaBrowser(title="samples", media_keys=shown, num_columns=2),
        wr.MediaBrowser(title="figures", media_keys=["rate_task/figures/curves", "rate_task/figures/reconstructions"]),
    ]
    steps = [f"train/{name}" for name in ("bpp", "distortion", "psnr_db")]
    training = [wr.LinePlot(title=name, x="trainer/global_step", y=[name], max_runs_to_show=100) for name in steps]
    sections += [
        ws.Section(name="metrics", panels=quality),
        ws.Section(name="media", panels=media, is_open=True),
        ws.Section(name="training", panels=training),
    ]
    columns = ["run:displayName", "run:tags", "summary:rate_task/bpp"]
    columns += [f"summary:rate_task/{task}/{name}" for task in tasks for name in ("score", "bpp_for_95", "bpp_for_99")]
    runs = ws.RunsetSettings(groupby=[ws.Metric("Group")], pinned_columns=columns)
    return ws.Workspace(entity=entity, project=project, name=NAME, sections=sections, runset_settings=runs)
