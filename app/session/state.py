"""What a browser tab remembers: one typed record, the keys of widgets, which workspace and run it looks at.

The workspace on disk is the truth and the address names it, so a reload restores everything; this record is a cache.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from app.session.folders import check_folder, workspace_from_name, workspace_name
from picie_core.errors import PicieError
from picie_core.workspace.workspace import Run, StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.clustering.projection import UmapSettings

RECORD = "picie"
PARAM_WORKSPACE = "workspace"
PARAM_RUN = "run"


class Key:
    """The keys of all widgets that are read from another place than where they are drawn."""

    RUN = "run_choice"
    K = "k_choice"
    K_QUICK = "k_quick"
    K_NUMBER = "k_number"
    FOLDER = "folder"
    CLUSTER_PAGE = "cluster_page"
    SHEET_KIND = "sheet_kind"
    SHEET_SIZE = "sheet_size"
    SHEET_OUTLINE = "sheet_outline"
    SHEET_CONTEXT = "sheet_context"
    CLUSTER_FILTER = "cluster_filter"
    CLUSTER_ORDER = "cluster_order"
    CLUSTER_VIEW = "cluster_view"
    NAMING_BAR = "naming_bar_field"
    MAP = "map"
    MAP_KIND = "map_kind"
    MAP_COLOR = "map_color"
    MAP_PAGE = "map_page"
    IMAGE_NUMBER = "image_number"
    IMAGE_ORDER = "image_order"
    OPACITY = "opacity"
    MASK_KIND = "mask_kind"
    MASK_BESIDE = "mask_beside"
    HISTORY = "history"
    SNAPSHOT = "snapshot"
    MASK_VIEW = "mask_view"
    MASK_BEFORE = "mask_before"
    MIN_CONFIDENCE = "min_confidence"
    REFINE = "refine"
    MIN_AREA = "min_area"
    PAINT_NAME = "paint_name"
    EXPORT_FORMAT = "export_format"
    EXPORT_RAW = "export_raw"
    EXPORT_VAL = "export_val"


@dataclass(frozen=True)
class CropSplit:
    """A cluster whose crops are being sorted out: they stay on the page until the next question."""

    clustering: StoredClustering
    """As it was before."""
    sets: dict[str, set[int]]
    """By name, the places on the sheet of the crops that show it."""
    event: int
    """The edit that took them off the cluster."""


@dataclass
class Looking:
    """Where a tab is among the clusters of one clustering; ids of clusters, so it is forgotten with them."""

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
    """Where in the guided order; None before it was asked for."""
    side: int = 1
    """Which of the two sides is named, 0 left or 1 right."""
    crops: set[int] = field(default_factory=set)
    """The crops that are picked, by their place on the sheet."""
    crop_split: CropSplit | None = None
    """The crops that were picked before, in the same cluster."""


@dataclass
class MapState:
    """What a tab remembers of the map beside the pixels that are selected."""

    selected_of: tuple = ()
    """The run that the ids of the selection belong to."""
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
    figure_on: str = ""
    """The projection that it shows."""
    figure_by: str = "cluster"
    """What its points are coloured by."""
    parts: list = field(default_factory=list)
    """The groups of each of its traces."""
    baked: tuple = ()
    """The look and the selection that it was drawn with."""
    view: tuple = ()
    """The projection that was zoomed into, and where: (name, four numbers)."""
    hidden: frozenset = frozenset()
    """Groups that were switched off in the legend, of those that the points were coloured by."""
    umap: UmapSettings | None = None
    """The UMAP that was asked for; None: the last one."""
    umap_asked: UmapSettings | None = None
    """The one that was started last."""
    wish: Callable[[], None] | None = None
    """The edit that a click asked for, until the map is drawn the next time."""
    opened: int | None = None
    """The point that was clicked, as an id into the sample."""


@dataclass
class Session:
    """Everything one browser tab keeps between two runs of the script."""

    workspace: str = ""
    """Absolute folder of the workspace; empty before one is chosen."""
    run: str = ""
    wanted_k: int | None = None
    """K that was asked for and is not computed yet."""
    trying_sample: bool = False
    """True between the click on the sample and its first overlay."""
    image_id: int | None = None
    """The image on the Masks screen."""
    find_image: bool = False
    """True until the Masks screen has gone to `image_id`, wherever it stands in the order of the images."""
    selected: np.ndarray | None = None
    """Ids into the embedding sample of the pixels chosen on the map, (n,) int64; they outlive colours, names and K."""
    map: MapState = field(default_factory=MapState)
    looking: Looking = field(default_factory=Looking)
    """Where the Clusters screen is."""
    last_name: str = ""
    """The name that was given last, on any screen."""
    names_given: int = 0
    """How often the naming bar was used: its field knows by it that a name has arrived."""
    stop_asked: dict[str, float] = field(default_factory=dict)
    """When a job was asked to stop, seconds since the epoch, by command."""
    shown: dict[str, tuple[Any, int]] = field(default_factory=dict)
    """What each field that follows the workspace shows, and how often that was changed elsewhere."""
    drawn_version: int = 0
    """Version of the label map that the page shows, as far as a screen alone redraws what an edit changes."""
    notice: str = ""
    """A short line that is shown once, after the next run of the script."""


def session() -> Session:
    """Returns the record of this tab, made on its first run from the address, the command line or the environment."""
    if RECORD not in st.session_state:
        st.session_state[RECORD] = Session()
        _restore(st.session_state[RECORD])
    return st.session_state[RECORD]


def _restore(record: Session) -> None:
    """Fills a new record: the address first, then `--workspace`, then PICIE_WORKSPACE."""
    named = st.query_params.get(PARAM_WORKSPACE, "")
    started_with = command_line_workspace()
    if named and not (started_with and named == workspace_name(started_with)):
        record.workspace = str(check_folder(workspace_from_name(named)))
    elif started_with:
        record.workspace = str(started_with)
    record.run = st.query_params.get(PARAM_RUN, "")


def command_line_workspace() -> Path | None:
    """Returns the workspace that the server was started with, None if none was named."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--workspace", default=os.environ.get("PICIE_WORKSPACE"))
    chosen = parser.parse_known_args(sys.argv[1:])[0].workspace
    return Path(chosen).expanduser().absolute() if chosen else None


