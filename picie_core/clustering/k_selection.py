"""The curve over K: how tight, how far apart and how repeatable the clusters are, and how to read it.

It never decides: what K is good depends on what a person wants to name. The metrics are those of a part of the
embedding sample, so that all K up to 100 take seconds. scikit-learn has the same silhouette and Rand index; its import
alone would make the curve take half as long again.

[1] Hubert, Arabie, "Comparing partitions", 1985 (adjusted Rand index).
[2] Rousseeuw, "Silhouettes", 1987.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from picie_core.clustering.kmeans import check_k, spherical_kmeans
from picie_core.errors import SettingError
from picie_core.progress import Meter, Report, ignore_progress

GRID = (5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300, 400, 500)
"""The K that are tried up to a highest one."""
PIXELS = 20_000
"""Pixels of the sample that are clustered."""
SILHOUETTE_PIXELS = 3_000
"""Of these, the ones that are compared pair by pair."""
ITERATIONS = 15
SAME_STABILITY = 0.05
"""Adjusted Rand indices that differ by less are taken as equal: seeds move them by about as much."""


@dataclass(frozen=True)
class KScore:
    """The metrics of one K, means over the seeds."""

    k: int
    inertia: float
    """Mean of 1 - cosine of the pixels to their centroid: falls with every K."""
    silhouette: float | None
    """Mean silhouette by cosine [2], -1 to 1; None where all pixels are in one cluster."""
    stability: float | None
    """Mean adjusted Rand index [1] between the clusterings of two seeds, at most 1; None with one seed."""


@dataclass(frozen=True)
class ScoreCurve:
    """The metrics of all K that were tried so far, by K."""

    points: tuple[KScore, ...]
    seeds: int
    pixels: int
    """Pixels that were clustered; shared by all K and seeds."""
    wanted: tuple[int, ...]
    """The K that were asked for; those without a point are still to come."""

    @property
    def done(self) -> bool:
        """Whether every K that was asked for has its metrics."""
        return set(self.wanted) <= {point.k for point in self.points}

    @property
    def reading(self) -> str:
        """What the curve says, in a sentence or two."""
        return read_curve(self.points)


def grid_up_to(highest: int) -> list[int]:
    """Returns the usual K up to `highest`, which is the last of them. Raises SettingError below 2."""
    if highest < 2:
        raise SettingError(f"up-to={highest} is too small: give at least 2")
    return [k for k in GRID if k < highest] + [highest]


def score_ks(
    embeddings: np.ndarray,
    ks: Iterable[int],
    seeds: int = 3,
    pixels: int = PIXELS,
    known: ScoreCurve | None = None,
    report: Report = ignore_progress,
) -> Iterator[ScoreCurve]:
    """Yields the curve over `ks` after every K that is added to it, so that a stopped one can go on: at least once.

    embeddings: (N, D) unit norm, ordered by image; `pixels` of them are clustered. known: an earlier curve, whose K
    are kept if it is of as many seeds and pixels. Raises SettingError for a K that has too few pixels.
    """
    rows = np.asarray(embeddings[spread(len(embeddings), pixels)], np.float32)
    wanted = tuple(sorted(set(ks)))
    for k in wanted:
        check_k(k, len(rows))
    usable = known is not None and (known.seeds, known.pixels) == (seeds, len(rows))
    points = {point.k: point for point in known.points} if known is not None and usable else {}
    missing = [k for k in wanted if k not in points]
    meter = Meter("scores", len(wanted) * seeds, report, done=(len(wanted) - len(missing)) * seeds)
    if not missing:
        yield ScoreCurve(tuple(points[k] for k in sorted(points)), seeds, len(rows), wanted)
        return
    part = spread(len(rows), SILHOUETTE_PIXELS)
    distance = cosine_distances(rows[part])
    for k in missing:
        found, silhouettes = [], []
        for seed in range(seeds):
            found.append(spherical_kmeans(rows, k, seed, iterations=ITERATIONS))
            silhouettes.append(mean_silhouette(distance, found[-1].labels[part]))
            meter.advance(1, k=k)
        several = [one for one in silhouettes if one is not None]
        pairs = [adjusted_rand(one.labels, other.labels) for one, other in combinations(found, 2)]
        points[k] = KScore(
            k,
            inertia=float(np.mean([one.inertia for one in found])),
            silhouette=float(np.mean(several)) if several else None,
            stability=float(np.mean(pairs)) if pairs else None,
        )
        yield ScoreCurve(tuple(points[one] for one in sorted(points)), seeds, len(rows), wanted)


def spread(rows: int, wanted: int) -> np.ndarray:
    """Returns (n,) int64 at most `wanted` row numbers, evenly spread: the sample is ordered by image."""
    return np.linspace(0, rows - 1, min(rows, wanted)).round().astype(np.int64)


def cosine_distances(rows: np.ndarray) -> np.ndarray:
    """Returns 1 - cosine (n, n) of unit rows (n, D), 0 or more: computed once for all labels."""
    distance = np.maximum(1 - rows @ rows.T, 0)
    np.fill_diagonal(distance, 0)
    return distance


def mean_silhouette(distance: np.ndarray, labels: np.ndarray) -> float | None:
    """Returns the mean silhouette [2] of labels (n,), a pixel alone in its cluster counting 0; None for one cluster.

    distance: (n, n) between all pixels.
    """
    ids, labels = np.unique(labels, return_inverse=True)
    if len(ids) < 2:
        return None
    rows, counts = np.arange(len(labels)), np.bincount(labels)
    sums = distance @ (labels[:, None] == np.arange(len(ids))).astype(np.float32)  # (n, K)
    own = sums[rows, labels] / np.maximum(counts[labels] - 1, 1)
    sums /= counts
    sums[rows, labels] = np.inf
    other = sums.min(1)
    silhouette = (other - own) / np.maximum(np.maximum(own, other), np.finfo(np.float32).tiny)
    return float(np.where(counts[labels] > 1, silhouette, 0).mean(dtype=np.float64))


def adjusted_rand(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the adjusted Rand index [1] of two labellings: 1 when they agree up to numbering, about 0 by chance."""

    def pairs(labels: np.ndarray) -> float:
        counts = np.bincount(labels).astype(np.float64)
        return float((counts * (counts - 1) / 2).sum())

    one, other = one.astype(np.int64), other.astype(np.int64)
    in_one, in_other = pairs(one), pairs(other)
    by_chance = in_one * in_other / max(len(one) * (len(one) - 1) / 2, 1)
    most = (in_one + in_other) / 2
    return 1.0 if most == by_chance else (pairs(one * (other.max() + 1) + other) - by_chance) / (most - by_chance)


