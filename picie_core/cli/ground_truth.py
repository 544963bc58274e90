"""`truth`: how good the names are where the images of a workspace have ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from picie_core.cli.job import Job
from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.output import MarkdownTable
from picie_core.cli.parser import Option
from picie_core.errors import SettingError
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from picie_core.evaluation.sampled_truth import SampledTruth


def ground_truth(
    workspace_root: WorkspaceOption,
    masks: Annotated[
        Path | None, Option("folder of masks of the workspace's images: PNG of class ids, 255 = ignored, same stems")
    ] = None,
    none: Annotated[bool, Option("forget the masks")] = False,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Store where the ground truth of a workspace's images lies, and measure the names as they stand.

    Advice: only for measuring; nothing is named or trained from it. The metrics are those of the names that were given,
    on the sampled pixels of the workspace's own images: what the exported masks are worth. `evaluate` measures all
    pixels and other images, with each cluster named after its majority class here. classes.txt in the folder or beside
    it names the classes. Run it again when masks changed.
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
        return job.done({**result, **_metrics(run, clustering_name, found)})


def _metrics(run: Run, clustering_name: str | None, found: SampledTruth) -> dict[str, Any]:
    """The metrics of the clustering in use and of its names; nothing before there is a clustering."""
    from picie_core.evaluation.sampled_truth import cluster_truth, map_truth

    if not run.clusterings():
        return {}
    clustering = run.clustering(clustering_name)
    names = [one.name for one in clustering.label_map.classes()]
    named = map_truth(clustering, clustering.classes_of(), names, found)
    clusters = MarkdownTable(
        {"cluster": one.cluster, "majority class": one.class_name, "purity": one.purity, "pixels": pixels}
        for one, pixels in zip(cluster_truth(clustering, found), clustering.counts.tolist(), strict=True)
    )
    return {"clustering": clustering.name, "accuracy": named.accuracy, "miou": named.mean_iou, "clusters": clusters}
