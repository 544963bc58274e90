"""The paired views of a batch: augmented images, and their feature maps aligned to the same pixels [1, section 3.2].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie_core.data.feature_grid import feature_map_shape
from picie_core.training.views.augmentations import (
    Geometric,
    apply_geometric,
    apply_photometric,
    draw_geometric,
    draw_photometric,
    uniforms,
)

WARP_STREAM = 0
"""The stream of random numbers of the geometric warp; the photometric one of a view has the view's number."""


@dataclass(frozen=True)
class AlignedViews:
    """The views of the images `ids` in an epoch: view 1 gets colours and a warp, view 2 colours alone.

    numbers: the views to make. scale: side of view 1, as a share of the square. sizes: with "equal" view 2 is half as
    large as the square, so that view 1, a crop of half its side too, shows things 1 to 2 times as large as view 2.
    differs from PiCIE: with "half", the default, view 2 is as large as the square, and shows things 1 to 2 times as
    large as view 1 does.
    """

    numbers: tuple[int, ...]
    seed: int
    epoch: int
    ids: list[int]
    sizes: str = "half"
    scale: float = 0.5

    def images(self, images: Tensor) -> dict[int, Tensor]:
        """Returns the image of each view, floats 0..1, of squares (B, 3, S, S) uint8 [1, eq. 5 to 7].

        View 1 is (B, 3, s, s) with s = scale x S; view 2 is (B, 3, S, S), or (B, 3, S/2, S/2) where sizes are equal.
        """
        images = images.float() / 255
        views = {}
        for view in self.numbers:
            coloured = apply_photometric(images, draw_photometric(self._uniforms(view, 11)))
            if view == 1:
                views[view] = apply_geometric(coloured, self.warp(), self._side(images.shape[2]))
            else:
                views[view] = coloured if self.sizes == "half" else halved(coloured)
        return views

    def maps(self, network: Callable[..., Tensor], views: dict[int, Tensor]) -> list[Tensor]:
        """Returns (B, D, h, w) unit embeddings of the same pixels: warp then embed, and embed then warp.

        network: an `Embedder`, or what wraps one.
        """
        maps = []
        for view, images in views.items():
            z = network(images, unit=view != 2)
            if view == 2:
                square_px = images.shape[2] * (2 if self.sizes == "equal" else 1)
                side, _ = feature_map_shape(self._side(square_px), self._side(square_px))
                z = F.normalize(apply_geometric(z.float(), self.warp(), side), dim=1)  # after the warp, as in [1]
            maps.append(z)
        return maps

    def masks(self, masks: Tensor) -> Tensor:
        """Returns the class ids of view 1, of masks (B, S, S), nearest pixel."""
        return apply_geometric(masks[:, None].float(), self.warp(), self._side(masks.shape[2]), mode="nearest")[
            :, 0
        ].long()

    def warp(self) -> Geometric:
        """Returns the crop and flip of each image, shared by the images of view 1 and the maps of view 2."""
        return draw_geometric(self._uniforms(WARP_STREAM, 4))

    def _side(self, square_px: int) -> int:
        return int(self.scale * square_px)

    def _uniforms(self, stream: int, count: int) -> np.ndarray:
        return uniforms(self.seed, self.epoch, self.ids, stream, count)


def halved(images: Tensor) -> Tensor:
    """Returns float images (B, C, S, S) at half their size, antialiased as Pillow's bilinear resize is."""
    return F.interpolate(images, (images.shape[2] // 2, images.shape[3] // 2), mode="bilinear", antialias=True)


def blank_images(side_px: int, device: torch.device) -> Tensor:
    """Returns one black image (1, 3, S, S) uint8, for a step in which no file could be read."""
    return torch.zeros(1, 3, side_px, side_px, dtype=torch.uint8, device=device)
