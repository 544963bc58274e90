"""Everything that is kept between two runs of the script. Keys are ids and numbers, never arrays.

Large read-only things (clusterings, projections, dense cells) are shared as resources; pictures are PNG bytes.
Keys hold the `digest` of the clusters, which changes with every split, and `label_version` wherever names or
colours are drawn, so that an edit in another tab shows here too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from picie_core.errors import SettingError
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clusters import Clustering
    from picie_core.embedder import FrozenEmbedder
    from picie_core.mosaic import ClusterFacts, MosaicSource
    from picie_core.projection import Projection
    from picie_core.splits import Split
    from picie_core.splitting import SplitPreview
    from picie_core.tree import MergeTree
    from picie_core.truth import ClusterTruth, MapTruth, SampledTruth

TILE_SIDE_PX = 96
POINTS_COLUMNS = 5


def label_version(workspace: Workspace) -> int:
    """Returns the number that grows with every edit of the label map."""
    return workspace.label_map.version()


# -- clusterings and what is made from them


def current_clustering(workspace: Workspace, run: str) -> Clustering | None:
    """Returns the clustering in use: the chosen one if this run has it, else its last one, else None."""
    from picie_core import clusters
    from picie_core.splits import splits_digest

    if not clusters.list_clusterings(workspace, run):
        return None
    name, root = clusters.current_name(workspace, run), str(workspace.root)
    unsplit = _unsplit(root, run, name, clusters.stamp(workspace, run, name))
    splits = workspace.label_map.splits_of(unsplit.key)
    return _clustering(root, run, splits_digest(unsplit.key, splits), unsplit, splits)


@st.cache_resource(max_entries=4, show_spinner=False)
def _unsplit(root: str, run: str, name: str, stamp: tuple[str, int]) -> Clustering:
    from picie_core.clusters import load_unsplit

    return load_unsplit(Workspace.open(root), run, name)


@st.cache_resource(max_entries=8, show_spinner=False)
def _clustering(root: str, run: str, digest: str, _unsplit: Clustering, _splits: list[Split]) -> Clustering:
    from picie_core.sample import load_sample

    return _unsplit.with_splits(_splits, load_sample(Workspace.open(root), run).embeddings)


def named_share(workspace: Workspace, found: Clustering) -> float:
    """Returns the share of all pixels whose cluster has a name or is ignored, 0 to 1."""
    named = [cluster for cluster in workspace.label_map.classes_of(found.key) if cluster < found.k]
    return float(found.counts[named].sum() / max(1, found.counts.sum())) if named else 0.0


def usual_colors(workspace: Workspace, found: Clustering) -> str:
    """Returns what pictures are coloured by at first: `class` once most pixels have a name, else `cluster`."""
    return "class" if named_share(workspace, found) > 0.5 else "cluster"


def projection(workspace: Workspace, run: str, kind: str, points: int) -> Projection | None:
    """Returns the places of the sample's points on the map; None before they are computed."""
    from picie_core.projection import load_projection

    return load_projection(workspace, run, kind, points=points)


def run_stamp(workspace: Workspace, run: str) -> float:
    """Returns a number that changes when a run is made again under its name."""
    return workspace.run_info(run).created


@st.cache_resource(max_entries=2, show_spinner=False)
def mosaic_source(root: str, run: str, stamp: float) -> MosaicSource:
    """Returns what contact sheets are cut from: the embedding sample, the stored cells and the image cache."""
    from picie_core.mosaic import open_mosaic

    return open_mosaic(Workspace.open(root), run)


@st.cache_resource(max_entries=1, show_spinner="Loading the network for images that have no stored cells")
def embedder(root: str, run: str, stamp: float) -> FrozenEmbedder:
    """Returns the network of a run, ready to embed one image."""
    from picie_core.masks import load_engine

    return load_engine(Workspace.open(root), run)


def mosaic_source_of(workspace: Workspace, run: str) -> MosaicSource:
    """Returns what contact sheets of a run are cut from, opened once."""
    return mosaic_source(str(workspace.root), run, run_stamp(workspace, run))


def cluster_figures(workspace: Workspace, run: str, found: Clustering) -> list[ClusterFacts]:
    """Returns the figures of every cluster, in the order of their ids."""
    return _cluster_figures(found.digest, mosaic_source_of(workspace, run), found)


@st.cache_data(max_entries=16, show_spinner=False)
def _cluster_figures(digest: str, _source: MosaicSource, _found: Clustering) -> list[ClusterFacts]:
    from picie_core.mosaic import cluster_facts

    return cluster_facts(_source.sample, _found)


