"""`cluster`: another clustering of the embedding sample."""

from __future__ import annotations

import time
from typing import Annotated, Any

from picie_core.cli.options import DeviceOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.workspace.workspace import Workspace


def cluster(
    workspace_root: WorkspaceOption,
    k: Annotated[int, Option("number of clusters")] = 27,
    seed: Annotated[int, Option("seed of the first centroids", low=0)] = 0,
    iterations: Annotated[int, Option("k-means iterations", low=1)] = 20,
    run_name: RunOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Cluster the embedding sample into K clusters; ids are ordered by area, 0 is the largest.

    Advice: the network never runs here, so try several K. Clusters that are named by hand may outnumber the classes
    in the images: K = 60 to 100 separates more than K = number of classes. Names belong to one clustering; one without
    any gets those of the clustering in use before, where a class owns at least half of a cluster's pixels
    (`label undo` takes them away again).
    """
    from picie_core.clustering.kmeans import load_faiss
    from picie_core.workspace.cluster_edits import use_k

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    start = time.monotonic()
    if device == "auto":
        device = "cuda" if getattr(load_faiss(), "get_num_gpus", lambda: 0)() > 0 else "cpu"
    made, transferred = use_k(run, k, seed=seed, iterations=iterations, device=device)
    counts = made.counts
    return {
        "workspace": str(workspace.root),
        "run": run.name,
        "clustering": made.name,
        "k": k,
        "pixels": len(made.labels),
        "inertia": made.inertia,
        "largest_share": float(counts.max() / counts.sum()),
        "smallest_share": float(counts.min() / counts.sum()),
        **({"names_transferred": transferred.names, "transferred_from": transferred.source} if transferred else {}),
        "seconds": round(time.monotonic() - start, 3),
    }
