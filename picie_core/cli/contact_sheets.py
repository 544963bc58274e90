"""`contact-sheets`: the contact sheets of the app as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.clustering.exemplars import KINDS
from picie_core.errors import SettingError
from picie_core.workspace.workspace import Workspace

COLUMNS = 12


def contact_sheets(
    workspace_root: WorkspaceOption,
    out: Annotated[Path, Option("folder for cluster-0.png and so on, made if it is not there")],
    clusters: Annotated[list[int] | None, Option("to draw; without it all", low=0)] = None,
    kind: Annotated[str, Option("which crops", choices=KINDS)] = "typical",
    crops: Annotated[int, Option("crops of each cluster", low=1)] = 60,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Write a contact sheet of each cluster: crops of images with the cluster outlined, 12 in a row.

    Advice: `--kind random` with 60 crops are those that `label split NAME --clusters 3 --crops 5,8` counts, from 0.
    """
    from picie_core.atomic_files import open_atomic
    from picie_core.segmentation.contact_sheet import contact_sheet

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    wanted = clusters if clusters is not None else list(range(clustering.k))
    wrong = [cluster for cluster in wanted if cluster >= clustering.k]
    if wrong:
        raise SettingError(f"no cluster {wrong[0]}: ids run from 0 to {clustering.k - 1}")
    source, written = clustering.run.contact_sheet_source(), []
    for cluster in wanted:
        path = out / f"cluster-{cluster}.png"
        sheet = contact_sheet(source, clustering, cluster, kind, per_page=crops, columns=COLUMNS)
        with open_atomic(path) as file:
            file.write(sheet.png)
        written.append({"cluster": cluster, "file": str(path), "crops": len(sheet.crops)})
    return {"run": clustering.run.name, "clustering": clustering.name, "sheets": written}
