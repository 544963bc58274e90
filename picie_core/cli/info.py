"""`info`: what a workspace holds."""

from __future__ import annotations

from typing import Any

from picie_core.cli.options import WorkspaceOption
from picie_core.workspace.workspace import Workspace


def info(workspace_root: WorkspaceOption) -> dict[str, Any]:
    """List what a workspace holds: images, unreadable files and why, runs, clusterings, names, sizes on disk."""
    workspace = Workspace.open(workspace_root)
    listed = workspace.image_list()
    return {
        "workspace": str(workspace.root),
        "images_root": workspace.record["images_root"],
        "images": len(listed.readable),
        "unreadable": [{"file": problem.path, "reason": problem.reason} for problem in listed.problems],
        "runs": [
            {
                "run": run.id,
                "title": run.title,
                "state": run.state,
                "clusterings": workspace.run(run.id).clusterings(),
            }
            for run in workspace.runs()
        ],
        "classes": [one.name for one in workspace.label_map.classes()],
        "megabytes": {name: round(size / 1e6, 1) for name, size in workspace.sizes().items()},
    }
