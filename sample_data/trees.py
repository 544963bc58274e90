"""Trees as shaded sprites: modelled once per scene from spheres or boughs, stamped at many distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from camera import TREE, Canvas
from daylight import Light, linear
from noise import Noise, mix, smoothstep
from PIL import Image

Array = np.ndarray
FOLIAGE = {
    "summer": [(0.27, 0.40, 0.16), (0.34, 0.46, 0.20), (0.22, 0.36, 0.22), (0.40, 0.47, 0.22)],
    "autumn": [(0.66, 0.40, 0.14), (0.60, 0.28, 0.14), (0.70, 0.55, 0.20), (0.42, 0.42, 0.18)],
    "spring": [(0.48, 0.58, 0.26), (0.40, 0.54, 0.24), (0.78, 0.66, 0.68), (0.34, 0.46, 0.22)],
    "dark": [(0.15, 0.26, 0.18), (0.18, 0.30, 0.24), (0.21, 0.30, 0.17), (0.24, 0.33, 0.26)],
}


@dataclass(frozen=True)
class Sprite:
    """A tree seen from the side: sun, sky, leaf and cover, each (h, w) in 0..1; leaf is 0 on the trunk."""

    sun: Array
    sky: Array
    leaf: Array
    cover: Array


@dataclass(frozen=True)
class Tree:
    """One tree in the world: foot at (x, z), height in metres, foliage albedo, index of its sprite."""

    x: float
    z: float
    height: float
    colour: Array
    sprite: int
    mirrored: bool = False


def broadleaf(light: Light, noise: Noise, rng: np.random.Generator, size: int = 300) -> Sprite:
    """Return a tree with a crown of leafy clumps, size pixels high, lit by the scene's sun."""
    width = int(size * rng.uniform(0.62, 0.95))
    crown = np.array([width / 2, size * rng.uniform(0.36, 0.42)])
    radii = np.array([width * 0.40, size * rng.uniform(0.31, 0.36)])
    yy, xx = np.mgrid[0:size, 0:width].astype(np.float32)
    sheet = _Clumps(size, width)
    ragged = noise.fbm(xx / 11, yy / 11, 3, 0.7)
    for k in range(110):
        direction = rng.normal(size=3)
        direction *= rng.uniform(0.35, 1.0) ** 0.5 / np.linalg.norm(direction)
        centre = crown + direction[:2] * radii * 0.84
        sheet.add(*centre, direction[2] * radii[0], rng.uniform(0.10, 0.19) * width, ragged, light, k, rng)
    leaves = noise.fbm(xx / 7 + 90, yy / 7, 3, 0.75)
    height_in_crown = np.clip((yy - crown[1] + radii[1]) / (2 * radii[1]), 0, 1)
    sky = np.clip((1.0 - 0.55 * height_in_crown) * sheet.sky * (1.0 + 1.0 * leaves), 0.05, 1.3)
    sun = np.clip(sheet.sun * (1.0 + 1.7 * leaves), 0.0, 1.6)
    lean = 6 * np.sin(yy / size * 5)
    trunk = np.abs(xx - crown[0] - lean) < width * (0.022 + 0.03 * np.clip((yy / size - 0.8) / 0.2, 0, 1) ** 2)
    trunk &= (yy > crown[1]) & ~sheet.cover
    leaf = sheet.cover.astype(np.float32)
    bark = 0.5 + 0.5 * noise.value(xx / 3, yy / 14)
    return Sprite(np.where(trunk, 0.4 * bark, sun), np.where(trunk, 0.6 * bark, sky), leaf, leaf + trunk)


class _Clumps:
    """The crown while it grows: nearest sphere per pixel with its sun and sky terms."""

    def __init__(self, height: int, width: int) -> None:
        self.front = np.full((height, width), -np.inf, np.float32)
        self.sun = np.zeros((height, width), np.float32)
        self.sky = np.zeros((height, width), np.float32)
        self.cover = np.zeros((height, width), bool)

    def add(
        self,
        cx: float,
        cy: float,
        cz: float,
        r: float,
        ragged: Array,
        light: Light,
        k: int,
        rng: np.random.Generator,
    ) -> None:
        """Put one leafy sphere in, in front of what is behind it; ragged noise frays its outline."""
        height, width = self.front.shape
        rows = slice(max(int(cy - 1.4 * r), 0), min(int(cy + 1.4 * r) + 1, height))
        cols = slice(max(int(cx - 1.4 * r), 0), min(int(cx + 1.4 * r) + 1, width))
        y, x = np.mgrid[rows, cols].astype(np.float32)
        nx, ny = (x - cx) / r, -(y - cy) / r
        square = (nx * nx + ny * ny) * (1.0 + 1.3 * ragged[rows, cols])
        nz = np.sqrt(np.clip(1.0 - square, 0.0, 1.0))
        depth = cz + r * nz
        win = (square < 1.0) & (depth > self.front[rows, cols])
        tone = rng.uniform(0.75, 1.2)
        lit = np.clip(nx * light.sun[0] + ny * light.sun[1] - nz * light.sun[2], 0.0, 1.0)
        self.front[rows, cols][win] = depth[win]
        self.sun[rows, cols][win] = tone * (lit + 0.06)[win]
        self.sky[rows, cols][win] = tone * (0.42 + 0.38 * ny + 0.3 * nz)[win]
        self.cover[rows, cols] |= win


