"""Masks as they are looked at: at the size of the page, over the photograph, kept between two runs of the script.

What is kept is keyed by ids, names and colours, so an edit shows at once and an undone one is there already.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from PIL import Image

from app.session.caches import embedder, mosaic_source_of, run_stamp
from app.shared.colors import class_colors, cluster_color, rgb_color
from picie_core.data.image_index import ImageCache, ImageRecord, read_resized
from picie_core.segmentation.post_processing import (
    MaskAndConfidence,
    PostProcessing,
    ignore_uncertain,
    ignored_id,
    mask_and_confidence,
)
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.segmentation.contact_sheet import MosaicSource

UNCERTAIN_COLOR = np.array((214, 120, 40), np.float32)
"""Of pixels below the threshold in the picture of the confidence; all others are grey."""


@dataclass(frozen=True)
class Look:
    """What of an image is drawn, and how."""

    by: str
    """cluster or class."""
    width_px: int
    """Longer side of the picture."""
    opacity: float = 1.0
    hidden: frozenset[int] = frozenset()
    """Labels that are switched off."""
    post_processing: PostProcessing = field(default_factory=PostProcessing)


def target_size(item: ImageRecord, width_px: int) -> tuple[int, int]:
    """Returns (width, height) at which an image is shown: `width_px` wide, less for tall ones."""
    scale = min(width_px / item.width, width_px / item.height)
    return max(1, round(item.width * scale)), max(1, round(item.height * scale))


def source(workspace: Workspace, run: str) -> MosaicSource:
    """Returns the sample, the stored cells and the image cache of a run, opened once."""
    return mosaic_source_of(workspace, run)


def feature_map_of(workspace: Workspace, run: str, item: ImageRecord) -> np.ndarray:
    """Returns the cells of an image: the stored ones, else the network's, of which the last few are kept."""
    stored = source(workspace, run).dense.get(item.id)
    if stored is not None:
        return stored
    return _network_features(str(workspace.root), run, run_stamp(workspace, run), item, workspace)


@st.cache_resource(max_entries=12, show_spinner="Embedding this image: its cells are not stored")
def _network_features(root: str, run: str, stamp: float, item: ImageRecord, _workspace: Workspace) -> np.ndarray:
    from picie_core.models.embedder import embed_image

    return embed_image(embedder(root, run, stamp), network_image(_workspace, run, item))


def network_image(workspace: Workspace, run: str, item: ImageRecord) -> np.ndarray:
    """Returns an image as the network sees it, also one that was found after the embedding."""
    listed = workspace.image_list()
    return _images(str(workspace.root), run, len(listed.records), len(listed.problems), workspace).get(item.id)


@st.cache_resource(max_entries=2, show_spinner=False)
def _images(root: str, run: str, records: int, problems: int, _workspace: Workspace) -> ImageCache:
    return _workspace.image_cache(_workspace.run_info(run).settings["size_px"])


# -- labels


def mask(workspace: Workspace, run: str, found: Clustering, item: ImageRecord, look: Look) -> np.ndarray:
    """Returns the labels of an image as it is shown: (height, width) cluster or class ids, 255 where left out."""
    return _at_size(
        _labels(*_keys(workspace, run, found, item, look), look.post_processing, workspace, found), item, look
    )


def confidence(workspace: Workspace, run: str, found: Clustering, item: ImageRecord, look: Look) -> np.ndarray:
    """Returns how sure the mask is of each shown pixel: (height, width) float32, 0 to 1."""
    made = _sure(*_keys(workspace, run, found, item, look), look.post_processing.refine, workspace, found)
    return _at_size(made.confidence, item, look)


_Keys = tuple[str, str, str, ImageRecord, tuple[tuple[int, int], ...] | None, int]


def _keys(workspace: Workspace, run: str, found: Clustering, item: ImageRecord, look: Look) -> _Keys:
    """What a mask depends on besides its finish; the names are there where classes are drawn."""
    names = tuple(sorted(workspace.label_map.classes_of(found.key).items())) if look.by == "class" else None
    return str(workspace.root), run, found.digest, item, names, look.width_px


@st.cache_resource(max_entries=48, show_spinner=False)
def _labels(
    root: str,
    run: str,
    digest: str,
    item: ImageRecord,
    names: tuple[tuple[int, int], ...] | None,
    width_px: int,
    post_processing: PostProcessing,
    _workspace: Workspace,
    _found: Clustering,
) -> np.ndarray:
    from picie_core.segmentation.edge_refinement import remove_specks
    from picie_core.segmentation.post_processing import post_processed_mask

    (height, width), scale = _made_at(item, width_px)
    classes_of = None if names is None else dict(names)
    if post_processing.min_confidence or post_processing.refine != "none":
        made = _sure(root, run, digest, item, names, width_px, post_processing.refine, _workspace, _found)
        left_out = ignored_id(post_processing, names is None)
        return remove_specks(
            ignore_uncertain(made, post_processing), round(post_processing.min_area_px * scale**2), left_out
        )
    feature_map = feature_map_of(_workspace, run, item)
    return post_processed_mask(feature_map, _found, classes_of, height, width, post_processing, scale=scale)


@st.cache_resource(max_entries=16, show_spinner="Refining the mask")
def _sure(
    root: str,
    run: str,
    digest: str,
    item: ImageRecord,
    names: tuple[tuple[int, int], ...] | None,
    width_px: int,
    refine: str,
    _workspace: Workspace,
    _found: Clustering,
) -> MaskAndConfidence:
    (height, width), _ = _made_at(item, width_px)
    feature_map = feature_map_of(_workspace, run, item)
    image = network_image(_workspace, run, item) if refine != "none" else None
    return mask_and_confidence(
        feature_map, _found, None if names is None else dict(names), height, width, refine, image
    )


