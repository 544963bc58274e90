"""`scores`, `tree`, `next`, `truth`: what helps to choose K, to name, and to know how good the names are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Job, MarkdownTable, Option
from picie_core.errors import SettingError
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from picie_core.evaluation.sampled_truth import SampledTruth


def scores(
    workspace_root: WorkspaceOption,
    ks: Annotated[list[int] | None, Option("the K to try; without it the usual ones", low=1)] = None,
    up_to: Annotated[int, Option("highest of the usual K to try", low=2)] = 100,
    seeds: Annotated[int, Option("clusterings of each K, to see whether they repeat", low=1)] = 3,
    run_name: RunOption = None,
) -> dict[str, Any]:
    """Measure what K do: how tight (inertia), how far apart (silhouette), how repeatable between seeds (stability).

    Advice: no figure knows what you want to name. Stability shows where clusters are more than chance; clusters that
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


def tree(
    workspace_root: WorkspaceOption,
    linkage: Annotated[str, Option("how far apart two branches are", choices=("average", "ward"))] = "average",
    groups: Annotated[int | None, Option("say the clusters in that many groups instead of the suggestions")] = None,
    steps: Annotated[int, Option("say so many steps of the order in which naming goes fastest", low=0)] = 0,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Say which clusters look alike, so that they can be named together.

    Advice: a group is a guess from the embeddings: look at the crops of its clusters before you name it. With many
    clusters name a few large groups first, then what in them is something else: --steps 100 says in which order.
    """
    from picie_core.clustering.hierarchy import alike_groups, groups_at, merge_tree
    from picie_core.clustering.uncertainty import cluster_uncertainty
    from picie_core.labels.review_queue import naming_steps

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    found = run.clustering(clustering_name)
    made = merge_tree(found.centroids, found.counts, linkage)
    classes_of = found.classes_of()
    shown = alike_groups(made, classes_of) if groups is None else groups_at(made, groups)
    total = max(int(found.counts.sum()), 1)
    result = {
        "run": run.name,
        "clustering": found.name,
        "groups": [
            {
                "clusters": list(group),
                "share": made.pixels(group) / total,
                "unnamed": sum(cluster not in classes_of for cluster in group),
            }
            for group in shown
        ],
    }
    if not steps:
        return result
    uncertainty = cluster_uncertainty(run.sample(), found)
    order = [{"look": look.kind, "at": list(look.parts)} for look in naming_steps(made, uncertainty)[:steps]]
    return {**result, "order": order}


def look_next(
    workspace_root: WorkspaceOption,
    n: Annotated[int, Option("clusters and images to say", low=1)] = 10,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Say what to look at next: clusters by pixels x doubt, images by doubt, and what naming covers.

    Advice: a pixel is in doubt when a second cluster is nearly as close as its own. Doubtful large clusters are the
    ones to split; doubtful images are the ones to look at on the Masks screen.
    """
    from picie_core.clustering.uncertainty import (
        cluster_sentence,
        cluster_uncertainty,
        coverage_sentence,
        image_uncertainty,
        next_clusters,
    )

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    found = run.clustering(clustering_name)
    sample, classes_of = run.sample(), found.classes_of()
    uncertainty, listed = cluster_uncertainty(sample, found), workspace.image_list().records
    return {
        "run": run.name,
        "clustering": found.name,
        "naming": coverage_sentence(found, classes_of, n),
        "clusters": [
            {"cluster": cluster, "why": cluster_sentence(found, uncertainty, classes_of, cluster)}
            for cluster in next_clusters(found, uncertainty, classes_of)[:n]
        ],
        "images": [
            {"image": listed[image].path, "doubt": share}
            for image, share in list(image_uncertainty(sample, found).items())[:n]
        ],
    }


def truth(
    workspace_root: WorkspaceOption,
    masks: Annotated[
        Path | None, Option("folder of masks of the workspace's images: PNG of class ids, 255 = ignored, same stems")
    ] = None,
    none: Annotated[bool, Option("forget the masks")] = False,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Tell a workspace where the ground truth of its images lies, and say how good the names are as they stand.

    Advice: only for measuring; nothing is named or trained from it. Figures are those of the sampled pixels: `evaluate`
    gives the exact ones. classes.txt in the folder or beside it names the classes. Run it again when masks changed.
    """
    from picie_core.workspace.ground_truth import forget_masks, has_truth, remember_masks, sample_truth

    if none and masks is not None:
        raise SettingError("truth takes --masks DIR or --none, not both")
    workspace = Workspace.open(workspace_root)
    if none:
        forget_masks(workspace)
        return {"workspace": str(workspace.root), "masks": None}
    run = workspace.pick_run(run_name)
    if masks is None and not has_truth(workspace):
        raise SettingError("truth needs --masks DIR: this workspace has no ground truth yet")
    with Job(workspace, "truth") as job:
        job.status.name_run(run.name)
        found = sample_truth(run, job) if masks is None else remember_masks(run, masks, job)
        assert found is not None
        known = float((found.labels < len(found.class_names)).mean())
        result = {"run": run.name, "classes": list(found.class_names), "known_share": known}
        return job.done({**result, **_figures(run, clustering_name, found)})


def _figures(run: Run, clustering_name: str | None, found: SampledTruth) -> dict[str, Any]:
    """What the ground truth says of the clustering in use and its names; nothing before there is a clustering."""
    from picie_core.evaluation.sampled_truth import cluster_truth, map_truth

    if not run.clusterings():
        return {}
    made = run.clustering(clustering_name)
    named = map_truth(made, made.classes_of(), [item.name for item in made.label_map.classes()], found)
    clusters = MarkdownTable(
        {"cluster": one.cluster, "best match": one.class_name, "purity": one.purity, "pixels": pixels}
        for one, pixels in zip(cluster_truth(made, found), made.counts.tolist(), strict=True)
    )
    return {"clustering": made.name, "accuracy": named.accuracy, "miou": named.mean_iou, "clusters": clusters}
