"""Procedural noise: one random lattice per scene, read at any scale with smooth interpolation."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
# Turning each octave by an irrational-looking angle hides the square lattice.
COS, SIN = np.float32(0.8), np.float32(0.6)


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Return x eased from 0 (at or below low) to 1 (at or above high), for soft thresholds."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(a: Array, b: Array, weight: Array) -> Array:
    """Return a (weight 0) blended towards b (weight 1); a and b are colours, weight has no colour axis."""
    w = np.asarray(weight)[..., None]
    return a * (1.0 - w) + b * w


class Noise:
    """Periodic value noise over a lattice of random numbers; one lattice serves a whole scene."""

    def __init__(self, rng: np.random.Generator, size: int = 256) -> None:
        self.size = size
        self.lattice = rng.random(size * size, dtype=np.float32)

    def cell(self, u: Array, v: Array) -> Array:
        """Return one random number in [0, 1) for each integer cell (u, v), constant inside the cell."""
        mask = self.size - 1
        iu = np.floor(u).astype(np.int32) & mask
        iv = np.floor(v).astype(np.int32) & mask
        return self.lattice[iv * self.size + iu]

    def value(self, u: Array, v: Array) -> Array:
        """Return smooth noise in [0, 1) at lattice coordinates (u, v), shape of u."""
        fu, fv = np.floor(u), np.floor(v)
        mask = self.size - 1
        u0, v0 = fu.astype(np.int32) & mask, (fv.astype(np.int32) & mask) * self.size
        u1, v1 = (u0 + 1) & mask, (v0 + self.size) & (self.size * self.size - 1)
        a, b = u - fu, v - fv
        a, b = a * a * (3.0 - 2.0 * a), b * b * (3.0 - 2.0 * b)
        top = self.lattice[v0 + u0] * (1.0 - a) + self.lattice[v0 + u1] * a
        low = self.lattice[v1 + u0] * (1.0 - a) + self.lattice[v1 + u1] * a
        return top * (1.0 - b) + low * b

    def fbm(self, u: Array, v: Array, octaves: int = 5, gain: float = 0.5, footprint: Array | float = 0.0) -> Array:
        """Return fractal noise about zero, within [-1, 1].

        footprint is the width of a pixel in lattice cells; octaves finer than a pixel fade away, so that
        distant ground does not shimmer.
        """
        total, norm, weight = np.zeros(np.shape(u), np.float32), 0.0, 1.0
        for k in range(octaves):
            fade = np.clip(2.0 - 2.5 * np.asarray(footprint, np.float32) * 2.0**k, 0.0, 1.0)
            if fade.max() > 0:
                total += weight * fade * (2.0 * self.value(u, v) - 1.0)
            norm, weight = norm + weight, weight * gain
            u, v = 2.0 * (COS * u - SIN * v) + 17.3, 2.0 * (SIN * u + COS * v) + 5.7
        return total / np.float32(norm)

    def ridged(self, u: Array, v: Array, octaves: int = 6, gain: float = 0.5) -> Array:
        """Return ridged fractal noise in [0, 1]: sharp crests with smooth valleys, for rock and cracks."""
        total, norm, weight = np.zeros(np.shape(u), np.float32), 0.0, 1.0
        carry = np.ones(np.shape(u), np.float32)
        for _ in range(octaves):
            crest = 1.0 - np.abs(2.0 * self.value(u, v) - 1.0)
            crest = crest * crest * carry
            total += weight * crest
            # Valleys stay smooth: detail is added only where the coarser octave is already high.
            carry = np.clip(1.7 * crest, 0.0, 1.0)
            norm, weight = norm + weight, weight * gain
            u, v = 2.0 * (COS * u - SIN * v) + 31.1, 2.0 * (SIN * u + COS * v) + 11.9
        return total / np.float32(norm)