def doubt(workspace: Workspace, run: str, found: Clustering) -> np.ndarray:
    """Returns the share of each cluster's pixels that are nearly in another: (k,)."""
    return _doubt(found.digest, mosaic_source_of(workspace, run), found)


@st.cache_data(max_entries=16, show_spinner="Looking for doubtful pixels")
def _doubt(digest: str, _source: MosaicSource, _found: Clustering) -> np.ndarray:
    from picie_core.attention import cluster_doubt

    return cluster_doubt(_source.sample, _found)


def tree(workspace: Workspace, run: str, found: Clustering, linkage: str) -> MergeTree:
    """Returns which clusters look alike: the merge tree of the clusters."""
    return _tree(found.digest, linkage, found)


@st.cache_resource(max_entries=8, show_spinner="Comparing the clusters")
def _tree(digest: str, linkage: str, _found: Clustering) -> MergeTree:
    from picie_core.tree import merge_tree

    return merge_tree(_found.centroids, _found.counts, linkage)


def neighbors(found: Clustering, count: int = 3) -> list[list[int]]:
    """Returns the clusters that look most like each cluster, the nearest first."""
    return _neighbors(found.digest, count, found)


@st.cache_data(max_entries=16, show_spinner=False)
def _neighbors(digest: str, count: int, _found: Clustering) -> list[list[int]]:
    from picie_core.tree import nearest

    return [[other for other, _ in nearest(_found.centroids, cluster, count)] for cluster in range(_found.k)]


def split_preview(workspace: Workspace, run: str, found: Clustering, cluster: int, parts: int) -> SplitPreview:
    """Returns what a split of a cluster into so many parts would make."""
    return _split_preview(found.digest, cluster, parts, workspace, run, found)


@st.cache_resource(max_entries=16, show_spinner="Looking for parts")
def _split_preview(
    digest: str, cluster: int, parts: int, _workspace: Workspace, _run: str, _found: Clustering
) -> SplitPreview:
    from picie_core.splitting import preview_split, propose_split

    return preview_split(_workspace, _run, _found, cluster, propose_split(_workspace, _run, _found, cluster, parts))


def vocabulary(workspace: Workspace) -> list[str]:
    """Returns the names that the workspace offers, read again when the file changes."""
    from picie_core.vocabulary import FILE

    path = workspace.root / FILE
    return _vocabulary(path, path.stat().st_mtime_ns) if path.exists() else []


@st.cache_data(max_entries=4, show_spinner=False)
def _vocabulary(path: Path, stamp: int) -> list[str]:
    from picie_core.vocabulary import names_in

    try:
        return names_in(path.read_bytes(), str(path))
    except SettingError:
        return []  # the Classes view says what is wrong with it


# -- ground truth, where there is any


def sampled_truth(workspace: Workspace, run: str) -> SampledTruth | None:
    """Returns the class of every sampled pixel; None without masks, or before they are looked up."""
    from picie_core.truth import load_truth

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
    from picie_core.truth import cluster_truth

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
    from picie_core.truth import map_truth

    label_map = _workspace.label_map
    return map_truth(_found, label_map.classes_of(_found.key), label_map.classes(), _known)


# -- mosaics


def points_sheet(workspace: Workspace, run: str, found: Clustering, chosen: np.ndarray, crops: int) -> bytes:
    """Returns crops around at most `crops` of the chosen pixels, evenly spread, each with its cluster outlined."""
    shown = chosen[np.linspace(0, len(chosen) - 1, min(crops, len(chosen))).round().astype(int)]
    indices = tuple(int(index) for index in shown)
    return _points_sheet(str(workspace.root), found.digest, indices, mosaic_source_of(workspace, run), found)


def points_aspect(chosen: np.ndarray, crops: int) -> float:
    """Returns width / height of that picture, so that its place can be reserved."""
    shown = min(crops, len(chosen))
    columns = min(POINTS_COLUMNS, shown)
    return (columns * 100 - 4) / (-(-shown // columns) * 100 - 4)


@st.cache_data(max_entries=24, show_spinner=False)
def _points_sheet(root: str, digest: str, indices: tuple[int, ...], _source: MosaicSource, _found: Clustering) -> bytes:
    from picie_core.mosaic import crops_at

    places = np.asarray(_source.sample.places[np.asarray(indices)])
    return crops_at(_source, places, _found, TILE_SIDE_PX, columns=POINTS_COLUMNS).png


@st.cache_data(max_entries=64, show_spinner=False)
def folder_bytes(folder: str, stamp: float) -> int:
    """Returns the size of everything in a folder; `stamp` tells that it changed."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
