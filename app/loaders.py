"""Everything that is kept between two runs of the script. Keys are ids and numbers, never arrays.

Large read-only things (clusterings, projections, dense cells) are shared as resources; pictures are PNG bytes.
Keys hold `label_version` wherever names or colours are drawn, so that an edit in another tab shows here too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from PIL import Image

from app.colors import class_colors, cluster_color, rgb_color
from picie_core.errors import PicieError
from picie_core.images import ImageRecord, read_resized
from picie_core.masks import png_bytes
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clusters import Clustering
    from picie_core.mosaic import ClusterFacts, MosaicSource
    from picie_core.projection import Projection

SHEET_TILES, SHEET_COLUMNS, TILE_SIDE_PX = 12, 4, 96
SHEET_ASPECT = (SHEET_COLUMNS * 100 - 4) / (SHEET_TILES // SHEET_COLUMNS * 100 - 4)
"""Width / height of a contact sheet of 96 px tiles with gaps of 4 px."""
POINTS_COLUMNS = 5
TILE_PX = (144, 108)
THUMBNAIL_PX = 160
"""Shorter side at which thumbnails are read: large JPEGs are decoded at a fraction of their size."""
GAP_PX = 4


def label_version(workspace: Workspace) -> int:
    """Returns the number that grows with every edit of the label map."""
    return workspace.label_map.version()


# -- clusterings and what is made from them


def current_clustering(workspace: Workspace, run: str) -> Clustering | None:
    """Returns the clustering in use: the chosen one if this run has it, else its last one, else None."""
    from picie_core import clusters

    if not clusters.list_clusterings(workspace, run):
        return None
    return clusters.current_clustering(workspace, run)


@st.cache_resource(max_entries=8, show_spinner=False)
def clustering(root: str, run: str, name: str) -> Clustering:
    """Returns a stored clustering."""
    from picie_core.clusters import load_clustering

    return load_clustering(Workspace.open(root), run, name)


@st.cache_data(max_entries=64, show_spinner=False)
def named_share(root: str, run: str, name: str, version: int) -> float:
    """Returns the share of all pixels whose cluster has a name or is ignored."""
    found = clustering(root, run, name)
    named = Workspace.open(root).label_map.classes_of(found.key)
    return float(found.counts[sorted(named)].sum() / max(1, found.counts.sum())) if named else 0.0


def usual_colors(workspace: Workspace, run: str, found: Clustering) -> str:
    """Returns what pictures are coloured by at first: `class` once most pixels have a name, else `cluster`."""
    return "class" if named_share(str(workspace.root), run, found.name, label_version(workspace)) > 0.5 else "cluster"


@st.cache_resource(max_entries=2, show_spinner=False)
def mosaic_source(root: str, run: str) -> MosaicSource:
    """Returns what contact sheets are cut from: the embedding sample, the stored cells and the image cache."""
    from picie_core.mosaic import open_mosaic

    return open_mosaic(Workspace.open(root), run)


@st.cache_data(max_entries=16, show_spinner=False)
def cluster_figures(root: str, run: str, name: str) -> list[ClusterFacts]:
    """Returns the figures of every cluster, in the order of their ids."""
    from picie_core.mosaic import cluster_facts

    return cluster_facts(mosaic_source(root, run).sample, clustering(root, run, name))


@st.cache_resource(max_entries=6, show_spinner=False)
def projection(root: str, run: str, kind: str, points: int, stamp: float) -> Projection | None:
    """Returns the places of the sample's points on the map; None before they are computed. `stamp` tells a new file."""
    from picie_core.projection import load_projection

    return load_projection(Workspace.open(root), run, kind, points=points)


def projection_stamp(workspace: Workspace, run: str) -> float:
    """Returns a number that changes when a projection of the run is stored."""
    folder = workspace.run_dir(run) / "projection"
    return max((path.stat().st_mtime for path in folder.glob("*.npz")), default=0.0)


@st.cache_resource(max_entries=2, show_spinner="Loading the network for images that have no stored cells")
def embedder(root: str, run: str) -> Any:
    """Returns the network of a run, ready to embed one image."""
    from picie_core.masks import load_engine

    return load_engine(Workspace.open(root), run)


# -- mosaics


def cluster_sheet(workspace: Workspace, run: str, found: Clustering, cluster: int, kind: str, color: str) -> bytes:
    """Returns the contact sheet of a cluster as PNG, the cluster outlined in `color`."""
    return _cluster_sheet(str(workspace.root), run, found.name, found.key, cluster, kind, color)


@st.cache_data(max_entries=600, show_spinner=False)
def _cluster_sheet(root: str, run: str, name: str, key: str, cluster: int, kind: str, color: str) -> bytes:
    from picie_core.mosaic import contact_sheet

    source, found = mosaic_source(root, run), clustering(root, run, name)
    return contact_sheet(
        source, found, cluster, kind, SHEET_TILES, TILE_SIDE_PX, columns=SHEET_COLUMNS, color=rgb_color(color)
    ).png


def points_sheet(workspace: Workspace, run: str, found: Clustering, chosen: np.ndarray, crops: int) -> bytes:
    """Returns crops around at most `crops` of the chosen pixels, evenly spread, each with its cluster outlined."""
    shown = chosen[np.linspace(0, len(chosen) - 1, min(crops, len(chosen))).round().astype(int)]
    return _points_sheet(str(workspace.root), run, found.name, found.key, tuple(int(index) for index in shown))


