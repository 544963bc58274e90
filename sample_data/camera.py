"""Pinhole camera over a ground plane, and the canvas that keeps colour, class and depth of each pixel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from daylight import Light

Array = np.ndarray
SKY, MOUNTAIN, WATER, GRASS, TREE, ROAD, BUILDING, VEHICLE = range(8)


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from: eye height in metres, focal length and horizon in render pixels."""

    width: int
    height: int
    eye: float
    focal: float
    horizon: float
    roll: float = 0.0

    def rays(self) -> tuple[Array, Array]:
        """Return (side, up), each (height, width): the slopes of each pixel's ray for one metre forward."""
        x = np.arange(self.width, dtype=np.float32)[None, :] - np.float32(self.width / 2 - 0.5)
        y = np.arange(self.height, dtype=np.float32)[:, None] - np.float32(self.height / 2 - 0.5)
        cos, sin = np.float32(np.cos(self.roll)), np.float32(np.sin(self.roll))
        level = np.float32(self.horizon - self.height / 2)
        return (cos * x + sin * y) / np.float32(self.focal), (level + sin * x - cos * y) / np.float32(self.focal)

    def project(self, points: Array) -> Array:
        """Return the pixel positions (N, 2) as (x, y) of world points (N, 3) in front of the camera."""
        depth = np.maximum(points[:, 2], 1e-3)
        a = self.focal * points[:, 0] / depth
        b = (self.horizon - self.height / 2) - self.focal * (points[:, 1] - self.eye) / depth
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        x, y = cos * a - sin * b, sin * a + cos * b
        return np.stack([x + self.width / 2 - 0.5, y + self.height / 2 - 0.5], axis=1)

    def window(self, points: Array, margin: float = 2.0) -> tuple[slice, slice] | None:
        """Return the (rows, columns) that can show the points' hull, or None when out of the picture."""
        if points[:, 2].max() < 0.3:
            return None
        if points[:, 2].min() < 0.3:
            # A hull that reaches behind the eye has no finite outline: look at every pixel.
            return slice(0, self.height), slice(0, self.width)
        xy = self.project(points)
        low = np.floor(np.maximum(xy.min(0) - margin, 0)).astype(int)
        high = np.ceil(np.minimum(xy.max(0) + margin, (self.width, self.height))).astype(int)
        if (high <= low).any():
            return None
        return slice(low[1], high[1]), slice(low[0], high[0])


@dataclass
class Canvas:
    """The picture while it is painted: linear rgb (H, W, 3), class ids (H, W) and depth in metres (H, W)."""

    camera: Camera
    light: Light
    rgb: Array = field(init=False)
    ids: Array = field(init=False)
    depth: Array = field(init=False)
    side: Array = field(init=False)
    up: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.camera.height, self.camera.width)
        self.rgb = np.zeros((*shape, 3), np.float32)
        self.ids = np.full(shape, SKY, np.uint8)
        self.depth = np.full(shape, np.inf, np.float32)
        self.side, self.up = self.camera.rays()

    def visible(self, window: tuple[slice, slice], inside: Array, depth: Array | float) -> Array:
        """Return which pixels of the window (boolean) would show a surface at that depth."""
        return inside & (depth < self.depth[window])

    def paint(self, window: tuple[slice, slice], where: Array, radiance: Array, depth: Array, class_id: int) -> None:
        """Put a surface on the pixels `where` of the window, given their radiance (N, 3) and depth (N,)."""
        self.rgb[window][where] = self.light.through_air(radiance, depth)
        self.depth[window][where] = depth
        self.ids[window][where] = class_id
