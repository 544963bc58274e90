"""Speed of `cluster`: spherical k-means on 200,000 x 128 rows against scikit-learn's MiniBatchKMeans, in one run.

    python benchmarks/cluster_speed.py [--sample WORKSPACE] [--repeats 5]

Rows come from a workspace's embedding sample, or are drawn around 300 random directions. Inertia is the mean of 1 -
cosine to unit centroids for both, so it can be compared. Repeats alternate; medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from picie_core.clustering.kmeans import COARSE_SHARE, assign, spherical_kmeans, unit_rows
from picie_core.workspace.workspace import Workspace

TARGET_S = {27: 1.0, 100: 3.0}


def drawn_rows(count: int = 200_000, dim: int = 128) -> np.ndarray:
    """Returns unit rows (count, dim) around 300 directions of very different size."""
    rng = np.random.default_rng(0)
    centres = unit_rows(rng.standard_normal((300, dim)))
    chosen = rng.choice(300, count, p=rng.dirichlet(np.ones(300)))
    return unit_rows(centres[chosen] + 0.08 * rng.standard_normal((count, dim))).astype(np.float32)


def ours(rows: np.ndarray, k: int, seed: int) -> tuple[float, float]:
    """Returns (seconds, inertia)."""
    start = time.perf_counter()
    found = spherical_kmeans(rows, k, seed, iterations=20, coarse_share=COARSE_SHARE)
    return time.perf_counter() - start, found.inertia


def theirs(rows: np.ndarray, k: int, seed: int) -> tuple[float, float]:
    """Returns (seconds, inertia) of MiniBatchKMeans with its defaults."""
    start = time.perf_counter()
    found = MiniBatchKMeans(k, random_state=seed, n_init=1).fit(rows)
    seconds = time.perf_counter() - start
    _, similarity = assign(rows, unit_rows(found.cluster_centers_.astype(np.float32)))
    return seconds, float(1 - similarity.mean(dtype=np.float64))


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=Path, help="a workspace; its embedding sample is clustered")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.sample:
        space = Workspace.open(arguments.sample)
        rows = np.asarray(space.current_run().sample().embeddings, dtype=np.float32)
    else:
        rows = drawn_rows()
    print(f"{len(rows)} x {rows.shape[1]} rows, 20 iterations on {COARSE_SHARE:.0%} of them, then a few on all\n")
    print("| K | ours, s | target, s | MiniBatchKMeans, s | our inertia | its inertia |\n|---|---|---|---|---|---|")
    spherical_kmeans(rows[:5000], 8)  # loads faiss
    for k, target in TARGET_S.items():
        pairs = [(ours(rows, k, seed), theirs(rows, k, seed)) for seed in range(arguments.repeats)]
        medians = [statistics.median(pair[who][what] for pair in pairs) for who in (0, 1) for what in (0, 1)]
        print(f"| {k} | {medians[0]:.2f} | {target} | {medians[2]:.2f} | {medians[1]:.4f} | {medians[3]:.4f} |")


if __name__ == "__main__":
    main()
