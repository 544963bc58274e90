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
from picie_core.training.augmentations import (
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

    numbers: the views to make. scale: side of the crops of view 1, as a share of the square image.
    """

    numbers: tuple[int, ...]
    seed: int
    epoch: int
    ids: list[int]
    scale: float = 0.5

    def images(self, images: Tensor) -> dict[int, Tensor]:
        """Returns the image of each view, floats 0..1, of (B, 3, S, S) uint8 [1, eq. 5 to 7]: (B, 3, s, s) of 1."""
        images = images.float() / 255
        views = {}
        for view in self.numbers:
            coloured = apply_photometric(images, draw_photometric(self._uniforms(view, 11)))
            views[view] = apply_geometric(coloured, self.warp(), self._side(images)) if view == 1 else coloured
        return views

    def maps(self, network: Callable[[Tensor], Tensor], views: dict[int, Tensor]) -> list[Tensor]:
        """Returns (B, D, h, w) unit embeddings of the same pixels: warp then embed, and embed then warp."""
        maps = []
        for view, images in views.items():
            z = network(images)
            if view == 2:
                side, _ = feature_map_shape(self._side(images), self._side(images))
                z = F.normalize(apply_geometric(z.float(), self.warp(), side), dim=1)  # unit again after the warp
            maps.append(z)
        return maps

    def masks(self, masks: Tensor) -> Tensor:
        """Returns the class ids of view 1, of masks (B, S, S), nearest pixel."""
        return apply_geometric(masks[:, None].float(), self.warp(), self._side(masks), mode="nearest")[:, 0].long()

    def warp(self) -> Geometric:
        """Returns the crop and flip of each image, shared by the images of view 1 and the maps of view 2."""
        return draw_geometric(self._uniforms(WARP_STREAM, 4))

    def _side(self, squares: Tensor) -> int:
        return int(self.scale * squares.shape[-1])

    def _uniforms(self, stream: int, count: int) -> np.ndarray:
        return uniforms(self.seed, self.epoch, self.ids, stream, count)


def blank_images(side_px: int, device: torch.device) -> Tensor:
    """Returns one black image (1, 3, S, S) uint8, for a step in which no file could be read."""
    return torch.zeros(1, 3, side_px, side_px, dtype=torch.uint8, device=device)
