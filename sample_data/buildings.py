"""Buildings: boxes with facades, and pitched or flat roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from camera import BUILDING, Canvas
from daylight import linear
from noise import Noise, mix
from solids import Face, Texture, paint_face, plain

Array = np.ndarray
# Greens, blues and greys on purpose: a wall may have the colour of grass, sky or road.
WALLS = [
    (0.82, 0.78, 0.70), (0.70, 0.42, 0.32), (0.60, 0.62, 0.64), (0.52, 0.60, 0.46), (0.50, 0.62, 0.74),
    (0.86, 0.72, 0.48), (0.78, 0.60, 0.56), (0.45, 0.47, 0.50), (0.38, 0.50, 0.36), (0.90, 0.90, 0.88),
    (0.55, 0.38, 0.30), (0.62, 0.70, 0.78),
]  # fmt: skip
ROOFS = [(0.50, 0.26, 0.20), (0.32, 0.33, 0.36), (0.42, 0.33, 0.28), (0.28, 0.36, 0.32), (0.55, 0.40, 0.30)]


@dataclass(frozen=True)
class Building:
    """A box from (x, z), its near left corner, width by length metres on the ground, with its looks."""

    x: float
    z: float
    width: float
    length: float
    height: float
    wall: Array
    roof: Array
    pitch: float
    storey: float
    bay: float
    style: str
    key: int


def draw_building(rng: np.random.Generator, x: float, z: float, kind: str) -> Building:
    """Return a house, block or tower with random size, colours and windows."""
    width, length, height = {
        "house": (rng.uniform(7, 13), rng.uniform(7, 11), rng.uniform(3.2, 6.5)),
        "block": (rng.uniform(10, 20), rng.uniform(12, 24), rng.uniform(9, 22)),
        "tower": (rng.uniform(16, 30), rng.uniform(16, 30), rng.uniform(35, 110)),
    }[kind]
    pitched = kind == "house" or (kind == "block" and rng.random() < 0.4)
    styles = {
        "house": ["punched"],
        "block": ["punched", "brick", "ribbon"],
        "tower": ["ribbon", "glass", "punched"],
    }
    return Building(
        x, z, width, length, height,
        wall=linear(*np.clip(np.array(WALLS[rng.integers(len(WALLS))]) * rng.uniform(0.85, 1.1), 0, 1)),
        roof=linear(*np.array(ROOFS[rng.integers(len(ROOFS))]) * rng.uniform(0.85, 1.15)),
        pitch=float(rng.uniform(0.28, 0.5)) * min(width, length) if pitched else 0.0,
        storey=float(rng.uniform(2.8, 3.4)), bay=float(rng.uniform(2.0, 3.6)),
        style=styles[kind][rng.integers(len(styles[kind]))], key=int(rng.integers(1 << 16)),
    )  # fmt: skip


def facade(building: Building, noise: Noise, lamps: bool, turn: int) -> Texture:
    """Return the texture of one wall: windows in bays and storeys, frames, sills, a plinth and stains."""
    wide, tall = {
        "punched": (0.46, 0.52),
        "brick": (0.42, 0.55),
        "ribbon": (0.92, 0.48),
        "glass": (0.9, 0.84),
    }[building.style]
    frame = linear(0.9, 0.89, 0.86) if building.key % 3 else linear(0.25, 0.25, 0.27)

    def texture(s: Array, t: Array) -> tuple[Array, Array]:
        u, v = s / building.bay, t / building.storey
        du, dv = np.abs(u % 1.0 - 0.5), np.abs(v % 1.0 - 0.52)
        top = np.floor(building.height / building.storey)
        opening = (du < wide / 2) & (dv < tall / 2) & (v < top)
        rim = opening & ((du > wide / 2 - 0.05) | (dv > tall / 2 - 0.04) | ((du < 0.02) & (building.key % 2 == 0)))
        hidden = noise.cell(u + building.key % 97 + 31 * turn, v + building.key % 89)
        stain = noise.fbm(s / 1.3, t / 3.0, 3, 0.6)
        wall = building.wall * (1.0 + 0.14 * stain)[..., None]
        course = ((t / 0.4) % 1.0 < 0.25) | (((s / 0.8 + np.floor(t / 0.4) * 0.5) % 1.0) < 0.12)
        if building.style != "glass":
            wall = wall * np.where(course, 1.2, 0.92)[..., None]
        band = (np.abs(v - np.round(v)) < 0.03) | (v < 0.18) | (t > building.height - 0.35)
        sill = (dv > tall / 2) & (dv < tall / 2 + 0.06) & (du < wide / 2 + 0.04) & (v % 1.0 < 0.5)
        wall = wall * np.where(band, 0.72, 1.0)[..., None] * np.where(sill, 1.25, 1.0)[..., None]
        glass = np.where((hidden > 0.8)[..., None], linear(0.62, 0.60, 0.54), linear(0.13, 0.15, 0.18))
        glass = glass * (0.8 + 0.5 * (v % 1.0))[..., None]
        if lamps:
            glass = np.where((hidden < 0.3)[..., None], np.array([3.2, 2.1, 0.9], np.float32), glass)
        albedo = np.where(opening[..., None], np.where(rim[..., None], frame, glass), wall)
        mirror = np.where(opening & ~rim & (hidden <= 0.8) & ~(lamps & (hidden < 0.3)), 0.38, 0.0)
        return albedo, mirror.astype(np.float32)

    return texture


def tiles(albedo: Array, noise: Noise) -> Texture:
    """Return the texture of a tiled roof: rows of tiles of slightly different tone."""

    def texture(s: Array, t: Array) -> tuple[Array, Array]:
        row = np.floor(t / 0.35)
        tone = 0.75 + 0.35 * noise.cell(s / 0.4 + 0.5 * row, row) + 0.25 * ((t / 0.35) % 1.0)
        return mix(albedo * tone[..., None], linear(0.35, 0.37, 0.30), 0.25 * noise.value(s, t)), np.zeros_like(s)

    return texture


def paint_building(canvas: Canvas, building: Building, noise: Noise) -> None:
    """Paint the walls and the roof; hidden faces lose the depth test."""
    b = building
    x0, x1, z0, z1, h = b.x, b.x + b.width, b.z, b.z + b.length, b.height
    lamps = canvas.light.time == "dusk"
    ground = [(x0, z0), (x1, z0), (x1, z1), (x0, z1)]
    for turn in range(4):
        (ax, az), (bx, bz) = ground[turn], ground[(turn + 1) % 4]
        corners = np.array([(ax, 0, az), (bx, 0, bz), (bx, h, bz), (ax, h, az)], np.float64)
        paint_face(canvas, Face(corners, facade(b, noise, lamps, turn)), BUILDING)
    for face in _roof(b, noise):
        paint_face(canvas, face, BUILDING)


def _roof(b: Building, noise: Noise) -> list[Face]:
    """Return the faces over the walls: a slab, or two slopes (with eaves) and two gables."""
    x0, x1, z0, z1, h = b.x, b.x + b.width, b.z, b.z + b.length, b.height
    if not b.pitch:
        top = np.array([(x0, h, z0), (x1, h, z0), (x1, h, z1), (x0, h, z1)], np.float64)
        return [Face(top, plain(linear(0.45, 0.45, 0.45)))]
    out, wall, top = 0.5, plain(b.wall), h + b.pitch
    if b.key % 2:
        m = (z0 + z1) / 2
        drop = h - out * b.pitch / (m - z0)
        slopes = [[(x0 - out, drop, z), (x1 + out, drop, z), (x1 + out, top, m), (x0 - out, top, m)]
                  for z in (z0 - out, z1 + out)]  # fmt: skip
        gables = [[(x, h, z0), (x, h, z1), (x, top, m)] for x in (x0, x1)]
    else:
        m = (x0 + x1) / 2
        drop = h - out * b.pitch / (m - x0)
        slopes = [[(x, drop, z0 - out), (x, drop, z1 + out), (m, top, z1 + out), (m, top, z0 - out)]
                  for x in (x0 - out, x1 + out)]  # fmt: skip
        gables = [[(x0, h, z), (x1, h, z), (m, top, z)] for z in (z0, z1)]
    faces = [Face(np.array(s, np.float64), tiles(b.roof, noise)) for s in slopes]
    return faces + [Face(np.array(g, np.float64), wall) for g in gables]
