"""What corrected masks say about clusters: a name for each by majority, and splits of those that hold two classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from picie_core.clustering.clustering import cluster_scores
from picie_core.clustering.lasso import tell_apart
from picie_core.clustering.split_proposals import split_among
from picie_core.clustering.splits import MAX_PARTS
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.feature_grid import pixels_at_positions
from picie_core.errors import SettingError
from picie_core.labels.brush import LEAST_SHARE
from picie_core.labels.label_transfer import OWNING_SHARE

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering

LEAST_POSITIONS = 20
"""Corrected positions that a cluster, and each part of a split, has to have: fewer say nothing."""
KEPT = 200
"""Embeddings that are kept of each cluster and class, drawn evenly from all corrected images."""
LEAST_GAIN = 0.05
"""A split is proposed when at least this share of the cluster's corrected positions becomes right by it."""


@dataclass(frozen=True)
class NameProposal:
    """The class that most corrected positions of a cluster have."""

    cluster: int
    class_id: int
    share: float
    """Of its corrected positions, 0 to 1."""
    positions: int


@dataclass(frozen=True, eq=False)
class SplitProposal:
    """A cluster that holds several corrected classes, and the prototypes that tell them apart."""

    cluster: int
    parts: tuple[tuple[int, float], ...]
    """(class id, share of the corrected positions), in the order of the prototypes."""
    prototypes: np.ndarray
    """(m, D) float32, unit norm."""
    right_before: float
    """Share of the corrected positions that one name can get right."""
    right_after: float
    """Share that the parts get right, estimated on images that the prototypes were not made from."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """What corrected masks propose for the clusters of a label map."""

    owners: Mapping[int, int]
    """Cluster -> class id as it is."""
    names: list[NameProposal]
    """Of clusters without a name."""
    renames: list[NameProposal]
    """Of clusters with another one."""
    splits: list[SplitProposal]


class _Kept(NamedTuple):
    """Embeddings of a cluster and a class."""

    embeddings: np.ndarray
    """(n, D) float16."""
    keys: np.ndarray
    """(n,) their random keys."""
    second: np.ndarray
    """(n,) bool: from every second image, for tests on images that a split was not made from."""


Fit = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Sets of embeddings (n, D) to a prototype for each (m, D)."""


