"""The feature maps and images that masks on the page are made from, kept between two runs of the script."""

from __future__ import annotations

import numpy as np

from app.session.cache import cached, contact_sheet_source, embedder
from picie_core.data.feature_windows import FeatureWindows, MapInMemory
from picie_core.data.images.image_index import ImageList, ImageRecord
from picie_core.data.images.image_source import ImageSource
from picie_core.workspace.masks.image_masks import feature_windows
from picie_core.workspace.workspace import Run

OVERVIEW_PIXELS = 8_000_000
"""Up to so many pixels an image whose features are not stored is embedded to be shown whole; it takes some seconds."""


def feature_map_of(run: Run, item: ImageRecord) -> np.ndarray:
    """Returns the feature map of an image: the stored one, else the network's, of which the last few are kept."""
    stored = contact_sheet_source(run).dense.get(item.id)
    return _embedded(run, item) if stored is None else stored


@cached(8)
def features_of(run: Run, item: ImageRecord) -> FeatureWindows:
    """Returns the feature map of an image of any size, in windows: stored, else what the network makes of each."""
    if not is_tiled(run):
        return MapInMemory(feature_map_of(run, item))
    dense = contact_sheet_source(run).dense
    return feature_windows(run, item.id, dense, None if item.id in dense.index else embedder(run))


@cached(8)
def is_tiled(run: Run) -> bool:
    """Whether the run embeds images in tiles, so that their feature maps may be too large to be held."""
    return run.tiling is not None


def has_overview(run: Run, item: ImageRecord) -> bool:
    """Whether the mask of all of an image can be made at once: stored, or of few tiles."""
    if not is_tiled(run) or item.id in contact_sheet_source(run).dense.index:
        return True
    return item.width * item.height <= OVERVIEW_PIXELS


@cached(12, "Embedding this image: its features are not stored")
def _embedded(run: Run, item: ImageRecord) -> np.ndarray:
    from picie_core.models.inference import embed_image

    return embed_image(embedder(run), network_image(run, item))


def network_image(run: Run, item: ImageRecord) -> np.ndarray:
    """Returns an image as the network sees it, also one that was found after the embedding."""
    return network_images(run, run.workspace.image_list()).get(item.id)


@cached(2)
def network_images(run: Run, listed: ImageList) -> ImageSource:
    """Returns the images as the network of a run sees them, whole or in windows."""
    return run.network_images()
