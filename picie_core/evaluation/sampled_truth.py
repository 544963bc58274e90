"""Ground truth of the embedding sample: what each cluster really is, and how good the names of clusters are.

Metrics are those of the sampled pixels of the workspace's own images, whose masks are exported. What has no ground
truth is None, nowhere a NaN.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.data.class_names import IGNORE_ID, name_key
from picie_core.data.feature_grid import feature_map_shape, pixels_at_positions
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.data.sample_writer import NetworkSize
from picie_core.evaluation.metrics import confusion, match_majority, score
from picie_core.progress import Meter, Report, ignore_progress


@dataclass(frozen=True, eq=False)
class SampledTruth:
    """The class of every sampled pixel."""

    class_names: tuple[str, ...]
    labels: np.ndarray
    """(N,) uint8 class ids, one a row of the embedding sample; 255 = not known."""


@dataclass(frozen=True)
class ClusterTruth:
    """What a cluster really is; None where none of its pixels has ground truth."""

    cluster: int
    class_id: int | None
    class_name: str | None
    """Its majority class: the name that is right for most of its pixels."""
    purity: float | None
    """Share of its pixels that have it, 0 to 1."""


@dataclass(frozen=True)
class MapTruth:
    """How good the names are that a person gave, over the sampled pixels; None where nothing can be said."""

    accuracy: float | None
    """Share of pixels with the right class, 0 to 1; a pixel without a class is wrong."""
    mean_iou: float | None
    class_iou: tuple[float | None, ...]
    """Of each class of the ground truth; None where it has no pixels."""
    confusion: np.ndarray
    """(C + 1, T) int64 pixels: classes of the label map, at last what is unnamed or ignored, against the truth."""
    meant: tuple[int | None, ...]
    """The class of the ground truth that each class of the label map stands for."""


def read_sampled_truth(
    truth: LabelledSet,
    images: Sequence[ImageRecord],
    positions: np.ndarray,
    network_size: NetworkSize,
    report: Report = ignore_progress,
) -> SampledTruth:
    """Returns the class of every sampled pixel by the masks of `truth`, read by as many threads as there are cores.

    positions: (N, 3) int32 image id, row and column in the feature map, ordered by image; network_size: of
    each image at the network's input. Raises PicieError for a mask that cannot be read or is not of its image's size.
    """
    ids, starts = np.unique(positions[:, 0], return_index=True)
    labels = np.full(len(positions), IGNORE_ID, np.uint8)
    meter = Meter("truth", len(ids), report)

    def read(image_id: int, start: int, end: int) -> None:
        image = images[image_id]
        mask = truth.mask_for(image)
        if mask is None:
            return
        width, height = network_size(image)
        rows, columns = pixels_at_positions(positions[start:end, 1:], feature_map_shape(height, width), mask.shape).T
        labels[start:end] = mask[rows, columns]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ends = np.append(starts, len(positions))[1:]
        for _ in pool.map(read, ids.tolist(), starts.tolist(), ends.tolist()):
            meter.advance(1)
    return SampledTruth(tuple(truth.class_names), labels)


def cluster_truth(clustering: Clustering, truth: SampledTruth) -> list[ClusterTruth]:
    """Returns what each cluster really is, in the order of their ids."""
    counts = confusion(clustering.labels, truth.labels, clustering.k, len(truth.class_names))
    best, pixels = match_majority(counts), counts.sum(1)
    return [
        ClusterTruth(cluster, int(best[cluster]), truth.class_names[best[cluster]], float(row.max() / row.sum()))
        if pixels[cluster]
        else ClusterTruth(cluster, None, None, None)
        for cluster, row in enumerate(counts)
    ]


def map_truth(
    clustering: Clustering, classes_of: Mapping[int, int], class_names: Sequence[str], truth: SampledTruth
) -> MapTruth:
    """Returns how good the names of a clustering are.

    classes_of: cluster -> class; class_names: those of the label map, by their ids. A class of the label map stands for
    the class of the ground truth with its name, whatever the case, else for the one that most of its pixels have.
    Pixels without a class or ignored are wrong; pixels without ground truth do not count.
    """
    unnamed = len(class_names)
    owner = np.minimum([classes_of.get(cluster, unnamed) for cluster in range(clustering.k)], unnamed)
    counts = confusion(owner[clustering.labels], truth.labels, unnamed + 1, len(truth.class_names))
    matching = match_majority(counts)
    by_name = {name_key(name): class_id for class_id, name in enumerate(truth.class_names)}
    for class_id, name in enumerate(class_names):
        matching[class_id] = by_name.get(name_key(name), matching[class_id])
    matching[unnamed] = -1
    scores, known = score(counts, matching), bool(counts.any())
    return MapTruth(
        accuracy=scores.accuracy if known else None,
        mean_iou=scores.mean_iou if known else None,
        class_iou=tuple(None if np.isnan(iou) else float(iou) for iou in scores.class_iou),
        confusion=counts,
        meant=tuple(int(one) if one >= 0 else None for one in matching[:unnamed]),
    )
