"""The merge tree of a clustering: which clusters look alike, as a dendrogram and as groups to name together.

Agglomerative merges over the centroids by scipy [1]; numbers of nodes are those of scipy: 0 to K-1 are the clusters,
K + i is what merge i makes.

[1] Müllner, "Modern hierarchical, agglomerative clustering algorithms", arXiv 1109.2378.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from picie_core.errors import SettingError

LINKAGES = ("average", "ward")
"""average: mean cosine distance between the members; ward: least growth of the spread, which makes even groups."""
MOST_ALIKE = 8
"""Members of a suggested group at most: what a person can look over at once."""
APART = 0.8
"""A suggested group merges at most at this part of the height of its next merge."""
CLOSER = 0.5
"""Share of the merges, the closest ones, that can be suggested: what merges late is not alike, however far the rest."""


@dataclass(frozen=True, eq=False)
class MergeTree:
    """K - 1 merges of K clusters, the closest first."""

    linkage: np.ndarray
    """(K-1, 4) float64 as scipy's: the two nodes that merge, their distance, clusters below. The node with more pixels
    is the first of the two, so that it is drawn on the left."""
    order: np.ndarray
    """(K,) int64 clusters from left to right, so that no two branches cross."""
    counts: np.ndarray
    """(K,) int64 pixels of each cluster."""
    method: str

    @property
    def k(self) -> int:
        """How many clusters there are."""
        return len(self.order)

    @cached_property
    def members(self) -> list[tuple[int, ...]]:
        """The clusters below each of the 2K - 1 nodes, ascending."""
        found: list[tuple[int, ...]] = [(cluster,) for cluster in range(self.k)]
        for left, right in self.linkage[:, :2].astype(int):
            found.append(tuple(sorted(found[left] + found[right])))
        return found

    @cached_property
    def heights(self) -> np.ndarray:
        """(2K - 1,) float64 distance at which each node was made; 0 for clusters."""
        return np.concatenate([np.zeros(self.k), self.linkage[:, 2]])

    @cached_property
    def parents(self) -> np.ndarray:
        """(2K - 1,) int64 the node that each node merges into; -1 for the root."""
        found = np.full(2 * self.k - 1, -1)
        for merge, pair in enumerate(self.linkage[:, :2].astype(int)):
            found[pair] = self.k + merge
        return found

    @cached_property
    def gaps(self) -> np.ndarray:
        """(2K - 1,) cosine distance between the two branches of each node, the same for both linkages; 0 for clusters.

        Ward's squared distance is twice the cosine distance for two clusters, and more for larger branches.
        """
        return self.heights**2 / 2 if self.method == "ward" else self.heights

    def branches(self, node: int) -> tuple[int, int]:
        """Returns the two nodes that make `node`, the one with more pixels first."""
        left, right = self.linkage[node - self.k, :2]
        return int(left), int(right)

    def pixels(self, clusters: Sequence[int]) -> int:
        """Returns the sampled pixels of some clusters."""
        return int(self.counts[list(clusters)].sum())


@dataclass(frozen=True, eq=False)
class Dendrogram:
    """The merges as brackets that any chart can draw; cluster `order[i]` stands at x = i."""

    x: np.ndarray
    """(K-1, 4): up the left branch, across, down the right branch."""
    y: np.ndarray
    """(K-1, 4): distances at those points."""
    order: np.ndarray
    """(K,) clusters from left to right."""


def merge_tree(centroids: np.ndarray, counts: Sequence[int] | np.ndarray, linkage: str = "average") -> MergeTree:
    """Returns the merge tree of unit centroids (K, D), by cosine distance.

    counts: (K,) pixels of each cluster; they order the leaves and the suggestions and never change a merge. With
    `ward` distances are Euclidean, which on unit rows is the root of twice the cosine distance.
    Raises SettingError for an unknown linkage, or counts of another number of clusters.
    """
    from scipy.cluster import hierarchy

    counts = np.asarray(counts, np.int64)
    if linkage not in LINKAGES:
        raise SettingError(f"linkage={linkage!r} is unknown: choose one of {', '.join(LINKAGES)}")
    if len(counts) != len(centroids) or not len(counts):
        raise SettingError(f"counts are of {len(counts)} clusters, centroids of {len(centroids)}: give one for each")
    if len(counts) == 1:
        return MergeTree(np.empty((0, 4)), np.zeros(1, np.int64), counts, linkage)
    rows = np.asarray(centroids, np.float64)
    distance = np.maximum(1 - rows @ rows.T, 0)[np.triu_indices(len(counts), 1)]  # rounding makes none negative
    merges = hierarchy.linkage(np.sqrt(2 * distance) if linkage == "ward" else distance, linkage)
    _larger_left(merges, counts)
    return MergeTree(merges, hierarchy.leaves_list(merges).astype(np.int64), counts, linkage)


def dendrogram(tree: MergeTree) -> Dendrogram:
    """Returns the brackets of the tree as plain arrays, those that scipy would draw, with leaves 1 apart."""
    from scipy.cluster import hierarchy

    if tree.k == 1:
        return Dendrogram(np.empty((0, 4)), np.empty((0, 4)), tree.order)
    drawn = hierarchy.dendrogram(tree.linkage, no_plot=True)
    return Dendrogram((np.array(drawn["icoord"]) - 5) / 10, np.array(drawn["dcoord"]), tree.order)


def groups_at(tree: MergeTree, groups: int) -> list[tuple[int, ...]]:
    """Returns the clusters in that many groups, as if merging stopped there; those with most pixels first.

    The whole tree is named by `groups` names. Raises SettingError unless there are 1 to K groups.
    """
    return [tree.members[node] for node in nodes_at(tree, groups)]


def nodes_at(tree: MergeTree, groups: int) -> list[int]:
    """Returns the nodes that `groups_at` returns the clusters of."""
    if not 1 <= groups <= tree.k:
        raise SettingError(f"groups={groups} must be from 1 to {tree.k}, the number of clusters: change it")
    merged = 2 * tree.k - 1 - (groups - 1)  # nodes from here on are left out; heights never fall
    tops = [node for node in range(merged) if tree.parents[node] < 0 or tree.parents[node] >= merged]
    return sorted(tops, key=lambda node: (-tree.pixels(tree.members[node]), tree.members[node]))


def alike_groups(
    tree: MergeTree, classes_of: Mapping[int, int], apart: float = APART, most: int = MOST_ALIKE, closer: float = CLOSER
) -> list[tuple[int, ...]]:
    """Returns groups of 2 to `most` clusters that look alike and may be named together, the most useful first.

    A group is a branch that merges well before the rest: among the closer `closer` of all merges, and at `apart` times
    the height of its next merge, or lower. None holds two classes (ignored is one), none is named already, and none
    shares a cluster with another. The ones that name most pixels come first, half named groups after those without a
    name.
    """
    limit = np.quantile(tree.linkage[:, 2], closer) if tree.k > 1 else 0.0
    found: list[tuple[int, ...]] = []
    for node in reversed(range(tree.k, len(tree.members))):  # the largest branch speaks for all within it
        group, parent, height = tree.members[node], tree.parents[node], tree.heights[node]
        is_apart = parent >= 0 and height <= min(limit, apart * tree.heights[parent])
        classes = [classes_of[cluster] for cluster in group if cluster in classes_of]
        is_open = len(set(classes)) < 2 and len(classes) < len(group)
        if len(group) <= most and is_apart and is_open and not any(set(group) <= set(one) for one in found):
            found.append(group)

    def rank(group: tuple[int, ...]) -> tuple[bool, int]:
        unnamed = [cluster for cluster in group if cluster not in classes_of]
        return len(unnamed) < len(group), -tree.pixels(unnamed)

    return sorted(found, key=rank)


def nearest(centroids: np.ndarray, cluster: int, n: int = 5) -> list[tuple[int, float]]:
    """Returns the `n` clusters that look most like `cluster`, each with its cosine, the nearest first.

    centroids: (K, D) unit. Raises SettingError for a cluster that is not there.
    """
    if not 0 <= cluster < len(centroids):
        raise SettingError(f"no cluster {cluster}: ids run from 0 to {len(centroids) - 1}")
    cosines = np.asarray(centroids, np.float32) @ np.asarray(centroids[cluster], np.float32)
    cosines[cluster] = -np.inf
    best = np.argsort(-cosines, kind="stable")[: min(n, len(centroids) - 1)]
    return [(int(other), float(cosines[other])) for other in best]


def _larger_left(merges: np.ndarray, counts: np.ndarray) -> None:
    """Turns the two nodes of each merge so that the one with more pixels is first."""
    below = np.concatenate([counts, np.zeros(len(merges), np.int64)])
    for merge, (left, right) in enumerate(merges[:, :2].astype(int)):
        below[len(counts) + merge] = below[left] + below[right]
        if below[right] > below[left]:
            merges[merge, :2] = right, left
