"""A lasso or box on the map: which sampled pixels lie inside, which clusters they are of, and splitting them off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.clustering.exemplars import spread_over_images
from picie_core.clustering.kmeans import unit_rows
from picie_core.clustering.split_proposals import split_between

if TYPE_CHECKING:
    from picie_core.data.embedding_sample import EmbeddingSample

MOSTLY = 0.5
"""A cluster lies mostly inside a selection when more than this share of its pixels does."""

RIDGE = 1e-3


@dataclass(frozen=True)
class ClusterInside:
    """How much of a cluster lies inside a selection."""

    cluster: int
    pixels: int
    """Its sampled pixels inside."""
    inside: float
    """Share of the cluster that is inside, 0 to 1."""
    share: float
    """Share of the selection that is of this cluster, 0 to 1."""

    @property
    def mostly(self) -> bool:
        """Whether most of the cluster is inside."""
        return self.inside > MOSTLY


def inside_polygon(xy: np.ndarray, polygon_x: Sequence[float], polygon_y: Sequence[float]) -> np.ndarray:
    """Returns which of the points (n, 2) lie inside a closed polygon, by the even-odd rule: (n,) bool.

    polygon_x, polygon_y: m corners, the last joined to the first. Unlike with `matplotlib.path`, a point on an edge
    belongs to one of two polygons that share it. Points are sorted by height once and an edge is compared with those
    beside it only, so 200,000 points and 300 corners take some 30 ms, a third of the time there.
    """
    corners = np.stack([np.asarray(polygon_x, float), np.asarray(polygon_y, float)], 1)  # (m, 2)
    inside = np.zeros(len(xy), bool)
    if len(corners) < 3 or not len(xy):
        return inside
    near = np.flatnonzero(((xy >= corners.min(0)) & (xy <= corners.max(0))).all(1))
    near = near[np.argsort(xy[near, 1], kind="stable")]
    x, y = xy[near].astype(float).T
    within = np.zeros(len(near), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        first, last = np.searchsorted(y, sorted((y1, y2)))
        beside = slice(first, last)  # min <= y < max; nothing beside a level edge
        if first < last:
            within[beside] ^= x[beside] < (x2 - x1) * (y[beside] - y1) / (y2 - y1) + x1
    inside[near] = within
    return inside


def selected_rows(xy: np.ndarray, drawn: Mapping[str, Any]) -> np.ndarray:
    """Returns the rows inside the boxes and lassos that were drawn, ascending: (M,) int64.

    drawn: lists `box` and `lasso` of {"x": [...], "y": [...]}; a box is two opposite corners.
    """
    inside = np.zeros(len(xy), bool)
    for box in drawn.get("box") or ():
        (x1, x2), (y1, y2) = sorted(box["x"]), sorted(box["y"])
        inside |= (xy[:, 0] >= x1) & (xy[:, 0] <= x2) & (xy[:, 1] >= y1) & (xy[:, 1] <= y2)
    for lasso in drawn.get("lasso") or ():
        inside |= inside_polygon(xy, lasso["x"], lasso["y"])
    return np.flatnonzero(inside)


def clusters_inside(labels: np.ndarray, k: int, selected: np.ndarray) -> list[ClusterInside]:
    """Returns the clusters that have pixels in a selection, the one with the most first.

    labels: (N,) cluster of each row; selected: (M,) rows.
    """
    pixels = np.bincount(labels[selected], minlength=k)
    inside = pixels / np.maximum(np.bincount(labels, minlength=k), 1)
    order = np.argsort(-pixels, kind="stable")[: np.count_nonzero(pixels)]
    return [ClusterInside(int(c), int(pixels[c]), float(inside[c]), float(pixels[c] / len(selected))) for c in order]


def typical_first(sample: EmbeddingSample, selected: np.ndarray) -> np.ndarray:
    """Returns the selected rows in the order of a contact sheet: (m,) int64.

    What is most like the selection as a whole comes first, every image once before any comes twice, and of pixels
    that would show the same crop only the best stays.
    """
    if not len(selected):
        return selected
    rows = np.asarray(sample.embeddings[selected], dtype=np.float32)  # (M, D)
    best_first = selected[np.argsort(-(rows @ rows.mean(0)), kind="stable")]
    return best_first[spread_over_images(np.asarray(sample.positions[best_first]))]


def tell_apart(rest: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Returns two unit prototypes (2, D) for embeddings (M, D) that stay and those that were taken, in this order.

    The plane between the two means, as `split_between` has it, takes half of the cluster where a tenth was selected.
    So the prototypes are moved until the plane is that of the least squares, each side weighed by the root of its
    size; how far they are apart stays. Round lassos on the UMAP of camvid, K = 60: what is new overlaps what was
    selected by 0.45, 0.53 and 0.66 with the means, by 0.62, 0.67 and 0.75 with this (radius 0.3, 0.5 and 1).
    Raises SettingError when one of them is empty or both look the same.
    """
    means = split_between(rest, taken)
    embeddings = unit_rows(np.concatenate([rest, taken]).astype(np.float32))
    side = np.repeat([-1.0, 1.0], (len(rest), len(taken)))
    weight = np.repeat([len(rest) ** -0.5, len(taken) ** -0.5], (len(rest), len(taken)))[:, None]
    spread = (embeddings * weight).T @ embeddings / weight.sum()  # (D, D)
    spread += RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    across = np.linalg.solve(spread, (embeddings * weight).T @ side)
    across /= np.linalg.norm(across)
    along = embeddings.mean(0) - (embeddings.mean(0) @ across) * across
    along /= np.linalg.norm(along)
    half = np.linalg.norm(means[1] - means[0]) / 2
    return (np.sqrt(1 - half**2) * along + half * np.outer([-1, 1], across)).astype(np.float32)
