"""Images of every kind that an export has to cope with, and cells that need no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE_PX = 64
"""Shorter side at which the test workspace looks at its images."""


def draw_scene(seed: int, width: int = 100, height: int = 76) -> np.ndarray:
    """A picture with a striped lower part and a plain upper one, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(90, 250, 3), np.uint8)
    image[height // 2 :] = (np.arange(width) // 3 % 2 * 120 + 40)[None, :, None]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def save(path: Path, image: np.ndarray | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
    return path


def odd_images(folder: Path) -> int:
    """Writes one image of every kind that has to be exported, in several sizes; returns how many."""
    scene = Image.fromarray(draw_scene(0))
    turned = Image.Exif()
    turned[0x0112] = 6
    save(folder / "plain.jpg", scene, quality=90)
    save(folder / "grey.png", scene.convert("L"))
    save(folder / "alpha.png", scene.convert("RGBA"))
    save(folder / "palette.png", scene.convert("P"))
    save(folder / "cmyk.jpg", scene.convert("CMYK"))
    save(folder / "deep.png", Image.fromarray(draw_scene(1)[..., 0].astype(np.uint16) * 256))
    save(folder / "turned.jpg", scene, exif=turned)
    save(folder / "turned.png", scene, exif=turned)
    save(folder / "moving.gif", scene, save_all=True, append_images=[Image.fromarray(draw_scene(2))])
    save(folder / "wide.bmp", draw_scene(3, 333, 41))
    save(folder / "straße 日本" / "bild mit raum.tif", draw_scene(4, 65, 90))
    save(folder / "a" / "same.png", draw_scene(5))
    save(folder / "b" / "same.png", draw_scene(6))
    save(folder / "b" / "same.jpg", draw_scene(7))
    save(folder / "liar.png", scene, format="JPEG")
    return 15


def no_network(images: np.ndarray) -> np.ndarray:
    """Cells that need no network: the mean colours of 4 x 4 pixels, in the first of 16 dimensions."""
    batch, height, width, _ = images.shape
    cells = np.zeros((batch, -(-height // 4), -(-width // 4), 16), np.float32)
    cells[..., :3] = images[:, ::4, ::4] / 255 - 0.5
    return cells
