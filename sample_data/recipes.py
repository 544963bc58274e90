"""Scene recipes: where the camera stands and what stands around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from buildings import draw_building
from ground import Lake, Road
from layout import BROAD, BUSH, CONIFER, Rng, Scene, belt, fronts, rows, stand, traffic


def lakeside(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a mountain lake with a wooded far shore."""
    scene = stand(rng, size, (2.5, 7), (0.44, 0.58))
    far = float(rng.uniform(110, 260))
    near = float(rng.uniform(1.6, 3.2) * scene.camera.eye)
    body = tuple(rng.uniform((0.12, 0.28, 0.36), (0.24, 0.44, 0.58)))
    scene.plot.lake = Lake(near, far, wander=float(rng.uniform(1.5, 4)), ripple=float(rng.uniform(0.5, 1.3)), body=body)
    scene.mountains, scene.hills = float(rng.uniform(1.3, 1.8)), bool(rng.random() < 0.2)
    belt(scene, rng, (far + 6, far + 40), 75, CONIFER if rng.random() < 0.6 else BROAD + CONIFER, 0.0, (8, 15))
    side = rng.choice([-1, 1])
    for _ in range(int(rng.integers(0, 3))):
        z = float(0.9 * near)
        scene.plant(
            rng,
            float(side * z * rng.uniform(0.35, 0.6)),
            z,
            float(z * rng.uniform(0.4, 0.8)),
            BROAD + CONIFER,
        )
    return scene


