"""Everything that is kept between two runs of the script. Keys are ids and numbers, never arrays.

Large read-only things (clusterings, projections, dense cells) are shared as resources; pictures are PNG bytes.
Keys hold the `digest` of the clusters, which changes with every split, and `label_version` wherever names or
colours are drawn, so that an edit in another tab shows here too.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.clustering.projection import Projection, UmapSettings
    from picie_core.clustering.splits import Split
    from picie_core.models.embedder import FrozenEmbedder
    from picie_core.segmentation.contact_sheet import ClusterFacts, MosaicSource


def reading(workspace: Workspace | None) -> AbstractContextManager[None]:
    """Makes what is read of the label map in the block cheap, in this thread."""
    return workspace.label_map.reading() if workspace else nullcontext()


def label_version(workspace: Workspace) -> int:
    """Returns the number that grows with every edit of the label map."""
    return workspace.label_map.version()


# -- clusterings and what is made from them


def current_clustering(workspace: Workspace, run: str) -> Clustering | None:
    """Returns the clustering in use: the chosen one if this run has it, else its last one, else None."""
    from picie_core.clustering import clustering as clusters
    from picie_core.clustering.splits import splits_digest

    if not clusters.list_clusterings(workspace, run):
        return None
    unsplit, root = unsplit_clustering(workspace, run), str(workspace.root)
    splits = workspace.label_map.splits_of(unsplit.key)
    return _clustering(root, run, splits_digest(unsplit.key, splits), unsplit, splits)


def unsplit_clustering(workspace: Workspace, run: str) -> Clustering:
    """Returns the clustering in use as k-means found it. Raises PicieError when the run has none."""
    from picie_core.clustering import clustering as clusters

    name = clusters.current_name(workspace, run)
    return _unsplit(str(workspace.root), run, name, clusters.stamp(workspace, run, name))


@st.cache_resource(max_entries=4, show_spinner=False)
def _unsplit(root: str, run: str, name: str, stamp: tuple[str, int]) -> Clustering:
    from picie_core.clustering.clustering import load_unsplit

    return load_unsplit(Workspace.open(root), run, name)


@st.cache_resource(max_entries=8, show_spinner=False)
def _clustering(root: str, run: str, digest: str, _unsplit: Clustering, _splits: list[Split]) -> Clustering:
    from picie_core.data.embedding_sample import load_sample

    return _unsplit.with_splits(_splits, load_sample(Workspace.open(root), run).embeddings)


def named_share(workspace: Workspace, found: Clustering) -> float:
    """Returns the share of all pixels whose cluster has a name or is ignored, 0 to 1."""
    named = [cluster for cluster in workspace.label_map.classes_of(found.key) if cluster < found.k]
    return float(found.counts[named].sum() / max(1, found.counts.sum())) if named else 0.0


def usual_colors(workspace: Workspace, found: Clustering) -> str:
    """Returns what pictures are coloured by at first: `class` once most pixels have a name, else `cluster`."""
    return "class" if named_share(workspace, found) > 0.5 else "cluster"


def projection(workspace: Workspace, run: str, kind: str, settings: UmapSettings | None = None) -> Projection | None:
    """Returns the places of the sample on the map; of UMAP the one asked for, or the last one; None without any."""
    from picie_core.clustering.projection import stored_umaps

    if kind == "umap":
        stored = stored_umaps(workspace, run)
        if not stored:
            return None
        settings = settings if settings in stored else stored[0]
    return _projection(str(workspace.root), run, _digest(workspace, run), kind, settings if kind == "umap" else None)


@st.cache_resource(max_entries=6, show_spinner=False)
def _projection(root: str, run: str, digest: str, kind: str, settings: UmapSettings | None) -> Projection | None:
    from picie_core.clustering.projection import load_projection

    return load_projection(Workspace.open(root), run, kind, settings)


def _digest(workspace: Workspace, run: str) -> str:
    """The name of the present sample of a run."""
    from picie_core.data.embedding_sample import derived_dir

    return derived_dir(workspace, run).name


def shown_points(workspace: Workspace, run: str, placed: Projection, found: Clustering) -> np.ndarray:
    """Returns the rows of the sample that the map draws: those of the projection, and more of small clusters."""
    return _shown_points(_digest(workspace, run), placed.name, found.digest, placed, found)


@st.cache_data(max_entries=16, show_spinner=False)
def _shown_points(sample_digest: str, name: str, digest: str, _placed: Projection, _found: Clustering) -> np.ndarray:
    from picie_core.clustering import projection

    return projection.shown_points(_placed.index, _found.labels, _found.k)


def point_confidence(workspace: Workspace, run: str, placed: Projection, found: Clustering) -> np.ndarray:
    """Returns the confidence of each pixel that the map draws, 0 to 1, in their order."""
    shown = shown_points(workspace, run, placed, found)
    return _confidence(
        _digest(workspace, run), placed.name, found.digest, shown, mosaic_source_of(workspace, run), found
    )


@st.cache_data(max_entries=8, show_spinner=False)
def _confidence(
    sample_digest: str, name: str, digest: str, _shown: np.ndarray, _source: MosaicSource, _found: Clustering
) -> np.ndarray:
    from picie_core.clustering.confidence import confidence_at

    return confidence_at(_source.sample, _found, _shown)


def sample_positions(workspace: Workspace, run: str) -> np.ndarray:
    """Returns image id, row and column of every sampled pixel, (N, 3) int32."""
    return mosaic_source_of(workspace, run).sample.positions


def run_stamp(workspace: Workspace, run: str) -> float:
    """Returns a number that changes when a run is made again under its name."""
    return workspace.run_info(run).created


@st.cache_resource(max_entries=2, show_spinner=False)
def mosaic_source(root: str, run: str, stamp: float) -> MosaicSource:
    """Returns what contact sheets are cut from: the embedding sample, the stored cells and the image cache."""
    from picie_core.segmentation.contact_sheet import open_mosaic

    return open_mosaic(Workspace.open(root), run)


@st.cache_resource(max_entries=1, show_spinner="Loading the network for images that have no stored cells")
def embedder(root: str, run: str, stamp: float) -> FrozenEmbedder:
    """Returns the network of a run, ready to embed one image."""
    from picie_core.segmentation.masks import load_engine

    return load_engine(Workspace.open(root), run)


def mosaic_source_of(workspace: Workspace, run: str) -> MosaicSource:
    """Returns what contact sheets of a run are cut from, opened once."""
    return mosaic_source(str(workspace.root), run, run_stamp(workspace, run))


def cluster_figures(workspace: Workspace, run: str, found: Clustering) -> list[ClusterFacts]:
    """Returns the figures of every cluster, in the order of their ids."""
    return _cluster_figures(found.digest, mosaic_source_of(workspace, run), found)


@st.cache_data(max_entries=16, show_spinner=False)
def _cluster_figures(digest: str, _source: MosaicSource, _found: Clustering) -> list[ClusterFacts]:
    from picie_core.segmentation.contact_sheet import cluster_facts

    return cluster_facts(_source.sample, _found)


# -- mosaics


def selection_order(workspace: Workspace, run: str, chosen: np.ndarray, digest: str) -> np.ndarray:
    """Returns the chosen pixels as a mosaic shows them, the most typical first; digest: of the chosen ones."""
    return _selection_order(_digest(workspace, run), digest, chosen, mosaic_source_of(workspace, run))


@st.cache_data(max_entries=12, show_spinner=False)
def _selection_order(sample_digest: str, digest: str, _chosen: np.ndarray, _source: MosaicSource) -> np.ndarray:
    from picie_core.clustering.lasso import typical_first

    return typical_first(_source.sample, _chosen)


def points_sheet(workspace: Workspace, run: str, found: Clustering, shown: np.ndarray, columns: int, px: int) -> bytes:
    """Returns crops around the given pixels in their order, each with its cluster outlined, `px` wide."""
    indices = tuple(int(index) for index in shown)
    return _points_sheet(
        str(workspace.root), found.digest, indices, columns, px, mosaic_source_of(workspace, run), found
    )


@st.cache_data(max_entries=400, show_spinner=False)
def _points_sheet(
    root: str, digest: str, indices: tuple[int, ...], columns: int, px: int, _source: MosaicSource, _found: Clustering
) -> bytes:
    from picie_core.segmentation.contact_sheet import crops_at

    positions = np.asarray(_source.sample.positions[np.asarray(indices)])
    return crops_at(_source, positions, _found, px, columns=columns).png


@st.cache_data(max_entries=64, show_spinner=False)
def folder_bytes(folder: str, stamp: float) -> int:
    """Returns the size of everything in a folder; `stamp` tells that it changed."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
