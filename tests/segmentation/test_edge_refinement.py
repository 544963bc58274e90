"""Edge refinement against slow versions, and on a picture with a known edge."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from picie_core.data.feature_grid import positions_of_pixels
from picie_core.errors import SettingError
from picie_core.segmentation.edge_refinement import guided_filter, pamr, refine_scores
from picie_core.segmentation.upsampling import upsample


def some_maps(channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((channels, height, width)).astype(np.float32))


def slow_guided(guide: np.ndarray, maps: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """Ridge regression of every map on the colours in every window, then the mean of all fits that cover a pixel."""
    _, height, width = guide.shape
    fits = np.zeros((height, width, 4, len(maps)))
    for y in range(height):
        for x in range(width):
            window = np.s_[:, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            colors, values = guide[window].reshape(3, -1).T, maps[window].reshape(len(maps), -1).T
            centred = colors - colors.mean(0)
            spread = centred.T @ centred / len(colors) + smoothness * np.eye(3)
            slope = np.linalg.solve(spread, centred.T @ (values - values.mean(0)) / len(colors))
            fits[y, x, :3], fits[y, x, 3] = slope, values.mean(0) - colors.mean(0) @ slope
    refined = np.zeros_like(maps)
    for y in range(height):
        for x in range(width):
            around = fits[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].mean((0, 1))
            refined[:, y, x] = guide[:, y, x] @ around[:3] + around[3]
    return refined


@pytest.mark.parametrize("radius, smoothness", [(2, 1e-2), (5, 1e-3)])
def test_guided_filter_equals_a_regression_in_every_window(radius, smoothness):
    """Against the definition in the paper, window by window, borders included."""
    guide, maps = some_maps(3, 11, 14), some_maps(2, 11, 14, 1)
    expected = slow_guided(guide.double().numpy(), maps.double().numpy(), radius, smoothness)
    np.testing.assert_allclose(guided_filter(guide, maps, radius, smoothness).numpy(), expected, atol=2e-3)


def slow_pamr(image: np.ndarray, maps: np.ndarray, dilations: tuple[int, ...], iterations: int) -> np.ndarray:
    """Pixel by pixel: the neighbours' colours, their weights, the weighted means."""
    _, height, width = image.shape

    def at(array: np.ndarray, y: int, x: int) -> np.ndarray:
        return array[:, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    steps = [(d * a, d * b) for d in dilations for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    for _ in range(iterations):
        after = np.zeros_like(maps)
        for y in range(height):
            for x in range(width):
                near = np.array([at(image, y + a, x + b) for a, b in steps])
                varies = np.concatenate([near, np.tile(image[:, y, x], (len(dilations), 1))]).std(0, ddof=1)
                apart = (np.abs(near - image[:, y, x]) / (1e-8 + 0.1 * varies)).mean(1)
                weights = np.exp(-apart) / np.exp(-apart).sum()
                after[:, y, x] = weights @ np.array([at(maps, y + a, x + b) for a, b in steps])
        maps = after
    return maps


def test_pamr_equals_a_loop_over_pixels():
    """Against the definition in the paper, neighbour by neighbour, borders repeated."""
    image, maps = some_maps(3, 7, 9), some_maps(2, 7, 9, 1)
    expected = slow_pamr(image.double().numpy(), maps.double().numpy(), (1, 3), 3)
    np.testing.assert_allclose(pamr(image, maps, (1, 3), 3).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("method", ["guided", "pamr"])
def test_a_refinement_moves_the_border_to_the_edge_of_the_picture(method):
    """The scores have the edge some pixels too far left; refined, more pixels are on their own side of it."""
    rng = np.random.default_rng(0)
    truth = np.arange(64)[None, :].repeat(48, 0) >= 30
    image = (np.where(truth[..., None], 190, 60) + rng.normal(size=(48, 64, 3)) * 4).clip(0, 255).astype(np.uint8)
    scores = np.zeros((3, 12, 16), np.float32)
    scores[0], scores[2] = 0.6, 0.1
    scores[1, :, 6:] = 1.2  # the border lies at pixel 24 or so
    plain = upsample(scores, positions_of_pixels(48, 12), positions_of_pixels(64, 16)).argmax(0)
    refined = refine_scores(scores, image, method)
    assert refined.shape == (3, 48, 64)
    before, after = (float(((labels == 1) == truth).mean()) for labels in (plain, refined.argmax(0)))
    assert before < 0.93 and after > before + 0.04
    np.testing.assert_allclose(refined[2], 0.1, atol=1e-5)  # nowhere among the best two: as it was


@pytest.mark.parametrize("method", ["guided", "pamr"])
def test_equal_scores_stay_equal(method):
    """Refinements are linear and keep constants: a picture, however noisy, adds nothing of its own."""
    image = np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)
    np.testing.assert_allclose(refine_scores(np.full((2, 5, 6), 0.4, np.float32), image, method), 0.4, atol=1e-4)


def test_an_unknown_refinement_is_refused():
    """The message lists what there is."""
    with pytest.raises(SettingError, match=r"refine='crf' is unknown: choose one of none, guided, pamr"):
        refine_scores(np.zeros((2, 3, 3), np.float32), np.zeros((12, 12, 3), np.uint8), "crf")