@st.cache_data(max_entries=24, show_spinner=False)
def _points_sheet(root: str, run: str, name: str, key: str, indices: tuple[int, ...]) -> bytes:
    from picie_core.mosaic import crops_at

    source = mosaic_source(root, run)
    places = np.asarray(source.sample.places[np.asarray(indices)])
    return crops_at(source, places, clustering(root, run, name), TILE_SIDE_PX, columns=POINTS_COLUMNS).png


# -- masks


def target_size(item: ImageRecord, width_px: int) -> tuple[int, int]:
    """Returns (width, height) at which an image is shown: `width_px` wide, less for tall ones."""
    scale = min(width_px / item.width, width_px / item.height)
    return max(1, round(item.width * scale)), max(1, round(item.height * scale))


def mask(workspace: Workspace, run: str, found: Clustering, item: ImageRecord, by: str, width_px: int) -> np.ndarray:
    """Returns the labels of an image as it is shown: (height, width) cluster or class ids."""
    version = label_version(workspace) if by == "class" else 0
    return _mask(str(workspace.root), run, found.name, item.id, item.stamp, by, version, width_px)


@st.cache_data(max_entries=48, show_spinner=False)
def _mask(
    root: str, run: str, name: str, image_id: int, stamp: int, by: str, version: int, width_px: int
) -> np.ndarray:
    from picie_core import masks

    workspace = Workspace.open(root)
    found, item = clustering(root, run, name), workspace.image_list().records[image_id]
    stored = mosaic_source(root, run).dense
    network = None if stored.get(image_id) is not None else embedder(root, run)
    cells = masks.cells_of_image(workspace, run, image_id, stored, network)
    width, height = target_size(item, width_px)
    made_at = (min(height, item.height), min(width, item.width))
    if by == "cluster":
        labels = masks.cluster_mask(cells, found, *made_at)
    else:
        labels = masks.class_mask(cells, found, workspace.label_map.classes_of(found.key), *made_at)
    rows = np.arange(height) * made_at[0] // height  # nearest: labels never mix
    columns = np.arange(width) * made_at[1] // width
    return labels[rows[:, None], columns]


@st.cache_data(max_entries=24, show_spinner=False)
def image_at(images_root: str, path: str, stamp: int, width: int, height: int) -> np.ndarray:
    """Returns an image at the size it is shown: uint8 (height, width, 3)."""
    read = Image.fromarray(read_resized(Path(images_root) / path, min(width, height)))
    return np.asarray(read.resize((width, height), Image.Resampling.LANCZOS))


def overlay_png(
    workspace: Workspace,
    run: str,
    found: Clustering,
    item: ImageRecord,
    by: str,
    width_px: int,
    opacity: float,
    hidden: frozenset[int],
) -> bytes:
    """Returns the image with its labels drawn over it, composed at the size it is shown, as PNG."""
    from picie_core import masks

    image = image_at(str(workspace.images_root), item.path, item.stamp, *target_size(item, width_px))
    if opacity == 0:
        return masks.png_bytes(image)
    labels = mask(workspace, run, found, item, by, width_px)
    owned = class_colors(workspace) if by == "class" else {k: cluster_color(k) for k in range(found.k)}
    colors = {label: rgb_color(color) for label, color in owned.items()}
    return masks.png_bytes(masks.overlay(image, labels, colors, opacity, hidden))


# -- pictures


def _tile(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the middle of the image at the shape of a tile, smoothly made smaller."""
    height, width = image.shape[:2]
    wanted = size[0] / size[1]
    crop_w, crop_h = (round(height * wanted), height) if width / height > wanted else (width, round(width / wanted))
    left, top = (width - crop_w) // 2, (height - crop_h) // 2
    box = (left, top, left + crop_w, top + crop_h)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=2))


def _strip(pictures: list[np.ndarray | None], columns: int) -> bytes:
    """Returns one picture of all tiles with transparent gaps; an unreadable one stays empty."""
    width, height = TILE_PX
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 4), np.uint8)
    for index, picture in enumerate(pictures):
        y, x = (index // columns) * (height + GAP_PX), (index % columns) * (width + GAP_PX)
        if picture is not None:
            sheet[y : y + height, x : x + width, :3] = picture
            sheet[y : y + height, x : x + width, 3] = 255
    return png_bytes(sheet)


@st.cache_data(max_entries=32, show_spinner=False)
def thumbnails(root: str, paths: tuple[str, ...], stamps: tuple[int, ...], columns: int) -> bytes:
    """Returns one PNG of the images at `paths` below `root`, `columns` in a row. `stamps` tell changed files."""
    pictures: list[np.ndarray | None] = []
    for path in paths:
        try:
            pictures.append(_tile(read_resized(Path(root) / path, THUMBNAIL_PX), TILE_PX))
        except PicieError:
            pictures.append(None)  # the table of problems on the same screen gives the reason
    return _strip(pictures, columns)


def spread(records: list[ImageRecord], number: int) -> list[ImageRecord]:
    """Returns at most `number` of the images, evenly spread over the collection."""
    if len(records) <= number:
        return records
    return [records[round(index * (len(records) - 1) / (number - 1))] for index in range(number)]


@st.cache_data(max_entries=64, show_spinner=False)
def folder_bytes(folder: str, stamp: float) -> int:
    """Returns the size of everything in a folder; `stamp` tells that it changed."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