def conifer(light: Light, noise: Noise, rng: np.random.Generator, size: int = 300) -> Sprite:
    """Return a spruce or fir with drooping boughs, size pixels high."""
    width = int(size * rng.uniform(0.38, 0.55))
    yy, xx = np.mgrid[0:size, 0:width].astype(np.float32)
    y, x = yy / size, (xx - width / 2) / (width / 2)
    fringe = noise.fbm(xx / 9, yy / 7, 3, 0.7)
    tiers = rng.uniform(9, 14)
    phase = (y**0.85 * tiers + 0.5 * np.abs(x) + 0.5 * fringe) % 1.0
    reach = 0.05 + 0.95 * (y / 0.93) ** 0.9
    half = reach * (0.62 + 0.38 * phase) * (1.0 + 0.55 * fringe)
    crown = (np.abs(x) < half) & (y < 0.93 + 0.05 * fringe) & (y > 0.01)
    trunk = (np.abs(x) < 0.05) & (y > 0.85) & ~crown
    needles = noise.fbm(xx / 4 + 20, yy / 6, 3, 0.8)
    nx = np.clip(x / np.maximum(reach, 0.05), -1, 1)
    lit = np.clip(0.25 + 0.6 * nx * light.sun[0] + 0.5 * light.sun[1] - 0.4 * light.sun[2], 0.03, 1.0)
    tier = 0.3 + 0.85 * phase
    sun = np.clip(lit * tier * (1.0 + 1.2 * needles), 0.0, 1.5)
    sky = np.clip((0.85 - 0.3 * y) * tier * (1.0 + 0.9 * needles), 0.04, 1.2)
    return Sprite(np.where(trunk, 0.3, sun), np.where(trunk, 0.4, sky), crown * 1.0, (crown | trunk) * 1.0)


def bush(light: Light, noise: Noise, rng: np.random.Generator, size: int = 150) -> Sprite:
    """Return a shrub: the crown of a broadleaf without its trunk."""
    whole = broadleaf(light, noise, rng, size * 2)
    rows = np.nonzero(whole.leaf.any(1))[0]
    part = slice(rows[0], int(rows[0] + 0.72 * (rows[-1] - rows[0])))
    return Sprite(whole.sun[part], whole.sky[part], whole.leaf[part], whole.cover[part])


def _resized(plane: Array, size: tuple[int, int]) -> Array:
    """Return the plane at (width, height) pixels, averaged when it shrinks so that far trees stay calm."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def paint_tree(canvas: Canvas, tree: Tree, sprites: list[Sprite], noise: Noise) -> None:
    """Stamp one tree at its distance; the sprite always stands upright in the picture."""
    sprite = sprites[tree.sprite]
    camera = canvas.camera
    foot = camera.project(np.array([[tree.x, 0.0, tree.z]]))[0]
    h = int(np.clip(tree.height * camera.focal / tree.z, 3, 3000))
    w = max(int(h * sprite.sun.shape[1] / sprite.sun.shape[0]), 2)
    top, left = int(foot[1]) - h + 1, int(foot[0] - w / 2)
    rows = slice(max(top, 0), min(top + h, camera.height))
    cols = slice(max(left, 0), min(left + w, camera.width))
    if rows.stop <= rows.start or cols.stop <= cols.start:
        return
    cut = slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)
    step = -1 if tree.mirrored else 1
    sun, sky, leaf, cover = (
        _resized(p[:, ::step], (w, h))[cut] for p in (sprite.sun, sprite.sky, sprite.leaf, sprite.cover)
    )
    where = canvas.visible((rows, cols), cover > 0.5, tree.z)
    y, x = np.nonzero(where)
    leaves = noise.fbm((x + left) / np.float32(4.6), (y + top) / np.float32(4.6), 2, 0.6)
    texture = np.clip(1.0 + 1.7 * leaves * leaf[where], 0.1, 2.5)
    albedo = mix(linear(0.36, 0.30, 0.25), tree.colour, smoothstep(0.2, 0.7, leaf[where]))
    radiance = canvas.light.shade(albedo, 1.35 * texture * sun[where], 1.0, 1.1 * texture * sky[where])
    canvas.paint((rows, cols), where, radiance, np.full(int(where.sum()), tree.z, np.float32), TREE)
