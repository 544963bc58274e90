"""Two-dimensional maps of the embedding sample: PCA at once, UMAP in the background.

[1] McInnes, Healy, Melville, "UMAP", arXiv 1802.03426.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picie_core.atomic import open_atomic
from picie_core.kmeans import load_faiss
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.sample import derived_dir, load_sample
from picie_core.workspace import Workspace


@dataclass(frozen=True)
class Projection:
    """n points of the sample on the plane."""

    index: np.ndarray
    """(n,) int64, rows of the embedding sample."""
    xy: np.ndarray
    """(n, 2) float32."""


def draw_points(rows: int, points: int, seed: int = 0) -> np.ndarray:
    """Returns (n,) int64 sorted rows of the sample to show, evenly spread: the sample is ordered by image."""
    if rows <= points:
        return np.arange(rows)
    edges = np.linspace(0, rows, points + 1).astype(np.int64)
    return edges[:-1] + np.random.default_rng(seed).integers(0, np.maximum(np.diff(edges), 1))


def load_projection(
    workspace: Workspace, run: str, kind: str, points: int = 10_000, seed: int = 0
) -> Projection | None:
    """Returns the `pca` or `umap` map of `run`; None while UMAP has not been computed."""
    if kind == "pca":
        sample = load_sample(workspace, run)
        index = draw_points(len(sample.pca), points, seed)
        return Projection(index, np.asarray(sample.pca[index]))
    path = _path(workspace, run, points, seed)
    if not path.exists():
        return None
    with np.load(path) as stored:
        return Projection(stored["index"], stored["xy"])


def compute_umap(
    workspace: Workspace,
    run: str,
    points: int = 10_000,
    neighbors: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
    report: Report = ignore_progress,
) -> Projection:
    """Returns the UMAP [1] of `points` of the sample by cosine, and stores it; neighbours come from faiss."""
    meter = Meter("neighbours", 3, report)
    sample = load_sample(workspace, run)
    index = draw_points(len(sample.embeddings), points, seed)
    rows = np.asarray(sample.embeddings[index], dtype=np.float32)
    neighbors = max(2, min(neighbors, len(rows) - 1))
    knn = _nearest(rows, neighbors)
    meter.advance(1)
    import umap  # four seconds, so only here

    meter.advance(1)
    mapper = umap.UMAP(
        n_neighbors=neighbors,
        min_dist=min_dist,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(*knn, None),
    )
    xy = mapper.fit_transform(rows).astype(np.float32)
    meter.advance(1)
    with open_atomic(_path(workspace, run, points, seed)) as file:
        np.savez(file, index=index, xy=xy)
    return Projection(index, xy)


def _nearest(rows: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (indices, cosine distances), each (n, neighbors), of unit rows; each row is its own first neighbour."""
    faiss = load_faiss()
    similarity, index = faiss.knn(rows, rows, neighbors, metric=faiss.METRIC_INNER_PRODUCT)
    return index, np.maximum(1 - similarity, 0)


def _path(workspace: Workspace, run: str, points: int, seed: int) -> Path:
    return derived_dir(workspace, run) / f"umap-{points}-s{seed}.npz"
