"""`project`: the UMAP of a run's embedding sample."""

from __future__ import annotations

import time
from typing import Any

from picie_core.cli.job import Job
from picie_core.cli.options import RunOption, WorkspaceOption
from picie_core.clustering.projection import UmapSettings
from picie_core.workspace.workspace import Workspace


def project(workspace_root: WorkspaceOption, umap: UmapSettings, run_name: RunOption = None) -> dict[str, Any]:
    """Make a UMAP map of the embedding sample; the app shows it when it is there, and PCA until then.

    Advice: 10,000 points take about a quarter of a minute, half of it compiling (the first time on a machine twice as
    long); distances between far groups on a UMAP mean little, neighbourhoods do. Each combination of settings is kept.
    """
    from picie_core.workspace.projections import compute_umap

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    with Job(workspace, "project") as job:
        job.status.name_run(run.name)
        start, cpu = time.monotonic(), time.process_time()
        made = compute_umap(run, umap, job)
        result = {"run": run.name, "points": len(made.index), "pixels": len(made.xy), "map": made.name}
        seconds = {
            "seconds": round(time.monotonic() - start, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
        }
        return job.done({**result, **seconds})
