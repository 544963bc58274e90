"""What is known of clusters beside their crops, kept between two runs of the script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.session.cache import cached, contact_sheet_source
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from picie_core.clustering.exemplars import ClusterFacts
    from picie_core.clustering.hierarchy import MergeTree
    from picie_core.clustering.split_proposals import SplitPreview


@cached(16)
def cluster_metrics(clustering: StoredClustering) -> list[ClusterFacts]:
    """Returns size, spread and images of every cluster, in the order of their ids."""
    from picie_core.clustering.exemplars import cluster_facts

    return cluster_facts(contact_sheet_source(clustering.run).sample, clustering)


@cached(16, "Looking for uncertain pixels")
def uncertainty(clustering: StoredClustering) -> np.ndarray:
    """Returns the share of each cluster's pixels that are nearly in another: (k,)."""
    from picie_core.clustering.uncertainty import cluster_uncertainty

    return cluster_uncertainty(contact_sheet_source(clustering.run).sample, clustering)


@cached(8, "Comparing the clusters")
def tree(clustering: StoredClustering, linkage: str) -> MergeTree:
    """Returns which clusters look alike: the merge tree of the clusters."""
    from picie_core.clustering.hierarchy import merge_tree

    return merge_tree(clustering.centroids, clustering.counts, linkage)


@cached(16)
def neighbors(clustering: StoredClustering, count: int = 3) -> list[list[int]]:
    """Returns the clusters that look most like each cluster, the nearest first."""
    from picie_core.clustering.hierarchy import nearest

    return [[other for other, _ in nearest(clustering.centroids, k, count)] for k in range(clustering.k)]


@cached(16, "Looking for parts")
def split_preview(clustering: StoredClustering, cluster: int, parts: int) -> SplitPreview[StoredClustering]:
    """Returns what a split of a cluster into so many parts would make."""
    from picie_core.clustering.split_proposals import preview_split, propose_split

    embeddings = clustering.sample().embeddings
    return preview_split(clustering, embeddings, cluster, propose_split(clustering, embeddings, cluster, parts))
