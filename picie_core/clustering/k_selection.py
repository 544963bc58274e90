"""The curve over K: how tight, how far apart and how repeatable the clusters are, and how to read it.

It never decides: what K is good depends on what a person wants to name. Figures come from a part of the embedding
sample, so that all K up to 100 take seconds.

[1] Hubert, Arabie, "Comparing partitions", 1985 (adjusted Rand index).
[2] Rousseeuw, "Silhouettes", 1987.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from picie_core.atomic_files import write_json
from picie_core.clustering.kmeans import check_k, spherical_kmeans
from picie_core.errors import SettingError
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.workspace.workspace import Run

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
    """The figures of one K, means over the seeds."""

    k: int
    inertia: float
    """Mean of 1 - cosine of the pixels to their centroid: falls with every K."""
    silhouette: float | None
    """Mean silhouette by cosine [2], -1 to 1; None where all pixels are in one cluster."""
    stability: float | None
    """Mean adjusted Rand index [1] between the clusterings of two seeds, at most 1; None with one seed."""


@dataclass(frozen=True)
class ScoreCurve:
    """The figures of all K that were tried so far, by K."""

    points: tuple[KScore, ...]
    seeds: int
    pixels: int
    """Pixels that were clustered; shared by all K and seeds."""
    wanted: tuple[int, ...]
    """The K that were asked for; those without a point are still to come."""

    @property
    def done(self) -> bool:
        """Whether every K that was asked for has its figures."""
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


def score_workspace(
    run: Run,
    ks: Iterable[int],
    seeds: int = 3,
    pixels: int = PIXELS,
    report: Report = ignore_progress,
) -> ScoreCurve:
    """Returns the curve of `run` over `ks`; every K is stored when it is known, so a stopped one goes on.

    Raises SettingError for a K that the sample is too small for.
    """
    sample = run.sample()
    rows = np.asarray(sample.embeddings[spread(len(sample.embeddings), pixels)], np.float32)
    wanted = tuple(sorted(set(ks)))
    for k in wanted:
        check_k(k, len(rows))
    stored = load_scores(run)
    known = stored.points if stored and (stored.seeds, stored.pixels) == (seeds, len(rows)) else ()
    points = {point.k: point for point in known}
    curve = ScoreCurve(tuple(points[k] for k in sorted(points)), seeds, len(rows), wanted)
    missing = [k for k in wanted if k not in points]
    meter = Meter("scores", len(wanted) * seeds, report, done=(len(wanted) - len(missing)) * seeds)
    compared = CosineSilhouette(rows[spread(len(rows), SILHOUETTE_PIXELS)]) if missing else None
    for k in missing:
        assert compared is not None
        points[k] = _score(rows, compared, k, seeds, meter)
        curve = ScoreCurve(tuple(points[one] for one in sorted(points)), seeds, len(rows), wanted)
        _write(run, curve)
    if not missing:
        _write(run, curve)
    return curve


def load_scores(run: Run) -> ScoreCurve | None:
    """Returns the curve of `run` as far as it is known, also while a job makes it; None before its first K."""
    try:
        record = json.loads(_path(run).read_text())
    except FileNotFoundError:
        return None
    points = tuple(KScore(**point) for point in record["points"])
    return ScoreCurve(points, record["seeds"], record["pixels"], tuple(record["wanted"]))


def read_curve(points: Sequence[KScore]) -> str:
    """Returns what the curve says, such as `From K = 20 to 40 the clusters repeat best between seeds; ...`."""
    if len(points) < 2:
        return "One K is no curve yet: more are needed to compare."
    sentence, last = "More clusters fit tighter", points[0]
    if all(point.stability is not None for point in points):
        low, high = _most_stable(points)
        sentence, last = _stable_words(points, low, high), high
    if last is points[-1]:
        return f"{sentence}."
    fall = 100 * (1 - points[-1].inertia / last.inertia) if last.inertia > 0 else 0.0
    finer = "more still separates finer things: " if last is not points[0] or len(points) > 2 else ""
    return f"{sentence}; {finer}inertia falls by {fall:.0f} % from K = {last.k} to {points[-1].k}."


def _stable_words(points: Sequence[KScore], low: KScore, high: KScore) -> str:
    if low is points[0] and high is points[-1]:
        return f"The clusters repeat about equally well between seeds at every K from {low.k} to {high.k}"
    where = f"At K = {low.k}" if low is high else f"Between K = {low.k} and {high.k}"
    return f"{where} the clusters repeat best between seeds"


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


def _score(rows: np.ndarray, compared: CosineSilhouette, k: int, seeds: int, meter: Meter) -> KScore:
    part = spread(len(rows), SILHOUETTE_PIXELS)
    found, silhouettes = [], []
    for seed in range(seeds):
        found.append(spherical_kmeans(rows, k, seed, iterations=ITERATIONS))
        silhouettes.append(compared.mean(found[-1].labels[part]))
        meter.advance(1, k=k)
    known = [one for one in silhouettes if one is not None]
    pairs = [adjusted_rand(one.labels, other.labels) for one, other in combinations(found, 2)]
    return KScore(
        k,
        float(np.mean([one.inertia for one in found])),
        float(np.mean(known)) if known else None,
        float(np.mean(pairs)) if pairs else None,
    )


def spread(rows: int, wanted: int) -> np.ndarray:
    """Returns (n,) int64 at most `wanted` row numbers, evenly spread: the sample is ordered by image."""
    return np.linspace(0, rows - 1, min(rows, wanted)).round().astype(np.int64)


class CosineSilhouette:
    """Silhouettes [2] of many labellings of the same unit rows (n, D): pairs are compared once."""

    def __init__(self, rows: np.ndarray):
        self.distance = np.maximum(1 - rows @ rows.T, 0)  # (n, n)
        np.fill_diagonal(self.distance, 0)

    def mean(self, labels: np.ndarray) -> float | None:
        """Returns the mean silhouette of labels (n,), a pixel alone in its cluster counting 0; None for one cluster."""
        ids, labels = np.unique(labels, return_inverse=True)
        if len(ids) < 2:
            return None
        rows, counts = np.arange(len(labels)), np.bincount(labels)
        sums = self.distance @ (labels[:, None] == np.arange(len(ids))).astype(np.float32)  # (n, K)
        own = sums[rows, labels] / np.maximum(counts[labels] - 1, 1)
        sums /= counts
        sums[rows, labels] = np.inf
        other = sums.min(1)
        silhouette = (other - own) / np.maximum(np.maximum(own, other), np.finfo(np.float32).tiny)
        return float(np.where(counts[labels] > 1, silhouette, 0).mean(dtype=np.float64))


def adjusted_rand(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the adjusted Rand index [1] of two labellings: 1 when they agree up to numbering, about 0 by chance."""
    _, one = np.unique(one, return_inverse=True)
    _, other = np.unique(other, return_inverse=True)
    table = np.bincount(one * (other.max() + 1) + other).astype(np.float64)
    together = _pairs(table)
    in_one, in_other = _pairs(np.bincount(one)), _pairs(np.bincount(other))
    by_chance = in_one * in_other / max(_pairs(np.array([len(one)])), 1.0)
    most = (in_one + in_other) / 2
    return 1.0 if most == by_chance else float((together - by_chance) / (most - by_chance))


def _pairs(counts: np.ndarray) -> float:
    counts = counts.astype(np.float64)
    return float((counts * (counts - 1) / 2).sum())


def _write(run: Run, curve: ScoreCurve) -> None:
    record = {**asdict(curve), "reading": curve.reading, "done": curve.done}
    write_json(_path(run), record)


def _path(run: Run) -> Path:
    return run.derived_dir / "scores.json"
