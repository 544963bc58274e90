"""Paired views: images, masks and maps of view 1 show the same crop, at the size that is asked for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from picie_core.training.views.paired_views import AlignedViews

SIDE = 64


def two_halves(count: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 3, 64, 64) uint8, dark at the left and light at the right, and masks that say which it is."""
    masks = (torch.arange(SIDE) >= SIDE // 2).to(torch.uint8).expand(count, SIDE, SIDE).contiguous()
    return (60 + 130 * masks[:, None]).expand(-1, 3, -1, -1).contiguous(), masks


@pytest.mark.parametrize(("scale", "side"), [(0.5, 32), (0.75, 48), (1.0, 64)])
def test_masks_follow_their_images(scale, side):
    """Image, mask and feature maps of both views have the side that the scale says; light pixels are class 1."""
    images, masks = two_halves()
    views = AlignedViews((1, 2), seed=0, epoch=0, ids=list(range(len(images))), scale=scale)
    shown, truth = views.images(images), views.masks(masks)
    assert shown[1].shape == (len(images), 3, side, side) and truth.shape == (len(images), side, side)
    maps = views.maps(lambda view, unit: F.avg_pool2d(view, 4), shown)
    assert maps[0].shape == maps[1].shape == (len(images), 3, side // 4, side // 4)
    grey, right = shown[1].mean(1), truth == 1
    both = [one for one in range(len(images)) if 0.1 < right[one].float().mean() < 0.9]
    assert len(both) > 5
    for one in both:
        assert grey[one][right[one]].mean() > grey[one][~right[one]].mean() + 0.1
