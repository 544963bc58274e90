"""What is told of clusters beside their crops, kept between two runs of the script: keyed by the digest of clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.session.caches import label_version, mosaic_source_of
from picie_core.errors import SettingError
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.clustering.hierarchy import MergeTree
    from picie_core.clustering.split_proposals import SplitPreview
    from picie_core.segmentation.contact_sheet import MosaicSource
    from picie_core.workspace.ground_truth import ClusterTruth, MapTruth, SampledTruth


def uncertainty(workspace: Workspace, run: str, found: Clustering) -> np.ndarray:
    """Returns the share of each cluster's pixels that are nearly in another: (k,)."""
    return _uncertainty(found.digest, mosaic_source_of(workspace, run), found)


@st.cache_data(max_entries=16, show_spinner="Looking for doubtful pixels")
def _uncertainty(digest: str, _source: MosaicSource, _found: Clustering) -> np.ndarray:
    from picie_core.clustering.uncertainty import cluster_uncertainty

    return cluster_uncertainty(_source.sample, _found)


def tree(workspace: Workspace, run: str, found: Clustering, linkage: str) -> MergeTree:
    """Returns which clusters look alike: the merge tree of the clusters."""
    return _tree(found.digest, linkage, found)


@st.cache_resource(max_entries=8, show_spinner="Comparing the clusters")
def _tree(digest: str, linkage: str, _found: Clustering) -> MergeTree:
    from picie_core.clustering.hierarchy import merge_tree

    return merge_tree(_found.centroids, _found.counts, linkage)


def neighbors(found: Clustering, count: int = 3) -> list[list[int]]:
    """Returns the clusters that look most like each cluster, the nearest first."""
    return _neighbors(found.digest, count, found)


@st.cache_data(max_entries=16, show_spinner=False)
def _neighbors(digest: str, count: int, _found: Clustering) -> list[list[int]]:
    from picie_core.clustering.hierarchy import nearest

    return [[other for other, _ in nearest(_found.centroids, cluster, count)] for cluster in range(_found.k)]


def split_preview(workspace: Workspace, run: str, found: Clustering, cluster: int, parts: int) -> SplitPreview:
    """Returns what a split of a cluster into so many parts would make."""
    return _split_preview(found.digest, cluster, parts, workspace, run, found)


@st.cache_resource(max_entries=16, show_spinner="Looking for parts")
def _split_preview(
    digest: str, cluster: int, parts: int, _workspace: Workspace, _run: str, _found: Clustering
) -> SplitPreview:
    from picie_core.clustering.split_proposals import preview_split, propose_split

    return preview_split(_workspace, _run, _found, cluster, propose_split(_workspace, _run, _found, cluster, parts))


def vocabulary(workspace: Workspace) -> list[str]:
    """Returns the names that the workspace offers, read again when the file changes."""
    from picie_core.labels.vocabulary import FILE

    path = workspace.root / FILE
    return _vocabulary(path, path.stat().st_mtime_ns) if path.exists() else []


@st.cache_data(max_entries=4, show_spinner=False)
def _vocabulary(path: Path, stamp: int) -> list[str]:
    from picie_core.labels.vocabulary import names_in

    try:
        return names_in(path.read_bytes(), str(path))
    except SettingError:
        return []  # the Classes view says what is wrong with it


# -- ground truth, where there is any


def sampled_truth(workspace: Workspace, run: str) -> SampledTruth | None:
    """Returns the class of every sampled pixel; None without masks, or before they are looked up."""
    from picie_core.workspace.ground_truth import load_truth

    return load_truth(workspace, run)


def cluster_truths(workspace: Workspace, run: str, found: Clustering) -> list[ClusterTruth] | None:
    """Returns what each cluster really is; None without ground truth."""
    known = sampled_truth(workspace, run)
    if known is None or len(known.labels) != len(found.labels):
        return None
    chosen = workspace.label_map.get_choice("masks") or ""
    return _cluster_truths(found.digest, chosen, found, known)


@st.cache_data(max_entries=8, show_spinner=False)
def _cluster_truths(digest: str, masks: str, _found: Clustering, _known: SampledTruth) -> list[ClusterTruth]:
    from picie_core.workspace.ground_truth import cluster_truth

    return cluster_truth(_found, _known)


def map_truth(workspace: Workspace, run: str, found: Clustering) -> MapTruth | None:
    """Returns how good the names are as they stand; None without ground truth."""
    known = sampled_truth(workspace, run)
    if known is None or len(known.labels) != len(found.labels):
        return None
    chosen = workspace.label_map.get_choice("masks") or ""
    return _map_truth(found.digest, chosen, label_version(workspace), workspace, found, known)


@st.cache_data(max_entries=8, show_spinner=False)
def _map_truth(
    digest: str, masks: str, version: int, _workspace: Workspace, _found: Clustering, _known: SampledTruth
) -> MapTruth:
    from picie_core.workspace.ground_truth import map_truth

    label_map = _workspace.label_map
    return map_truth(_found, label_map.classes_of(_found.key), label_map.classes(), _known)
