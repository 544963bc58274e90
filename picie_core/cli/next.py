"""`next`: the clusters and images to review next."""

from __future__ import annotations

from typing import Annotated, Any

from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.workspace.workspace import Workspace


def next_to_review(
    workspace_root: WorkspaceOption,
    n: Annotated[int, Option("clusters and images to list", low=1)] = 10,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """List what to review next: clusters by pixels x uncertainty, images by uncertainty, and what naming covers.

    Advice: a pixel is uncertain when a second cluster is nearly as close as its own. Large uncertain clusters are the
    ones to split; uncertain images are the ones to check on the Masks screen.
    """
    from picie_core.clustering.uncertainty import (
        cluster_sentence,
        cluster_uncertainty,
        coverage_sentence,
        image_uncertainty,
        next_clusters,
    )

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    sample, classes_of = clustering.sample(), clustering.classes_of()
    uncertainty, listed = cluster_uncertainty(sample, clustering), clustering.workspace.image_list().records
    return {
        "run": clustering.run.name,
        "clustering": clustering.name,
        "naming": coverage_sentence(clustering, classes_of, n),
        "clusters": [
            {"cluster": cluster, "why": cluster_sentence(clustering, uncertainty, classes_of, cluster)}
            for cluster in next_clusters(clustering, uncertainty, classes_of)[:n]
        ],
        "images": [
            {"image": listed[image].path, "uncertainty": share}
            for image, share in list(image_uncertainty(sample, clustering).items())[:n]
        ],
    }
