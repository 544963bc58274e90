"""Colours: far apart, unique, and those of classes told apart by people who see no red or no green."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from picie_core.colors import IGNORE_COLOR, OKABE_ITO, cluster_colors, hex_color, next_color, perceived, rgb_color

TOLD_APART = 0.07
"""In Oklab; 0.02 is what people just notice side by side. The closest of Okabe and Ito's are 0.076 apart."""


def defaults(number: int) -> list[str]:
    """The first default colours, as classes get them one after another."""
    used: list[str] = []
    while len(used) < number:
        used.append(next_color(used))
    return used


def least_distance(colors: list[str]) -> float:
    """How far apart the two most alike are, over all pairs and for the sight that tells them least."""
    lab = perceived(np.array([rgb_color(color) for color in colors]))  # (3, N, 3)
    return min(np.linalg.norm(lab[:, a] - lab[:, b], axis=1).min() for a, b in combinations(range(len(colors)), 2))


@pytest.mark.parametrize("number", (8, 12, 20))
def test_first_colours_are_told_apart_by_any_sight(number: int) -> None:
    """With full sight, without green cones and without red ones, no two of the first twenty look alike."""
    assert least_distance(defaults(number)) > TOLD_APART


def test_forty_classes_still_differ() -> None:
    """Far more classes than colours that can be named: each pair still differs by twice what is noticed."""
    assert least_distance(defaults(40)) > 0.04


def test_no_colour_is_given_twice_and_none_is_that_of_ignore() -> None:
    """As many as a mask can hold."""
    colors = defaults(254)
    assert len(set(colors)) == 254 and IGNORE_COLOR not in colors


def test_simulated_sight_by_hand() -> None:
    """Greys stay what they are; a red and a green that only red-green sight tells apart come close without it."""
    grey, red, green = perceived(np.array([(128, 128, 128), (200, 60, 40), (117, 110, 30)])).swapaxes(0, 1)
    np.testing.assert_allclose(grey[1], grey[0], atol=2e-3)
    np.testing.assert_allclose(grey[2], grey[0], atol=2e-3)
    full, without_green = (np.linalg.norm(red[sight] - green[sight]) for sight in (0, 1))
    assert without_green < 0.35 * full


def test_hexadecimal_there_and_back() -> None:
    """`#rrggbb` is three bytes, and three bytes are it again."""
    assert rgb_color("#0072b2") == (0, 0x72, 0xB2)
    assert [hex_color(rgb_color(color)) for color in OKABE_ITO] == list(OKABE_ITO)


def test_cluster_colors_are_distinct_and_stay():
    """Every cluster of 500 has its own colour, the first ones are far apart, and K does not change them."""
    many = cluster_colors(500)
    assert len(np.unique(many, axis=0)) == 500
    np.testing.assert_array_equal(many[:27], cluster_colors(27))
    first = many[:20].astype(int)
    apart = np.abs(first[:, None] - first[None]).sum(-1) + 1000 * np.eye(20, dtype=int)
    assert apart.min() > 60
    assert np.ptp(many.astype(int), axis=1).min() > 40, "greys are for what has no colour"
