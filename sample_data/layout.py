"""Contents of a scene, and the arrangements that recipes share: woods, rows of trees, fronts, traffic."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from buildings import Building, draw_building
from camera import Camera
from daylight import TIMES, Light, draw_light, linear
from ground import Plot
from trees import FOLIAGE, Tree
from vehicles import Vehicle, draw_vehicle

Rng = np.random.Generator
# Sprites are made in this order for every scene: two broadleaves, two conifers, one bush.
BROAD, CONIFER, BUSH = (0, 1), (2, 3), (4,)
GRASS = [
    ((0.36, 0.46, 0.20), (0.50, 0.56, 0.28)), ((0.30, 0.42, 0.22), (0.42, 0.52, 0.26)),
    ((0.66, 0.58, 0.34), (0.52, 0.50, 0.28)), ((0.58, 0.54, 0.36), (0.74, 0.66, 0.42)),
    ((0.42, 0.50, 0.30), (0.62, 0.60, 0.34)), ((0.40, 0.44, 0.34), (0.48, 0.50, 0.36)),
]  # fmt: skip


@dataclass
class Scene:
    """Everything a picture shows; mountains is the size of the range, 0 for none."""

    camera: Camera
    light: Light
    plot: Plot
    season: str
    mountains: float = 0.0
    hills: bool = False
    trees: list[Tree] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    vehicles: list[Vehicle] = field(default_factory=list)

    def plant(self, rng: Rng, x: float, z: float, height: float, kinds: tuple[int, ...]) -> None:
        """Add a tree of one of the kinds; close ones throw a shadow."""
        colours = FOLIAGE["dark" if kinds == CONIFER else self.season]
        colour = linear(*colours[rng.integers(len(colours))]) * np.float32(rng.uniform(0.5, 0.85))
        self.trees.append(Tree(x, z, height, colour, int(rng.choice(kinds)), bool(rng.random() < 0.5)))
        if z < 90:
            self.plot.casters.append((x, z, height, 0.26 * height))

    def park(self, rng: Rng, x: float, z: float, heading: float) -> None:
        """Add a vehicle with the shadow beneath it."""
        vehicle = draw_vehicle(rng, x, z, heading + rng.normal(0, 0.03))
        if vehicle.kind == "bus" and z < 16:
            vehicle = replace(vehicle, kind="car")
        self.vehicles.append(vehicle)
        for end in (-1.1, 1.1):
            self.plot.casters.append((x + end * np.sin(heading), z + end * np.cos(heading), 1.3, 1.45))

    def build(self, building: Building) -> None:
        """Add a building with its shadow."""
        self.buildings.append(building)
        b = building
        self.plot.casters.append((b.x + b.width / 2, b.z + b.length / 2, b.height, 0.5 * (b.width + b.length) / 1.6))


def stand(rng: Rng, size: tuple[int, int], eye: tuple[float, float], horizon: tuple[float, float]) -> Scene:
    """Return an empty scene with camera, light, meadow and season drawn from rng; size in render pixels."""
    width, height = size
    camera = Camera(
        width,
        height,
        eye=float(rng.uniform(*eye)),
        focal=float(width * rng.uniform(0.75, 1.25)),
        horizon=float(height * rng.uniform(*horizon)),
        roll=float(np.radians(np.clip(rng.normal(0, 0.9), -2.2, 2.2))),
    )
    light = draw_light(rng, str(rng.choice(TIMES, p=[0.44, 0.24, 0.19, 0.05, 0.08])))
    grass = np.stack([linear(*c) for c in GRASS[rng.integers(len(GRASS))]]) * np.float32(rng.uniform(1.0, 1.3))
    season = str(rng.choice(["summer", "autumn", "spring"], p=[0.55, 0.3, 0.15]))
    return Scene(camera, light, Plot(grass), season)


def belt(
    scene: Scene,
    rng: Rng,
    z: tuple[float, float],
    count: int,
    kinds: tuple[int, ...],
    gap: float = 0.0,
    height: tuple[float, float] = (13, 21),
) -> None:
    """Plant a wood between two distances, across the picture but for a gap (metres) round the middle."""
    # Even steps across with a little disorder close the wood like a wall; chance alone leaves holes.
    for place in np.linspace(-0.62, 0.62, count) + rng.uniform(-0.3, 0.3, count) / count:
        depth = float(rng.uniform(*z))
        x = float(place * depth * scene.camera.width / scene.camera.focal)
        if abs(x) > gap:
            scene.plant(rng, x, depth, float(rng.uniform(*height)), kinds)


def rows(scene: Scene, rng: Rng, off: float, step: float, height: tuple[float, float], kinds: tuple[int, ...]) -> None:
    """Plant trees along both sides of the road, off metres from its edge."""
    road = scene.plot.road
    for z in np.arange(rng.uniform(9, 14), 120, step):
        for side in (-1, 1):
            if rng.random() < 0.72:
                x = float(road.centre(z) + side * (road.half_width + off + rng.uniform(0, 1.0)))
                scene.plant(rng, x, float(z + rng.uniform(-1, 1)), float(rng.uniform(*height)), kinds)


def traffic(scene: Scene, rng: Rng, count: int, near: float, parked: int = 0) -> None:
    """Put vehicles in the lanes, and parked ones along the edges."""
    road = scene.plot.road
    lane = road.half_width / 2
    for z in near * np.cumprod(rng.uniform(1.15, 1.9, count)):
        side = int(rng.choice([-1, 1]))
        bend = np.arctan(road.heading + 2 * road.bend * min(z, 160))
        scene.park(rng, float(road.centre(z) + side * lane), float(z), bend + (0 if side > 0 else np.pi))
    for k in range(parked):
        side = (-1, 1)[k % 2]
        z = near + 6.5 * (k // 2) + rng.uniform(0, 2)
        scene.park(rng, float(road.centre(z) + side * (road.half_width - 1.0)), float(z), 0 if side > 0 else np.pi)


def fronts(scene: Scene, rng: Rng, kind: str, set_back: float, start: float, end: float) -> None:
    """Line both sides of the road with buildings, set back some metres from the pavement."""
    road = scene.plot.road
    for side in (-1, 1):
        z = start + rng.uniform(0, 8)
        while z < end:
            b = draw_building(rng, 0.0, float(z), kind)
            edge = float(road.centre(z)) + side * (road.half_width + road.pavement + set_back + rng.uniform(0, 1))
            scene.build(replace(b, x=edge - (b.width if side < 0 else 0.0)))
            z += b.length + (rng.uniform(0, 9) if rng.random() < 0.5 else rng.uniform(0, 1))
