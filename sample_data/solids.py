"""Flat faces in perspective: what buildings and vehicles are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from camera import Canvas
from noise import mix

Array = np.ndarray
# A texture maps metres along and up the face, each (N,), to albedo (N, 3) and mirror share (N,).
Texture = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Face:
    """A flat polygon: corners (N, 3) in metres, the first edge being its base, and its texture."""

    corners: Array
    texture: Texture


def plain(albedo: Array, gloss: float = 0.0) -> Texture:
    """Return a texture of one colour, with a constant share of mirrored sky."""

    def texture(s: Array, t: Array) -> tuple[Array, Array]:
        return np.broadcast_to(albedo, (*s.shape, 3)), np.full(s.shape, gloss, np.float32)

    return texture


def _inside(polygon: Array, s: Array, t: Array) -> Array:
    """Return which points (s, t) lie in the polygon (N, 2), by counting the edges crossed to their right."""
    odd = np.zeros(s.shape, bool)
    for (s0, t0), (s1, t1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if t0 != t1:
            odd ^= ((t0 > t) != (t1 > t)) & (s < (s1 - s0) * (t - t0) / (t1 - t0) + s0)
    return odd


def _frame(corners: Array) -> tuple[Array, Array, Array]:
    """Return unit vectors along the base, up the face, and out of it."""
    along = corners[1] - corners[0]
    along = along / np.linalg.norm(along)
    normal = np.cross(along, corners[-1] - corners[0])
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    upward = np.cross(normal, along)
    return along, upward if upward[1] >= 0 else -upward, normal


def paint_face(canvas: Canvas, face: Face, class_id: int) -> None:
    """Paint the part of a face that nothing nearer hides, shaded by sun, sky and a little mirrored sky."""
    window = canvas.camera.window(face.corners)
    if window is None:
        return
    along, upward, normal = _frame(face.corners)
    eye = np.array([0.0, canvas.camera.eye, 0.0])
    origin = face.corners[0]
    slope = normal[0] * canvas.side[window] + normal[1] * canvas.up[window] + normal[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (normal @ (origin - eye) / slope).astype(np.float32)
    depth = np.where(np.isfinite(depth) & (depth > 0.2), depth, np.float32(1e9))
    point = [depth * canvas.side[window], eye[1] + depth * canvas.up[window], depth]
    s = sum((p - o) * a for p, o, a in zip(point, origin, along, strict=True))
    t = sum((p - o) * a for p, o, a in zip(point, origin, upward, strict=True))
    outline = np.stack([(face.corners - origin) @ along, (face.corners - origin) @ upward], axis=1)
    where = canvas.visible(window, (depth < 1e8) & _inside(outline, s, t), depth)
    if not where.any():
        return
    albedo, gloss = face.texture(s[where].astype(np.float32), t[where].astype(np.float32))
    if normal @ (origin - eye) > 0:
        normal = -normal
    view = (canvas.side[window][where], canvas.up[window][where])
    radiance = _lit(canvas, albedo, gloss, normal, point[1][where], view)
    canvas.paint(window, where, radiance.astype(np.float32), depth[where], class_id)


def _lit(canvas: Canvas, albedo: Array, gloss: Array, normal: Array, height: Array, view: tuple[Array, Array]) -> Array:
    """Return the radiance (N, 3) of a face: darker near the ground, mirroring the sky or the ground."""
    light = canvas.light
    facing = max(float(normal @ light.sun), 0.0)
    open_sky = 0.6 + 0.4 * np.clip(height / 2.5, 0.0, 1.0)
    matt = light.shade(albedo, np.full(height.shape, facing, np.float32), float(normal[1]), open_sky)
    side, up = view
    towards = side * normal[0] + up * normal[1] + normal[2]
    bounce = (up - 2.0 * towards * normal[1]) / np.sqrt(1.0 + side * side + up * up)
    ground = 0.25 * light.ambient_rgb + 0.1 * light.sun_rgb
    mirrored = np.where((bounce > 0)[:, None], light.sky_at(bounce * 1.3), ground)
    return mix(matt, mirrored, gloss)
