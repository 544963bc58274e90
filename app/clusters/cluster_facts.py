"""What is known of clusters beside their crops and names, kept between two runs of the script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.session.cache import cached, contact_sheet_source
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from picie_core.clustering.exemplars import ClusterFacts
    from picie_core.clustering.hierarchy import MergeTree


@cached(16)
def cluster_metrics(clustering: StoredClustering) -> list[ClusterFacts]:
    """Returns share, images and tightness of every cluster, in the order of their ids."""
    from picie_core.clustering.exemplars import cluster_facts

    return cluster_facts(contact_sheet_source(clustering.run).sample, clustering)


@cached(16, "Looking for uncertain pixels")
def uncertainty(clustering: StoredClustering) -> np.ndarray:
    """Returns the share of each cluster's pixels that are nearly in another: (k,)."""
    from picie_core.clustering.uncertainty import cluster_uncertainty

    return cluster_uncertainty(contact_sheet_source(clustering.run).sample, clustering)


@cached(8, "Comparing the clusters")
def tree(clustering: StoredClustering, linkage: str) -> MergeTree:
    """Returns the merge tree of the clusters, which says how much they look alike."""
    from picie_core.clustering.hierarchy import merge_tree

    return merge_tree(clustering.centroids, clustering.counts, linkage)


@cached(16)
def neighbors(clustering: StoredClustering, count: int) -> list[list[int]]:
    """Returns the clusters that look most like each cluster, the nearest first."""
    from picie_core.clustering.hierarchy import nearest

    return [[other for other, _ in nearest(clustering.centroids, k, count)] for k in range(clustering.k)]


def by_area(clustering: StoredClustering) -> list[int]:
    """Returns all clusters, the largest first; ids are in that order only before splits."""
    return np.argsort(-clustering.counts, kind="stable").tolist()


def next_unnamed(clustering: StoredClustering, named: dict[int, int], after: int | None) -> int | None:
    """Returns the next cluster without a name, by area: after `after`, then from the largest. None: all have one."""
    order = by_area(clustering)
    start = order.index(after) + 1 if after is not None else 0
    return next((cluster for cluster in order[start:] + order[:start] if cluster not in named), None)


def pixel_share(clustering: StoredClustering, clusters: list[int] | tuple[int, ...]) -> float:
    """Returns the share of all sampled pixels that some clusters have together, 0 to 1."""
    return float(clustering.counts[list(clusters)].sum() / max(1, clustering.counts.sum()))
