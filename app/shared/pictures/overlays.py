"""Masks as the page shows them: at the size of the page, over the image, kept between two runs of the script.

What is kept is keyed by ids, names and colours, so an edit shows at once and an undone one is there already.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from app.session.cache import cached, contact_sheet_source
from app.shared.components.picture import View
from app.shared.pictures.colors import class_colors, cluster_color
from app.shared.pictures.feature_maps import feature_map_of, features_of, is_tiled, network_image, network_images
from app.shared.pictures.photographs import has_pyramid, view_pixels
from picie_core.colors import rgb_color
from picie_core.data.images.image_file import png_bytes, read_resized
from picie_core.data.images.image_index import ImageRecord
from picie_core.segmentation.mask_windows import MaskWindows
from picie_core.segmentation.post_processing import (
    MaskAndConfidence,
    PostProcessing,
    mask_and_confidence,
    post_processed_mask,
    thresholded_mask,
)
from picie_core.workspace.masks.image_masks import mask_windows
from picie_core.workspace.workspace import StoredClustering, Workspace

FULL_MASK_UP_TO = 2.0
"""Up to so many image pixels per shown one a mask is made at full size, as it is exported."""
UNCERTAIN_COLOR = np.array((214, 120, 40), np.float32)
"""Of pixels below the threshold in the picture of the confidence; all others are grey."""


@dataclass(frozen=True)
class OverlayStyle:
    """Which mask is drawn over an image, and how."""

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


# -- labels

Names = tuple[tuple[int, int], ...] | None
"""Cluster and class id of each named cluster for a mask of classes, None for one of clusters."""


def names_of(clustering: StoredClustering, style: OverlayStyle) -> Names:
    """Returns what the mask of a style depends on besides the image: who has which class."""
    return tuple(sorted(clustering.classes_of().items())) if style.by == "class" else None


def mask(clustering: StoredClustering, item: ImageRecord, style: OverlayStyle) -> np.ndarray:
    """Returns the labels of an image as it is shown: (height, width) cluster or class ids, 255 where left out."""
    made = _labels(clustering, item, names_of(clustering, style), style.width_px, post_processing=style.post_processing)
    return _at_size(made, item, style)


def confidence(clustering: StoredClustering, item: ImageRecord, style: OverlayStyle) -> np.ndarray:
    """Returns the confidence of the mask in each shown pixel: (height, width) float32, 0 to 1."""
    made = _with_confidence(
        clustering, item, names_of(clustering, style), style.width_px, refine=style.post_processing.refine
    )
    return _at_size(made.confidence, item, style)


@cached(48)
def _labels(
    clustering: StoredClustering, item: ImageRecord, names: Names, width_px: int, *, post_processing: PostProcessing
) -> np.ndarray:
    (height, width), scale = _made_at(item, width_px)
    classes_of = None if names is None else dict(names)
    if is_tiled(clustering.run):
        made_in = full_mask(clustering, item, names, post_processing)
        return part_of_mask(made_in, View(0, 0, item.width, item.height), (width, height)).labels
    if post_processing.min_confidence or post_processing.refine != "none":
        made = _with_confidence(clustering, item, names, width_px, refine=post_processing.refine)
        return thresholded_mask(made, post_processing, names is None, scale)
    feature_map = feature_map_of(clustering.run, item)
    return post_processed_mask(feature_map, clustering, classes_of, height, width, post_processing, scale=scale)


@cached(16, "Refining the mask")
def _with_confidence(
    clustering: StoredClustering, item: ImageRecord, names: Names, width_px: int, *, refine: str
) -> MaskAndConfidence:
    (height, width), _ = _made_at(item, width_px)
    classes_of = None if names is None else dict(names)
    if is_tiled(clustering.run):
        made_in = full_mask(clustering, item, names, PostProcessing(refine=refine))
        return part_of_mask(made_in, View(0, 0, item.width, item.height), (width, height), with_confidence=True)
    feature_map = feature_map_of(clustering.run, item)
    image = network_image(clustering.run, item) if refine != "none" else None
    return mask_and_confidence(feature_map, clustering, classes_of, height, width, refine, image)


def full_mask(
    clustering: StoredClustering, item: ImageRecord, names: Names, post_processing: PostProcessing
) -> MaskWindows:
    """Returns the full-size mask of an image, to be read in windows."""
    images = network_images(clustering.run, clustering.workspace.image_list())
    classes_of, features = None if names is None else dict(names), features_of(clustering.run, item)
    return mask_windows(clustering.run, clustering, item, classes_of, post_processing, features=features, images=images)


def part_of_mask(
    mask: MaskWindows, part: View, size: tuple[int, int], with_confidence: bool = False
) -> MaskAndConfidence:
    """Returns a part of a mask that is shown at `size` (width, height): of all its pixels where these are few.

    Else at the points that are shown: edges and small regions stay as they are then.
    """
    if part.width <= FULL_MASK_UP_TO * size[0]:
        where = part.top, part.left, part.height, part.width
        if with_confidence:
            return mask.window_with_confidence(*where)
        return MaskAndConfidence(mask.window(*where), np.empty((0, 0), np.float32))
    columns, rows = (
        start + (np.arange(count) + 0.5) * (length / count) - 0.5
        for count, start, length in zip(size, (part.left, part.top), (part.width, part.height), strict=True)
    )
    return mask.at_points(rows, columns, with_confidence)


def _made_at(item: ImageRecord, width_px: int) -> tuple[tuple[int, int], float]:
    """(height, width) at which a mask is computed, never above the image's own, and its scale to that."""
    width, height = target_size(item, width_px)
    return (min(height, item.height), min(width, item.width)), min(1.0, width / item.width)


