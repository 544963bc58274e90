"""`label`, `info`: names in and out, and what a workspace holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from picie_core.atomic import write_json
from picie_core.cli import Option
from picie_core.commands.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.errors import PicieError, SettingError
from picie_core.workspace import Workspace


def label(
    workspace: WorkspaceOption,
    import_path: Annotated[Path | None, Option("read names from this JSON file", flag="--import")] = None,
    export_path: Annotated[Path | None, Option("write names to this JSON file", flag="--export")] = None,
    run: RunOption = None,
    clustering: ClusteringOption = None,
) -> dict[str, Any]:
    """Name clusters from a file, or write the names to a file.

    The file: {"classes": [{"id": 0, "name": "road", "color": "#804080"}], "clusters": {"0": "road", "1": "ignore"}}.
    Advice: --export first gives a file with the right shape; clusters that are left out stay unnamed.
    """
    if (import_path is None) == (export_path is None):
        raise SettingError("label needs one of --import FILE and --export FILE")
    from picie_core.clusters import current_clustering, load_clustering

    space = Workspace.open(workspace)
    run = space.pick_run(run)
    found = load_clustering(space, run, clustering) if clustering else current_clustering(space, run)
    if import_path is not None:
        space.label_map.import_map(found.key, _read_json(import_path), found.base_k, found.centroids.shape[1])
        found = load_clustering(space, run, found.name)
    record = space.label_map.export_map(found.key)
    if export_path is not None:
        write_json(export_path, record)
    named = sum(int(found.counts[int(cluster)]) for cluster in record["clusters"])
    return {
        "run": run,
        "clustering": found.name,
        "classes": len(record["classes"]),
        "named_clusters": len(record["clusters"]),
        "named_share": named / int(found.counts.sum()),
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise PicieError(f"{path} cannot be read ({error.strerror}): give an existing JSON file") from error
    except ValueError as error:
        raise PicieError(f"{path} is no JSON ({error}): see `label --help` for the shape") from error


def info(workspace: WorkspaceOption) -> dict[str, Any]:
    """Say what a workspace holds: images, unreadable files and why, runs, clusterings, names, sizes on disk."""
    from picie_core.clusters import list_clusterings

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