def read_curve(points: Sequence[KScore]) -> str:
    """Returns what the curve says, such as `Between K = 20 and 40 the clusters repeat best between seeds; ...`."""
    if len(points) < 2:
        return "One K is no curve yet: more are needed to compare."
    sentence, last = "More clusters fit tighter", points[0]
    if all(point.stability is not None for point in points):
        low, high = _most_stable(points)
        last = high
        if low is points[0] and high is points[-1]:
            same = f"at every K from {low.k} to {high.k}"
            return f"The clusters repeat about equally well between seeds {same}."
        where = f"At K = {low.k}" if low is high else f"Between K = {low.k} and {high.k}"
        sentence = f"{where} the clusters repeat best between seeds"
    if last is points[-1]:
        return f"{sentence}."
    fall = 100 * (1 - points[-1].inertia / last.inertia) if last.inertia > 0 else 0.0
    finer = "more still separates finer things: " if last is not points[0] or len(points) > 2 else ""
    return f"{sentence}; {finer}inertia falls by {fall:.0f} % from K = {last.k} to {points[-1].k}."


def _most_stable(points: Sequence[KScore]) -> tuple[KScore, KScore]:
    """The ends of the stretch around the most stable K whose stability is about as good."""
    stability = [point.stability or 0.0 for point in points]
    best = int(np.argmax(stability))
    low = high = best
    while low > 0 and stability[low - 1] >= stability[best] - SAME_STABILITY:
        low -= 1
    while high + 1 < len(points) and stability[high + 1] >= stability[best] - SAME_STABILITY:
        high += 1
    return points[low], points[high]
