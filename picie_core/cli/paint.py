"""`paint`: brush strokes that name what is under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.colors import IGNORE_COLOR
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME
from picie_core.errors import PicieError, SettingError
from picie_core.labels.classes import Class, find_class
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    import numpy as np

IF_NAMED = ("refuse", "rename", "split")


def paint(
    workspace_root: WorkspaceOption,
    image: Annotated[str, Option("path of the image below the folder of images, as `info` and the app show it")],
    at: Annotated[str, Option("points in pixels of the image, such as '120,80' or '120,80 130,90'")],
    name: Annotated[str, Option("what is there; a new name makes a class, ignore leaves it out")],
    if_named: Annotated[
        str,
        Option(
            "where the cluster has another name: refuse, rename all of it, or split it between what is typical "
            "of it and what is at the points",
            choices=IF_NAMED,
        ),
    ] = "refuse",
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Name the clusters under points of an image, as a click on the Masks screen does.

    Advice: --if-named split where one cluster holds two things; nothing but that cluster changes, and it can be undone.
    """
    from picie_core.labels.brush import brushed, plan_paint
    from picie_core.workspace.masks.image_masks import feature_windows

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    workspace, label_map = clustering.workspace, clustering.label_map
    item = next((one for one in workspace.image_list().readable if one.path == image), None)
    if item is None:
        below = workspace.record["images_root"]
        raise PicieError(f"no readable image {image!r} in {workspace.root}: give its path below {below}")
    features = feature_windows(clustering.run, item.id, clustering.run.dense_features())
    under = brushed(features, clustering, _read_points(at), item.width, item.height)
    known = [Class(IGNORE_ID, IGNORE_NAME, IGNORE_COLOR), *label_map.classes()]
    same = find_class(known, name)
    plan = plan_paint(under.clusters, clustering.classes_of(), same.id if same else None)
    if plan.contradicting and if_named == "refuse":
        names = {one.id: one.name for one in known}
        said = [f"cluster {cluster} is called {names[owner]!r}" for cluster, owner in plan.contradicting.items()]
        raise SettingError(
            f"{', '.join(said)}, not {name!r}: give --if-named rename, or --if-named split to call only what is like "
            "these points so"
        )
    renamed = [*plan.to_name, *(plan.contradicting if if_named == "rename" else ())]
    if renamed:
        label_map.name_clusters(clustering.key, renamed, name)
    split_off = {}  # an earlier split of this stroke adds a cluster, so the clustering is read again
    for cluster in plan.contradicting if if_named == "split" else ():
        split_off[str(cluster)] = _split(clustering.reload(), cluster, under.embeddings[cluster], name)
    return {"clustering": clustering.name, "clusters": list(under.clusters), "named": renamed, "split_off": split_off}


def _split(clustering: StoredClustering, cluster: int, painted: np.ndarray, name: str) -> int:
    from picie_core.clustering.split_proposals import split_between
    from picie_core.labels.brush import split_painted, typical_embeddings

    typical = typical_embeddings(clustering.sample(), clustering, cluster)
    return split_painted(clustering.label_map, clustering, cluster, split_between(typical, painted), name)


def _read_points(text: str) -> list[tuple[int, int]]:
    try:
        pairs = [part.split(",") for part in text.split()]
        return [(int(x), int(y)) for x, y in pairs]
    except ValueError:
        raise SettingError(f"at={text!r} must be points such as '120,80 130,90': x,y in pixels") from None
