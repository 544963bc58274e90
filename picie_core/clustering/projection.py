"""Two-dimensional projections of the embedding sample: PCA and UMAP, with coordinates for every sampled pixel.

[1] McInnes, Healy, Melville, "UMAP", arXiv 1802.03426.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from picie_core.clustering.kmeans import load_faiss
from picie_core.data.embedding_sample import EmbeddingSample
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import check_settings, setting

POINTS = 10_000
LEAST = 20
"""Points that are drawn of each cluster at least, or all of its pixels."""
EPOCHS = 200
"""The default for so few points is 500, which gains nothing: trustworthiness 0.954 instead of 0.955 on camvid."""
NEAREST = 8
LISTS, PROBES = 100, 6
"""Inverted lists of the faiss index, and how many are searched: finds 98 % of the neighbours in a third of the time."""
BLOCK = 20_000


@dataclass(frozen=True)
class UmapSettings:
    """Settings of a UMAP; each combination is stored beside the others."""

    points: int = setting(POINTS, "pixels that UMAP lays out; the rest follows its neighbours", low=3, high=50_000)
    neighbors: int = setting(15, "UMAP neighbours: small shows detail, large shows the whole", low=2, high=200)
    min_dist: float = setting(0.1, "UMAP minimum distance: small packs points", low=0, high=0.99)
    seed: int = setting(0, "seed of the points and of UMAP", low=0)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def file_name(self) -> str:
        """Name of its file, such as `umap-10000-n15-d0.1-s0.npz`."""
        return f"umap-{self.points}-n{self.neighbors}-d{self.min_dist:g}-s{self.seed}.npz"


@dataclass(frozen=True)
class Projection:
    """The embedding sample in two dimensions."""

    index: np.ndarray
    """(n,) int64, the rows of the sample that are drawn for any clustering; a UMAP laid out these itself."""
    xy: np.ndarray
    """(N, 2) float32, the coordinates of every sampled pixel."""
    settings: UmapSettings | None = None
    """Settings of the UMAP; None for PCA."""

    @property
    def name(self) -> str:
        """`pca`, or the file name of the UMAP: equal names of one sample mean equal projections."""
        return self.settings.file_name if self.settings else "pca"


def draw_points(rows: int, points: int, seed: int = 0) -> np.ndarray:
    """Returns sorted rows of the sample, (n,) int64, evenly spread over the images: the sample is ordered by image."""
    if rows <= points:
        return np.arange(rows)
    edges = np.linspace(0, rows, points + 1).astype(np.int64)
    return edges[:-1] + np.random.default_rng(seed).integers(0, np.maximum(np.diff(edges), 1))


def shown_points(index: np.ndarray, labels: np.ndarray, k: int, *, least: int = LEAST, seed: int = 0) -> np.ndarray:
    """Returns the rows to draw, sorted: `index`, and more rows of each cluster that has fewer than `least` of them.

    Small clusters can be seen this way, and the points of `index` stay drawn when K changes. 10,000 points become
    20,000 at most at K = 500. labels: (N,) the cluster of every row.
    """
    short = least - np.bincount(labels[index], minlength=k)
    taken = np.zeros(len(labels), bool)
    taken[index] = True
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=k))
    added = [index]
    for cluster in np.flatnonzero(short > 0):
        members = order[ends[cluster - 1] if cluster else 0 : ends[cluster]]
        free = members[~taken[members]]
        draw = np.random.default_rng((seed, int(cluster)))
        added.append(draw.choice(free, min(len(free), short[cluster]), replace=False))
    return np.sort(np.concatenate(added))


def pca_projection(sample: EmbeddingSample) -> Projection:
    """Returns the PCA of the sample as a projection."""
    return Projection(draw_points(len(sample.pca), POINTS), sample.pca)


def umap_projection(
    sample: EmbeddingSample, settings: UmapSettings | None = None, report: Report = ignore_progress
) -> Projection:
    """Returns the UMAP [1] of the sample with the cosine metric.

    UMAP lays out `settings.points` of the sampled pixels, from their exact neighbours and initialised with their PCA,
    so that both projections have the same orientation; `place_rest` gives the others their coordinates.
    """
    settings = settings or UmapSettings()
    index = draw_points(len(sample.embeddings), settings.points, settings.seed)
    rows = np.asarray(sample.embeddings[index], dtype=np.float32)
    placed = _umap(rows, np.asarray(sample.pca[index]), settings, report)
    return Projection(index, place_rest(sample.embeddings, index, rows, placed, report=report), settings)


def _umap(rows: np.ndarray, start: np.ndarray, settings: UmapSettings, report: Report) -> np.ndarray:
    """Returns the layout (n, 2) float32 of unit rows (n, D); start: the initial layout (n, 2)."""
    neighbors = max(2, min(settings.neighbors, len(rows) - 1))
    meter = Meter("neighbours", 1, report)
    knn = cosine_neighbors(rows, neighbors)
    meter.advance(1)
    meter = Meter("preparing", 1, report)
    import umap  # seconds, so only here

    meter.advance(1)
    mapper = umap.UMAP(
        n_neighbors=neighbors,
        min_dist=settings.min_dist,
        metric="cosine",
        n_epochs=EPOCHS,
        init=start.astype(np.float32),
        random_state=settings.seed,
        n_jobs=1,
        precomputed_knn=(*knn, None),
        tqdm_kwds={"file": _Epochs(report), "bar_format": "{n}", "disable": False, "mininterval": 0.2},
    )
    with _same_threads():
        return mapper.fit_transform(rows).astype(np.float32)


@contextmanager
def _same_threads() -> Iterator[None]:
    """Gives OpenMP its number of threads back, which numba sets: else later sums would differ by rounding."""
    libraries = ThreadpoolController().select(user_api="openmp").lib_controllers
    counts = [library.num_threads for library in libraries]
    try:
        yield
    finally:
        for library, threads in zip(libraries, counts, strict=True):
            library.set_num_threads(threads)


class _Epochs:
    """A file for the progress bar of UMAP, which is its only report of progress: each line is an epoch."""

    def __init__(self, report: Report):
        self.report = report
        self.meter: Meter | None = None

    def write(self, text: str) -> None:
        """Reads the epoch from one drawing of the bar."""
        if text.strip().isdigit():
            self.meter = self.meter or Meter("layout", EPOCHS, self.report)  # the clock starts with the first epoch
            self.meter.advance(int(text) - self.meter.done)

    def flush(self) -> None:
        """Nothing is buffered."""


def place_rest(
    embeddings: np.ndarray,
    index: np.ndarray,
    rows: np.ndarray,
    placed: np.ndarray,
    *,
    lists: int = LISTS,
    report: Report = ignore_progress,
) -> np.ndarray:
    """Returns coordinates for every pixel of the sample, (N, 2) float32: `placed` (n, 2) for those of `index`.

    The other pixels follow their 8 nearest neighbours by cosine: of these, the half nearest to the most central one
    counts, and its mean is the result. A plain mean would put a pixel between two groups where no group is. On camvid,
    with 2,000 pixels held out, half of them land within 0.13 of their own coordinates in a layout 16 wide, nine in ten
    within 0.40 (plain mean: 0.61; nearest neighbour: 0.62).

    embeddings: (N, D) unit rows; rows: (n, D) float32, those of `index`; lists: inverted lists of the faiss index, for
    at least 50 rows a list; the search is exact with fewer rows.
    """
    faiss = load_faiss()
    searched = faiss.IndexFlatIP(rows.shape[1])
    if len(rows) >= 50 * lists:
        searched = faiss.IndexIVFFlat(searched, rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        searched.train(rows)
        searched.nprobe = PROBES
    searched.add(rows)
    xy = np.empty((len(embeddings), 2), np.float32)
    meter = Meter("placing the rest", len(embeddings), report)
    for first in range(0, len(embeddings), BLOCK):
        block = np.asarray(embeddings[first : first + BLOCK], dtype=np.float32)
        _, near = searched.search(block, min(NEAREST, len(rows)))
        xy[first : first + BLOCK] = _central_mean(placed[np.where(near < 0, near[:, :1], near)])
        meter.advance(len(block))
    xy[index] = placed
    return xy


def _central_mean(points: np.ndarray) -> np.ndarray:
    """The mean (m, 2) of the half of points (m, k, 2) nearest to the medoid, the point with least distance to all."""
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)  # (m, k, k)
    medoid = apart.sum(2).argmin(1)
    away = np.take_along_axis(apart, medoid[:, None, None], axis=1)[:, 0]  # (m, k)
    kept = np.argsort(away, axis=1, kind="stable")[:, : -(-points.shape[1] // 2)]
    return np.take_along_axis(points, kept[..., None], axis=1).mean(1)


def cosine_neighbors(rows: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (indices, cosine distances), each (n, neighbors), of unit rows; each row is its own first neighbour."""
    faiss = load_faiss()
    similarity, index = faiss.knn(rows, rows, neighbors, metric=faiss.METRIC_INNER_PRODUCT)
    return index, np.maximum(1 - similarity, 0)