def _at_size(labels: np.ndarray, item: ImageRecord, style: OverlayStyle) -> np.ndarray:
    width, height = target_size(item, style.width_px)
    rows = np.arange(height) * labels.shape[0] // height  # nearest: labels never mix
    columns = np.arange(width) * labels.shape[1] // width
    return labels[rows[:, None], columns]


# -- the whole set


def set_coverage(clustering: StoredClustering, style: OverlayStyle) -> float:
    """Returns the share of all pixels that the threshold leaves a label, from the sample; refinements left out."""
    from picie_core.clustering.confidence import coverage

    names = names_of(clustering, style)
    labels, confidences = _sampled(clustering, names)
    return coverage(labels, confidences, style.post_processing.min_confidence, ignored=None if names is None else 255)


@cached(8)
def _sampled(clustering: StoredClustering, names: Names) -> tuple[np.ndarray, np.ndarray]:
    from picie_core.clustering.confidence import sample_confidence

    classes_of = None if names is None else dict(names)
    return sample_confidence(contact_sheet_source(clustering.run).sample, clustering, classes_of)


# -- pictures


@cached(24)
def photograph(workspace: Workspace, item: ImageRecord, width_px: int) -> np.ndarray:
    """Returns an image at the size it is shown: uint8 (height, width, 3)."""
    size = target_size(item, width_px)
    if has_pyramid(workspace, item):
        whole = view_pixels(workspace, item, View(0, 0, item.width, item.height), width_px)
        return np.asarray(Image.fromarray(whole).resize(size))
    read = Image.fromarray(read_resized(workspace.images_root / item.path, min(size)))
    return np.asarray(read.resize(size, Image.Resampling.LANCZOS))


def image_png(workspace: Workspace, item: ImageRecord, width_px: int) -> bytes:
    """Returns the untouched image at the size it is shown, as PNG."""
    return pixel_bytes(photograph(workspace, item, width_px), "PNG")


def overlay_image(clustering: StoredClustering, item: ImageRecord, style: OverlayStyle, form: str) -> bytes:
    """Returns the image with its labels drawn over it, composed at the size it is shown.

    form: PNG, or WEBP, which is lossless too and is written in a third of the time.
    """
    colors = tuple(sorted(label_colors(clustering, style.by).items()))
    return _overlay(clustering, item, style, form, drawn_with=(names_of(clustering, style), colors))


@cached(64)
def _overlay(
    clustering: StoredClustering, item: ImageRecord, style: OverlayStyle, form: str, *, drawn_with: tuple
) -> bytes:
    from picie_core.segmentation.overlay import overlay

    drawn = photograph(clustering.workspace, item, style.width_px)
    if style.opacity:
        colors = {label: rgb_color(color) for label, color in drawn_with[1]}
        drawn = overlay(drawn, mask(clustering, item, style), colors, style.opacity, style.hidden)
    return pixel_bytes(drawn, form)


def pixel_bytes(picture: np.ndarray, form: str) -> bytes:
    """Returns a picture as a PNG or a lossless WebP."""
    if form == "PNG":
        return png_bytes(picture)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


def label_colors(clustering: StoredClustering, by: str) -> Mapping[int, str]:
    """Returns the colour of every label that a mask can hold."""
    if by == "class":
        return class_colors(clustering.workspace)
    return {cluster: cluster_color(cluster) for cluster in range(clustering.k)}


def confidence_webp(clustering: StoredClustering, item: ImageRecord, style: OverlayStyle) -> bytes:
    """Returns the confidence over the image as WebP: white is 1, black a tie, orange below the threshold."""
    image = photograph(clustering.workspace, item, style.width_px)
    return pixel_bytes(over_confidence(image, confidence(clustering, item, style), style), "WEBP")


def over_confidence(image: np.ndarray, values: np.ndarray, style: OverlayStyle) -> np.ndarray:
    """Returns the image (H, W, 3) with the confidence (H, W) over it: white is 1, black a tie, orange too little."""
    least = style.post_processing.min_confidence
    shade = np.repeat(255 * values[..., None], 3, axis=2)
    below = values < least
    shade[below] = UNCERTAIN_COLOR * (0.45 + 0.55 * values[below] / max(least, 1e-6))[:, None]
    return (image + np.float32(style.opacity) * (shade - image) + 0.5).astype(np.uint8)


def before(style: OverlayStyle) -> OverlayStyle:
    """Returns the same style without edge refinement and without small-region removal."""
    return replace(style, post_processing=replace(style.post_processing, refine="none", min_area_px=0))
