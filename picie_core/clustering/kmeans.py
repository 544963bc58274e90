"""Spherical k-means over faiss: unit centroids, cosine everywhere, ids ordered by area.

differs from PiCIE: its code clusters by squared distance to plain means and then trains by dot product; unit
centroids make clustering, training and labelling use one distance.
[1] Douze et al., "The Faiss library", arXiv 2401.08281.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from picie_core.errors import PicieError, SettingError

FINE_ITERATIONS = 5
"""Iterations over all rows after those over a share of them."""
LEAST_ROWS_A_CENTROID = 40
"""The iterations over a share of the rows need at least so many rows a centroid."""
COARSE_SHARE = 0.25
"""Share of the embedding sample that k-means goes over first, so that another K takes half the time."""
BLOCK_ROWS = 65_536
"""Rows that are scored at once: bounds the memory at BLOCK_ROWS x K floats."""


@dataclass(frozen=True)
class KMeansResult:
    """The clusters of N rows."""

    centroids: np.ndarray
    """(K, D) float32, unit norm, ordered by count, largest first."""
    labels: np.ndarray
    """(N,) uint16."""
    similarity: np.ndarray
    """(N,) float32 cosine to the own centroid."""
    inertia: float
    """Mean of 1 - cosine over the rows."""

    @property
    def counts(self) -> np.ndarray:
        """(K,) int64 rows of each cluster."""
        return np.bincount(self.labels, minlength=len(self.centroids))


def spherical_kmeans(
    rows: np.ndarray,
    k: int,
    seed: int = 0,
    *,
    iterations: int = 20,
    init: np.ndarray | None = None,
    device: str = "cpu",
    coarse_share: float = 1.0,
) -> KMeansResult:
    """Returns K unit centroids that maximise the mean cosine of the rows to their centroid.

    rows: (N, D) float, unit norm, not changed. init: (K, D) centroids to start from instead of random rows; ids then
    keep their meaning and are not reordered. Empty clusters are re-seeded by splitting large ones [1].
    coarse_share: below 1, the iterations see that share of the rows, drawn by the seed, and FINE_ITERATIONS all of
    them: a quarter takes half the time and ends at the same inertia (docs/results.md).
    Raises SettingError when K does not fit the number of rows, PicieError when rows are not finite.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    check_k(k, len(rows))
    if not np.isfinite(rows).all():
        raise PicieError(
            f"{int((~np.isfinite(rows)).any(1).sum())} of {len(rows)} embeddings are not finite: train again"
        )
    coarse = int(coarse_share * len(rows))
    if init is None and LEAST_ROWS_A_CENTROID * k <= coarse < len(rows):
        part = np.sort(np.random.default_rng(seed).choice(len(rows), coarse, replace=False))
        init_fine = _train(rows[part], k, seed=seed, iterations=iterations, init=None, device=device)
        centroids = _train(rows, k, seed=seed, iterations=FINE_ITERATIONS, init=init_fine, device=device)
    else:
        centroids = _train(rows, k, seed=seed, iterations=iterations, init=init, device=device)
    labels, similarity = assign(rows, centroids)
    if init is None:
        order = np.argsort(-np.bincount(labels, minlength=k), kind="stable")
        centroids, labels = centroids[order], np.argsort(order).astype(np.uint16)[labels]
    return KMeansResult(centroids, labels, similarity, float(1 - similarity.mean(dtype=np.float64)))


def check_k(k: int, rows: int) -> None:
    """Raises SettingError unless 1 <= k <= rows and ids fit 16 bits."""
    if k < 1:
        raise SettingError(f"k={k} is too small: give at least 1 cluster")
    if k > rows:
        raise SettingError(f"k={k} needs at least {k} sampled pixels, got {rows}: lower k or add images")
    if k > np.iinfo(np.uint16).max:
        raise SettingError(f"k={k} is too large: give at most {np.iinfo(np.uint16).max}")


def _train(rows: np.ndarray, k: int, *, seed: int, iterations: int, init: np.ndarray | None, device: str) -> np.ndarray:
    """Returns the unit centroids (K, D) of faiss's k-means, from random rows or from `init`."""
    faiss = load_faiss()
    gpu = device == "cuda" and getattr(faiss, "get_num_gpus", lambda: 0)() > 0
    kmeans = faiss.Kmeans(
        rows.shape[1],
        k,
        niter=iterations,
        spherical=True,
        seed=seed + 1,  # faiss reads a seed below 1 as "take the time"
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
        gpu=gpu,
    )
    kmeans.train(rows, init_centroids=None if init is None else np.ascontiguousarray(init, dtype=np.float32))
    return unit_rows(np.asarray(kmeans.centroids, dtype=np.float32).reshape(k, -1))


def load_faiss() -> Any:
    """Returns the module faiss, whose threads sleep rather than spin while they wait for each other.

    Spinning threads take the core that another thread needs: with other work on two cores, k-means took 10 times as
    long. OpenMP reads the rule once, when faiss loads; torch and child processes keep theirs.
    """
    kept = os.environ.get("OMP_WAIT_POLICY")
    os.environ["OMP_WAIT_POLICY"] = kept or "PASSIVE"
    import faiss  # heavy, so only where it is used

    if kept is None:
        os.environ.pop("OMP_WAIT_POLICY", None)
    return faiss


def assign(rows: np.ndarray, centroids: np.ndarray, block_rows: int = BLOCK_ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best centroid (N,) uint16 and the cosine to it (N,) float32 of unit rows (N, D)."""
    labels = np.empty(len(rows), np.uint16)
    similarity = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), block_rows):
        scores = np.asarray(rows[start : start + block_rows], dtype=np.float32) @ centroids.T  # (block_rows, K)
        best = scores.argmax(1)
        labels[start : start + block_rows] = best
        similarity[start : start + block_rows] = scores[np.arange(len(best)), best]
    return labels, similarity


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Returns rows scaled to unit length; a row of zeros stays zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
