"""Vehicles: side profiles drawn out to a width, with glass, lamps and wheels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from camera import VEHICLE, Canvas
from daylight import linear
from solids import Face, Texture, paint_face, plain

Array = np.ndarray
# Maps points (across, up, along) of a vehicle, in metres, to world points (N, 3).
Placing = Callable[[Sequence[tuple[float, float, float]]], Array]
PAINTS = [
    (0.72, 0.10, 0.10), (0.12, 0.25, 0.55), (0.85, 0.85, 0.86), (0.12, 0.12, 0.13), (0.55, 0.57, 0.60),
    (0.20, 0.38, 0.24), (0.85, 0.65, 0.12), (0.50, 0.68, 0.82), (0.45, 0.20, 0.16), (0.35, 0.37, 0.40),
]  # fmt: skip
GLASS = plain(linear(0.10, 0.12, 0.14), 0.42)


@dataclass(frozen=True)
class Shape:
    """Side view in metres: body and cabin outlines as (along, up), tail at 0; wheels as (along, radius)."""

    body: tuple[tuple[float, float], ...]
    cabin: tuple[tuple[float, float], ...]
    width: float
    wheels: tuple[tuple[float, float], ...]
    taper: float


SHAPES = {
    "car": Shape(
        ((0.05, 0.3), (4.3, 0.3), (4.4, 0.62), (4.25, 0.82), (3.2, 0.97), (0.25, 1.0), (0.0, 0.85)),
        ((0.3, 0.98), (3.3, 0.95), (2.45, 1.45), (1.1, 1.47)), 1.78, ((0.85, 0.33), (3.5, 0.33)), 0.2,
    ),
    "hatchback": Shape(
        ((0.05, 0.32), (3.8, 0.32), (3.9, 0.65), (3.75, 0.88), (2.9, 1.02), (0.1, 1.05), (0.0, 0.7)),
        ((0.08, 1.04), (3.0, 1.0), (2.2, 1.52), (0.45, 1.55)), 1.72, ((0.7, 0.32), (3.1, 0.32)), 0.17,
    ),
    "van": Shape(
        ((0.0, 0.35), (4.9, 0.35), (5.0, 0.7), (4.85, 1.05), (4.3, 1.2), (0.0, 1.2)),
        ((0.0, 1.18), (4.4, 1.18), (3.7, 2.05), (0.05, 2.1)), 1.95, ((0.95, 0.36), (4.0, 0.36)), 0.1,
    ),
    "bus": Shape(
        ((0.0, 0.35), (11.0, 0.35), (11.05, 1.3), (0.0, 1.3)),
        ((0.0, 1.28), (11.05, 1.28), (10.9, 3.05), (0.05, 3.05)), 2.5, ((2.4, 0.48), (8.6, 0.48)), 0.04,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Vehicle:
    """One vehicle: middle at (x, z) metres, heading in radians (0 drives away), shape and paint (3,)."""

    x: float
    z: float
    heading: float
    kind: str
    paint: Array


def draw_vehicle(rng: np.random.Generator, x: float, z: float, heading: float) -> Vehicle:
    """Return a vehicle of random kind and colour at a place."""
    kind = rng.choice(["car", "hatchback", "van", "bus"], p=[0.4, 0.3, 0.2, 0.1])
    return Vehicle(x, z, heading, str(kind), linear(*PAINTS[rng.integers(len(PAINTS))]))


def _glazing(shape: Shape, paint: Array) -> Texture:
    """Return the side of the cabin: glass between pillars under a painted rail."""
    length = shape.cabin[1][0] - shape.cabin[0][0]
    height = shape.cabin[2][1] - shape.cabin[1][1]
    count = max(round(length / 1.25), 2)

    def texture(s: Array, t: Array) -> tuple[Array, Array]:
        pane = (t > 0.06) & (t < height - 0.09) & (np.abs((s / length * count) % 1.0 - 0.5) < 0.45)
        albedo = np.where(pane[..., None], linear(0.10, 0.12, 0.14), paint)
        return albedo, np.where(pane, 0.38, 0.06).astype(np.float32)

    return texture


def _flank(shape: Shape, paint: Array) -> Texture:
    """Return the side of the body: doors, dark wheel arches and a dark sill."""
    start, low = shape.body[0]

    def texture(s: Array, t: Array) -> tuple[Array, Array]:
        along, up = s + start, t + low
        dark = up < low + 0.1
        for centre, radius in shape.wheels:
            dark = dark | ((along - centre) ** 2 + (up - radius) ** 2 < (radius * 1.22) ** 2)
        seam = np.abs((along / 1.15) % 1.0 - 0.5) < 0.012
        albedo = np.where(dark[..., None], linear(0.08, 0.08, 0.08), paint * np.where(seam, 0.5, 1.0)[..., None])
        return albedo, np.where(dark, 0.0, 0.12).astype(np.float32)

    return texture


def _end(shape: Shape, paint: Array, lamp: tuple[float, float, float]) -> Texture:
    """Return the front or the tail: a lamp at each side, a number plate and a bumper."""

    def texture(s: Array, t: Array) -> tuple[Array, Array]:
        off = np.abs(s - shape.width / 2)
        lamps = (off > shape.width / 2 - 0.38) & (off < shape.width / 2 - 0.06) & (np.abs(t - 0.36) < 0.09)
        plate = (off < 0.27) & (np.abs(t - 0.2) < 0.06)
        albedo = np.where((t < 0.1)[..., None], linear(0.1, 0.1, 0.1), paint)
        albedo = np.where(lamps[..., None], np.asarray(lamp, np.float32), albedo)
        albedo = np.where(plate[..., None], linear(0.85, 0.85, 0.8), albedo)
        return albedo, np.where(lamps | plate, 0.1, 0.08).astype(np.float32)

    return texture


def paint_vehicle(canvas: Canvas, vehicle: Vehicle) -> None:
    """Paint a vehicle standing on the ground plane."""
    shape = SHAPES[vehicle.kind]
    middle = shape.body[1][0] / 2
    cos, sin = np.cos(vehicle.heading), np.sin(vehicle.heading)

    def placed(points: Sequence[tuple[float, float, float]]) -> Array:
        """Return points (across, up, along) of the vehicle as world points (N, 3)."""
        p = np.asarray(points, np.float64)
        along = p[:, 2] - middle
        return np.stack([vehicle.x + cos * p[:, 0] + sin * along, p[:, 1], vehicle.z - sin * p[:, 0] + cos * along], 1)

    for face in _faces(shape, vehicle.paint, placed):
        paint_face(canvas, face, VEHICLE)


def _faces(shape: Shape, paint: Array, placed: Placing) -> list[Face]:
    """Return all faces of a vehicle: flanks, strips between them, cabin, underside and wheels."""
    half, faces = shape.width / 2, []
    under = plain(linear(0.05, 0.05, 0.05))
    for along in (shape.body[0][0] + 0.15, shape.body[1][0] - 0.15):
        faces.append(
            Face(
                placed([(-half, 0.1, along), (half, 0.1, along), (half, 0.4, along), (-half, 0.4, along)]),
                under,
            )
        )
    for side in (-half, half):
        faces.append(Face(placed([(side, up, along) for along, up in shape.body]), _flank(shape, paint)))
        roof = side * (1 - shape.taper)
        base, top = shape.cabin[0][1], shape.cabin[2][1]
        lean = [(side + (roof - side) * np.clip((up - base) / (top - base), 0, 1), up, a) for a, up in shape.cabin]
        faces.append(Face(placed(lean), _glazing(shape, paint)))
        for along, radius in shape.wheels:
            faces += _wheel(side * 1.01, along, radius, placed)
    last = len(shape.body) - 1
    for k in range(1, last + 1):
        (a0, u0), (a1, u1) = shape.body[k], shape.body[(k + 1) % (last + 1)]
        strip = placed([(-half, u0, a0), (half, u0, a0), (half, u1, a1), (-half, u1, a1)])
        lamp = (2.0, 1.9, 1.6) if k == 1 else (0.8, 0.03, 0.03)
        ends = k == 1 or k >= last - (len(shape.body) > 6)
        strip = strip if u0 <= u1 else strip[::-1]
        faces.append(Face(strip, _end(shape, paint, lamp) if ends and abs(u1 - u0) > 0.12 else plain(paint, 0.18)))
    roof = half * (1 - shape.taper)
    for k, texture in ((1, GLASS), (2, plain(paint, 0.2)), (3, GLASS)):
        (a0, u0), (a1, u1) = shape.cabin[k], shape.cabin[(k + 1) % 4]
        w0, w1 = (half if k == 1 else roof), (half if k == 3 else roof)
        faces.append(Face(placed([(-w0, u0, a0), (w0, u0, a0), (w1, u1, a1), (-w1, u1, a1)]), texture))
    return faces


def _wheel(across: float, along: float, radius: float, placed: Placing) -> list[Face]:
    """Return tyre and rim as two twelve-sided discs."""
    faces = []
    for r, out, tone in ((radius, 1.0, 0.07), (0.6 * radius, 1.005, 0.55)):
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        ring = [(across * out, radius + r * np.sin(a), along + r * np.cos(a)) for a in turn]
        faces.append(Face(placed(ring), plain(linear(tone, tone, tone))))
    return faces
