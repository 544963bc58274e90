"""`tree`: the hierarchy of clusters, and the steps of the review queue that it gives."""

from __future__ import annotations

from typing import Annotated, Any

from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.workspace.workspace import Workspace


def tree(
    workspace_root: WorkspaceOption,
    linkage: Annotated[str, Option("how far apart two branches are", choices=("average", "ward"))] = "average",
    groups: Annotated[int | None, Option("list the clusters in that many groups instead of the suggestions")] = None,
    steps: Annotated[int, Option("list so many steps of the review queue, in which naming goes fastest", low=0)] = 0,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """List the clusters that look alike, so that they can be named together.

    Advice: a group is a guess from the embeddings: check the crops of its clusters before you name it. With many
    clusters name a few large groups first, then what in them is something else: --steps 100 lists the review queue.
    """
    from picie_core.clustering.hierarchy import alike_groups, groups_at, merge_tree
    from picie_core.clustering.uncertainty import cluster_uncertainty
    from picie_core.labels.review_queue import naming_steps

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    hierarchy = merge_tree(clustering.centroids, clustering.counts, linkage)
    classes_of = clustering.classes_of()
    shown = alike_groups(hierarchy, classes_of) if groups is None else groups_at(hierarchy, groups)
    total = max(int(clustering.counts.sum()), 1)
    rows = [
        {
            "clusters": list(group),
            "share": hierarchy.pixels(group) / total,
            "unnamed": sum(cluster not in classes_of for cluster in group),
        }
        for group in shown
    ]
    result = {"run": clustering.run.name, "clustering": clustering.name, "groups": rows}
    if not steps:
        return result
    queue = naming_steps(hierarchy, cluster_uncertainty(clustering.sample(), clustering))
    return {**result, "steps": [{"step": step.kind, "parts": list(step.parts)} for step in queue[:steps]]}
