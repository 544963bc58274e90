"""The two views: every listed transform happens at its probability, draws replay, warps stay aligned on features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from picie_core.training.views.augmentations import (
    CROP_SIDE,
    Geometric,
    apply_geometric,
    apply_photometric,
    draw_geometric,
    draw_photometric,
    uniforms,
)

DRAWS = 4000
NONE = np.array([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 1, 1, 0.5])
"""The 11 numbers of a photometric draw in which nothing is applied."""
COLUMNS = {
    "brightness": ([0, 4], 0.8),
    "contrast": ([1, 5], 0.8),
    "saturation": ([2, 6], 0.8),
    "hue": ([3, 7], 0.8),
    "grey": ([8], 0.2),
    "blur": ([9], 0.5),  # its width stays at 1.05: below 0.2 pixels no pixel changes
}
"""Transform -> the numbers that decide on it, and the probability that the paper gives it."""


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    """(DRAWS, 11) numbers of the photometric draws of as many images."""
    return uniforms(0, 0, list(range(DRAWS)), 1, 11)


def colours(count: int, size: int = 8) -> torch.Tensor:
    """Colourful images (B, 3, S, S), all the same, away from black and white."""
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    return image.repeat(count, 1, 1, 1)


def changed(images: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    """Which images have other pixels than before."""
    return ((images - after).abs().amax((1, 2, 3)) > 1e-4).numpy()


# -- photometric


@pytest.mark.parametrize("name", COLUMNS)
def test_each_transform_changes_pixels_at_its_probability(name, numbers):
    """With all others switched off, the share of images whose pixels change is the probability in the paper."""
    columns, probability = COLUMNS[name]
    alone = np.tile(NONE, (DRAWS, 1))
    alone[:, columns] = numbers[:, columns]
    images = colours(DRAWS, 8 if name != "blur" else 12)
    share = changed(images, apply_photometric(images, draw_photometric(alone))).mean()
    assert share == pytest.approx(probability, abs=0.025)


def test_transforms_are_drawn_independently(numbers):
    """No number of a draw follows from another one, of the same image or of its neighbour."""
    assert np.abs(np.corrcoef(numbers.T) - np.eye(11)).max() < 0.06
    assert np.abs(np.corrcoef(numbers[:-1].T, numbers[1:].T)[:11, 11:]).max() < 0.06


def test_factors_span_their_range(numbers):
    """Brightness and contrast lie in 0.7 to 1.3, blur in 0.1 to 2 pixels, and reach both ends."""
    draw = draw_photometric(numbers)
    brightness = draw.matrix.sum(2)  # grey keeps its hue: each row sums to the brightness factor
    torch.testing.assert_close(brightness[:, 0], brightness[:, 2], atol=1e-5, rtol=0)
    for values, low, high in ((brightness, 0.7, 1.3), (draw.contrast, 0.7, 1.3), (draw.sigma_px, 0, 2)):
        assert low - 1e-5 <= values.min() <= low + 0.01
        assert high - 0.01 <= values.max() <= high + 1e-5


def test_a_draw_of_nothing_changes_nothing():
    """Where no transform is applied, the images come back as they were."""
    images = colours(3, 16)
    draw = draw_photometric(np.tile(NONE, (3, 1)))
    torch.testing.assert_close(apply_photometric(images, draw), images, atol=1e-6, rtol=0)


def test_greyscale_by_hand():
    """A greyscale draw gives three equal channels, the luma of the picture."""
    numbers = NONE.copy()
    numbers[8] = 0
    images = colours(1)
    grey = apply_photometric(images, draw_photometric(numbers[None]))
    luma = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(grey, luma.expand_as(images), atol=1e-4, rtol=0)


def test_brightness_and_contrast_by_hand():
    """Full brightness is times 1.3; full contrast is 1.3 times the distance to the mean grey; both are clipped."""
    images = colours(2)
    numbers = np.tile(NONE, (2, 1))
    numbers[0, [0, 4]], numbers[1, [1, 5]] = (0, 1), (0, 1)
    after = apply_photometric(images, draw_photometric(numbers))
    torch.testing.assert_close(after[0], (images[0] * 1.3).clamp(0, 1), atol=1e-4, rtol=0)
    mean = (images[1].mean((1, 2)) * torch.tensor([0.299, 0.587, 0.114])).sum()
    torch.testing.assert_close(after[1], (mean + 1.3 * (images[1] - mean)).clamp(0, 1), atol=1e-4, rtol=0)


def test_hue_turns_colours_and_leaves_grey():
    """A turn by a tenth of the circle keeps the luma of every pixel and does nothing to grey ones."""
    numbers = NONE.copy()
    numbers[[3, 7]] = 0, 1
    draw = draw_photometric(np.tile(numbers, (2, 1)))
    images = torch.stack([colours(1)[0], torch.full((3, 8, 8), 0.4)])
    after = apply_photometric(images, draw)
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    torch.testing.assert_close((after * luma).sum(1), (images * luma).sum(1), atol=1e-3, rtol=0)
    assert changed(images, after).tolist() == [True, False]


def test_blur_by_hand():
    """A bright pixel spreads into a Gaussian of the drawn sigma; only images with a sigma are touched."""
    images = torch.zeros(2, 3, 25, 25)
    images[:, :, 12, 12] = 1
    numbers = np.tile(NONE, (2, 1))
    numbers[1, [9, 10]] = 0, 0.5  # sigma 1.05
    after = apply_photometric(images, draw_photometric(numbers))
    torch.testing.assert_close(after[0], images[0])
    offset = torch.arange(-12, 13.0)
    line = torch.exp(-(offset**2) / (2 * 1.05**2))
    expected = torch.outer(line, line) / line.sum() ** 2
    torch.testing.assert_close(after[1], expected.expand(3, -1, -1), atol=1e-4, rtol=0)


# -- replay


def test_a_view_belongs_to_seed_epoch_and_image():
    """The same (seed, epoch, image, view) gives the same numbers in any batch; any other gives others."""
    base = uniforms(0, 1, [5, 6, 7], 1, 11)
    np.testing.assert_array_equal(base[1], uniforms(0, 1, [6], 1, 11)[0])
    np.testing.assert_array_equal(base[::-1], uniforms(0, 1, [7, 6, 5], 1, 11))
    for other in ((1, 1, [6], 1), (0, 2, [6], 1), (0, 1, [8], 1), (0, 1, [6], 2)):
        assert not np.isin(uniforms(*other, 11), base).any()


# -- geometric


def ramp(size: int) -> torch.Tensor:
    """(1, 2, S, S): each pixel holds its own centre (y, x) as a share of the image."""
    centres = (torch.arange(size) + 0.5) / size
    return torch.stack(torch.meshgrid(centres, centres, indexing="ij"))[None]


def test_pixels_and_features_are_warped_alike():
    """A map of coordinates, warped at full and at a quarter size, shows the same places to a tenth of a cell."""
    draw = draw_geometric(uniforms(0, 0, list(range(200)), 0, 4))
    pixels = apply_geometric(ramp(128).expand(200, -1, -1, -1), draw, 64)
    cells = apply_geometric(ramp(32).expand(200, -1, -1, -1), draw, 16)
    pooled = torch.nn.functional.avg_pool2d(pixels, 4)
    inner = slice(1, -1)  # at the border the outermost cell is repeated, half a cell at most
    assert ((pooled - cells)[:, :, inner, inner].abs() * 32).max() < 0.1
    assert ((pooled - cells).abs() * 32).max() <= 0.5


def test_crop_shows_what_its_box_says():
    """The corners of the crop are those of the drawn box, mirrored where the draw flips."""
    draw = draw_geometric(uniforms(0, 0, list(range(50)), 0, 4))
    warped = apply_geometric(ramp(256).expand(50, -1, -1, -1), draw, 64)
    half = draw.side / 128
    top, left = warped[:, 0, 0, 0], warped[:, 1].amin((1, 2))
    torch.testing.assert_close(top, draw.top + half, atol=2e-3, rtol=0)
    torch.testing.assert_close(left, draw.left + half, atol=2e-3, rtol=0)
    assert torch.equal(warped[:, 1, 0, 0] > warped[:, 1, 0, -1], draw.flip)


def test_crop_and_flip_at_their_probability():
    """Sides are even between a half and the whole, boxes stay inside, half of the images are flipped."""
    draw = draw_geometric(uniforms(0, 0, list(range(DRAWS)), 0, 4))
    low, high = CROP_SIDE
    np.testing.assert_allclose(np.quantile(draw.side, [0, 0.5, 1]), [low, (low + high) / 2, high], atol=0.015)
    assert draw.top.min() >= 0 and (draw.top + draw.side).max() <= 1 + 1e-6
    assert draw.left.min() >= 0 and (draw.left + draw.side).max() <= 1 + 1e-6
    assert draw.flip.float().mean() == pytest.approx(0.5, abs=0.025)


def test_flip_is_exact():
    """The whole image, flipped, is the mirror image; not flipped, it is the image."""
    image = colours(2, 32)
    whole = Geometric(torch.zeros(2), torch.zeros(2), torch.ones(2), torch.tensor([False, True]))
    after = apply_geometric(image, whole, 32)
    torch.testing.assert_close(after[0], image[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[1], image[1].flip(-1), atol=1e-5, rtol=0)
