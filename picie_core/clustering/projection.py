"""Two-dimensional maps of the embedding sample: PCA at once, UMAP in the background; every sampled pixel has a place.

[1] McInnes, Healy, Melville, "UMAP", arXiv 1802.03426.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from picie_core.clustering.kmeans import load_faiss
from picie_core.data.embedding_sample import EmbeddingSample
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import check_settings, setting

POINTS = 10_000
LEAST = 20
"""Points that each cluster has at least on a map, as far as it has as many pixels."""
EPOCHS = 200
"""Of 500, the default for so few points, nothing more is gained: trustworthiness 0.955 and 0.954 on camvid."""
NEAREST = 8
CELLS, PROBED = 100, 6
"""Inverted lists of faiss and how many are searched: 98 % of the nearest neighbours, in a third of the time."""
BLOCK = 20_000


@dataclass(frozen=True)
class UmapSettings:
    """What a UMAP is made with; each combination is stored beside the others."""

    points: int = setting(POINTS, "pixels that UMAP places; the rest goes where its neighbours are", low=3, high=50_000)
    neighbors: int = setting(15, "UMAP neighbours: small shows detail, large shows the whole", low=2, high=200)
    min_dist: float = setting(0.1, "UMAP minimum distance: small packs points", low=0, high=0.99)
    seed: int = setting(0, "seed of the points and of UMAP", low=0)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def file_name(self) -> str:
        """What its file is called, such as `umap-10000-n15-d0.1-s0.npz`."""
        return f"umap-{self.points}-n{self.neighbors}-d{self.min_dist:g}-s{self.seed}.npz"


@dataclass(frozen=True)
class Projection:
    """The sample on the plane."""

    index: np.ndarray
    """(n,) int64, the rows of the sample that are drawn whatever the clusters are; those that UMAP placed itself."""
    xy: np.ndarray
    """(N, 2) float32, the place of every sampled pixel."""
    settings: UmapSettings | None = None
    """What it was made with; None for PCA."""

    @property
    def name(self) -> str:
        """`pca`, or the file name of the UMAP: two maps of a sample with the same name are the same."""
        return self.settings.file_name if self.settings else "pca"


def draw_points(rows: int, points: int, seed: int = 0) -> np.ndarray:
    """Returns (n,) int64 sorted rows of the sample, evenly spread over the images, by which the sample is ordered."""
    if rows <= points:
        return np.arange(rows)
    edges = np.linspace(0, rows, points + 1).astype(np.int64)
    return edges[:-1] + np.random.default_rng(seed).integers(0, np.maximum(np.diff(edges), 1))


def shown_points(index: np.ndarray, labels: np.ndarray, k: int, least: int = LEAST, seed: int = 0) -> np.ndarray:
    """Returns the rows to draw, sorted: `index`, and for clusters with less than `least` of them more of their own.

    So small clusters can be seen, and the points of `index` stay where they are when K changes. 10,000 points grow to
    20,000 at K = 500 at the very most. labels: (N,) cluster of every row.
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
    """Returns the PCA of the sample as a map."""
    return Projection(draw_points(len(sample.pca), POINTS), sample.pca)


def umap_projection(
    sample: EmbeddingSample, settings: UmapSettings | None = None, report: Report = ignore_progress
) -> Projection:
    """Returns the UMAP [1] of the sample by cosine.

    UMAP places `settings.points` of the sampled pixels, from their exact neighbours and starting at their PCA, so
    that both maps lie the same way round; `place_rest` places the others.
    """
    settings = settings or UmapSettings()
    index = draw_points(len(sample.embeddings), settings.points, settings.seed)
    rows = np.asarray(sample.embeddings[index], dtype=np.float32)
    placed = _umap(rows, np.asarray(sample.pca[index]), settings, report)
    return Projection(index, place_rest(sample.embeddings, index, rows, placed, report), settings)


def _umap(rows: np.ndarray, start: np.ndarray, settings: UmapSettings, report: Report) -> np.ndarray:
    """Returns the places (n, 2) float32 of unit rows (n, D); start: (n, 2) where they begin."""
    neighbors = max(2, min(settings.neighbors, len(rows) - 1))
    meter = Meter("neighbours", 1, report)
    knn = _nearest(rows, neighbors)
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
    return mapper.fit_transform(rows).astype(np.float32)


class _Epochs:
    """A file for the progress bar of UMAP, the only place where it says how far it is: each line is an epoch."""

    def __init__(self, report: Report):
        self.report = report
        self.meter: Meter | None = None

    def write(self, text: str) -> None:
        """Takes one drawing of the bar."""
        if text.strip().isdigit():
            self.meter = self.meter or Meter("layout", EPOCHS, self.report)  # the clock starts with the first epoch
            self.meter.advance(int(text) - self.meter.done)

    def flush(self) -> None:
        """Nothing is kept back."""


def place_rest(
    embeddings: np.ndarray, index: np.ndarray, rows: np.ndarray, placed: np.ndarray, report: Report = ignore_progress
) -> np.ndarray:
    """Returns a place for every pixel of the sample, (N, 2) float32: `placed` for those of `index`.

    The others go where their 8 nearest neighbours by cosine are: to the middle of the half that lies around the
    most central of them. A plain mean would put a pixel between two groups into the void. On camvid, with 2,000
    pixels held back, half of them land within 0.13 of their own place on a map 16 wide, nine in ten within 0.40
    (plain mean: 0.61; the nearest one: 0.62).

    embeddings: (N, D) unit rows; rows: (n, D) float32, those of `index`.
    """
    xy = np.empty((len(embeddings), 2), np.float32)
    meter = Meter("placing the rest", len(embeddings), report)
    searched = _searchable(rows)
    nearest = min(NEAREST, len(rows))
    for first in range(0, len(embeddings), BLOCK):
        block = np.asarray(embeddings[first : first + BLOCK], dtype=np.float32)
        _, near = searched.search(block, nearest)
        xy[first : first + BLOCK] = _middle(placed[np.where(near < 0, near[:, :1], near)])
        meter.advance(len(block))
    xy[index] = placed
    return xy


def _searchable(rows: np.ndarray) -> Any:
    """Returns a faiss index of the rows: exact for few of them."""
    faiss = load_faiss()
    dim = rows.shape[1]
    exact = faiss.IndexFlatIP(dim)
    if len(rows) < 50 * CELLS:
        exact.add(rows)
        return exact
    lists = faiss.IndexIVFFlat(exact, dim, CELLS, faiss.METRIC_INNER_PRODUCT)
    lists.train(rows)
    lists.add(rows)
    lists.nprobe = PROBED
    return lists


def _middle(places: np.ndarray) -> np.ndarray:
    """Returns the mean (m, 2) of the half of places (m, k, 2) that is nearest to the one with the least way to all."""
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=3)  # (m, k, k)
    central = apart.sum(2).argmin(1)
    away = np.take_along_axis(apart, central[:, None, None], axis=1)[:, 0]  # (m, k)
    kept = np.argsort(away, axis=1, kind="stable")[:, : -(-places.shape[1] // 2)]
    return np.take_along_axis(places, kept[..., None], axis=1).mean(1)


def _nearest(rows: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (indices, cosine distances), each (n, neighbors), of unit rows; each row is its own first neighbour."""
    faiss = load_faiss()
    similarity, index = faiss.knn(rows, rows, neighbors, metric=faiss.METRIC_INNER_PRODUCT)
    return index, np.maximum(1 - similarity, 0)