class Corrections:
    """Collects the corrected classes of the positions of feature maps, by cluster.

    A position counts with the class of the pixel at its centre, so a cluster's share is estimated from one in 16 of
    the pixels that the network sees.
    """

    def __init__(self, clustering: Clustering, classes: int, seed: int = 0):
        self.clustering = clustering
        self.counts = np.zeros((clustering.k, classes), np.int64)
        """(K, C) corrected positions of each cluster and class."""
        self._random = np.random.default_rng(seed)
        self._kept: dict[tuple[int, int], _Kept] = {}
        """By cluster and class."""
        self._images = 0

    def add(self, feature_map: np.ndarray, corrected: np.ndarray) -> None:
        """Adds an image: its feature map (h, w, D) and its corrected mask (H, W), 255 where there is no class."""
        height, width, depth = feature_map.shape
        grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2)
        rows, columns = pixels_at_positions(grid, (height, width), (corrected.shape[0], corrected.shape[1])).T
        classes = corrected[rows, columns]
        known = classes != IGNORE_ID
        embeddings, classes = feature_map.reshape(-1, depth)[known], classes[known].astype(np.int64)
        if not len(classes):
            return
        owners = cluster_scores(embeddings, self.clustering).argmax(0)
        pairs = owners * self.counts.shape[1] + classes
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)
        self._images += 1
        order = np.argsort(pairs, kind="stable")
        found, starts = np.unique(pairs[order], return_index=True)
        for pair, members in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
            self._keep(divmod(pair, self.counts.shape[1]), embeddings[members])

    def _keep(self, key: tuple[int, int], embeddings: np.ndarray) -> None:
        """Keeps a part of the embeddings: those whose random key is among the lowest of all images."""
        keys = self._random.random(len(embeddings))
        new = _Kept(embeddings.astype(np.float16), keys, np.full(len(keys), self._images % 2 == 0))
        before = self._kept.get(key)
        rows = _Kept(*map(np.concatenate, zip(before, new, strict=True))) if before else new
        lowest = np.argsort(rows.keys, kind="stable")[:KEPT]
        self._kept[key] = _Kept(*(column[lowest] for column in rows))

    # -- what they say

    def proposals(self, owners: Mapping[int, int], split: bool = False) -> Proposals:
        """Returns names and splits for clusters whose classes are `owners`, cluster -> class id.

        split: the splits will be made, so the clusters that they name get no other name.
        """
        splits = self.splits(owners)
        left_out = {one.cluster for one in splits} if split else set()
        others = [one for one in self.names() if one.cluster not in left_out]
        names = [one for one in others if one.cluster not in owners]
        renames = [one for one in others if one.class_id != owners.get(one.cluster, one.class_id)]
        return Proposals(owners, names, renames, splits)

    def names(self) -> list[NameProposal]:
        """Returns the clusters of which one class owns at least half of the corrected positions, and this class."""
        totals, best = self.counts.sum(1), self.counts.argmax(1)
        most = self.counts.max(1, initial=0)
        enough = (totals >= LEAST_POSITIONS) & (most >= OWNING_SHARE * totals)
        return [
            NameProposal(int(k), int(best[k]), float(most[k] / totals[k]), int(totals[k]))
            for k in np.flatnonzero(enough)
        ]

    def splits(self, classes_of: Mapping[int, int]) -> list[SplitProposal]:
        """Returns the splits that make most positions right, those with most positions first.

        classes_of: cluster -> class id; where the class of the cluster is among the parts, its part comes first and
        keeps the id.
        """
        found = [self._split(cluster, classes_of.get(cluster)) for cluster in range(self.clustering.k)]
        made = [one for one in found if one is not None]
        gains = {one.cluster: (one.right_after - one.right_before) * self.counts[one.cluster].sum() for one in made}
        return sorted(made, key=lambda one: -gains[one.cluster])

    def _split(self, cluster: int, owner: int | None) -> SplitProposal | None:
        counts = self.counts[cluster]
        total = int(counts.sum())
        large = np.flatnonzero((counts >= LEAST_SHARE * total) & (counts >= LEAST_POSITIONS))
        if len(large) < 2:
            return None
        order = sorted(large.tolist(), key=lambda one: (one != owner, -counts[one]))[:MAX_PARTS]
        shares = counts[order] / total
        kept = [self._kept[cluster, one] for one in order]
        fits: list[Fit] = [split_among, *([lambda sets: tell_apart(*sets)] if len(order) == 2 else [])]
        try:
            rights = [_held_out_right(kept, shares, fit) for fit in fits]
            prototypes = fits[int(np.argmax(rights))]([one.embeddings.astype(np.float32) for one in kept])
        except SettingError:  # they look the same to the network: no plane separates them
            return None
        before, after = float(counts.max() / total), max(rights)
        if after - before < LEAST_GAIN:
            return None
        parts = tuple((one, float(counts[one] / total)) for one in order)
        return SplitProposal(cluster, parts, prototypes, before, after)


def _held_out_right(kept: Sequence[_Kept], shares: np.ndarray, fit: Fit) -> float:
    """The share of positions that a split gets right on images that it was not made from, both ways round.

    Where one half lacks a class, each second embedding is held out instead. shares: (m,) of the positions of each set.
    """
    halves = [one.second for one in kept]
    if not all(half.any() and not half.all() for half in halves):
        halves = [np.arange(len(one.keys)) % 2 == 1 for one in kept]
    found = []
    for side in (False, True):
        prototypes = fit(
            [one.embeddings[half == side].astype(np.float32) for one, half in zip(kept, halves, strict=True)]
        )
        right = [
            ((one.embeddings[half != side].astype(np.float32) @ prototypes.T).argmax(1) == part).mean()
            for part, (one, half) in enumerate(zip(kept, halves, strict=True))
        ]
        found.append(float(shares @ np.array(right)))
    return float(np.mean(found))
