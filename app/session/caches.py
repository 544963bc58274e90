"""What is kept between two runs of the script, and by what it is found again.

Everything is shared between tabs and read-only. Handles are hashed by what they stand for: a run by its workspace, name
and sample, a clustering by its run and the digest of its clusters, which changes with every split. What depends on
names or colours takes these as arguments, so that an edit in another tab shows here too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import streamlit as st

from picie_core.workspace.workspace import Run, StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.clustering.exemplars import ClusterFacts
    from picie_core.clustering.projection import Projection, UmapSettings
    from picie_core.clustering.splits import Split
    from picie_core.models.embedder import FrozenEmbedder
    from picie_core.segmentation.contact_sheet import ContactSheetSource

HASHES: dict[str | type, Callable[[Any], Any]] = {
    Workspace: lambda workspace: str(workspace.root),
    Run: lambda run: run.key,
    StoredClustering: lambda clustering: (clustering.run.key, clustering.digest),
}
F = TypeVar("F", bound=Callable[..., Any])


def cached(entries: int, spinner: str | bool = False) -> Callable[[F], F]:
    """Keeps the last `entries` results of a function of handles, ids and numbers; `_name` arguments do not count."""
    return cast(Callable[[F], F], st.cache_resource(max_entries=entries, show_spinner=spinner, hash_funcs=HASHES))


def reading(workspace: Workspace | None) -> AbstractContextManager[None]:
    """Makes what is read of the label map in the block cheap, in this thread."""
    return workspace.label_map.reading() if workspace else nullcontext()


def label_version(workspace: Workspace) -> int:
    """Returns the number that grows with every edit of the label map."""
    return workspace.label_map.version()


# -- clusterings and what is made from them


def current_clustering(run: Run) -> StoredClustering | None:
    """Returns the clustering in use: the chosen one if this run has it, else its last one, else None."""
    if not run.clusterings():
        return None
    unsplit = unsplit_clustering(run)
    splits = run.workspace.label_map.splits_of(unsplit.key)
    return _with_splits(unsplit, unsplit.with_digest(splits), splits) if splits else unsplit


def unsplit_clustering(run: Run) -> StoredClustering:
    """Returns the clustering in use as k-means found it. Raises PicieError when the run has none."""
    name = run.current_clustering_name()
    return _unsplit(run, name, run.clustering_stamp(name))


@cached(4)
def _unsplit(run: Run, name: str, stamp: tuple[str, int]) -> StoredClustering:
    return run.unsplit_clustering(name)


@cached(8)
def _with_splits(unsplit: StoredClustering, digest: str, _splits: list[Split]) -> StoredClustering:
    return unsplit.with_splits(_splits, unsplit.sample().embeddings)


def usual_colors(clustering: StoredClustering) -> str:
    """Returns what pictures are coloured by at first: `class` once most pixels have a name, else `cluster`."""
    return "class" if clustering.named_share() > 0.5 else "cluster"


def projection(run: Run, kind: str, settings: UmapSettings | None = None) -> Projection | None:
    """Returns the positions of the sample on the map; of UMAP the one asked for, or the last one; None without any."""
    from picie_core.workspace.projections import stored_umaps

    if kind == "umap":
        stored = stored_umaps(run)
        if not stored:
            return None
        settings = settings if settings in stored else stored[0]
    return _projection(run, kind, settings if kind == "umap" else None)


@cached(6)
def _projection(run: Run, kind: str, settings: UmapSettings | None) -> Projection | None:
    from picie_core.workspace.projections import load_projection

    return load_projection(run, kind, settings)


def shown_points(placed: Projection, clustering: StoredClustering) -> np.ndarray:
    """Returns the rows of the sample that the map draws: those of the projection, and more of small clusters."""
    return _shown_points(placed.name, clustering, placed)


@cached(16)
def _shown_points(name: str, clustering: StoredClustering, _placed: Projection) -> np.ndarray:
    from picie_core.clustering.projection import shown_points

    return shown_points(_placed.index, clustering.labels, clustering.k)


def point_confidence(placed: Projection, clustering: StoredClustering) -> np.ndarray:
    """Returns the confidence of each pixel that the map draws, 0 to 1, in their order."""
    return _point_confidence(placed.name, clustering, shown_points(placed, clustering))


@cached(8)
def _point_confidence(name: str, clustering: StoredClustering, _shown: np.ndarray) -> np.ndarray:
    from picie_core.clustering.confidence import row_confidence

    return row_confidence(contact_sheet_source(clustering.run).sample.embeddings[_shown], clustering)[1]


@cached(2)
def contact_sheet_source(run: Run) -> ContactSheetSource:
    """Returns what contact sheets are cut from: the embedding sample, the dense features and the image cache."""
    return run.contact_sheet_source()


@cached(1, "Loading the network for images whose features are not stored")
def embedder(run: Run) -> FrozenEmbedder:
    """Returns the network of a run, ready to embed one image."""
    return run.engine()


@cached(16)
def cluster_metrics(clustering: StoredClustering) -> list[ClusterFacts]:
    """Returns size, spread and images of every cluster, in the order of their ids."""
    from picie_core.clustering.exemplars import cluster_facts

    return cluster_facts(contact_sheet_source(clustering.run).sample, clustering)


# -- contact sheets of a selection


@cached(12)
def selection_order(run: Run, digest: str, _chosen: np.ndarray) -> np.ndarray:
    """Returns the chosen pixels as a contact sheet shows them, the most typical first; digest: of the chosen ones."""
    from picie_core.clustering.lasso import typical_first

    return typical_first(contact_sheet_source(run).sample, _chosen)


def points_sheet(clustering: StoredClustering, shown: np.ndarray, columns: int, px: int) -> bytes:
    """Returns crops around the given pixels in their order, each with its cluster outlined, `px` wide, as PNG."""
    return _points_sheet(clustering, tuple(int(index) for index in shown), columns, px)


@cached(400)
def _points_sheet(clustering: StoredClustering, indices: tuple[int, ...], columns: int, px: int) -> bytes:
    from picie_core.segmentation.contact_sheet import contact_sheet_at

    source = contact_sheet_source(clustering.run)
    positions = np.asarray(source.sample.positions[np.asarray(indices)])
    return contact_sheet_at(source, positions, clustering, px, columns).png


@cached(64)
def folder_bytes(folder: str, stamp: float) -> int:
    """Returns the size of everything in a folder; `stamp` tells that it changed."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
