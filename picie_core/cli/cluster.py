"""`cluster` and `project`: what is computed from the embedding sample without the network."""

from __future__ import annotations

import time
from typing import Annotated, Any

from picie_core.cli.options import DeviceOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Job, Option
from picie_core.clustering.projection import UmapSettings
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

    Advice: the network never runs here, so try several K. Clusters that are named by hand may outnumber the things
    in the images: K = 60 to 100 separates more than K = number of classes. Names belong to one clustering; one without
    any gets those of the clustering in use before, where a class owns at least half of a cluster's pixels
    (`label undo` takes them away again).
    """
    from picie_core.workspace.cluster_edits import use_k

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    start = time.monotonic()
    gpu = device == "cuda" or (device == "auto" and _has_gpu())
    made, transferred = use_k(run, k, seed=seed, iterations=iterations, device="cuda" if gpu else "cpu")
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
        **({"names_carried": transferred.names, "carried_from": transferred.source} if transferred else {}),
        "seconds": round(time.monotonic() - start, 3),
    }


def _has_gpu() -> bool:
    from picie_core.clustering.kmeans import load_faiss

    return getattr(load_faiss(), "get_num_gpus", lambda: 0)() > 0


def project(workspace_root: WorkspaceOption, umap: UmapSettings, run_name: RunOption = None) -> dict[str, Any]:
    """Make a UMAP map of the embedding sample; the app shows it when it is there, and PCA until then.

    Advice: 10,000 points take about a quarter of a minute, half of it compiling (the first time on a machine twice as
    long); distances between far groups on a UMAP mean little, neighbourhoods do. Each combination of settings is kept.
    """
    from picie_core.workspace.projections import compute_umap

    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    with Job(workspace, "project") as job:
        job.status.name_run(run.name)
        start, cpu = time.monotonic(), time.process_time()
        made = compute_umap(run, umap, job)
        result = {"run": run.name, "points": len(made.index), "pixels": len(made.xy), "map": made.name}
        seconds = {
            "seconds": round(time.monotonic() - start, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
        }
        return job.done({**result, **seconds})