def _made_at(item: ImageRecord, width_px: int) -> tuple[tuple[int, int], float]:
    """(height, width) that a mask is computed at, never above the image's own, and its size per pixel of that."""
    width, height = target_size(item, width_px)
    return (min(height, item.height), min(width, item.width)), min(1.0, width / item.width)


def _at_size(labels: np.ndarray, item: ImageRecord, look: Look) -> np.ndarray:
    width, height = target_size(item, look.width_px)
    rows = np.arange(height) * labels.shape[0] // height  # nearest: labels never mix
    columns = np.arange(width) * labels.shape[1] // width
    return labels[rows[:, None], columns]


# -- the whole set


def set_coverage(workspace: Workspace, run: str, found: Clustering, look: Look) -> float:
    """Returns the share of all pixels that the threshold leaves a label, from the sample; refinements left out."""
    from picie_core.clustering.confidence import coverage

    names = tuple(sorted(workspace.label_map.classes_of(found.key).items())) if look.by == "class" else None
    labels, sure = _sampled(str(workspace.root), run, found.digest, names, workspace, found)
    return coverage(labels, sure, look.post_processing.min_confidence, ignored=None if names is None else 255)


@st.cache_resource(max_entries=8, show_spinner=False)
def _sampled(
    root: str,
    run: str,
    digest: str,
    names: tuple[tuple[int, int], ...] | None,
    _workspace: Workspace,
    _found: Clustering,
) -> tuple[np.ndarray, np.ndarray]:
    from picie_core.clustering.confidence import sample_confidence

    return sample_confidence(source(_workspace, run).sample, _found, None if names is None else dict(names))


# -- pictures


@st.cache_resource(max_entries=24, show_spinner=False)
def image_at(images_root: str, path: str, stamp: int, width: int, height: int) -> np.ndarray:
    """Returns an image at the size it is shown: uint8 (height, width, 3)."""
    read = Image.fromarray(read_resized(Path(images_root) / path, min(width, height)))
    return np.asarray(read.resize((width, height), Image.Resampling.LANCZOS))


def _photograph(workspace: Workspace, item: ImageRecord, width_px: int) -> np.ndarray:
    return image_at(str(workspace.images_root), item.path, item.stamp, *target_size(item, width_px))


def image_png(workspace: Workspace, item: ImageRecord, width_px: int) -> bytes:
    """Returns the untouched image at the size it is shown, as PNG."""
    return _bytes(_photograph(workspace, item, width_px), "PNG")


def overlay_png(workspace: Workspace, run: str, found: Clustering, item: ImageRecord, look: Look) -> bytes:
    """Returns the image with its labels drawn over it, composed at the size it is shown, as PNG."""
    return _overlay(*_overlay_keys(workspace, run, found, item, look), "PNG", workspace, found)


def overlay_webp(workspace: Workspace, run: str, found: Clustering, item: ImageRecord, look: Look) -> bytes:
    """Returns the same as lossless WebP, which is written in a third of the time."""
    return _overlay(*_overlay_keys(workspace, run, found, item, look), "WEBP", workspace, found)


def _overlay_keys(
    workspace: Workspace, run: str, found: Clustering, item: ImageRecord, look: Look
) -> tuple[str, str, str, ImageRecord, tuple[tuple[int, int], ...] | None, Look, tuple[tuple[int, str], ...]]:
    root, run, digest, item, names, _ = _keys(workspace, run, found, item, look)
    return root, run, digest, item, names, look, tuple(sorted(label_colors(workspace, found, look.by).items()))


@st.cache_data(max_entries=64, show_spinner=False)
def _overlay(
    root: str,
    run: str,
    digest: str,
    item: ImageRecord,
    names: tuple[tuple[int, int], ...] | None,
    look: Look,
    colors: tuple[tuple[int, str], ...],
    form: str,
    _workspace: Workspace,
    _found: Clustering,
) -> bytes:
    from picie_core.segmentation.masks import overlay

    painted = _photograph(_workspace, item, look.width_px)
    if look.opacity:
        rgb = {label: rgb_color(color) for label, color in colors}
        painted = overlay(painted, mask(_workspace, run, _found, item, look), rgb, look.opacity, look.hidden)
    return _bytes(painted, form)


def _bytes(picture: np.ndarray, form: str) -> bytes:
    """A picture as a PNG or a lossless WebP."""
    from picie_core.segmentation.masks import png_bytes

    if form == "PNG":
        return png_bytes(picture)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


def label_colors(workspace: Workspace, found: Clustering, by: str) -> Mapping[int, str]:
    """Returns the colour of every label that a mask can hold."""
    if by == "class":
        return class_colors(workspace)
    return {cluster: cluster_color(cluster) for cluster in range(found.k)}


def confidence_webp(workspace: Workspace, run: str, found: Clustering, item: ImageRecord, look: Look) -> bytes:
    """Returns the confidence over the image as WebP: white is sure, black a tie, orange below the threshold."""
    sure = confidence(workspace, run, found, item, look)
    shade = np.repeat(255 * sure[..., None], 3, axis=2)
    below = sure < look.post_processing.min_confidence
    shade[below] = (
        UNCERTAIN_COLOR * (0.45 + 0.55 * sure[below] / max(look.post_processing.min_confidence, 1e-6))[:, None]
    )
    image = _photograph(workspace, item, look.width_px)
    return _bytes((image + np.float32(look.opacity) * (shade - image) + 0.5).astype(np.uint8), "WEBP")


def before(look: Look) -> Look:
    """Returns the same look without refinement and without the removal of specks."""
    return replace(look, post_processing=replace(look.post_processing, refine="none", min_area_px=0))
