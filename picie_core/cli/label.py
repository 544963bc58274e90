"""`label`: names of clusters and classes, one by one or from a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from picie_core.atomic_files import write_json
from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.errors import PicieError, SettingError
from picie_core.labels.classes import find_class
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.labels.label_map import LabelMap
    from picie_core.workspace.workspace import StoredClustering

ADVICE = """Name clusters, one by one or from a file; split them; undo, redo; keep snapshots.

Advice: `label name road --clusters 3,7` names two clusters; many clusters may share a class. `label merge sea --to
water` makes one class of two. `label split` takes a cluster apart that holds two things. `label undo` takes the last
edit of anyone back, `label history` lists edits, `label snapshot NAME` keeps what there is. ACTION --help says more.
"""

ClassOption = Annotated[str, Option("name of the class, in any case", positional=True)]
ClustersOption = Annotated[str, Option("ids of the clusters, such as 3,7,12")]


def name_clusters(
    workspace_root: WorkspaceOption,
    name: ClassOption,
    clusters: ClustersOption,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Name clusters; a name that is new makes a class, `ignore` leaves them out of masks."""
    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    clustering.label_map.name_clusters(clustering.key, read_clusters(clusters, clustering.k), name)
    return _naming(clustering)


def unname_clusters(
    workspace_root: WorkspaceOption,
    clusters: ClustersOption,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Take the names of clusters away."""
    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    clustering.label_map.name_clusters(clustering.key, read_clusters(clusters, clustering.k), None)
    return _naming(clustering)


def rename_class(
    workspace_root: WorkspaceOption, name: ClassOption, to: Annotated[str, Option("its new name")]
) -> dict[str, Any]:
    """Rename a class in all clusterings."""
    label_map = Workspace.open(workspace_root).label_map
    label_map.rename_class(_class_id(label_map, name), to)
    return {"classes": [one.name for one in label_map.classes()]}


def recolor_class(
    workspace_root: WorkspaceOption, name: ClassOption, to: Annotated[str, Option("its new colour, #rrggbb")]
) -> dict[str, Any]:
    """Give a class another colour."""
    label_map = Workspace.open(workspace_root).label_map
    label_map.recolor_class(_class_id(label_map, name), to)
    return {"colors": {one.name: one.color for one in label_map.classes()}}


def delete_class(workspace_root: WorkspaceOption, name: ClassOption) -> dict[str, Any]:
    """Delete a class; its clusters are unnamed then."""
    label_map = Workspace.open(workspace_root).label_map
    label_map.delete_class(_class_id(label_map, name))
    return {"classes": [one.name for one in label_map.classes()]}


def merge_class(
    workspace_root: WorkspaceOption, name: ClassOption, to: Annotated[str, Option("class that takes its clusters")]
) -> dict[str, Any]:
    """Make one class of two: the clusters of NAME go to another class, and NAME is deleted."""
    label_map = Workspace.open(workspace_root).label_map
    into = _class_id(label_map, to)
    label_map.merge_class(_class_id(label_map, name), into)
    return {"classes": [one.name for one in label_map.classes()]}


def vocabulary(
    workspace_root: WorkspaceOption,
    file: Annotated[Path | None, Option("text file, one name a line", positional=True)] = None,
) -> dict[str, Any]:
    """Set the names that the app offers; without FILE it lists them."""
    from picie_core.labels.vocabulary import read_text, read_vocabulary, set_vocabulary

    path = Workspace.open(workspace_root).vocabulary_path
    names = read_vocabulary(path) if file is None else set_vocabulary(path, read_text(file), str(file))
    return {"file": str(path), "names": names}


def import_names(
    workspace_root: WorkspaceOption,
    file: Annotated[Path, Option("JSON file of names", positional=True)],
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Name all clusters from a file; clusters that it leaves out stay unnamed.

    The file: {"classes": [{"id": 0, "name": "road", "color": "#804080"}], "clusters": {"0": "road", "1": "ignore"}}.
    Advice: `label export FILE` gives one with the right shape.
    """
    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    try:
        record = json.loads(file.read_text())
    except OSError as error:
        raise PicieError(f"{file} cannot be read ({error.strerror}): give an existing JSON file") from error
    except ValueError as error:
        raise PicieError(f"{file} is no JSON ({error}): see `label import --help` for the shape") from error
    clustering.label_map.import_map(clustering.key, record, clustering.base_k, clustering.centroids.shape[1])
    return _naming(clustering.reload())


def export_names(
    workspace_root: WorkspaceOption,
    file: Annotated[Path, Option("JSON file to write", positional=True)],
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Write the names and splits of a clustering to a file that `label import` reads."""
    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    write_json(file, clustering.label_map.export_map(clustering.key))
    return _naming(clustering)


def read_clusters(text: str, k: int) -> list[int]:
    """Returns the ids in `text`, such as 3,7,12. Raises SettingError for one that is no cluster from 0 to k - 1."""
    words = re.split(r"[,\s]+", text.strip())
    wrong = [word for word in words if not (word.isdecimal() and int(word) < k)]
    if wrong:
        raise SettingError(f"clusters={text}: {wrong[0]!r} is no cluster, ids run from 0 to {k - 1}")
    return [int(word) for word in words]


def _class_id(label_map: LabelMap, name: str) -> int:
    classes = label_map.classes()
    found = find_class(classes, name)
    if found is None:
        raise SettingError(f"no class {name!r}: there are {', '.join(one.name for one in classes) or 'none'}")
    return found.id


def _naming(clustering: StoredClustering) -> dict[str, Any]:
    """The result of the commands that name: how far naming has come."""
    named = [cluster for cluster in clustering.classes_of() if cluster < clustering.k]
    return {
        "run": clustering.run.name,
        "clustering": clustering.name,
        "classes": len(clustering.label_map.classes()),
        "named_clusters": len(named),
        "named_share": clustering.named_share(),
    }
