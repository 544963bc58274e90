"""Edge refinement: scores that follow the edges of the image, by a guided filter or by PAMR.

Both are linear in the scores and work at the size that the network sees, so a mask is refined alike whatever size it
is written at.

[1] He, Sun, Tang: Guided image filtering, TPAMI 2013. [2] Araslanov, Roth: Single-stage semantic segmentation from
image labels, CVPR 2020 (pixel-adaptive mask refinement, PAMR).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from picie_core.data.feature_grid import positions_of_pixels
from picie_core.errors import SettingError
from picie_core.segmentation.upsampling import upsample

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("none", "guided", "pamr")
RADIUS_PX, SMOOTHNESS = 16, 1e-3
"""Of the guided filter: half the side of its windows, and the variance of colours in 0 to 1 that counts as an edge."""
DILATIONS, ITERATIONS = (1, 2, 4, 8), 10
"""Of PAMR: how far the eight neighbours of each ring are, and how often scores are mixed."""


def refine_scores(
    scores: np.ndarray, image: np.ndarray, method: str, between: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Returns scores (C, h, w) at the size of the image, (C, H, W), borders of channels drawn to its edges.

    image: uint8 (H, W, 3) at the size that the network sees; method: guided or pamr; between: where its rows and
    columns lie between the positions of the scores, for a part of an image; None where both are whole. Channels that
    are nowhere among the best two are upsampled only. Raises SettingError for another method.
    """
    if method not in METHODS[1:]:
        raise SettingError(f"refine={method!r} is unknown: choose one of {', '.join(METHODS)}")
    import torch

    height, width = image.shape[:2]
    whole = positions_of_pixels(height, scores.shape[1]), positions_of_pixels(width, scores.shape[2])
    rows, columns = between or whole
    full = upsample(scores, rows, columns)  # (C, H, W)
    best = min(2, len(scores))
    live = np.unique(np.argpartition(-scores, best - 1, axis=0)[:best])  # among the best two somewhere
    guide = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255  # (3, H, W)
    with torch.inference_mode():
        maps = torch.from_numpy(full[live])
        refined = guided_filter(guide, maps) if method == "guided" else pamr(guide, maps)
    full[live] = refined.numpy()
    return full


# -- guided filter [1]


def guided_filter(guide: Tensor, maps: Tensor, radius: int = RADIUS_PX, smoothness: float = SMOOTHNESS) -> Tensor:
    """Returns the maps (C, H, W) as the linear functions of the guide's colours (3, H, W) that fit them best nearby.

    Equations 14 to 16 of [1], windows clipped at the borders: a mean where the guide is flat, an edge where it has one.
    """
    import torch

    count = len(maps)
    products = guide[:, None] * guide[None]  # (3, 3, H, W)
    mean = _window_mean(guide, radius)
    spread = _window_mean(products.flatten(0, 1), radius).unflatten(0, (3, 3)) - mean[:, None] * mean[None]
    mean_map = _window_mean(maps, radius)
    both = _window_mean((guide[:, None] * maps[None]).flatten(0, 1), radius).unflatten(0, (3, count))
    both = both - mean[:, None] * mean_map[None]  # covariance of colour and map, (3, C, H, W)
    spread = spread.permute(2, 3, 0, 1) + smoothness * torch.eye(3)
    slope = torch.linalg.solve(spread, both.permute(2, 3, 0, 1)).permute(2, 3, 0, 1)  # (3, C, H, W)
    offset = mean_map - (slope * mean[:, None]).sum(0)
    slope = _window_mean(slope.flatten(0, 1), radius).unflatten(0, (3, count))
    return (slope * guide[:, None]).sum(0) + _window_mean(offset, radius)


def _window_mean(maps: Tensor, radius: int) -> Tensor:
    """The mean of each map (C, H, W) over squares of side 2 radius + 1, clipped at the borders; rows, then columns."""
    from torch.nn.functional import avg_pool2d

    side = 2 * radius + 1
    rows = avg_pool2d(maps, (side, 1), 1, (radius, 0), count_include_pad=False)
    return avg_pool2d(rows, (1, side), 1, (0, radius), count_include_pad=False)


# -- PAMR [2]


def pamr(image: Tensor, maps: Tensor, dilations: tuple[int, ...] = DILATIONS, iterations: int = ITERATIONS) -> Tensor:
    """Returns the maps (C, H, W) after some rounds of mixing with neighbours of alike colour in the image (3, H, W).

    Each pixel becomes a mean of the eight neighbours of each ring, weighted by how near their colours are, in units
    of how much colours vary there.
    """
    import torch

    neighbours = torch.stack([_neighbours(image, step) for step in dilations]).flatten(0, 1)  # (8 R, 3, H, W)
    with_centres = torch.cat([neighbours, image[None].expand(len(dilations), -1, -1, -1)])  # one a ring, as in [2]
    apart = (neighbours - image).abs() / (1e-8 + 0.1 * with_centres.std(0))
    weights = torch.softmax(-apart.mean(1), 0)  # (8 R, H, W)
    for _ in range(iterations):
        mixed = torch.zeros_like(maps)
        for ring, step in enumerate(dilations):
            for near, weight in zip(_neighbours(maps, step), weights[8 * ring :], strict=False):
                mixed.addcmul_(near, weight)
        maps = mixed
    return maps


def _neighbours(maps: Tensor, step: int) -> Tensor:
    """The eight neighbours at a distance of each pixel, (8, C, H, W), row by row; borders are repeated outwards."""
    import torch
    from torch.nn.functional import pad

    height, width = maps.shape[-2:]
    wide = pad(maps[None], (step,) * 4, mode="replicate")[0]
    shifts = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    return torch.stack([wide[:, y * step : y * step + height, x * step : x * step + width] for y, x in shifts])
