"""Masks of parts of images as the page shows them, at full resolution where a view is near enough.

Only what a view needs is read: of a large image a window of its pyramid, and of its feature map the positions around.
"""

from __future__ import annotations

import numpy as np

from app.session.cache import cached
from app.shared.components.picture import View
from app.shared.pictures.overlays import (
    Names,
    OverlayStyle,
    full_mask,
    label_colors,
    names_of,
    over_confidence,
    part_of_mask,
    photograph,
    pixel_bytes,
)
from app.shared.pictures.photographs import shown_size, view_pixels
from picie_core.colors import rgb_color
from picie_core.data.images.image_index import ImageRecord
from picie_core.segmentation.post_processing import MaskAndConfidence, PostProcessing
from picie_core.workspace.workspace import StoredClustering, Workspace

OVERVIEW_PX = 220


@cached(8)
def overview_webp(workspace: Workspace, item: ImageRecord) -> bytes:
    """Returns the whole image as a small WebP."""
    return pixel_bytes(photograph(workspace, item, OVERVIEW_PX), "WEBP")


# -- labels


def view_mask(clustering: StoredClustering, item: ImageRecord, view: View, style: OverlayStyle) -> np.ndarray:
    """Returns the labels of a view as it is shown: (height, width) cluster or class ids, 255 where left out."""
    return _made(clustering, item, view, style, confidence=False).labels


def _made(
    clustering: StoredClustering, item: ImageRecord, view: View, style: OverlayStyle, *, confidence: bool
) -> MaskAndConfidence:
    names = names_of(clustering, style)
    found = _view_mask(
        clustering, item, names, view, style.width_px, post_processing=style.post_processing, confidence=confidence
    )
    width, height = shown_size(view, style.width_px)
    rows, columns = (np.arange(px) * have // px for px, have in zip((height, width), found.labels.shape, strict=True))
    where = np.ix_(rows, columns)  # nearest: labels never mix
    return MaskAndConfidence(found.labels[where], found.confidence[where] if confidence else found.confidence)


@cached(24)
def _view_mask(
    clustering: StoredClustering,
    item: ImageRecord,
    names: Names,
    view: View,
    width_px: int,
    *,
    post_processing: PostProcessing,
    confidence: bool,
) -> MaskAndConfidence:
    mask = full_mask(clustering, item, names, post_processing)
    return part_of_mask(mask, view, shown_size(view, width_px), confidence)


# -- pictures


def view_overlay(
    clustering: StoredClustering, item: ImageRecord, view: View, style: OverlayStyle, form: str = "WEBP"
) -> bytes:
    """Returns a view with its labels drawn over it, composed at the size it is shown. form: PNG or WEBP."""
    from picie_core.segmentation.overlay import overlay

    drawn = view_pixels(clustering.workspace, item, view, style.width_px)
    if style.opacity:
        colors = {label: rgb_color(color) for label, color in label_colors(clustering, style.by).items()}
        drawn = overlay(drawn, view_mask(clustering, item, view, style), colors, style.opacity, style.hidden)
    return pixel_bytes(drawn, form)


def view_confidence(clustering: StoredClustering, item: ImageRecord, view: View, style: OverlayStyle) -> bytes:
    """Returns the confidence over a view as WebP, as of `confidence_webp`."""
    values = _made(clustering, item, view, style, confidence=True).confidence
    return pixel_bytes(over_confidence(view_pixels(clustering.workspace, item, view, style.width_px), values, style),
                       "WEBP")  # fmt: skip
