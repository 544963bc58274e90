"""Photographs of parts of images: at the resolution of the page, read from the pyramid of the image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from app.session.cache import cached
from app.shared.components.picture import View
from picie_core.data.images.image_index import ImageList, ImageRecord
from picie_core.data.images.pyramid_cache import STORED_FROM_PIXELS, PyramidCache
from picie_core.workspace.workspace import Workspace


def shown_size(view: View, width_px: int) -> tuple[int, int]:
    """Returns the (width, height) of the picture of a view whose longer side is `width_px`."""
    scale = width_px / max(view.width, view.height)
    return max(1, round(view.width * scale)), max(1, round(view.height * scale))


@cached(2)
def pyramids(workspace: Workspace, listed: ImageList) -> PyramidCache:
    """Returns the pyramids of the images of a workspace."""
    return workspace.pyramids()


def has_pyramid(workspace: Workspace, item: ImageRecord) -> bool:
    """Whether a large image can be shown without decoding it."""
    if item.width * item.height <= STORED_FROM_PIXELS:
        return False
    return pyramids(workspace, workspace.image_list()).is_stored(item.id)


@cached(24, "Preparing the image for zooming")
def view_pixels(workspace: Workspace, item: ImageRecord, view: View, width_px: int) -> np.ndarray:
    """Returns a view of an image at the size it is shown: uint8 (height, width, 3)."""
    width, height = shown_size(view, width_px)
    pyramid = pyramids(workspace, workspace.image_list()).get(item.id)
    level = int(min(np.log2(max(view.width / width, 1)), len(pyramid.sizes) - 1))
    scale, (level_width, level_height) = 2**level, pyramid.sizes[level]
    left, top = view.left // scale, view.top // scale
    right = min(-(-(view.left + view.width) // scale), level_width)
    bottom = min(-(-(view.top + view.height) // scale), level_height)
    window = Image.fromarray(np.ascontiguousarray(pyramid.window(level, top, left, bottom - top, right - left)))
    edges = (view.left / scale, view.top / scale), ((view.left + view.width) / scale, (view.top + view.height) / scale)
    box = (edges[0][0] - left, edges[0][1] - top, min(edges[1][0], right) - left, min(edges[1][1], bottom) - top)
    near = width >= 3 * view.width  # single pixels are meant to be seen
    how = Image.Resampling.NEAREST if near else Image.Resampling.LANCZOS
    return np.asarray(window.resize((width, height), how, box=box))
