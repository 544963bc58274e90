"""Small-region removal: a mask without connected regions of only a few pixels."""

from __future__ import annotations

import numpy as np

from picie_core.data.class_names import IGNORE_ID


def remove_small_regions(mask: np.ndarray, min_area_px: int, ignored: int | None = IGNORE_ID) -> np.ndarray:
    """Returns the mask (H, W) without connected regions of fewer than `min_area_px` pixels of one label.

    Pixels that share a side are connected. A small region takes the label of the nearest pixel that stays, also when
    that one is ignored; ignored pixels stay ignored, however few, as nothing is known about them. A mask that has
    small regions only stays as it is.
    """
    if min_area_px <= 1:
        return mask
    from scipy.ndimage import distance_transform_edt, find_objects, label

    small = np.zeros(mask.shape, bool)
    for value, box in enumerate(find_objects(mask.astype(np.int32) + 1)):  # where each label lies, None for unused ones
        if box is not None and value != ignored:
            regions, _ = label(mask[box] == value)
            too_small = np.bincount(regions.ravel()) < min_area_px
            too_small[0] = False  # what is not of this label
            small[box] |= too_small[regions]
    if small.all() or not small.any():
        return mask
    rows, columns = distance_transform_edt(small, return_distances=False, return_indices=True)
    return mask[rows, columns]
