"""One case in one format, as it lies on disk, and what its masks have to be."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Masks = dict[int, np.ndarray]
"""Number of an image in its case -> its mask (H, W) uint8 as the library read it, 255 where it found no class."""
SPLITS = ("train", "val")
IGNORED = 255


@dataclass(frozen=True)
class Export:
    """One case in one format."""

    folder: Path
    classes: list[str]
    """The names that the format holds, by id."""
    images: list[dict[str, Any]]

    @classmethod
    def load(cls, case: Path, key: str) -> Export:
        manifest = json.loads((case / f"{key}.manifest.json").read_text(encoding="utf-8"))
        return cls(case / key, manifest["classes"], manifest["images"])

    def split(self, name: str) -> list[int]:
        """The numbers of the images of a split."""
        return [i for i, one in enumerate(self.images) if one["split"] == name]

    def find(self, **wanted: str | None) -> int:
        """The number of the one image with these values."""
        (found,) = [i for i, one in enumerate(self.images) if all(one[key] == value for key, value in wanted.items())]
        return found

    def paint(self, index: int, parts: Iterable[tuple[str, np.ndarray]]) -> np.ndarray:
        """A mask from the pixels (H, W) bool of names; no pixel has two."""
        width, height = self.images[index]["size"]
        mask = np.full((height, width), IGNORED, np.uint8)
        for name, pixels in parts:
            pixels = np.asarray(pixels, bool)
            assert pixels.shape == mask.shape and (mask[pixels] == IGNORED).all()
            mask[pixels] = self.classes.index(name)
        return mask
