"""The points of the map: where every sampled pixel lies, which are drawn, their confidence and their crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.session.cache import cached, contact_sheet_source
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.clustering.projection import Projection, UmapSettings


def projection(run: Run, kind: str, settings: UmapSettings | None = None) -> Projection | None:
    """Returns the sample on the plane; of UMAP the one asked for, or the last one; None without any."""
    from picie_core.workspace.projections import stored_umaps

    if kind == "pca":
        return _load(run, kind, None)
    stored = stored_umaps(run)
    return _load(run, kind, settings if settings in stored else stored[0]) if stored else None


@cached(6)
def _load(run: Run, kind: str, settings: UmapSettings | None) -> Projection | None:
    from picie_core.workspace.projections import load_projection

    return load_projection(run, kind, settings)


@cached(16)
def shown_points(placed: Projection, clustering: StoredClustering) -> np.ndarray:
    """Returns the rows of the sample that the map draws: those of the projection, and more of small clusters."""
    from picie_core.clustering.projection import shown_points

    return shown_points(placed.index, clustering.labels, clustering.k)


@cached(8)
def point_confidence(placed: Projection, clustering: StoredClustering) -> np.ndarray:
    """Returns the confidence of each pixel that the map draws, 0 to 1, in their order."""
    from picie_core.clustering.confidence import row_confidence

    embeddings = contact_sheet_source(clustering.run).sample.embeddings
    return row_confidence(embeddings[shown_points(placed, clustering)], clustering)[1]


@cached(12)
def selection_order(run: Run, digest: str, _selected: np.ndarray) -> np.ndarray:
    """Returns the selected rows as a contact sheet shows them, the most typical first; digest: of the selection."""
    from picie_core.clustering.lasso import typical_first

    return typical_first(contact_sheet_source(run).sample, _selected)


@cached(400)
def crops_of(clustering: StoredClustering, rows: tuple[int, ...], columns: int, px: int) -> bytes:
    """Returns crops around the given pixels in their order, each with its cluster outlined, `px` wide, as PNG."""
    from picie_core.segmentation.contact_sheet import contact_sheet_at

    source = contact_sheet_source(clustering.run)
    positions = np.asarray(source.sample.positions[list(rows)])
    return contact_sheet_at(source, positions, clustering, px, columns).png