def open_workspace(root: Path) -> None:
    """Makes `root` the workspace of this tab and forgets what belonged to the one before."""
    st.session_state[RECORD] = Session(workspace=str(root))


def current_workspace() -> Workspace | None:
    """Returns the workspace of this tab, None before one is chosen.

    Raises PicieError when it is gone or damaged, or when its images lie where this app may not look.
    """
    root = session().workspace
    if not root:
        return None
    workspace = Workspace.open(root)
    if Path(root) != command_line_workspace():
        _check_images_of(workspace)
    return workspace


def _check_images_of(workspace: Workspace) -> None:
    """Raises PicieError when the images of a workspace lie outside the folders that this app may open."""
    try:
        images = workspace.images_root
    except PicieError:
        return  # they are gone: the screens that need them say so, the others go on
    check_folder(images)


def current_run(workspace: Workspace) -> Run | None:
    """Returns the run this tab looks at: the one in the address if done, else the workspace's; None without any."""
    record = session()
    done = [run.id for run in workspace.runs() if run.state == "done"]
    if record.run not in done:
        try:
            record.run = workspace.current_run().name
        except PicieError:
            record.run = ""
    return Run(workspace, record.run) if record.run else None


def write_address() -> None:
    """Puts workspace and run into the address, so that a reload or a copied link opens the same."""
    record = session()
    named = workspace_name(Path(record.workspace)) if record.workspace else ""
    for param, value in ((PARAM_WORKSPACE, named), (PARAM_RUN, record.run)):
        if value and st.query_params.get(param) != value:
            st.query_params[param] = value
        elif not value and param in st.query_params:
            del st.query_params[param]
