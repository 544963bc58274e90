"""`evaluate`: figures of a workspace's clusters against ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from picie_core.cli import Job, Option
from picie_core.commands.options import DeviceOption, RunOption, WorkspaceOption
from picie_core.workspace import Workspace


def evaluate(
    workspace: WorkspaceOption,
    images: Annotated[Path, Option("folder of images with ground truth")],
    masks: Annotated[Path, Option("folder of masks: PNG of class ids, 255 = ignored, same relative stems")],
    k: Annotated[int | None, Option("evaluate every stored clustering with this K; without it the one in use")] = None,
    whole: Annotated[bool, Option("count whole images; without it the paper's centre square")] = False,
    run: RunOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Measure clusters against masks: accuracy and mIoU, one-to-one and many-to-one, per class, confusion.

    One-to-one matches each class to one cluster (Hungarian), the figure of the papers; many-to-one gives each cluster
    its majority class, which is what naming by hand reaches. Advice: figures at one seed move by a point or two:
    `cluster` the same K with several seeds, then give --k for the mean.
    """
    from picie_core.datasets import open_labelled_set
    from picie_core.embedder import FrozenEmbedder, load_embedder
    from picie_core.evaluation import confusions, summary

    space = Workspace.open(workspace)
    run = space.pick_run(run)
    clusterings = _clusterings(space, run, k)
    truth = open_labelled_set(images, masks)
    with Job(space, "evaluate") as job:
        network, size_px = load_embedder(space.run_dir(run) / "embedder")
        counts = confusions(
            FrozenEmbedder(network, device),
            size_px,
            truth,
            [one.centroids for one in clusterings],
            whole,
            job,
        )
        seeds = [summary(one) for one in counts]
        result = {
            "run": run,
            "images": len(truth.pairs),
            "k": clusterings[0].k,
            "seeds": [one.seed for one in clusterings],
        }
        for figure in seeds[0]:
            values = [one[figure] for one in seeds]
            result[figure] = float(np.mean(values))
            if len(values) > 1:
                result[f"{figure}_std"] = float(np.std(values))
        return job.done({**result, **_tables(counts[0], truth.class_names)})


def _clusterings(space: Workspace, run: str, k: int | None) -> list:
    from picie_core.clusters import cluster_workspace, current_clustering, list_clusterings, load_clustering

    if k is None:
        return [current_clustering(space, run)]
    names = [name for name in list_clusterings(space, run) if name.startswith(f"k{k}-")]
    return [load_clustering(space, run, name) for name in names] or [cluster_workspace(space, run, k)]


def _tables(counts: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Per-class figures and the confusion of the first clustering."""
    from picie_core.evaluate import match_many_to_one, match_one_to_one, score

    one, many = score(counts, match_one_to_one(counts)), score(counts, match_many_to_one(counts))
    classes = [
        {"class": name, "iou": _percent(one.class_iou[i]), "iou_named": _percent(many.class_iou[i])}
        for i, name in enumerate(names)
    ]
    return {"per_class": classes, "confusion": counts.tolist()}


def _percent(share: float) -> float | None:
    """A share as percent; None for a class that the ground truth never shows (JSON has no NaN)."""
    return None if np.isnan(share) else round(100 * float(share), 2)
