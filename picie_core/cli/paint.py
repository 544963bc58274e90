"""`paint`: point at an image and say what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME, name_key
from picie_core.errors import PicieError, SettingError
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    import numpy as np

    from picie_core.data.image_index import ImageRecord

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

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    clustering = run.clustering(clustering_name)
    item = _find_image(workspace, image)
    feature_map = run.feature_map(item.id, run.dense_features())
    under = brushed(feature_map, clustering, _read_points(at), item.width, item.height)
    plan = plan_paint(under.clusters, clustering.classes_of(), _class_id(workspace, name))
    if plan.contradicting and if_named == "refuse":
        raise SettingError(_contradiction(workspace, plan.contradicting, name))
    renamed = [*plan.to_name, *(plan.contradicting if if_named == "rename" else ())]
    if renamed:
        workspace.label_map.name_clusters(clustering.key, renamed, name)
    made = {}  # an earlier split of this stroke adds a cluster, so the clustering is read again
    for cluster in plan.contradicting if if_named == "split" else ():
        made[str(cluster)] = _split(clustering.reload(), cluster, under.embeddings[cluster], name)
    return {"clustering": clustering.name, "clusters": list(under.clusters), "named": renamed, "split_off": made}


def _split(clustering: StoredClustering, cluster: int, painted: np.ndarray, name: str) -> int:
    from picie_core.clustering.split_proposals import split_between
    from picie_core.labels.brush import split_painted, typical_embeddings

    typical = typical_embeddings(clustering.sample(), clustering, cluster)
    return split_painted(clustering.label_map, clustering, cluster, split_between(typical, painted), name)


def _find_image(workspace: Workspace, path: str) -> ImageRecord:
    for item in workspace.image_list().readable:
        if item.path == path:
            return item
    raise PicieError(
        f"no readable image {path!r} in {workspace.root}: give its path below {workspace.record['images_root']}"
    )


def _read_points(text: str) -> list[tuple[int, int]]:
    try:
        pairs = [part.split(",") for part in text.split()]
        return [(int(x), int(y)) for x, y in pairs]
    except ValueError:
        raise SettingError(f"at={text!r} must be points such as '120,80 130,90': x,y in pixels") from None


def _class_id(workspace: Workspace, name: str) -> int | None:
    if name_key(name) == IGNORE_NAME:
        return IGNORE_ID
    return next((item.id for item in workspace.label_map.classes() if name_key(item.name) == name_key(name)), None)


def _contradiction(workspace: Workspace, contradicting: dict[int, int], name: str) -> str:
    names = {item.id: item.name for item in workspace.label_map.classes()} | {IGNORE_ID: IGNORE_NAME}
    said = ", ".join(f"cluster {cluster} is called {names[owner]!r}" for cluster, owner in contradicting.items())
    return (
        f"{said}, not {name!r}: give --if-named rename, or --if-named split to call only what is like these points so"
    )
