"""`scores`: what helps to choose K."""

from __future__ import annotations

import time
from typing import Annotated, Any

from picie_core.cli.job import Job
from picie_core.cli.options import RunOption, WorkspaceOption
from picie_core.cli.output import MarkdownTable
from picie_core.cli.parser import Option
from picie_core.workspace.workspace import Workspace


def scores(
    workspace_root: WorkspaceOption,
    ks: Annotated[list[int] | None, Option("the K to try; without it the usual ones", low=1)] = None,
    up_to: Annotated[int, Option("highest of the usual K to try", low=2)] = 100,
    seeds: Annotated[int, Option("clusterings of each K, to see whether they repeat", low=1)] = 3,
    run_name: RunOption = None,
) -> dict[str, Any]:
    """Measure what K do: how tight (inertia), how far apart (silhouette), how repeatable between seeds (stability).

    Advice: no score knows what you want to name. Stability shows where clusters are more than chance; clusters that
    are named by hand may well outnumber that. Stop it any time: it goes on where it was.
    """
    from picie_core.clustering.k_selection import grid_up_to
    from picie_core.workspace.k_curve import compute_k_curve

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    with Job(workspace, "scores") as job:
        job.status.name_run(run.name)
        start = time.monotonic()
        curve = compute_k_curve(run, ks or grid_up_to(up_to), seeds, report=job)
        table = MarkdownTable(
            {"K": one.k, "inertia": one.inertia, "silhouette": one.silhouette, "stability": one.stability}
            for one in curve.points
        )
        seconds = round(time.monotonic() - start, 2)
        return job.done({"run": run.name, "scores": table, "reading": curve.reading, "seconds": seconds})
