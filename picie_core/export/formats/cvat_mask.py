"""CVAT segmentation mask 1.1: palette masks with a label map, zipped for the upload."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.colors import IGNORE_COLOR, hex_color, rgb_color
from picie_core.data.class_names import IGNORE_ID
from picie_core.export.formats.cvat_labels import write_cvat_labels
from picie_core.export.formats.pascal_voc import IGNORED_NAME, PascalVoc, palette_png
from picie_core.export.image_files import put
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written, distinct_colors

ARCHIVE = "cvat_masks.zip"


class CvatMask(Format):
    """SegmentationClass/<stem>.png, ImageSets, labelmap.txt; all of it again in cvat_masks.zip; cvat_labels.json.

    A stem is the path of its image without suffix, as CVAT finds frames by it. CVAT knows no pixels without a label,
    so ignored ones have one of their own, which is removed there at will.
    """

    key = "cvat-mask"
    title = "CVAT segmentation mask 1.1"
    readers = "CVAT and Datumaro."
    opening = (
        "Make a task of your images with the labels of `cvat_labels.json` (tab Raw), then Actions, Upload annotations, "
        f"Segmentation mask 1.1 with `{ARCHIVE}`"
    )
    name_rules = PascalVoc.name_rules

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes SegmentationClass/<stem>.png; CVAT has the image already."""
        mask = Path("SegmentationClass", f"{image.stem}.png")
        put(folder / mask, palette_png(image.mask, _palette(classes)))
        return {"image": None, "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes labelmap.txt, the list of the masks, cvat_labels.json and the archive."""
        palette = _palette(classes)
        names = {one.id: one.name for one in classes}
        if any(one.ignored_pixels for one in written):
            names[IGNORE_ID] = IGNORED_NAME
        lines = [f"{name}:{','.join(map(str, palette[number].tolist()))}::\n" for number, name in names.items()]
        put(folder / "labelmap.txt", "".join(lines).encode())
        write_cvat_labels(folder, list(names.values()), [hex_color(palette[number]) for number in names])
        listed = Path("ImageSets/Segmentation/default.txt")
        put(folder / listed, b"")
        with open(folder / listed, "w", encoding="utf-8") as file:
            file.writelines(f"{one.stem}\n" for one in written)
        partial = folder / f".{ARCHIVE}"
        with zipfile.ZipFile(partial, "w") as archive:  # not compressed: PNGs are
            for path in ("labelmap.txt", listed.as_posix()):
                archive.write(folder / path, path)
            for one in written:
                archive.write(folder / one.entry["mask"], one.entry["mask"])
        os.replace(partial, folder / ARCHIVE)
        return {"mask_mode": "P"}


def _palette(classes: Classes) -> np.ndarray:
    """The colours of the classes and of what is ignored by their ids, (256, 3) uint8; black is nothing's."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(classes)] = distinct_colors(classes, reserved=("#000000", IGNORE_COLOR))
    palette[IGNORE_ID] = rgb_color(IGNORE_COLOR)
    return palette
