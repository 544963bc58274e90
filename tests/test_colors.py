"""Default colours: unique, and told apart by people who see no red or no green."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from picie_core.colors import IGNORE_COLOR, OKABE_ITO, least_distance, next_color, perceived

TOLD_APART = 0.07
"""In Oklab; 0.02 is what people just notice side by side. The closest of Okabe and Ito's are 0.076 apart."""


def defaults(number: int) -> list[str]:
    """The first default colours, as classes get them one after another."""
    used: list[str] = []
    while len(used) < number:
        used.append(next_color(used))
    return used


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


def test_least_distance_is_that_of_the_worst_pair_and_sight() -> None:
    """Against the slow way: all pairs, all three sights."""
    places = perceived(np.array([tuple(bytes.fromhex(color[1:])) for color in OKABE_ITO]))
    slow = min(
        np.linalg.norm(places[sight, a] - places[sight, b])
        for a, b in combinations(range(len(OKABE_ITO)), 2)
        for sight in range(3)
    )
    assert least_distance(OKABE_ITO) == pytest.approx(slow)
