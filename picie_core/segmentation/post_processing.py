"""How a mask is finished between scores and file: doubt that is ignored, edges of the picture, specks.

Screen, command line and export go through `finished_mask`, so what is shown is what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.clustering.confidence import channel_scores, class_groups, label_and_confidence
from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import SettingError
from picie_core.segmentation.edge_refinement import METHODS, refine_scores, remove_specks
from picie_core.segmentation.masks import class_mask, cluster_mask
from picie_core.settings import check_settings, setting

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering


@dataclass(frozen=True)
class PostProcessing:
    """How masks are finished; by default not at all."""

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
        """Returns the words of the command line that mean this."""
        names = {name: "--" + name.removesuffix("_px").replace("_", "-") for name in self.changes}
        return [word for name, value in self.changes.items() for word in (names[name], f"{value}")]


@dataclass(frozen=True)
class MaskAndConfidence:
    """A mask, and how sure it was of each pixel before doubtful ones were ignored."""

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

    cells: (h, w, D); image: as the network saw it, uint8 (H, W, 3), needed to refine; scale: pixels of this mask
    per pixel of the full-size one, along a side, where it is made smaller to be looked at. With the default `finish`
    it is that of `class_mask` and `cluster_mask`, bit by bit. Raises SettingError when cluster ids leave no 255 free.
    """
    if not post_processing.min_confidence and post_processing.refine == "none":
        if classes_of is None:
            mask = cluster_mask(feature_map, clustering, height, width)
        else:
            mask = class_mask(feature_map, clustering, classes_of, height, width)
    else:
        check_post_processing(post_processing, clustering.k, raw=classes_of is None)
        mask = ignore_uncertain(
            mask_and_confidence(feature_map, clustering, classes_of, height, width, post_processing.refine, image),
            post_processing,
        )
    return remove_specks(
        mask, round(post_processing.min_area_px * scale**2), ignored_id(post_processing, classes_of is None)
    )


def ignore_uncertain(made: MaskAndConfidence, post_processing: PostProcessing) -> np.ndarray:
    """Returns the labels of a mask, 255 where it is less sure than `finish` wants."""
    if not post_processing.min_confidence:
        return made.labels
    return np.where(made.confidence < post_processing.min_confidence, np.uint8(IGNORE_ID), made.labels)


def mask_and_confidence(
    feature_map: np.ndarray,
    clustering: Clustering,
    classes_of: Mapping[int, int] | None,
    height: int,
    width: int,
    refine: str = "none",
    image: np.ndarray | None = None,
) -> MaskAndConfidence:
    """Returns the mask and the confidence of each pixel, before a threshold and before specks go."""
    ids, groups = (None, None) if classes_of is None else class_groups(clustering.k, classes_of)
    scores = channel_scores(feature_map, clustering, groups)  # (C, h, w)
    if refine != "none":
        if image is None:
            raise SettingError(f"refine={refine} needs the image that the mask is refined by: give image")
        scores = refine_scores(scores, image, refine)
    channels, confidence = label_and_confidence(scores, height, width)
    if ids is not None:
        return MaskAndConfidence(ids.astype(np.uint8)[channels], confidence)
    return MaskAndConfidence(channels.astype(np.uint16) if len(scores) > IGNORE_ID else channels, confidence)


def ignored_id(post_processing: PostProcessing, raw: bool) -> int | None:
    """Returns the value of pixels that are left out: 255, and none in masks of cluster ids without a threshold."""
    return None if raw and not post_processing.min_confidence else IGNORE_ID


def check_post_processing(post_processing: PostProcessing, k: int, raw: bool) -> None:
    """Raises SettingError when pixels are to be ignored in masks of cluster ids that use up all values."""
    if raw and post_processing.min_confidence and k > IGNORE_ID:
        raise SettingError(
            f"min-confidence={post_processing.min_confidence:g} needs the value {IGNORE_ID} for what it ignores, and "
            f"cluster ids of k={k} use it: export classes, or at most {IGNORE_ID} clusters"
        )