def alpine(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a meadow with conifers under big mountains."""
    scene = stand(rng, size, (1.8, 6), (0.54, 0.68))
    scene.mountains, scene.hills = float(rng.uniform(1.5, 2.0)), bool(rng.random() < 0.6)
    belt(scene, rng, (75, 100), 60, CONIFER, float(rng.uniform(0, 10)), (7, 12))
    belt(scene, rng, (12, 24), int(rng.integers(1, 3)), CONIFER + BROAD, 4.0, (8, 14))
    if rng.random() < 0.5:
        scene.build(draw_building(rng, float(rng.uniform(-25, 12)), float(rng.uniform(35, 60)), "house"))
    return scene


def country_road(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a road through farmland."""
    scene = stand(rng, size, (1.8, 5), (0.36, 0.52))
    surface = "dirt" if rng.random() < 0.2 else "asphalt"
    scene.plot.road = Road(
        offset=float(rng.uniform(-4, 4)),
        half_width=float(rng.uniform(3, 4.2)),
        bend=float(rng.normal(0, 0.004)),
        heading=float(rng.normal(0, 0.06)),
        surface=surface,
    )
    scene.hills, scene.mountains = True, float(rng.choice([0.0, 1.2, 1.6]))
    rows(scene, rng, float(rng.uniform(3, 6)), float(rng.uniform(25, 40)), (9, 14), BROAD)
    belt(scene, rng, (60, 80), 45, BROAD + CONIFER, 7.0, (8, 14))
    traffic(scene, rng, 1, 10.0)
    if rng.random() < 0.6:
        scene.build(draw_building(rng, float(rng.choice([-30, 14])), float(rng.uniform(30, 50)), "house"))
    return scene


def street(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a town street with fronts, trees and parked cars."""
    scene = stand(rng, size, (1.6, 4), (0.42, 0.56))
    scene.plot.road = Road(float(rng.uniform(-3, 3)), float(rng.uniform(4, 6)), pavement=float(rng.uniform(2, 3.5)))
    scene.mountains = float(rng.choice([0.0, 0.0, 0.9]))
    fronts(scene, rng, "block", float(rng.choice([0.3, 4.0])), 9, 170)
    rows(scene, rng, 1.0, float(rng.uniform(11, 18)), (7, 10), BROAD)
    traffic(scene, rng, 2, 9.0, int(rng.integers(2, 4)))
    return scene


def boulevard(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a wide road with traffic before a skyline of towers."""
    scene = stand(rng, size, (2.2, 6), (0.45, 0.62))
    scene.plot.road = Road(float(rng.uniform(-4, 4)), float(rng.uniform(6.5, 9)), pavement=2.5)
    fronts(scene, rng, "tower", float(rng.uniform(12, 22)), 45, 300)
    rows(scene, rng, 5.5, 16, (10, 14), BROAD)
    traffic(scene, rng, 3, 9.0)
    return scene


def woodland(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a clearing at the edge of a wood, sometimes with a track."""
    scene = stand(rng, size, (1.6, 3.5), (0.42, 0.6))
    if rng.random() < 0.5:
        scene.plot.road = Road(float(rng.uniform(-2, 2)), 1.9, float(rng.normal(0, 0.006)), surface="dirt")
    belt(scene, rng, (20, 40), 45, BROAD + CONIFER if rng.random() < 0.5 else BROAD, 3.0, (9, 16))
    for _ in range(int(rng.integers(1, 4))):
        z = float(rng.uniform(9, 18))
        scene.plant(rng, float(rng.choice([-1, 1]) * z * rng.uniform(0.18, 0.6)), z, float(rng.uniform(6, 12)), BROAD)
    return scene


def coast(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a road along the sea with headlands."""
    scene = stand(rng, size, (2.5, 8), (0.42, 0.54))
    body = tuple(rng.uniform((0.10, 0.30, 0.40), (0.22, 0.46, 0.60)))
    scene.plot.road = Road(float(rng.uniform(-9, -5)), 3.6, float(rng.normal(0, 0.001)), -0.12)
    scene.plot.lake = Lake(2.0, 1e5, left=float(rng.uniform(0, 3)), wander=2.0, ripple=1.3, body=body)
    scene.mountains = float(rng.uniform(1.0, 1.5))
    traffic(scene, rng, 1, 11.0)
    for z in np.arange(22, 110, 7):
        x = float(scene.plot.road.centre(z) - rng.uniform(7, 20))
        scene.plant(rng, x, float(z), float(rng.uniform(9, 14)), BROAD if rng.random() < 0.6 else CONIFER)
    return scene


def village(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return houses with gardens along a lane, hills behind."""
    scene = stand(rng, size, (1.8, 5.5), (0.4, 0.54))
    scene.plot.road = Road(float(rng.uniform(-4, 4)), 3.0, float(rng.normal(0, 0.002)), pavement=1.2)
    scene.hills, scene.mountains = True, float(rng.choice([0.0, 1.4]))
    fronts(scene, rng, "house", float(rng.uniform(2.5, 6)), 11, 110)
    rows(scene, rng, 3.0, 16, (3, 7), BROAD + BUSH)
    belt(scene, rng, (110, 140), 40, BROAD, 6.0)
    traffic(scene, rng, 1, 13.0, int(rng.integers(1, 3)))
    return scene


def waterfront(rng: Rng, size: tuple[int, int]) -> Scene:
    """Return a town mirrored in a river, seen from the near bank."""
    scene = stand(rng, size, (2.5, 6), (0.4, 0.55))
    far = float(rng.uniform(45, 110))
    near = float(rng.uniform(1.8, 3.5) * scene.camera.eye)
    body = tuple(rng.uniform((0.14, 0.28, 0.32), (0.25, 0.40, 0.48)))
    scene.plot.lake = Lake(near, far, wander=0.6, ripple=float(rng.uniform(0.6, 1.2)), body=body)
    reach = 0.7 * far
    x = -reach
    while x < reach:
        b = draw_building(rng, x, far + 5 + rng.uniform(0, 3), "tower" if rng.random() < 0.15 else "block")
        scene.build(b)
        x += b.width + rng.uniform(0, 6)
    for tx in np.arange(-reach, reach, 14):
        scene.plant(rng, float(tx + rng.uniform(-3, 3)), far + 3.5, float(rng.uniform(8, 12)), BROAD)
    return scene


RECIPES: tuple[Callable[[Rng, tuple[int, int]], Scene], ...] = (
    lakeside, country_road, alpine, street, coast, woodland, lakeside, village,
    coast, country_road, waterfront, lakeside, alpine, boulevard, woodland, country_road,
)  # fmt: skip
