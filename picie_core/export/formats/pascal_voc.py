"""Pascal VOC 2012: palette masks, JPEG images, lists of the train and val sets, and labelmap.txt."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.data.class_names import IGNORE_ID, name_key
from picie_core.export.image_files import flat_stems, put, write_jpeg
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, NameRule, Written
from picie_core.export.splits import write_split_lists
from picie_core.export.voc_colors import voc_palette

ROOT = Path("VOCdevkit/VOC2012")
IGNORED_NAME = "ignored"


def palette_png(mask: np.ndarray, palette: np.ndarray) -> bytes:
    """Returns a mask (H, W) uint8 as PNG of mode P with the palette (256, 3) uint8."""
    indexed = Image.fromarray(mask)
    indexed.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


class PascalVoc(Format):
    """JPEGImages, SegmentationClass (mode P with the VOC palette), ImageSets and labelmap.txt."""

    key = "voc"
    title = "Pascal VOC 2012"
    readers = "torchvision, Datumaro, CVAT, mmsegmentation and what else knows VOC."
    opening = (
        "Colour-indexed PNGs with a train and a val list. "
        '`VOCSegmentation(root, year="2012", image_set="train", download=False)`'
    )
    name_rules = (
        NameRule("must not contain ':'", lambda name: name.replace(":", "_")),
        NameRule("must not begin with '#'", lambda name: name.lstrip("#").strip() or "_"),
        NameRule(
            f"must not be {IGNORED_NAME!r}, which stands for the pixels without a class",
            lambda name: f"{name}_" if name_key(name) == IGNORED_NAME else name,
        ),
    )

    def stems(self, paths: Sequence[str]) -> list[str]:
        """Returns flat stems, as the lists of names need them."""
        return flat_stems(paths)

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes JPEGImages/<stem>.jpg and SegmentationClass/<stem>.png."""
        picture = write_jpeg(folder / ROOT / "JPEGImages", image.stem, image.source, image.image_files)
        mask = ROOT / "SegmentationClass" / f"{image.stem}.png"
        put(folder / mask, palette_png(image.mask, voc_palette()))
        return {"image": picture and (ROOT / "JPEGImages" / picture).as_posix(), "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes the lists of the train and val sets, and labelmap.txt."""
        write_split_lists(folder / ROOT / "ImageSets" / "Segmentation", written)
        names = [(one.id, one.name) for one in classes]
        if any(one.ignored_pixels for one in written):
            names.append((IGNORE_ID, IGNORED_NAME))
        palette = voc_palette()
        lines = [f"{name}:{','.join(map(str, palette[number]))}::\n" for number, name in names]
        put(folder / ROOT / "labelmap.txt", "".join(lines).encode())
        return {"mask_mode": "P"}
