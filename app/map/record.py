"""What a tab remembers of the map beside the pixels that are selected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.session.record import session
from app.shared.pictures.charts import MapView

if TYPE_CHECKING:
    import numpy as np

    from picie_core.clustering.projection import UmapSettings


@dataclass
class MapRecord:
    """The record of the Map screen."""

    selected_of: tuple = ()
    """The run that the rows of the selection belong to."""
    drawn: dict = field(default_factory=dict)
    """The boxes and lassos that the selection was read from."""
    drawn_on: str = ""
    """The projection on which they were drawn."""
    seen: str = ""
    """The same as one string: a selection that was seen before changes nothing, so that Clear holds."""
    cleared: int = 0
    """How often the selection was cleared: then the chart has to be drawn anew."""
    figure: str = ""
    """Which figure is drawn; while it stays the same, the browser keeps its zoom and its dimmed points by itself."""
    figures: int = 0
    """How many figures were drawn before it."""
    figure_on: str = ""
    """The projection that it shows."""
    figure_by: str = "cluster"
    """What its points are coloured by."""
    parts: list[tuple[int, ...]] = field(default_factory=list)
    """The groups of each of its traces."""
    baked: tuple[MapView, np.ndarray] | None = None
    """The view and the selection that it was drawn with."""
    zoom: tuple = ()
    """The projection that was zoomed into, and where: (name, four numbers)."""
    hidden: frozenset[int] = frozenset()
    """Groups that were switched off in the legend, of those that the points were coloured by."""
    umap: UmapSettings | None = None
    """The UMAP that was asked for; None: the last one."""
    umap_asked: UmapSettings | None = None
    """The one that was started last."""
    edit: Callable[[], None] | None = None
    """The edit that a click asked for, until the map is drawn the next time."""
    opened: int | None = None
    """The point that was clicked, as a row of the embedding sample."""


def map_record() -> MapRecord:
    """Returns the record of this tab."""
    return session().of(MapRecord)
