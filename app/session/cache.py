"""What is kept between two runs of the script, and by what it is found again.

Everything is shared between tabs and read-only. What depends on names or colours takes these as arguments, so that an
edit in another tab shows here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import streamlit as st

from picie_core.data.images.image_index import ImageList
from picie_core.workspace.workspace import Run, StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.models.inference import FrozenEmbedder
    from picie_core.segmentation.contact_sheet import ContactSheetSource

F = TypeVar("F", bound=Callable[..., Any])
HASHES: dict[str | type, Callable[[Any], Any]] = {
    Workspace: lambda workspace: str(workspace.root),
    Run: lambda run: run.key,
    StoredClustering: lambda clustering: (clustering.run.key, clustering.digest),
    ImageList: lambda images: (len(images.records), len(images.problems)),
    "picie_core.clustering.projection.Projection": lambda projection: projection.name,
}
"""What a handle stands for: a run is its workspace, name and sample, a clustering its run and the digest of its
clusters, which changes with every split. Image lists and projections have keys beside that of a run or clustering."""


def cached(entries: int, spinner: str | bool = False) -> Callable[[F], F]:
    """Keeps the last `entries` results of a function of handles, ids and numbers; `_name` arguments do not count."""
    return cast(Callable[[F], F], st.cache_resource(max_entries=entries, show_spinner=spinner, hash_funcs=HASHES))


@cached(2)
def contact_sheet_source(run: Run) -> ContactSheetSource:
    """Returns what contact sheets are cut from: the embedding sample, the dense features and the image cache."""
    return run.contact_sheet_source()


@cached(1, "Loading the network for images whose features are not stored")
def embedder(run: Run) -> FrozenEmbedder:
    """Returns the network of a run, ready to embed one image."""
    return run.engine()
