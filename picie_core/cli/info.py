"""`info`: what a workspace holds."""

from __future__ import annotations

from typing import Any

from picie_core.cli.options import WorkspaceOption
from picie_core.workspace.workspace import Workspace


def info(workspace: WorkspaceOption) -> dict[str, Any]:
    """Say what a workspace holds: images, unreadable files and why, runs, clusterings, names, sizes on disk."""
    from picie_core.clustering.clustering import list_clusterings

    space = Workspace.open(workspace)
    listed = space.image_list()
    return {
        "workspace": str(space.root),
        "images_root": space.record["images_root"],
        "images": len(listed.readable),
        "unreadable": [{"file": problem.path, "reason": problem.reason} for problem in listed.problems],
        "runs": [
            {
                "run": run.id,
                "title": run.title,
                "state": run.state,
                "clusterings": list_clusterings(space, run.id),
            }
            for run in space.runs()
        ],
        "classes": [one.name for one in space.label_map.classes()],
        "megabytes": {name: round(size / 1e6, 1) for name, size in space.sizes().items()},
    }
