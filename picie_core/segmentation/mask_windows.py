"""The mask of one image of any size, a window at a time: what is looked at, or all of it from top to bottom.

Windows agree pixel by pixel with the whole mask, wherever they lie: scores are interpolated between the same positions.
What post-processing sees beyond a window is computed around it: edge refinement as far as its filters reach, small
regions as far as they can extend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.confidence import best_and_margin, class_channels, confidence_of
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.feature_grid import STRIDE, positions_of_pixels
from picie_core.data.feature_windows import FeatureWindows
from picie_core.data.mapped_arrays import leave_memory
from picie_core.data.tiling import Window
from picie_core.errors import SettingError
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.segmentation.edge_refinement import DILATIONS, ITERATIONS, RADIUS_PX, refine_scores
from picie_core.segmentation.masks import SCORES_BYTES, channel_scores
from picie_core.segmentation.post_processing import (
    MaskAndConfidence,
    PostProcessing,
    check_post_processing,
    thresholded_mask,
)
from picie_core.segmentation.upsampling import label_points, label_points_with_margin

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering

BLOCK_PX = 1024
"""Side of the largest window that is computed at once where a whole mask is made."""
REACH_PX = {"none": 0, "guided": 2 * RADIUS_PX, "pamr": ITERATIONS * max(DILATIONS)}
"""How far from a pixel an edge refinement looks, in pixels of the network's input."""
MOST_AREA_REACH_PX = 2048
"""Small regions are followed so far beyond a window; longer ones may keep a part that a whole mask would lose."""


