"""What is known of clusters beside their crops, kept between two runs of the script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.session.caches import cached, contact_sheet_source, label_version
from picie_core.errors import SettingError
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.clustering.hierarchy import MergeTree
    from picie_core.clustering.split_proposals import SplitPreview
    from picie_core.evaluation.sampled_truth import ClusterTruth, MapTruth, SampledTruth


@cached(16, "Looking for uncertain pixels")
def uncertainty(clustering: StoredClustering) -> np.ndarray:
    """Returns the share of each cluster's pixels that are nearly in another: (k,)."""
    from picie_core.clustering.uncertainty import cluster_uncertainty

    return cluster_uncertainty(contact_sheet_source(clustering.run).sample, clustering)


@cached(8, "Comparing the clusters")
def tree(clustering: StoredClustering, linkage: str) -> MergeTree:
    """Returns which clusters look alike: the merge tree of the clusters."""
    from picie_core.clustering.hierarchy import merge_tree

    return merge_tree(clustering.centroids, clustering.counts, linkage)


@cached(16)
def neighbors(clustering: StoredClustering, count: int = 3) -> list[list[int]]:
    """Returns the clusters that look most like each cluster, the nearest first."""
    from picie_core.clustering.hierarchy import nearest

    return [[other for other, _ in nearest(clustering.centroids, k, count)] for k in range(clustering.k)]


@cached(16, "Looking for parts")
def split_preview(clustering: StoredClustering, cluster: int, parts: int) -> SplitPreview[StoredClustering]:
    """Returns what a split of a cluster into so many parts would make."""
    from picie_core.clustering.split_proposals import preview_split, propose_split

    embeddings = clustering.sample().embeddings
    return preview_split(clustering, embeddings, cluster, propose_split(clustering, embeddings, cluster, parts))


def vocabulary(workspace: Workspace) -> list[str]:
    """Returns the names that the workspace offers, read again when the file changes."""
    path = workspace.vocabulary_path
    return _vocabulary(path, path.stat().st_mtime_ns) if path.exists() else []


@cached(4)
def _vocabulary(path: Path, stamp: int) -> list[str]:
    from picie_core.labels.vocabulary import names_in

    try:
        return names_in(path.read_bytes(), str(path))
    except SettingError:
        return []  # the Classes view says what is wrong with it


# -- ground truth, where there is any


def sampled_truth(clustering: StoredClustering) -> SampledTruth | None:
    """Returns the class of every sampled pixel; None without masks, or before they are looked up for this sample."""
    from picie_core.workspace.ground_truth import load_truth

    known = load_truth(clustering.run)
    return known if known is not None and len(known.labels) == len(clustering.labels) else None


def cluster_truths(clustering: StoredClustering) -> list[ClusterTruth] | None:
    """Returns what each cluster really is; None without ground truth."""
    known = sampled_truth(clustering)
    return None if known is None else _cluster_truths(clustering, _masks(clustering), known)


@cached(8)
def _cluster_truths(clustering: StoredClustering, masks: str, _known: SampledTruth) -> list[ClusterTruth]:
    from picie_core.evaluation.sampled_truth import cluster_truth

    return cluster_truth(clustering, _known)


def map_truth(clustering: StoredClustering) -> MapTruth | None:
    """Returns how good the names are as they stand; None without ground truth."""
    known = sampled_truth(clustering)
    if known is None:
        return None
    return _map_truth(clustering, _masks(clustering), label_version(clustering.workspace), known)


@cached(8)
def _map_truth(clustering: StoredClustering, masks: str, version: int, _known: SampledTruth) -> MapTruth:
    from picie_core.evaluation.sampled_truth import map_truth

    names = [item.name for item in clustering.label_map.classes()]
    return map_truth(clustering, clustering.classes_of(), names, _known)


def _masks(clustering: StoredClustering) -> str:
    """What the workspace remembers of its masks: other masks are other figures."""
    return clustering.label_map.get_choice("masks") or ""
