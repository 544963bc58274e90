"""Exports of a few tiny images by a format's writer alone, without a workspace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from picie_core.export.mask_format import Format, MaskClass, MaskedImage, WrittenImage

CLASSES = (
    MaskClass(0, "sky & sea", "#e69f00", [0]),
    MaskClass(1, "<road>", "#000000", [1]),
    MaskClass(2, "Straße", "#e69f00", [2]),
)
"""Names to escape, a black one, and two of one colour."""
TINY = np.array([[0, 0, 1], [255, 0, 1]], np.uint8).repeat(10, axis=0).repeat(10, axis=1)
"""(20, 30): class 0 above and in the middle, class 1 at the right, 255 below at the left; class 2 is nowhere."""


class Written:
    """Written images that are made anew for each iteration."""

    def __init__(self, images: Sequence[WrittenImage], times: int = 1):
        self.images, self.times = images, times

    def __len__(self) -> int:
        return len(self.images) * self.times

    def __iter__(self) -> Iterator[WrittenImage]:
        for _ in range(self.times):
            for one in self.images:
                yield WrittenImage(**{**one.__dict__, "entry": json.loads(json.dumps(one.entry))})


def write_images(
    form: Format,
    folder: Path,
    paths: Sequence[str] = ("a/one.png", "b/two x.jpg"),
    *,
    splits: Sequence[str] = ("train", "val"),
    classes: Sequence[MaskClass] = CLASSES,
    mask: np.ndarray = TINY,
    image_files: str = "copy",
) -> list[WrittenImage]:
    """Writes images of one mask below `folder`/source and their export to `folder`/out; returns what was written."""
    written = []
    for index, (path, stem, split) in enumerate(zip(paths, form.stems(paths), splits, strict=True)):
        source = folder / "source" / path
        source.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([mask] * 3, -1)).save(source)
        image = MaskedImage(index, path, source, stem, split, mask, image_files)
        entry = form.write_image(folder / "out", image, classes)
        size, ignored = (mask.shape[1], mask.shape[0]), int((mask == 255).sum())
        written.append(WrittenImage(path, stem, split, size, ignored, json.loads(json.dumps(entry))))
    return written


def export(form: Format, folder: Path, **options: object) -> list[WrittenImage]:
    """Does `write_images`, then writes what belongs to the set."""
    written = write_images(form, folder, **options)  # type: ignore[arg-type]
    form.write_set(folder / "out", Written(written), options.get("classes", CLASSES))  # type: ignore[arg-type]
    return written


def pixels(path: Path) -> np.ndarray:
    """The values of a PNG."""
    with Image.open(path) as image:
        return np.asarray(image)
