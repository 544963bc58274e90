"""Photometric and geometric augmentations, batched and on the device.

Their random numbers belong to (seed, epoch, image), so clustering, training and a resumed training see the same views.

[1] Cho et al., PiCIE, CVPR 2021, section 3.2 and supplement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

JITTER_P, JITTER, HUE_TURN = 0.8, 0.3, 0.1
"""Brightness, contrast and saturation factors lie in 1 -+ JITTER, hue shifts by up to HUE_TURN of the circle [1]."""
GREY_P = 0.2
BLUR_P, BLUR_SIGMA_PX = 0.5, (0.1, 2.0)
CROP_SIDE = (0.5, 1.0)
FLIP_P = 0.5
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Photometric:
    """One photometric augmentation for each of B images."""

    matrix: Tensor
    """(B, 3, 3) brightness, saturation, hue and greyscale in one linear map of RGB."""
    contrast: Tensor
    """(B,) factor about the mean grey; 1 is none."""
    sigma_px: Tensor
    """(B,) Gaussian blur; 0 is none."""


@dataclass(frozen=True)
class Geometric:
    """One square crop and flip for each of B images, in relative coordinates, to apply to features too."""

    top: Tensor
    """(B,) share of the height; `left` of the width, `side` of both."""
    left: Tensor
    side: Tensor
    flip: Tensor
    """(B,) bool, left to right, after the crop."""


def uniforms(seed: int, epoch: int, image_ids: list[int], stream: int, count: int) -> np.ndarray:
    """Returns (B, count) numbers in [0, 1) that belong to (seed, epoch, image, stream) and nothing else."""
    return np.stack([np.random.default_rng((seed, epoch, image_id, stream)).random(count) for image_id in image_ids])


def draw_photometric(u: np.ndarray) -> Photometric:
    """Returns the augmentations that (B, 11) uniform random numbers choose."""
    applied = u[:, :4] < JITTER_P
    factor = np.where(applied[:, :3], 1 + JITTER * (2 * u[:, 4:7] - 1), 1.0)
    turn = np.where(applied[:, 3], HUE_TURN * (2 * u[:, 7] - 1), 0.0)
    saturation = np.where(u[:, 8] < GREY_P, 0.0, factor[:, 2])
    matrix = factor[:, 0, None, None] * (_saturate(saturation) @ _turn_hue(turn))
    low, high = BLUR_SIGMA_PX
    sigma = np.where(u[:, 9] < BLUR_P, low + (high - low) * u[:, 10], 0.0)
    return Photometric(*(torch.from_numpy(a).float() for a in (matrix, factor[:, 1], sigma)))


def _saturate(factor: np.ndarray) -> np.ndarray:
    """(B,) -> (B, 3, 3): the blend of the grey image and the image; 0 is grey."""
    grey = np.tile(np.array(LUMA), (3, 1))
    return grey + factor[:, None, None] * (np.eye(3) - grey)


def _turn_hue(turn: np.ndarray) -> np.ndarray:
    """(B,) -> (B, 3, 3): rotation of the colour plane by a share of the circle, brightness kept.

    differs from PiCIE: the rotation is linear (in YIQ) instead of through HSV, so all colour changes are one matrix.
    """
    to_yiq = np.array([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
    angle = 2 * math.pi * turn
    rotation = np.zeros((len(turn), 3, 3))
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = np.cos(angle)
    rotation[:, 1, 2], rotation[:, 2, 1] = -np.sin(angle), np.sin(angle)
    return np.linalg.inv(to_yiq) @ rotation @ to_yiq


def apply_photometric(images: Tensor, draw: Photometric) -> Tensor:
    """Returns images (B, 3, H, W), floats 0..1, augmented and clipped to 0..1.

    differs from PiCIE: all but contrast and blur are one matrix, and values are clipped once; there brightness,
    contrast, saturation and hue follow each other, each clipped.
    """
    batch, _, height, width = images.shape
    matrix = draw.matrix.to(images)
    changed = torch.bmm(matrix, images.reshape(batch, 3, -1)).view(batch, 3, height, width)
    grey = (changed.mean((2, 3)) @ torch.tensor(LUMA).to(images)).view(-1, 1, 1, 1)
    contrast = draw.contrast.to(images).view(-1, 1, 1, 1)
    return _blur(torch.clamp(grey + contrast * (changed - grey), 0, 1), draw.sigma_px.to(images))


def _blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Gaussian blur with a sigma for each image, 0 for none."""
    chosen = torch.nonzero(sigma_px > 0).flatten()
    if not len(chosen):
        return images
    radius = math.ceil(3 * BLUR_SIGMA_PX[1])
    offset = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.softmax(-(offset**2) / (2 * sigma_px[chosen, None] ** 2), 1)  # (n, taps)
    kernel = kernel.repeat_interleave(3, 0)[:, None]  # (3n, 1, taps)
    some = images[chosen].flatten(0, 1)[None]  # (1, 3n, H, W)
    some = F.conv2d(F.pad(some, (0, 0, radius, radius), "reflect"), kernel[..., None], groups=kernel.shape[0])
    some = F.conv2d(F.pad(some, (radius, radius, 0, 0), "reflect"), kernel[:, :, None], groups=kernel.shape[0])
    return images.index_copy(0, chosen, some[0].unflatten(0, (-1, 3)))


def draw_geometric(u: np.ndarray) -> Geometric:
    """Returns the crops and flips that (B, 4) uniform random numbers choose."""
    low, high = CROP_SIDE
    side = torch.from_numpy(low + (high - low) * u[:, 0]).float()
    top, left = (torch.from_numpy(u[:, i]).float() * (1 - side) for i in (1, 2))
    return Geometric(top, left, side, flip=torch.from_numpy(u[:, 3] < FLIP_P))


def apply_geometric(maps: Tensor, draw: Geometric, out_px: int, mode: str = "bilinear") -> Tensor:
    """Returns the crops of square maps (B, C, S, S), images or features, as (B, C, out_px, out_px).

    differs from PiCIE: one box in relative coordinates samples both, so pixels and features are exactly aligned.
    """
    steps = (torch.arange(out_px, device=maps.device, dtype=torch.float32) + 0.5) / out_px
    side = draw.side.to(maps.device)[:, None]
    across = torch.where(draw.flip.to(maps.device)[:, None], 1 - steps, steps)  # (B, out_px)
    x = draw.left.to(maps.device)[:, None] + side * across
    y = draw.top.to(maps.device)[:, None] + side * steps
    grid = torch.stack([x[:, None, :].expand(-1, out_px, -1), y[:, :, None].expand(-1, -1, out_px)], 3)
    return F.grid_sample(maps, (2 * grid - 1).to(maps.dtype), mode=mode, padding_mode="border", align_corners=False)
