"""What a tab remembers of the Clusters screen: where it is among the clusters of one clustering."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from app.session.record import session
from picie_core.workspace.workspace import StoredClustering


@dataclass(frozen=True)
class CropSplit:
    """A cluster that was split by its crops: these stay on the page until the next step."""

    clustering: StoredClustering
    """As it was before."""
    sets: dict[str, set[int]]
    """By name, the positions on the contact sheet of the crops that show it."""
    event: int
    """The edit that split the cluster."""


@dataclass
class ClustersRecord:
    """The record of the Clusters screen; it holds ids of clusters, so it is forgotten with them."""

    clustering: str = ""
    """Key of the clustering that the ids below belong to."""
    focus: int | None = None
    """The cluster that the naming bar names."""
    visited: list[int] = field(default_factory=list)
    """The clusters that were in focus before, the last one at the end."""
    picked: set[int] = field(default_factory=set)
    """The clusters that are named together."""
    cleared: int = 0
    """How often `picked` was cleared: then the boxes on the cards are new ones."""
    listed: list[int] = field(default_factory=list)
    """The cards in their order; kept while clusters are named, so that no card moves away under the hand."""
    listed_for: tuple = ()
    """What the order was made for: digest of the clusters, order and filter."""
    dialog: tuple = ()
    """The open dialog and what it shows, such as ("split", 12); empty when none is."""
    turned_to: int | None = None
    """The cluster in focus that the page of cards was turned to."""
    turns: int = 0
    """How often the page was turned by the focus."""
    dismissed: set[tuple[int, ...]] = field(default_factory=set)
    """Groups of which this person says that they do not look alike."""
    step: int | None = None
    """The step of the review queue; None before it was asked for."""
    side: int = 1
    """Which of the two sides is named, 0 left or 1 right."""
    crops: set[int] = field(default_factory=set)
    """The crops that are picked, by their position on the contact sheet."""
    crop_split: CropSplit | None = None
    """The crops that were picked before, in the same cluster."""


def record_of(clustering: StoredClustering) -> ClustersRecord:
    """Returns the record of this tab, a new one when it is of other clusters than before."""
    tab = session()
    if tab.of(ClustersRecord).clustering != clustering.key:
        tab.parts[ClustersRecord] = ClustersRecord(clustering=clustering.key)
    here = tab.of(ClustersRecord)
    here.picked = {cluster for cluster in here.picked if cluster < clustering.k}
    here.visited = [cluster for cluster in here.visited if cluster < clustering.k]
    if here.focus is not None and here.focus >= clustering.k:
        here.focus = None
    return here


def stamp(clustering: StoredClustering) -> str:
    """Returns what changes whenever the name that is typed next is for something else, or one has arrived."""
    here = session().of(ClustersRecord)
    at = (sorted(here.picked) or here.focus, here.step, here.side) if here.clustering == clustering.key else None
    return hashlib.sha256(repr((clustering.digest, at, session().names_given)).encode()).hexdigest()[:16]
