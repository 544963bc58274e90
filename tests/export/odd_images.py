"""Images of every kind that an export has to read, and feature maps that need no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.factories import draw_scene

SIZE_PX = 64
"""Shorter side of the images as the test workspace embeds them."""


def picture(seed: int, width: int = 100, height: int = 76) -> np.ndarray:
    """A scene without its ground truth, uint8 (H, W, 3)."""
    return draw_scene(seed, height, width)[0]


def save(path: Path, image: np.ndarray | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
    return path


def odd_images(folder: Path) -> int:
    """Writes one image of every kind that has to be exported, in several sizes; returns how many."""
    scene = Image.fromarray(picture(0))
    turned = Image.Exif()
    turned[0x0112] = 6
    save(folder / "plain.jpg", scene, quality=90)
    save(folder / "grey.png", scene.convert("L"))
    save(folder / "alpha.png", scene.convert("RGBA"))
    save(folder / "palette.png", scene.convert("P"))
    save(folder / "cmyk.jpg", scene.convert("CMYK"))
    save(folder / "deep.png", Image.fromarray(picture(1)[..., 0].astype(np.uint16) * 256))
    save(folder / "turned.jpg", scene, exif=turned)
    save(folder / "turned.png", scene, exif=turned)
    save(folder / "moving.gif", scene, save_all=True, append_images=[Image.fromarray(picture(2))])
    save(folder / "wide.bmp", picture(3, 333, 41))
    save(folder / "straße 日本" / "bild mit raum.tif", picture(4, 65, 90))
    save(folder / "a" / "same.png", picture(5))
    save(folder / "b" / "same.png", picture(6))
    save(folder / "b" / "same.jpg", picture(7))
    save(folder / "liar.png", scene, format="JPEG")
    return 15


def no_network(images: np.ndarray) -> np.ndarray:
    """Feature maps that need no network: every fourth pixel's colour, in the first 3 of 16 dimensions."""
    batch, height, width, _ = images.shape
    features = np.zeros((batch, -(-height // 4), -(-width // 4), 16), np.float32)
    features[..., :3] = images[:, ::4, ::4] / 255 - 0.5
    return features
