"""`cluster` and `project`: what is computed from the embedding sample without the network."""

from __future__ import annotations

import time
from typing import Annotated, Any

from picie_core.cli import Job, Option
from picie_core.commands.options import DeviceOption, RunOption, WorkspaceOption
from picie_core.workspace import Workspace


def cluster(
    workspace: WorkspaceOption,
    k: Annotated[int, Option("number of clusters")] = 27,
    seed: Annotated[int, Option("seed of the first centroids", low=0)] = 0,
    iterations: Annotated[int, Option("k-means iterations", low=1)] = 20,
    run: RunOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Cluster the embedding sample into K clusters; ids are ordered by area, 0 is the largest.

    Advice: the network never runs here, so try several K. Clusters that are named by hand may outnumber the things
    in the images: K = 60 to 100 separates more than K = number of classes. Names belong to one clustering; one without
    any gets those of the clustering in use before, where a class owns at least half of a cluster's pixels
    (`label undo` takes them away again).
    """
    from picie_core.carrying import use_k

    space = Workspace.open(workspace)
    run = space.pick_run(run)
    start = time.monotonic()
    gpu = device == "cuda" or (device == "auto" and _has_gpu())
    made, carried = use_k(space, run, k, seed, iterations, "cuda" if gpu else "cpu")
    counts = made.counts
    return {
        "workspace": str(space.root),
        "run": run,
        "clustering": made.name,
        "k": k,
        "pixels": len(made.labels),
        "inertia": made.inertia,
        "largest_share": float(counts.max() / counts.sum()),
        "smallest_share": float(counts.min() / counts.sum()),
        **({"names_carried": carried.names, "carried_from": carried.source} if carried else {}),
        "seconds": round(time.monotonic() - start, 3),
    }


def _has_gpu() -> bool:
    from picie_core.kmeans import load_faiss

    return getattr(load_faiss(), "get_num_gpus", lambda: 0)() > 0


def project(
    workspace: WorkspaceOption,
    points: Annotated[int, Option("sampled pixels on the map", low=3)] = 10_000,
    neighbors: Annotated[int, Option("UMAP neighbours: small shows detail, large shows the whole", low=2)] = 15,
    min_dist: Annotated[float, Option("UMAP minimum distance: small packs points", low=0)] = 0.1,
    seed: Annotated[int, Option("seed of the points and of UMAP", low=0)] = 0,
    run: RunOption = None,
) -> dict[str, Any]:
    """Make the UMAP map of the embedding sample; the app shows it when it is there, and PCA until then.

    Advice: 10,000 points take about half a minute on two cores, most of it compiling; distances between far groups
    on a UMAP mean little, neighbourhoods do.
    """
    from picie_core.projection import compute_umap

    space = Workspace.open(workspace)
    run = space.pick_run(run)
    with Job(space, "project") as job:
        job.status.name_run(run)
        start = time.monotonic()
        made = compute_umap(space, run, points, neighbors, min_dist, seed, job)
        return job.done({"run": run, "points": len(made.index), "seconds": round(time.monotonic() - start, 2)})
