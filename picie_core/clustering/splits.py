"""Splits: one cluster taken apart by prototypes of its own, and the one rule by which embeddings score for clusters.

A split adds clusters and moves none: the best part of an embedding scores what the whole cluster scored, so no pixel of
another cluster ever changes, and a split whose parts share a class changes no class at all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from picie_core.errors import PicieError, SettingError

MAX_PARTS = 8
MAX_CLUSTERS = 1 << 16
"""Cluster ids are stored and exported in 16 bits."""
UNIT_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Split:
    """One cluster in m parts: the first part keeps the id, the others have ids from `first_new` on."""

    cluster: int
    first_new: int
    centroids: np.ndarray
    """(m, D) float32, unit norm."""

    @property
    def parts(self) -> list[int]:
        """Ids of the parts, in the order of the centroids."""
        return [self.cluster, *range(self.first_new, self.end)]

    @property
    def end(self) -> int:
        """The id after the last part: how many clusters there are with this split and those before it."""
        return self.first_new + len(self.centroids) - 1


def cosine_scores(embeddings: np.ndarray, centroids: np.ndarray, splits: Sequence[Split] = ()) -> np.ndarray:
    """Returns the score of every embedding for every cluster: (K, N) float32, with splits (K + their new parts, N).

    embeddings: (N, D) float or int8, any length; centroids: (K, D) unit norm. A cluster scores its cosine. Part i of
    cluster c scores score_c + (z.t_i - max_j z.t_j) with its prototypes t, for embeddings z of unit norm: the best part
    scores exactly what c scores without the split. Splits apply in their order, so parts can be split again.
    """
    flat = embeddings.astype(np.float32)  # (N, D)
    length = np.sqrt(np.einsum("nd,nd->n", flat, flat))
    base_k = len(centroids)
    scores = np.empty((splits[-1].end if splits else base_k, len(flat)), np.float32)
    np.matmul(centroids.astype(np.float32), flat.T, out=scores[:base_k])
    for split in splits:
        within = split.centroids @ flat.T  # (m, N)
        within -= within.max(axis=0)
        scores[split.parts] = scores[split.cluster] + within
    scores /= np.maximum(length, np.finfo(np.float32).tiny)
    return scores


def split_sample(
    embeddings: np.ndarray, labels: np.ndarray, similarity: np.ndarray, splits: Sequence[Split]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels (N,) uint16 and similarity (N,) of sampled pixels (N, D) with the splits applied.

    Only pixels of the clusters that were split change; their similarity is the cosine to their part.
    """
    labels, similarity = labels.copy(), similarity.copy()
    for split in splits:
        members = np.flatnonzero(labels == split.cluster)
        cosines = np.asarray(embeddings[members], dtype=np.float32) @ split.centroids.T  # (M, m)
        best = cosines.argmax(axis=1)
        labels[members] = np.array(split.parts, labels.dtype)[best]
        similarity[members] = cosines[np.arange(len(members)), best]
    return labels, similarity


def split_centroids(centroids: np.ndarray, splits: Sequence[Split]) -> np.ndarray:
    """Returns a centroid for every cluster in use, (k, D): those of parts are their prototypes."""
    if splits and splits[0].centroids.shape[1] != centroids.shape[1]:
        raise PicieError(
            f"a split has {splits[0].centroids.shape[1]} numbers a prototype, the embeddings have "
            f"{centroids.shape[1]}: undo the import that brought it (`label undo`)"
        )
    for split in splits:
        centroids = np.concatenate([centroids, split.centroids[1:]])
        centroids[split.cluster] = split.centroids[0]
    return centroids


def splits_digest(key: str, splits: Sequence[Split]) -> str:
    """Returns `key` without splits, else another digest that changes with every one of them."""
    if not splits:
        return key
    digest = hashlib.sha256(key.encode())
    for split in splits:
        digest.update(f"/{split.cluster},{split.first_new},".encode() + split.centroids.tobytes())
    return digest.hexdigest()[:16]


def clean_prototypes(centroids: Any) -> np.ndarray:
    """Returns the prototypes of a split as they are stored: (m, D) float32, unit norm.

    Raises SettingError unless they are 2 to 8 finite rows of about unit length.
    """
    rows = np.array(centroids, dtype=np.float32)
    if rows.ndim != 2 or not 2 <= len(rows) <= MAX_PARTS:
        raise SettingError(f"a split needs 2 to {MAX_PARTS} prototypes (m, D), got shape {rows.shape}: give as many")
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.abs(length - 1) < UNIT_TOLERANCE).all():
        raise SettingError(f"prototypes of a split must have unit length, got {length.ravel().tolist()}: normalise")
    return rows


# -- as JSON can hold them


def splits_record(splits: Sequence[Split]) -> list[dict[str, Any]]:
    """Returns the splits as `read_splits` reads them; prototypes are base64 of little-endian float32."""
    return [
        {
            "cluster": split.cluster,
            "first_new": split.first_new,
            "parts": len(split.centroids),
            "centroids": base64.b64encode(split.centroids.astype("<f4").tobytes()).decode(),
        }
        for split in splits
    ]


def read_splits(record: Any, k: int, dim: int | None = None) -> list[Split]:
    """Returns the splits of a label map for a clustering of `k` clusters and embeddings of `dim` numbers, checked.

    Raises SettingError that names key, rule, value and remedy.
    """
    if not isinstance(record, list):
        raise SettingError('label map: "splits" must be a list: see `label export`')
    splits: list[Split] = []
    for index, item in enumerate(record):
        key, known = f'label map: "splits"[{index}]', splits[-1].end if splits else k
        try:
            cluster, first_new = (int(item[name]) for name in ("cluster", "first_new"))
            block = np.frombuffer(base64.b64decode(item["centroids"], validate=True), "<f4")
            prototypes = clean_prototypes(block.reshape(int(item["parts"]), -1))
        except (KeyError, TypeError, ValueError) as error:
            raise SettingError(f"{key} cannot be read ({error}): export the map again") from None
        if first_new != known or not 0 <= cluster < known:
            remedy = "is this map of another clustering?"
            raise SettingError(f"{key} must split one of clusters 0 to {known - 1} and add {known}: {remedy}")
        wanted = dim or (splits[0].centroids.shape[1] if splits else prototypes.shape[1])
        if prototypes.shape[1] != wanted:
            remedy = "is this map of another embedder?"
            raise SettingError(f"{key} has {prototypes.shape[1]} numbers a prototype, not {wanted}: {remedy}")
        splits.append(Split(cluster, first_new, prototypes))
    return splits
