"""The ground plane: grass, road and water, with the shadows that objects cast on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from camera import GRASS, ROAD, WATER, Canvas
from daylight import linear
from noise import Noise, mix, smoothstep
from scipy.ndimage import map_coordinates

Array = np.ndarray
EVERYWHERE = (slice(None), slice(None))


@dataclass(frozen=True)
class Road:
    """A road running away from the camera: lengths in metres, bend in metres sideways per metre squared."""

    offset: float
    half_width: float
    bend: float = 0.0
    heading: float = 0.0
    pavement: float = 0.0
    surface: str = "asphalt"

    def centre(self, z: Array | float) -> Array:
        """Return how far right of the camera the road's middle lies at distance z; far bends level out."""
        near = np.minimum(z, 160.0)
        return self.offset + self.heading * z + self.bend * near * near


@dataclass(frozen=True)
class Lake:
    """Water between a near and a far shore (metres ahead) and right of `left`; shores wander by `wander`."""

    near: float
    far: float
    left: float = -1e6
    right: float = 1e6
    wander: float = 4.0
    ripple: float = 1.0
    body: tuple[float, float, float] = (0.10, 0.28, 0.33)


@dataclass
class Plot:
    """What lies where on the ground, and who casts shadows: (x, z, height, radius) in metres."""

    grass: Array
    road: Road | None = None
    lake: Lake | None = None
    casters: list[tuple[float, float, float, float]] = field(default_factory=list)


def _lake_side(lake: Lake, noise: Noise, x: Array, z: Array) -> Array:
    """Return metres (roughly) inside the lake, negative outside; shore noise makes bays."""
    bay = lake.wander * noise.fbm(x / 30 + 3, z / 30 + 8, 4)
    far = lake.far + 3 * lake.wander * noise.fbm(x / 90 + 40, z * 0 + 8.5, 3)
    return np.minimum(np.minimum(z - lake.near, far - z), np.minimum(x - lake.left, lake.right - x)) + bay


def _shadows(canvas: Canvas, plot: Plot, x: Array, z: Array) -> tuple[Array, Array]:
    """Return (sunlit, open_sky), both (N,) in 0..1: soft ellipses away from the sun, dark at each foot."""
    sunlit, sky = np.ones_like(x), np.ones_like(x)
    sun = canvas.light.sun
    flat = max(float(np.hypot(sun[0], sun[2])), 1e-3)
    ax, az = -sun[0] / flat, -sun[2] / flat
    for px, pz, height, radius in plot.casters:
        reach = min(height * flat / max(float(sun[1]), 0.1), 5 * height) / 2
        near = np.flatnonzero(np.maximum(np.abs(x - px), np.abs(z - pz)) < 2.4 * (reach + radius))
        dx, dz = x[near] - px, z[near] - pz
        along, across = (dx * ax + dz * az - reach) / (reach + radius), (dx * az - dz * ax) / radius
        sunlit[near] *= 1.0 - 0.65 * (1.0 - smoothstep(0.65, 1.1, along * along + across * across))
        sky[near] *= 1.0 - 0.45 * (1.0 - smoothstep(0.2, 1.6, (dx * dx + dz * dz) / (radius * radius)))
    return sunlit, sky


def paint_ground(canvas: Canvas, plot: Plot, noise: Noise, rng: np.random.Generator) -> Array:
    """Paint grass and road on the plane and return the pixels (H, W) left for water."""
    where = (canvas.up < -5e-4) & (canvas.depth > canvas.camera.eye / np.maximum(-canvas.up, 5e-4))
    z = canvas.camera.eye / -canvas.up[where]
    x = canvas.side[where] * z
    # A pixel covers more ground in depth than across; the mean of both decides which detail survives.
    metre = z / canvas.camera.focal * np.sqrt(np.maximum(z / canvas.camera.eye, 1.0))
    rows, columns = np.nonzero(where)
    road = np.zeros(z.shape, bool)
    water = np.zeros(z.shape, bool)
    if plot.lake:
        water = _lake_side(plot.lake, noise, x, z) > 0
    if plot.road:
        across = x - plot.road.centre(z)
        wobble = 0.0 if plot.road.pavement else 0.35 * noise.fbm(x / 1.5, z / 1.5, 3)
        road = (np.abs(across) + wobble < plot.road.half_width + plot.road.pavement) & ~water
    sunlit, sky = _shadows(canvas, plot, x, z)
    for class_id, chosen in ((ROAD, road), (GRASS, ~road & ~water)):
        if not chosen.any():
            continue
        part = x[chosen], z[chosen], metre[chosen]
        if class_id == ROAD:
            albedo = _road_albedo(plot.road, across[chosen], *part, noise, rng)
        else:
            albedo = _grass_albedo(plot.grass, *part, rows[chosen], columns[chosen], noise)
        lit = canvas.light.shade(albedo, canvas.light.sun[1] ** 0.7 * sunlit[chosen], 1.0, sky[chosen])
        pixels = where.copy()
        pixels[where] = chosen
        canvas.paint(EVERYWHERE, pixels, lit, part[1], class_id)
    left = where.copy()
    left[where] = water
    return left


