"""Clusterings on disk: the result of k-means, one folder each, in the folder of its embedding sample."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.atomic_files import folder_atomic, write_json
from picie_core.clustering.clustering import clustering_name
from picie_core.clustering.kmeans import COARSE_SHARE, check_k, spherical_kmeans


def compute_clustering(
    folder: Path, embeddings: np.ndarray, *, k: int, seed: int = 0, iterations: int = 20, device: str = "cpu"
) -> None:
    """Clusters embeddings (N, D) into K clusters and stores them in `folder`.

    A clustering that another process stored meanwhile stays: names are stored under the key of its centroids.
    Raises SettingError when K is below 1 or above N.
    """
    check_k(k, len(embeddings))
    start = time.monotonic()
    found = spherical_kmeans(embeddings, k, seed, iterations=iterations, device=device, coarse_share=COARSE_SHARE)
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
    with folder_atomic(folder, replace=False) as temporary:
        np.save(temporary / "centroids.npy", found.centroids)
        np.save(temporary / "labels.npy", found.labels)
        np.save(temporary / "similarity.npy", found.similarity.astype(np.float16))
        write_json(temporary / "clustering.json", record)


def read_clustering(folder: Path) -> dict[str, Any]:
    """Returns the fields of the `Clustering` stored in `folder`, without splits. Raises FileNotFoundError."""
    record = json.loads((folder / "clustering.json").read_text())
    arrays = {part: np.load(folder / f"{part}.npy") for part in ("centroids", "labels", "similarity")}
    return {name: record[name] for name in ("k", "seed", "key", "inertia")} | arrays


def clustering_names(derived: Path) -> list[str]:
    """Returns the names of the clusterings below `derived`, by K and then seed."""
    records = [json.loads(path.read_text()) for path in derived.glob("k*/clustering.json")]
    return [clustering_name(k, seed) for k, seed in sorted((record["k"], record["seed"]) for record in records)]
