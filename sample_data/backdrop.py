"""Everything far away: sky with clouds, mountains and rolling hills drawn from height fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from camera import GRASS, MOUNTAIN, Canvas
from daylight import linear
from noise import Noise, mix, smoothstep

Array = np.ndarray
EVERYWHERE = (slice(None), slice(None))
HeightOf = Callable[[Array, Array], Array]


def paint_sky(canvas: Canvas, noise: Noise, rng: np.random.Generator) -> None:
    """Fill the canvas with sky: gradient, glow round the sun, and clouds on a plane high above."""
    light, side, up = canvas.light, canvas.side, canvas.up
    sky = light.sky_at(up)
    length = np.sqrt(side * side + up * up + 1.0)
    towards = np.clip((side * light.sun[0] + up * light.sun[1] + light.sun[2]) / length, 0.0, 1.0)
    sky = sky + (0.35 * towards**6 + 1.5 * towards**220)[..., None] * light.sun_rgb * (light.cloud_cover < 1)
    canvas.rgb[:] = _with_clouds(canvas, sky, noise, rng)


def _with_clouds(canvas: Canvas, sky: Array, noise: Noise, rng: np.random.Generator) -> Array:
    """Return the sky (H, W, 3) with clouds whose bases darken and whose sunny edges brighten."""
    light = canvas.light
    rise = np.clip(canvas.up, 0.0, None) + np.float32(rng.uniform(0.12, 0.25))
    scale, drift = rng.uniform(0.35, 0.9), rng.uniform(0, 200, 2)
    u, v = canvas.side / rise * scale + drift[0], scale * 0.9 / rise + drift[1]
    u, v = u.astype(np.float32), v.astype(np.float32)
    body = noise.fbm(u, v, 5, 0.45)
    toward = noise.fbm(u + 0.25 * light.sun[0], v - 0.2, 3, 0.45)
    edge = 0.42 - 0.75 * light.cloud_cover
    density = smoothstep(edge, edge + 0.5, body)
    bright = np.clip(0.8 + 0.9 * (body - toward), 0.45, 1.15)
    white = 0.35 * light.sun_rgb + 0.75 * light.ambient_rgb + 0.35 * light.horizon_rgb
    return mix(sky, white * bright[..., None], 0.85 * density * smoothstep(-0.02, 0.1, canvas.up))


@dataclass(frozen=True)
class Relief:
    """What a height field shows at the pixels that hit it: a pixel mask and per-hit values (N,)."""

    where: Array
    x: Array
    depth: Array
    elevation: Array
    normal: Array


def cast_relief(canvas: Canvas, height_of: HeightOf, near: float, far: float, steps: int) -> Relief:
    """Return where each pixel's ray first meets the terrain between near and far metres.

    Works column by column on a grid of (column, distance): the running maximum of the slope to the terrain
    is sorted, so that a binary search finds the first hit of every row.
    """
    camera = canvas.camera
    margin = int(abs(np.sin(camera.roll)) * camera.height) + 2
    columns = np.arange(-margin, camera.width + margin, 1, dtype=np.float32)
    side = (columns - np.float32(camera.width / 2 - 0.5)) / np.float32(camera.focal)
    distance = np.geomspace(near, far, steps).astype(np.float32)
    x = side[:, None] * distance
    height = height_of(x, np.broadcast_to(distance, x.shape))
    slope_x = np.gradient(height, axis=0) / (distance / np.float32(camera.focal))
    slope_z = np.gradient(height, axis=1) / np.gradient(distance) - side[:, None] * slope_x
    crest = np.maximum.accumulate((height - camera.eye) / distance, axis=1)
    column = np.clip(np.rint((canvas.side - side[0]) * camera.focal).astype(np.int32), 0, len(side) - 1)
    where, hit = _first_hits(crest, column, canvas.up)
    column = column[where]
    low = np.maximum(hit - 1, 0)
    c0, c1 = crest[column, low], crest[column, hit]
    t = np.clip((canvas.up[where] - c0) / np.maximum(c1 - c0, 1e-9), 0.0, 1.0)

    def at_hit(grid: Array) -> Array:
        return grid[column, low] * (1.0 - t) + grid[column, hit] * t

    depth = distance[low] * (1.0 - t) + distance[hit] * t
    normal = np.stack([-at_hit(slope_x), np.ones_like(t), -at_hit(slope_z)], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Relief(where, canvas.side[where] * depth, depth, at_hit(height), normal)


def _first_hits(crest: Array, column: Array, up: Array) -> tuple[Array, Array]:
    """Return the pixels whose ray meets the terrain (H, W) and the index of the distance they meet it at."""
    # One sorted search for all columns: each column is lifted above the one before it.
    lift = np.float64(4.0) * np.arange(len(crest))
    keys = (np.clip(crest, -1.9, 1.9) + lift[:, None]).ravel()
    found = np.searchsorted(keys, np.clip(up, -1.89, 1.89).astype(np.float64) + lift[column]) - column * crest.shape[1]
    where = (found < crest.shape[1]) & ((found > 0) | (up < 0))
    return where, np.clip(found[where], 0, crest.shape[1] - 1)


def _facing(canvas: Canvas, normal: Array) -> Array:
    """Return the cosine (N,) between the normals (N, 3) and the sun, 0 on the far side."""
    return np.clip(normal @ canvas.light.sun, 0.0, None)


def paint_mountains(canvas: Canvas, noise: Noise, rng: np.random.Generator, size: float) -> None:
    """Paint a mountain range with rock, alpine green and snow; size 1 is an ordinary range."""
    near, far = rng.uniform(1500, 2500), rng.uniform(6000, 9000)
    peak, offset = size * rng.uniform(800, 1300), rng.uniform(0, 250, 2).astype(np.float32)
    scale = np.float32(rng.uniform(1 / 3400, 1 / 2200))

    def height_of(x: Array, z: Array) -> Array:
        u, v = x * scale + offset[0], z * scale + offset[1]
        bend = 0.35 * noise.fbm(1.7 * u, 1.7 * v, 2)
        massif = noise.ridged(u + bend, v - bend, 7, 0.52)
        broad = 0.55 + 0.9 * noise.value(0.6 * u + 9.0, 0.3 * v + 2.0)
        return peak * (massif * broad - 0.12) * smoothstep(near * 0.9, near * 1.8, z)

    relief = cast_relief(canvas, height_of, near, far, 300)
    albedo = _rock(relief, noise, rng, peak, canvas.camera.focal)
    sunlit = canvas.light.shade(
        albedo, 1.25 * _facing(canvas, relief.normal), relief.normal[:, 1], 0.1 + 0.9 * relief.normal[:, 1]
    )
    canvas.paint(EVERYWHERE, relief.where, sunlit, relief.depth, MOUNTAIN)


def _rock(relief: Relief, noise: Noise, rng: np.random.Generator, peak: float, focal: float) -> Array:
    """Return the albedo (N, 3) of a mountainside: strata on rock, green low down, snow where it can lie."""
    tones = [
        (0.46, 0.46, 0.48),
        (0.50, 0.45, 0.42),
        (0.40, 0.44, 0.50),
        (0.50, 0.48, 0.45),
        (0.42, 0.43, 0.44),
    ]
    rock, green = (
        linear(*tones[rng.integers(len(tones))]),
        linear(*rng.uniform((0.26, 0.32, 0.22), (0.38, 0.40, 0.28))),
    )
    snow_line, green_line = peak * rng.uniform(0.45, 1.1), peak * rng.uniform(0.0, 0.15)
    u, v = relief.x / 160, (relief.elevation + 0.35 * relief.depth) / 160
    grain = noise.fbm(u, v, 5, 0.65, relief.depth / focal / 160)
    grain = grain + 0.8 * _gullies(relief, noise)
    albedo = rock * np.clip(0.85 + 1.9 * grain, 0.08, 2.5)[:, None]
    steep = relief.normal[:, 1]
    meadow = smoothstep(0.55, 0.8, steep + 0.3 * grain) * (
        1.0 - smoothstep(0.6 * green_line, 1.4 * green_line, relief.elevation + 300 * grain)
    )
    albedo = mix(albedo, green * np.clip(0.8 + 1.3 * grain, 0.1, 2.0)[:, None], meadow)
    snow = smoothstep(0.5, 0.68, steep + 0.25 * grain) * smoothstep(
        snow_line, snow_line * 1.25, relief.elevation + 350 * grain
    )
    return mix(albedo, linear(0.93, 0.95, 0.98), snow)


def _gullies(relief: Relief, noise: Noise) -> Array:
    """Return streaks (N,) in [-1, 1] down the fall line, leaning as the slope faces, pixels apart."""
    rows, columns = np.nonzero(relief.where)
    rows, columns = rows.astype(np.float32), columns.astype(np.float32)
    left = noise.fbm((columns + 0.8 * rows) / 5, (rows - 0.8 * columns) / 16, 2, 0.6)
    right = noise.fbm((columns - 0.8 * rows) / 5 + 60, (rows + 0.8 * columns) / 16, 2, 0.6)
    return np.where(relief.normal[:, 0] > 0, right, left)


def paint_hills(canvas: Canvas, noise: Noise, rng: np.random.Generator, grass: Array) -> None:
    """Paint rolling grassland between the ground and the mountains; grass is (2, 3), two meadow colours."""
    near, rise, offset = rng.uniform(120, 220), rng.uniform(18, 70), rng.uniform(0, 250, 2).astype(np.float32)

    def height_of(x: Array, z: Array) -> Array:
        roll = 0.5 + 0.5 * noise.fbm(x / 420 + offset[0], z / 300 + offset[1], 3, 0.35)
        return rise * roll * smoothstep(near, near * 5, z) - 0.3

    relief = cast_relief(canvas, height_of, near, 1500, 160)
    # Blades are far below a pixel here; what remains visible are tufts and mown or grazed patches.
    patch = noise.fbm(relief.x / 60 + 7, relief.depth / 60, 4, 0.6)
    rows, columns = np.nonzero(relief.where)
    tuft = noise.fbm(columns / np.float32(2.6), rows / np.float32(7.0), 2, 0.7)
    albedo = (
        mix(grass[0], grass[1], smoothstep(-0.35, 0.35, patch))
        * np.clip(1.1 + 1.1 * tuft + 0.2 * patch, 0.15, 2.5)[:, None]
    )
    lit = canvas.light.shade(albedo, _facing(canvas, relief.normal), relief.normal[:, 1], 0.95)
    seen = relief.depth < canvas.depth[relief.where]
    where = relief.where.copy()
    where[relief.where] = seen
    canvas.paint(EVERYWHERE, where, lit[seen], relief.depth[seen], GRASS)
