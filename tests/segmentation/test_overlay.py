"""Overlays by hand: what is mixed, what stays, and where the outline is."""

from __future__ import annotations

import numpy as np

from picie_core.colors import cluster_colors
from picie_core.segmentation.overlay import overlay


def test_overlay_by_hand():
    """Half opacity is the mean; hidden ids and ids without a colour leave the picture as it is."""
    image = np.full((1, 4, 3), 100, np.uint8)
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    painted = overlay(image, labels, {0: (200, 0, 100), 1: (0, 0, 0), 255: (9, 9, 9)}, 0.5, hidden={1})
    assert painted.dtype == np.uint8
    np.testing.assert_array_equal(painted[0], [(150, 50, 100), (100,) * 3, (100,) * 3, (55,) * 3])
    np.testing.assert_array_equal(overlay(image, labels, {0: (1, 2, 3)}, 0.0), image)
    np.testing.assert_array_equal(image, 100)


def test_overlay_outline_is_in_full_colour():
    """Both sides of a border carry their own colour, the inside the mixed one; a hidden side has no line."""
    image, labels = np.zeros((3, 6, 3), np.uint8), np.repeat([[0, 0, 0, 1, 1, 1]], 3, axis=0)
    colors = np.array([[200, 0, 0], [0, 200, 0]])
    row = overlay(image, labels, colors, 0.5, outline=True)[1]
    assert row.tolist() == [[100, 0, 0]] * 2 + [[200, 0, 0], [0, 200, 0]] + [[0, 100, 0]] * 2
    row = overlay(image, labels, colors, 0.5, hidden=[1], outline=True)[1]
    assert row.tolist() == [[100, 0, 0]] * 2 + [[200, 0, 0]] + [[0, 0, 0]] * 3


def test_overlay_takes_cluster_ids_above_255():
    """Raw masks of many clusters are painted as well."""
    painted = overlay(np.zeros((1, 2, 3), np.uint8), np.array([[299, 7]], np.uint16), cluster_colors(300), 1.0)
    np.testing.assert_array_equal(painted[0], cluster_colors(300)[[299, 7]])
