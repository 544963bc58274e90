"""Brush strokes: which clusters lie under a click or a stroke on an image, and what naming them means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.clustering import cluster_scores
from picie_core.data.feature_grid import positions_of_pixels
from picie_core.data.feature_windows import FeatureWindows, MapInMemory
from picie_core.errors import SettingError

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.data.embedding_sample import EmbeddingSample
    from picie_core.labels.label_map import LabelMap

LEAST_SHARE = 0.15
"""A cluster under a smaller share of a stroke is left out: a stroke may slip over a border."""
TYPICAL = 200
"""Sampled pixels that stand for a cluster when no stroke has shown what its name means."""


@dataclass(frozen=True, eq=False)
class Brushed:
    """What lies under the points of a stroke."""

    clusters: tuple[int, ...]
    """The clusters under it, the one under most points first."""
    embeddings: dict[int, np.ndarray]
    """Of each of them the embeddings (M, D) of its positions at the points and beside them, unit norm."""


@dataclass(frozen=True)
class PaintPlan:
    """What naming the clusters under a stroke means."""

    to_name: tuple[int, ...]
    """They have no name yet and get this one."""
    contradicting: dict[int, int]
    """They have another one: cluster -> its class id."""
    agreeing: tuple[int, ...]
    """They have this one already."""


def brushed(
    features: np.ndarray | FeatureWindows,
    clustering: Clustering,
    points: Sequence[tuple[int, int]],
    width: int,
    height: int,
) -> Brushed:
    """Returns what lies under points (x, y), in pixels of an image of `width` x `height`.

    features: its feature map (h, w, D), whole or in windows, of which only the one around the points is read.
    The cluster of a point is that of its pixel in the full-size mask. Raises SettingError for a point outside.
    """
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise SettingError(f"point {x},{y} lies outside the image of {width} x {height} pixels: point inside it")
    if not points:
        raise SettingError("a stroke needs at least one point: click on the image")
    columns_px, rows_px = np.array(points, np.float64).T
    windows = MapInMemory(features) if isinstance(features, np.ndarray) else features
    rows = positions_of_pixels(height, windows.shape[0], rows_px)
    columns = positions_of_pixels(width, windows.shape[1], columns_px)
    around = [
        (max(int(along.min()) - 1, 0), min(int(along.max()) + 3, length))
        for along, length in zip((rows, columns), windows.shape, strict=True)
    ]
    feature_map = windows.window(*around)  # (r, c, D)
    rows, columns = rows - around[0][0], columns - around[1][0]
    owners = _clusters_at(feature_map, clustering, rows, columns)
    clusters, counts = np.unique(owners, return_counts=True)
    most_first = np.argsort(-counts, kind="stable")
    kept = [int(clusters[i]) for i in most_first if counts[i] >= LEAST_SHARE * len(points)]
    nearest = np.rint(np.stack([rows, columns], 1)).astype(int)  # (P, 2)
    near = {cluster: _embeddings_near(feature_map, clustering, cluster, nearest[owners == cluster]) for cluster in kept}
    return Brushed(tuple(kept), near)


def _clusters_at(feature_map: np.ndarray, clustering: Clustering, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The best cluster at points between positions, scores interpolated between the four around them: (P,)."""
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    below, beside = np.minimum(top + 1, feature_map.shape[0] - 1), np.minimum(left + 1, feature_map.shape[1] - 1)
    corners = [feature_map[top, left], feature_map[below, left], feature_map[top, beside], feature_map[below, beside]]
    scores = cluster_scores(np.concatenate(corners), clustering).reshape(clustering.k, 4, -1)  # (k, 4, P)
    row, column = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    left_side = scores[:, 0] * (1 - row) + scores[:, 1] * row
    right_side = scores[:, 2] * (1 - row) + scores[:, 3] * row
    return (left_side * (1 - column) + right_side * column).argmax(0)


def _embeddings_near(
    feature_map: np.ndarray, clustering: Clustering, cluster: int, positions: np.ndarray
) -> np.ndarray:
    """Unit embeddings of the cluster among positions (P, 2) and their neighbours, or of the positions themselves."""
    steps = np.stack(np.meshgrid((-1, 0, 1), (-1, 0, 1), indexing="ij"), -1).reshape(-1, 2)
    around = np.unique((positions[:, None] + steps).reshape(-1, 2), axis=0)
    around = around[((around >= 0) & (around < feature_map.shape[:2])).all(1)]
    embeddings = feature_map[tuple(around.T)].astype(np.float32)
    own = cluster_scores(embeddings, clustering).argmax(0) == cluster
    embeddings = embeddings[own] if own.any() else feature_map[tuple(positions.T)].astype(np.float32)
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-6)


def plan_paint(clusters: Sequence[int], classes_of: Mapping[int, int], class_id: int | None) -> PaintPlan:
    """Returns what giving these clusters the class `class_id` means; None is a class that does not exist yet."""
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
    """Splits a cluster between two prototypes (2, D), names the second part `name` and returns its id.

    The first part keeps id and name, and no pixel of another cluster changes. It is one edit, and one undo.
    """
    return label_map.split_cluster(clustering.key, cluster, prototypes, clustering.k, names=[name])[1]
