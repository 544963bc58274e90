"""The review queue: steps in the order in which naming goes fastest.

A few large groups of the merge tree come first; then its branches and clusters, those with the most pixels times
disagreement first. Disagreement is the distance between the two halves of a branch, and the uncertainty of a single
cluster. Only the embeddings decide, so the whole order is known beforehand and stays while a person names.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from picie_core.clustering.hierarchy import MergeTree, nodes_at
from picie_core.errors import SettingError

START_GROUPS = 10
"""Groups that are named first: they cover every pixel with a name."""


@dataclass(frozen=True)
class Step:
    """One step of the queue."""

    kind: str
    """group: name all of it alike. branches: do both show the same? Else name one of them. inside: do all crops of this
    cluster show the same? Else give the others another name, or split it."""
    parts: tuple[tuple[int, ...], ...]
    """The clusters of the group, of the two branches (more pixels first), or the one cluster."""


def naming_steps(tree: MergeTree, uncertainty: np.ndarray, groups: int = START_GROUPS) -> list[Step]:
    """Returns the steps in order: the groups, then each branch and cluster of them once.

    uncertainty: (k,) of `cluster_uncertainty`. A tree with fewer clusters than `groups` starts with every cluster by
    itself. Raises SettingError when the uncertainty is of another number of clusters, or groups is below 1.
    """
    if len(uncertainty) != tree.k:
        raise SettingError(
            f"the uncertainty is of {len(uncertainty)} clusters, the tree of {tree.k}: make both from one clustering"
        )
    starts = nodes_at(tree, min(groups, tree.k))
    steps = [Step("group", (tree.members[node],)) for node in starts]
    waiting: list[tuple[float, int]] = []
    for node in starts:
        heappush(waiting, (-_weight(tree, uncertainty, node), node))
    while waiting:
        _, node = heappop(waiting)
        if node < tree.k:
            steps.append(Step("inside", (tree.members[node],)))
            continue
        branches = tree.branches(node)
        steps.append(Step("branches", tuple(tree.members[branch] for branch in branches)))
        for branch in branches:
            heappush(waiting, (-_weight(tree, uncertainty, branch), branch))
    return steps


def _weight(tree: MergeTree, uncertainty: np.ndarray, node: int) -> float:
    """Pixels x disagreement of a branch or a cluster."""
    disagreement = uncertainty[node] if node < tree.k else tree.gaps[node]
    return tree.pixels(tree.members[node]) * float(disagreement)
