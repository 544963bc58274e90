"""The clusterings of a workspace: made from the embedding sample at any K, stored, and applied to dense cells.

Never runs the network. A clustering is what k-means found, with the splits that a person made since.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from picie_core.atomic_files import folder_atomic, write_json
from picie_core.clustering.kmeans import check_k, spherical_kmeans
from picie_core.clustering.splits import Split, cosine_scores, split_centroids, split_sample, splits_digest
from picie_core.data.embedding_sample import derived_dir, has_sample, load_sample
from picie_core.errors import PicieError, SettingError
from picie_core.workspace.workspace import Workspace

COARSE_SHARE = 0.25
"""Share of the sample that k-means goes over first: another K shall be there while the person looks."""


@dataclass(frozen=True)
class Clustering:
    """The clusters in use over the embedding sample of one run; before splits, cluster 0 is the largest."""

    k: int
    """How many there are, parts of splits included: ids are 0 to k-1."""
    seed: int
    key: str
    """Digest of the centroids without splits; names are stored under it, so they never land on other centroids."""
    centroids: np.ndarray
    """(k, D) float32, unit norm; those of parts are their prototypes. Cells score by `cluster_scores`, not by these."""
    labels: np.ndarray
    """(N,) uint16, one a sampled pixel."""
    similarity: np.ndarray
    """(N,) float16 cosine to the own centroid."""
    inertia: float
    """Mean of 1 - cosine over the sample, without splits."""
    splits: tuple[Split, ...] = ()
    """In the order in which they apply."""
    unsplit: np.ndarray | None = None
    """(base_k, D) what k-means found, where splits replaced some of it in `centroids`."""

    @property
    def base_k(self) -> int:
        """How many clusters were asked for."""
        return len(self.base_centroids)

    @property
    def base_centroids(self) -> np.ndarray:
        """(base_k, D) float32, unit norm: what k-means found."""
        return self.centroids if self.unsplit is None else self.unsplit

    @property
    def digest(self) -> str:
        """What everything made from these clusters depends on: the key, and another value with every split."""
        return splits_digest(self.key, self.splits)

    @property
    def name(self) -> str:
        """What the clustering is called on disk and on the command line, such as `k27-s0`; splits do not change it."""
        return clustering_name(self.base_k, self.seed)

    def with_splits(self, splits: Sequence[Split], embeddings: np.ndarray) -> Clustering:
        """Returns this clustering with more splits behind its own; embeddings: (N, D) of the sample.

        Raises PicieError when the splits are those of another embedder.
        """
        if not splits:
            return self
        centroids = split_centroids(self.centroids, splits)
        labels, similarity = split_sample(embeddings, self.labels, self.similarity, splits)
        return replace(
            self,
            k=len(centroids),
            centroids=centroids,
            labels=labels,
            similarity=similarity,
            splits=(*self.splits, *splits),
            unsplit=self.base_centroids,
        )

    @property
    def counts(self) -> np.ndarray:
        """(K,) int64 sampled pixels of each cluster."""
        return np.bincount(self.labels, minlength=self.k)


def clustering_name(k: int, seed: int) -> str:
    """Returns `k27-s0` for K = 27 and seed 0."""
    return f"k{k}-s{seed}"


def cluster_workspace(
    workspace: Workspace, run: str, k: int, seed: int = 0, iterations: int = 20, device: str = "cpu"
) -> Clustering:
    """Returns the clustering of `run` at K with its splits, computed and stored unless it is there already.

    Of two that compute the same one at once, the first one's is kept, and both return it.

    Raises SettingError when K is below 1 or above the number of sampled pixels.
    """
    folder = _folder(workspace, run, clustering_name(k, seed))
    if folder.exists():
        return load_clustering(workspace, run, folder.name)
    sample = load_sample(workspace, run)
    check_k(k, len(sample.embeddings))
    start = time.monotonic()
    found = spherical_kmeans(sample.embeddings, k, seed, iterations, device=device, coarse_share=COARSE_SHARE)
    record = {
        "k": k,
        "seed": seed,
        "key": hashlib.sha256(found.centroids.tobytes()).hexdigest()[:16],
        "inertia": found.inertia,
        "counts": found.counts.tolist(),
        "iterations": iterations,
        "coarse_share": COARSE_SHARE,
        "seconds": round(time.monotonic() - start, 3),
    }
    with folder_atomic(folder, replace=False) as temporary:  # names belong to the key of the clusters that were first
        np.save(temporary / "centroids.npy", found.centroids)
        np.save(temporary / "labels.npy", found.labels)
        np.save(temporary / "similarity.npy", found.similarity.astype(np.float16))
        write_json(temporary / "clustering.json", record)
    return load_clustering(workspace, run, folder.name)


def load_clustering(workspace: Workspace, run: str, name: str) -> Clustering:
    """Returns a stored clustering with its splits.

    Raises SettingError with the stored names when there is none of that name.
    """
    unsplit = load_unsplit(workspace, run, name)
    splits = workspace.label_map.splits_of(unsplit.key)
    return unsplit.with_splits(splits, load_sample(workspace, run).embeddings) if splits else unsplit


def load_unsplit(workspace: Workspace, run: str, name: str) -> Clustering:
    """Returns a stored clustering as k-means found it. Raises as `load_clustering`."""
    folder = _folder(workspace, run, name)
    try:
        record = json.loads((folder / "clustering.json").read_text())
        arrays = [np.load(folder / f"{part}.npy") for part in ("centroids", "labels", "similarity")]
    except FileNotFoundError:
        known = ", ".join(list_clusterings(workspace, run)) or "none"
        raise SettingError(f"run {run} has no clustering {name!r} (there: {known}): run `cluster --k K`") from None
    return Clustering(
        k=record["k"],
        seed=record["seed"],
        key=record["key"],
        centroids=arrays[0],
        labels=arrays[1],
        similarity=arrays[2],
        inertia=record["inertia"],
    )


def list_clusterings(workspace: Workspace, run: str) -> list[str]:
    """Returns the names of the stored clusterings of `run`, by K and then seed; none before it has a sample."""
    if not has_sample(workspace, run):
        return []
    records = [json.loads(path.read_text()) for path in _folder(workspace, run, "").glob("k*/clustering.json")]
    return [clustering_name(k, seed) for k, seed in sorted((record["k"], record["seed"]) for record in records)]


def current_clustering(workspace: Workspace, run: str) -> Clustering:
    """Returns the clustering of `run` in use, with its splits. Raises PicieError when there is none."""
    return load_clustering(workspace, run, current_name(workspace, run))


def current_name(workspace: Workspace, run: str) -> str:
    """Returns the name of the chosen clustering of `run`, else of its last made one; PicieError when there is none."""
    names = list_clusterings(workspace, run)
    chosen = workspace.label_map.get_choice("clustering")
    if chosen in names:
        return chosen
    if not names:
        raise PicieError(f"run {run} has no clustering yet: run `cluster --workspace {workspace.root} --k K`")
    return max(names, key=lambda name: (_folder(workspace, run, name) / "clustering.json").stat().st_mtime_ns)


def stamp(workspace: Workspace, run: str, name: str) -> tuple[str, int]:
    """Returns what changes when a clustering is made again under its name, such as from another sample."""
    folder = _folder(workspace, run, name)
    return folder.parent.name, (folder / "clustering.json").stat().st_mtime_ns


def cluster_scores(embeddings: np.ndarray, clustering: Clustering) -> np.ndarray:
    """Returns the score of each cell for each cluster, splits applied: (k, N) float32; cells: (N, D), any length.

    The one rule of all screens, masks and figures: see `cosine_scores`.
    """
    return cosine_scores(embeddings, clustering.base_centroids, clustering.splits)


def cell_labels(embeddings: np.ndarray, clustering: Clustering) -> np.ndarray:
    """Returns the cluster (h, w) uint16 of each cell (h, w, D), int8 or float of any length: the best score."""
    height, width, dim = embeddings.shape
    return cluster_scores(embeddings.reshape(-1, dim), clustering).argmax(0).astype(np.uint16).reshape(height, width)


def _folder(workspace: Workspace, run: str, name: str) -> Path:
    return derived_dir(workspace, run) / name
