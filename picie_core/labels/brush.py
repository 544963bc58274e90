"""Paint to name: what lies under a click or a stroke on an image, and what calling it something would mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.confidence import channel_scores
from picie_core.data.feature_grid import positions_of_pixels
from picie_core.errors import SettingError

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.data.embedding_sample import EmbeddingSample
    from picie_core.labels.label_map import LabelMap

LEAST_SHARE = 0.15
"""A cluster under a smaller share of a stroke is passed over: a stroke that slips over a border claims nothing."""
TYPICAL = 200
"""Cells that stand for a cluster when nobody has pointed at what its name means."""


@dataclass(frozen=True, eq=False)
class Brushed:
    """What lies under the points of a stroke."""

    clusters: tuple[int, ...]
    """The clusters under it, the one under most points first."""
    embeddings: dict[int, np.ndarray]
    """Of each of them the embeddings (M, D) of its cells at the points and beside them, unit length."""


@dataclass(frozen=True)
class PaintPlan:
    """What naming the clusters under a stroke means."""

    to_name: tuple[int, ...]
    """They have no name yet, so they simply get this one."""
    contradicting: dict[int, int]
    """They have another one: cluster -> its class id."""
    agreeing: tuple[int, ...]
    """They have it already."""


def brushed(
    feature_map: np.ndarray, clustering: Clustering, points: Sequence[tuple[int, int]], width: int, height: int
) -> Brushed:
    """Returns what lies under points (x, y), in pixels of an image of `width` x `height`, whose cells are (h, w, D).

    The cluster of a point is that of its pixel in the full-size mask. Raises SettingError for a point outside.
    """
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise SettingError(f"point {x},{y} lies outside the image of {width} x {height} pixels: point inside it")
    if not points:
        raise SettingError("a stroke needs at least one point: click on the image")
    positions = np.array(points, np.float64)
    down = positions_of_pixels(height, feature_map.shape[0], positions[:, 1])
    right = positions_of_pixels(width, feature_map.shape[1], positions[:, 0])
    owners = _clusters_at(feature_map, clustering, down, right)
    found, counts = np.unique(owners, return_counts=True)
    most_first = np.argsort(-counts, kind="stable")
    kept = tuple(int(found[i]) for i in most_first if counts[i] >= LEAST_SHARE * len(points))
    near = {cluster: _cells_near(feature_map, clustering, cluster, down, right, owners) for cluster in kept}
    return Brushed(kept, near)


def _clusters_at(feature_map: np.ndarray, clustering: Clustering, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The best cluster at positions on the grid of cells, scores interpolated between four of them: (P,)."""
    top, left = down.astype(np.intp), right.astype(np.intp)
    below, beside = np.minimum(top + 1, feature_map.shape[0] - 1), np.minimum(left + 1, feature_map.shape[1] - 1)
    corners = np.stack(
        [feature_map[top, left], feature_map[below, left], feature_map[top, beside], feature_map[below, beside]]
    )  # (4, P, D)
    scores = channel_scores(corners, clustering)  # (k, 4, P)
    row, column = (down - top).astype(np.float32), (right - left).astype(np.float32)
    here = scores[:, 0] * (1 - row) + scores[:, 1] * row
    there = scores[:, 2] * (1 - row) + scores[:, 3] * row
    return (here * (1 - column) + there * column).argmax(0)


def _cells_near(
    feature_map: np.ndarray,
    clustering: Clustering,
    cluster: int,
    down: np.ndarray,
    right: np.ndarray,
    owners: np.ndarray,
) -> np.ndarray:
    """Embeddings of the cluster's cells within one cell of its points, or of the nearest cells where it has none."""
    mine = owners == cluster
    rows, columns = np.rint(down[mine]).astype(int), np.rint(right[mine]).astype(int)
    around = [(row + y, column + x) for row, column in zip(rows, columns, strict=True) for y in (-1, 0, 1)
              for x in (-1, 0, 1)]  # fmt: skip
    inside = {
        place for place in around if 0 <= place[0] < feature_map.shape[0] and 0 <= place[1] < feature_map.shape[1]
    }
    row_of, column_of = np.array(sorted(inside)).T
    block = feature_map[row_of, column_of].astype(np.float32)
    own = channel_scores(block[None], clustering)[:, 0].argmax(0) == cluster
    block = block[own] if own.any() else feature_map[rows, columns].astype(np.float32)
    return block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-6)


def plan_paint(clusters: Sequence[int], classes_of: Mapping[int, int], class_id: int | None) -> PaintPlan:
    """Returns what calling these clusters class `class_id` means; None is a class that is not there yet."""
    others = {cluster: classes_of[cluster] for cluster in clusters if classes_of.get(cluster, class_id) != class_id}
    agreeing = tuple(cluster for cluster in clusters if cluster in classes_of and cluster not in others)
    return PaintPlan(tuple(cluster for cluster in clusters if cluster not in classes_of), others, agreeing)


# -- a cluster between two names


def typical_embeddings(
    sample: EmbeddingSample, clustering: Clustering, cluster: int, most: int = TYPICAL
) -> np.ndarray:
    """Returns the sampled embeddings (M, D) that are closest to the middle of a cluster."""
    members = np.flatnonzero(clustering.labels == cluster)
    closest = np.argsort(-clustering.similarity[members].astype(np.float32), kind="stable")[:most]
    return np.asarray(sample.embeddings[members[closest]], np.float32)


def moved_share(sample: EmbeddingSample, clustering: Clustering, cluster: int, prototypes: np.ndarray) -> float:
    """Returns the share of a cluster's sampled pixels that are nearer to the second of two prototypes (2, D)."""
    members = np.flatnonzero(clustering.labels == cluster)
    scores = np.asarray(sample.embeddings[members], np.float32) @ prototypes.T
    return float((scores[:, 1] > scores[:, 0]).mean()) if len(members) else 0.0


def split_painted(label_map: LabelMap, clustering: Clustering, cluster: int, prototypes: np.ndarray, name: str) -> int:
    """Splits a cluster between two prototypes (2, D) and calls the second part `name`; returns its id.

    The first part keeps id and name, and no pixel of another cluster changes. It is one edit, and one undo.
    """
    return label_map.split_cluster(clustering.key, cluster, prototypes, clustering.k, [name])[1]
