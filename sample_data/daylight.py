"""Light of a scene: sun, sky colours, haze, and the camera's response to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
TIMES = ("noon", "overcast", "golden", "dusk", "morning mist")


def linear(*srgb: float) -> Array:
    """Return a colour given in display values (0..1) as linear light, shape (3,), for shading."""
    return np.asarray(srgb, np.float32) ** np.float32(2.2)


@dataclass(frozen=True)
class Light:
    """One moment of daylight; directions are (right, up, forward), colours are linear RGB."""

    time: str
    sun: Array
    sun_rgb: Array
    ambient_rgb: Array
    zenith_rgb: Array
    horizon_rgb: Array
    haze_per_m: float
    cloud_cover: float
    balance: Array
    exposure: float

    def shade(self, albedo: Array, facing: Array | float, up: Array | float, open_sky: Array | float) -> Array:
        """Return the radiance (..., 3) of a matt surface.

        facing is the cosine towards the sun (0 in shadow), up the normal's vertical part, open_sky the
        part of the sky (0..1) that the point sees.
        """
        sun = np.asarray(facing, np.float32)[..., None] * self.sun_rgb
        sky = (np.asarray((0.7 + 0.3 * up) * open_sky, np.float32))[..., None] * self.ambient_rgb
        return albedo * (sun + sky)

    def sky_at(self, up: Array) -> Array:
        """Return the cloudless sky's colour (..., 3) at a given slope above the horizon."""
        rise = np.clip(up, 0.0, None)[..., None]
        weight = np.exp(-rise / np.float32(0.22))
        return self.zenith_rgb * (1.0 - weight) + self.horizon_rgb * weight

    def through_air(self, radiance: Array, depth: Array) -> Array:
        """Return radiance (..., 3) after depth metres of haze: far things take the horizon's colour."""
        clear = np.exp(-self.haze_per_m * np.asarray(depth, np.float32))[..., None]
        return radiance * clear + 0.92 * self.horizon_rgb * (1.0 - clear)

    def develop(self, radiance: Array) -> Array:
        """Return display RGB (0..1) of linear radiance, with the scene's exposure and white balance."""
        # Metering: the scene's typical brightness is brought most of the way to a mid tone, as cameras do.
        metered = (0.3 / max(float(np.median(radiance)), 1e-3)) ** 0.45
        exposed = 1.0 - np.exp(-1.55 * self.exposure * metered * radiance * self.balance)
        # Muted colours, as on a hazy day's film: texture and shape tell things apart, less so hue.
        grey = exposed.mean(-1, keepdims=True)
        return np.clip(grey + 0.78 * (exposed - grey), 0.0, 1.0) ** (1.0 / 2.2)


PALETTE = {
    # sun elevation (degrees), sun, ambient, zenith, horizon, haze per metre, cloud cover
    "noon": ((38, 65), (1.15, 1.08, 0.96), (0.32, 0.38, 0.46), (0.27, 0.50, 0.82), (0.72, 0.84, 0.93), 2e-5),
    "overcast": ((50, 60), (0.1, 0.1, 0.1), (0.66, 0.69, 0.72), (0.66, 0.69, 0.72), (0.80, 0.82, 0.84), 3e-5),
    "golden": ((9, 20), (1.35, 0.85, 0.42), (0.30, 0.31, 0.37), (0.42, 0.57, 0.76), (0.98, 0.82, 0.62), 3e-5),
    "dusk": ((3, 8), (0.62, 0.30, 0.20), (0.30, 0.30, 0.38), (0.40, 0.46, 0.66), (0.92, 0.72, 0.60), 3.5e-5),
    "morning mist": (
        (15, 30),
        (0.62, 0.57, 0.50),
        (0.46, 0.48, 0.52),
        (0.62, 0.72, 0.80),
        (0.86, 0.86, 0.84),
        0.55e-4,
    ),
}


def draw_light(rng: np.random.Generator, time: str) -> Light:
    """Return a light of the named time of day, with sun position, haze and white balance drawn from rng."""
    span, sun_rgb, ambient, zenith, horizon, haze = PALETTE[time]
    elevation = np.radians(rng.uniform(*span))
    # The sun stays beside or behind the camera most of the time; low suns may shine into it.
    azimuth = rng.uniform(-np.pi, np.pi) if time in ("golden", "dusk") else rng.uniform(1.2, 5.1)
    sun = np.array(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)],
        np.float32,
    )
    tint = np.float32(1.0) + rng.uniform(-0.07, 0.07, 3).astype(np.float32) * np.array([1, 0.35, 1], np.float32)
    cover = {"overcast": 1.0, "noon": rng.uniform(0.15, 0.6), "dusk": rng.uniform(0.25, 0.6)}
    return Light(
        time=time,
        sun=sun,
        sun_rgb=np.asarray(sun_rgb, np.float32),
        ambient_rgb=np.asarray(ambient, np.float32),
        zenith_rgb=linear(*zenith) * np.float32(rng.uniform(0.85, 1.15)),
        horizon_rgb=linear(*horizon) * np.float32(rng.uniform(0.9, 1.05)),
        haze_per_m=haze * float(rng.uniform(0.6, 1.5)),
        cloud_cover=float(cover.get(time, rng.uniform(0.1, 0.5))),
        balance=tint,
        exposure=float(rng.uniform(0.92, 1.1)),
    )