def _grass_albedo(grass: Array, x: Array, z: Array, metre: Array, rows: Array, columns: Array, noise: Noise) -> Array:
    """Return the albedo (N, 3) of a meadow: patches of two colours under blades of the right size."""
    patch = noise.fbm(x / 6 + 50, z / 6, 4, 0.6, metre / 6)
    blades = np.zeros_like(x)
    # A blade is about 2 cm wide; doubling sizes are blended so that it scales with distance, never below
    # what one final pixel can show.
    level = np.clip(np.log2(0.05 / metre), 0.8, 2.0)
    for k in range(5):
        weight = np.clip(1.0 - np.abs(level - k), 0.0, 1.0)
        if weight.max() > 0:
            size = np.float32(1.25 * 2.0**k)
            lean = rows + 0.35 * columns
            blades += weight * (noise.value(columns / size, lean / (3.2 * size)) - 0.5)
            blades += 0.6 * weight * (noise.value(columns / size * 2.1 + 9, lean / (2.2 * size)) - 0.5)
    tufts = noise.fbm(x / 0.8, z / 1.1, 3, 0.6, metre / 0.8)
    tone = mix(grass[0], grass[1], smoothstep(-0.3, 0.4, patch + 0.25 * tufts))
    return tone * np.clip(1.1 + 2.0 * blades + 0.25 * tufts + 0.15 * patch, 0.15, 2.5)[:, None]


def _road_albedo(
    road: Road, across: Array, x: Array, z: Array, metre: Array, noise: Noise, rng: np.random.Generator
) -> Array:
    """Return the albedo (N, 3) of the road: worn surface, marks, and a paved edge when there is one."""
    if road.surface == "dirt":
        base, marks = linear(*rng.uniform((0.50, 0.42, 0.32), (0.64, 0.54, 0.42))), False
    else:
        grey = rng.uniform(0.38, 0.54)
        base, marks = linear(grey, grey, grey) * (1 + rng.uniform(-0.12, 0.12, 3)), True
    speckle = noise.fbm(x / 0.05, z / 0.09, 2, 0.8, metre / 0.15)
    worn = noise.fbm(x / 2.5, z / 9, 3, 0.5, metre / 2.5)
    lane = road.half_width / 2
    track = np.exp(-(((np.abs(np.abs(across) - lane) - 0.75) / 0.35) ** 2))
    tone = 1.0 + 0.10 * speckle + 0.12 * worn - 0.08 * track
    albedo = base.astype(np.float32) * tone[:, None]
    if marks:
        crack = noise.ridged(x / 3.1, z / 3.1, 3) > 0.86
        albedo *= np.where(crack & (metre < 0.06), 0.6, 1.0)[:, None]
        albedo = mix(albedo, linear(0.86, 0.86, 0.82), 0.8 * _marks(road, across, z) * (worn > -0.55))
    if road.pavement:
        edge = np.abs(across) - road.half_width
        slab = np.minimum(np.abs((z / 1.2) % 1.0 - 0.5), np.abs((edge / 1.2) % 1.0 - 0.5)) < 0.03
        paved = linear(0.62, 0.60, 0.57) * (1.0 + 0.15 * speckle + 0.1 * worn - 0.3 * (slab & (metre < 0.06)))[:, None]
        albedo = np.where((edge > 0)[:, None], paved, albedo)
        albedo = np.where((np.abs(edge - 0.1) < 0.12)[:, None], linear(0.72, 0.71, 0.69), albedo)
    return albedo


def _marks(road: Road, across: Array, z: Array) -> Array:
    """Return 1 where paint lies (N,): dashes in the middle, a line along each edge."""
    dash = (np.abs(across) < 0.08) & ((z % 9.0) < 4.0)
    return (dash | (np.abs(np.abs(across) - road.half_width + 0.3) < 0.07)).astype(np.float32)


def paint_water(canvas: Canvas, lake: Lake, where: Array, noise: Noise) -> None:
    """Paint the lake: a rippled mirror of what stands above its far shore, over the water's own colour."""
    light, camera = canvas.light, canvas.camera
    up = canvas.up[where]
    z = camera.eye / -up
    x = canvas.side[where] * z
    metre = z / camera.focal
    rows, columns = np.nonzero(where)
    swell = noise.fbm(x / 2.6 + 70, z / 0.9, 3, 0.6, 0.35 * metre)
    # Beyond the distance where waves are wider than a pixel their crests still show as level dashes.
    dashes = noise.fbm(columns / np.float32(20.0), rows / np.float32(2.5), 2, 0.4)
    wave = lake.ripple * (0.4 * swell + 1.0 * dashes)
    shore = np.where(where.any(0), where.argmax(0), camera.height)[columns]
    mirrored = 2.0 * shore - rows - 1.0 + wave * (3.0 + 0.10 * (rows - shore))
    coords = [
        np.clip(np.abs(mirrored), 0, camera.height - 1),
        np.clip(columns + 3 * swell, 0, camera.width - 1),
    ]
    mirror = np.stack([map_coordinates(canvas.rgb[..., c], coords, order=1) for c in range(3)], axis=1)
    grazing = np.clip(1.0 - np.abs(up) / np.sqrt(1.0 + up * up), 0.0, 1.0)
    reflect = np.clip(0.12 + 0.5 * grazing**4 + 0.2 * wave, 0.05, 0.9)
    body = light.shade(1.25 * linear(*lake.body), light.sun[1], 1.0, 1.0)
    radiance = mix(np.broadcast_to(body, mirror.shape), mirror, reflect) * np.clip(1.0 + 0.5 * wave, 0.2, 2.0)[:, None]
    glint = np.clip(wave - 0.28, 0.0, None) * np.exp(-(((canvas.side[where] - light.sun[0]) / 0.35) ** 2))
    radiance += (2.5 * glint * max(float(light.sun[2]), 0.0))[:, None] * light.sun_rgb
    canvas.paint(EVERYWHERE, where, np.clip(radiance, 0, None), z, WATER)