class MaskWindows:
    """The full-size mask of an image, of which windows are asked for.

    features: the feature map; size: (width, height) of the image; classes_of: cluster -> class id, None for cluster
    ids; image: reads from the image as the network sees it, which edge refinement needs, and `image_size` its (width,
    height). Raises SettingError when cluster ids leave no 255 free for a threshold, or an image is missing to refine.
    """

    def __init__(
        self,
        features: FeatureWindows,
        clustering: Clustering,
        classes_of: Mapping[int, int] | None,
        size: tuple[int, int],
        post_processing: PostProcessing = PostProcessing(),
        *,
        image: Window | None = None,
        image_size: tuple[int, int] | None = None,
    ):
        raw = classes_of is None
        check_post_processing(post_processing, clustering.k, raw)
        if post_processing.refine != "none" and (image is None or image_size is None):
            raise SettingError(f"refine={post_processing.refine} needs the image that the mask is refined by: give it")
        self.features, self.clustering, self.raw, self.size = features, clustering, raw, size
        self.post_processing, self.image, self.image_size = post_processing, image, image_size
        self._ids: np.ndarray | None = None
        self._channels: np.ndarray | None = None
        if classes_of is not None:
            self._ids, self._channels = class_channels(clustering.k, classes_of)

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The type of the labels: uint8, for more than 255 cluster ids uint16."""
        return np.uint16 if self.raw and self.clustering.k > IGNORE_ID else np.uint8

    def window(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Returns the labels of a window inside the image: (height, width)."""
        return self._computed(np.arange(top, top + height), np.arange(left, left + width), False).labels

    def window_with_confidence(self, top: int, left: int, height: int, width: int) -> MaskAndConfidence:
        """Returns the labels of a window and the confidence of each pixel before the threshold."""
        return self._computed(np.arange(top, top + height), np.arange(left, left + width), True)

    def at_points(self, rows_px: np.ndarray, columns_px: np.ndarray, confidence: bool = False) -> MaskAndConfidence:
        """Returns labels (and confidence, else zeros) at any ascending rows and columns, in pixels of the image.

        For a mask that is looked at smaller than it is. Small regions stay, as they have no size there; edges are not
        refined.
        """
        rows, columns = self._between(rows_px, 0), self._between(columns_px, 1)
        labels, sure = self._plain(rows, columns, bool(confidence or self.post_processing.min_confidence))
        made = MaskAndConfidence(self._as_ids(labels), sure)
        plain = PostProcessing(min_confidence=self.post_processing.min_confidence)
        return MaskAndConfidence(thresholded_mask(made, plain, self.raw), sure)

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yields the windows that a whole mask is made in, row by row."""
        per_position = self.size[0] / self.features.shape[1]
        side = int(np.sqrt(SCORES_BYTES / 4 / self.clustering.k) - 2) * per_position
        side_px = int(min(max(side, 64), BLOCK_PX))
        for top in range(0, self.size[1], side_px):
            for left in range(0, self.size[0], side_px):
                yield slice(top, min(top + side_px, self.size[1])), slice(left, min(left + side_px, self.size[0]))

    def write(
        self, mask: np.ndarray, confidence: np.ndarray | None = None, report: Report = ignore_progress
    ) -> np.ndarray:
        """Writes the whole mask into `mask` (H, W), which may be memory-mapped, block by block, and returns it.

        confidence: (H, W) uint8 that gets the confidence, 255 for 1; None leaves it out. report: hears of blocks.
        """
        blocks = list(self.blocks())
        meter = Meter("mask blocks", len(blocks), report)
        for rows, columns in blocks:
            where = rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start
            if confidence is None:
                mask[rows, columns] = self.window(*where)
            else:
                made = self.window_with_confidence(*where)
                mask[rows, columns] = made.labels
                confidence[rows, columns] = np.rint(255 * made.confidence).astype(np.uint8)
                leave_memory(confidence)
            leave_memory(mask)
            meter.advance(1)
        return mask

    # -- one window

    def _computed(self, rows_px: np.ndarray, columns_px: np.ndarray, confidence: bool) -> MaskAndConfidence:
        """The labels at whole pixels, post-processed, and their confidence where it is asked for."""
        post_processing, (width, height) = self.post_processing, self.size
        reach = min(post_processing.min_area_px, MOST_AREA_REACH_PX) if post_processing.min_area_px > 1 else 0
        top, left = max(int(rows_px[0]) - reach, 0), max(int(columns_px[0]) - reach, 0)
        bottom, right = min(int(rows_px[-1]) + 1 + reach, height), min(int(columns_px[-1]) + 1 + reach, width)
        rows, columns = self._between(np.arange(top, bottom), 0), self._between(np.arange(left, right), 1)
        with_margin = bool(confidence or post_processing.min_confidence)
        if post_processing.refine != "none":
            labels, sure = self._refined(np.arange(top, bottom), np.arange(left, right))
        else:
            labels, sure = self._plain(rows, columns, with_margin)
        done = thresholded_mask(MaskAndConfidence(self._as_ids(labels), sure), post_processing, self.raw)
        inside = (
            slice(int(rows_px[0]) - top, int(rows_px[-1]) + 1 - top),
            slice(int(columns_px[0]) - left, int(columns_px[-1]) + 1 - left),
        )
        return MaskAndConfidence(np.ascontiguousarray(done[inside]), sure[inside] if with_margin else sure)

    def _between(self, pixels: np.ndarray, axis: int) -> np.ndarray:
        """Where the pixels of an axis lie between the positions of the feature map."""
        return positions_of_pixels(self.size[1 - axis], self.features.shape[axis], pixels)

    def _plain(self, rows: np.ndarray, columns: np.ndarray, with_margin: bool) -> tuple[np.ndarray, np.ndarray]:
        """Best channels at rows and columns between positions, and their confidence, an empty array without."""
        if 2 * len(rows) < rows[-1] - rows[0] or 2 * len(columns) < columns[-1] - columns[0]:
            return self._sparse(rows, columns, with_margin)
        scores, top, left = self._scores(rows, columns)
        if not with_margin:
            return label_points(scores, rows - top, columns - left), np.empty((0, 0), np.float32)
        labels, margin = label_points_with_margin(scores, rows - top, columns - left)
        return labels, confidence_of(margin)

    def _scores(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int, int]:
        """Scores (C, r, c) of the positions around rows and columns, and which position is the first of each axis."""
        top, left = int(rows[0]), int(columns[0])
        bottom, right = (
            min(int(one[-1]) + 2, length) for one, length in zip((rows, columns), self.features.shape, strict=True)
        )
        window = self.features.window((top, bottom), (left, right))
        return channel_scores(window, self.clustering, self._channels), top, left

    def _sparse(self, rows: np.ndarray, columns: np.ndarray, with_margin: bool) -> tuple[np.ndarray, np.ndarray]:
        """Labels and confidence at the nearest positions, for far fewer points than there are positions between them.

        An overview of a large image would read and score all of them otherwise.
        """
        near_rows, near_columns = np.rint(rows).astype(int), np.rint(columns).astype(int)
        left, right = int(near_columns[0]), int(near_columns[-1]) + 1
        labels, sure = [], []
        for start in range(0, len(near_rows), 32):
            picked = [
                self.features.window((row, row + 1), (left, right))[:, near_columns - left]
                for row in near_rows[start : start + 32].tolist()
            ]
            scores = channel_scores(np.concatenate(picked), self.clustering, self._channels)  # (C, r, c)
            best, margin = best_and_margin(scores)
            labels.append(best)
            sure.append(confidence_of(margin) if with_margin else np.empty((0, 0), np.float32))
        return np.concatenate(labels), np.concatenate(sure)

    def _refined(self, rows_px: np.ndarray, columns_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Best channels and confidence at whole pixels of the image, scores drawn to the edges of the image there."""
        assert self.image is not None and self.image_size is not None
        reach, spans, between = REACH_PX[self.post_processing.refine], [], []
        for axis, pixels in ((0, rows_px), (1, columns_px)):
            full, network, length = self.size[1 - axis], self.image_size[1 - axis], self.features.shape[axis]
            points = np.clip((pixels + 0.5) * (network / full) - 0.5, 0, network - 1)  # in pixels of the network
            # Whole positions around what is seen, so that a window is cut out of the image along their borders.
            first = max(int(points[0] - reach) // STRIDE, 0) * STRIDE
            last = min(-(-int(points[-1] + 2 + reach) // STRIDE) * STRIDE, network)
            spans.append((first, last, length))
            between.append(points - first)
        (top, bottom, _), (left, right, _) = spans
        picture = self.image(top, left, bottom - top, right - left)
        network_rows = positions_of_pixels(self.image_size[1], self.features.shape[0], np.arange(top, bottom))
        network_columns = positions_of_pixels(self.image_size[0], self.features.shape[1], np.arange(left, right))
        scores, first_row, first_column = self._scores(network_rows, network_columns)
        refined = refine_scores(
            scores, picture, self.post_processing.refine, (network_rows - first_row, network_columns - first_column)
        )
        labels, margin = label_points_with_margin(refined, between[0], between[1])
        return labels, confidence_of(margin)

    def _as_ids(self, labels: np.ndarray) -> np.ndarray:
        return labels.astype(self.dtype) if self._ids is None else self._ids.astype(np.uint8)[labels]
