"""Post-processing of masks: a confidence threshold, edge refinement, small-region removal; all off by default.

Screen, command line and export go through `post_processed_mask`, so what is shown is what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.clustering.confidence import class_channels, confidence_of
from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import SettingError
from picie_core.segmentation.edge_refinement import METHODS, refine_scores
from picie_core.segmentation.masks import channel_scores, class_mask, cluster_mask
from picie_core.segmentation.small_regions import remove_small_regions
from picie_core.segmentation.upsampling import upsample_best_and_margin
from picie_core.settings import check_settings, option_name, setting

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering


@dataclass(frozen=True)
class PostProcessing:
    """What happens to a mask between its scores and its file; by default nothing."""

    min_confidence: float = setting(
        0.0, "pixels that are less sure than this, 0 to 1, become 255; 0 keeps all", low=0, high=1
    )
    refine: str = setting(
        "none", "draw borders to the edges of the picture: guided (filter) or pamr; both take longer", choices=METHODS
    )
    min_area_px: int = setting(
        0, "regions of fewer pixels of the full-size mask take the label beside them; 0 keeps all", low=0
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the defaults; empty when masks stay as they are."""
        return {one.name: value for one in fields(self) if (value := asdict(self)[one.name]) != one.default}

    def options(self) -> list[str]:
        """Returns the options of the command line that mean this."""
        return [word for name, value in self.changes.items() for word in ("--" + option_name(name), f"{value}")]


@dataclass(frozen=True)
class MaskAndConfidence:
    """A mask, and the confidence of each pixel, before a threshold."""

    labels: np.ndarray
    """(H, W) class ids, or cluster ids: uint8, above 255 clusters uint16."""
    confidence: np.ndarray
    """(H, W) float32, 0 to 1."""


def post_processed_mask(
    feature_map: np.ndarray,
    clustering: Clustering,
    classes_of: Mapping[int, int] | None,
    height: int,
    width: int,
    post_processing: PostProcessing,
    image: np.ndarray | None = None,
    scale: float = 1.0,
) -> np.ndarray:
    """Returns the mask of an image: (height, width) class ids, or cluster ids where `classes_of` is None.

    feature_map: (h, w, D); image: as the network saw it, uint8 (H, W, 3), needed to refine; scale: pixels of this mask
    per pixel of the full-size one, along a side, where it is made smaller to be looked at. Without post-processing it
    is that of `class_mask` or `cluster_mask`, bit by bit. Raises SettingError when cluster ids leave no 255 free.
    """
    raw = classes_of is None
    if post_processing.min_confidence or post_processing.refine != "none":
        check_post_processing(post_processing, clustering.k, raw)
        made = mask_and_confidence(feature_map, clustering, classes_of, height, width, post_processing.refine, image)
        return thresholded_mask(made, post_processing, raw, scale)
    if classes_of is None:
        mask = cluster_mask(feature_map, clustering, height, width)
    else:
        mask = class_mask(feature_map, clustering, classes_of, height, width)
    return _without_small_regions(mask, post_processing, raw, scale)


def thresholded_mask(
    made: MaskAndConfidence, post_processing: PostProcessing, raw: bool, scale: float = 1.0
) -> np.ndarray:
    """Returns the labels of a mask, 255 where it is less sure than wanted, without small regions.

    raw: whether they are cluster ids; scale: as of `post_processed_mask`.
    """
    labels = made.labels
    if post_processing.min_confidence:
        labels = np.where(made.confidence < post_processing.min_confidence, np.uint8(IGNORE_ID), labels)
    return _without_small_regions(labels, post_processing, raw, scale)


def _without_small_regions(mask: np.ndarray, post_processing: PostProcessing, raw: bool, scale: float) -> np.ndarray:
    """The mask without small regions, their size being that in the full-size mask."""
    return remove_small_regions(mask, round(post_processing.min_area_px * scale**2), ignored_id(post_processing, raw))


def mask_and_confidence(
    feature_map: np.ndarray,
    clustering: Clustering,
    classes_of: Mapping[int, int] | None,
    height: int,
    width: int,
    refine: str = "none",
    image: np.ndarray | None = None,
) -> MaskAndConfidence:
    """Returns the mask and the confidence of each pixel, before threshold and small-region removal."""
    ids, channels = (None, None) if classes_of is None else class_channels(clustering.k, classes_of)
    scores = channel_scores(feature_map, clustering, channels)  # (C, h, w)
    if refine != "none":
        if image is None:
            raise SettingError(f"refine={refine} needs the image that the mask is refined by: give image")
        scores = refine_scores(scores, image, refine)
    best, margin = upsample_best_and_margin(scores, height, width)
    if ids is not None:
        return MaskAndConfidence(ids.astype(np.uint8)[best], confidence_of(margin))
    return MaskAndConfidence(best.astype(np.uint16) if len(scores) > IGNORE_ID else best, confidence_of(margin))


def ignored_id(post_processing: PostProcessing, raw: bool) -> int | None:
    """Returns the value of ignored pixels: 255, and none in masks of cluster ids (`raw`) without a threshold."""
    return None if raw and not post_processing.min_confidence else IGNORE_ID


def check_post_processing(post_processing: PostProcessing, k: int, raw: bool) -> None:
    """Raises SettingError when pixels are to be ignored in masks of cluster ids that use up all values."""
    if raw and post_processing.min_confidence and k > IGNORE_ID:
        raise SettingError(
            f"min-confidence={post_processing.min_confidence:g} needs the value {IGNORE_ID} for what it ignores, and "
            f"cluster ids of k={k} use it: export classes, or at most {IGNORE_ID} clusters"
        )
