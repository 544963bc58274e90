"""What a tab remembers of the Clusters screen: where it is among the clusters of one clustering."""

from __future__ import annotations

from dataclasses import dataclass, field

from picie_core.workspace.workspace import StoredClustering


@dataclass(frozen=True)
class CropSplit:
    """A cluster whose crops are being sorted out: they stay on the page until the next question."""

    clustering: StoredClustering
    """As it was before."""
    sets: dict[str, set[int]]
    """By name, the positions on the contact sheet of the crops that show it."""
    event: int
    """The edit that split them off the cluster."""


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
    unpicked: int = 0
    """How often they were all let go: then the boxes on the cards are new ones."""
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
    """Groups that are not alike, as this person says."""
    step: int | None = None
    """The step of the review queue; None before it was asked for."""
    side: int = 1
    """Which of the two sides is named, 0 left or 1 right."""
    crops: set[int] = field(default_factory=set)
    """The crops that are picked, by their position on the contact sheet."""
    crop_split: CropSplit | None = None
    """The crops that were picked before, in the same cluster."""
