"""Pascal VOC 2012: palette masks, JPEG images, lists of the train and val sets, and labelmap.txt."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import SettingError
from picie_core.export.image_files import flat_stems, put, write_jpeg
from picie_core.export.mask_format import Classes, ExportImage, Format, TrainValSplit, WrittenImage

ROOT = Path("VOCdevkit/VOC2012")
IGNORED_NAME = "ignored"


def voc_palette() -> np.ndarray:
    """Returns the colours of Pascal VOC, uint8 (256, 3): red, green and blue take the bits of an id in turn."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for step in range(3):
        for channel in range(3):
            palette[:, channel] |= ((ids >> (3 * step + channel) & 1) << (7 - step)).astype(np.uint8)
    return palette


def check_classes(classes: Classes) -> None:
    """Raises SettingError for a class name that labelmap.txt cannot hold, or for more ids than a palette has."""
    if len(classes) > IGNORE_ID:
        raise SettingError(
            f"voc masks hold {IGNORE_ID} ids at most, got {len(classes)} clusters: use --format png or fewer clusters"
        )
    for one in classes:
        rule = None
        if ":" in one.name:
            rule = "must not contain ':'"
        elif one.name.startswith("#"):
            rule = "must not begin with '#'"
        elif one.name.lower() == IGNORED_NAME:
            rule = f"must not be {IGNORED_NAME!r}, which stands for the pixels without a class"
        if rule:
            raise SettingError(
                f"class name {one.name!r} {rule} in the voc format: rename the class or use --format png"
            )


def write_image(folder: Path, image: ExportImage, mask: np.ndarray, classes: Classes) -> tuple[Path, Path]:
    """Writes JPEGImages/<stem>.jpg and SegmentationClass/<stem>.png (mode P with the VOC palette)."""
    image_path = ROOT / "JPEGImages" / write_jpeg(folder / ROOT / "JPEGImages", image.stem, image.source)
    mask_path = ROOT / "SegmentationClass" / f"{image.stem}.png"
    indexed = Image.fromarray(mask)
    indexed.putpalette(voc_palette().tobytes())
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", compress_level=3)
    put(folder / mask_path, buffer.getvalue())
    return image_path, mask_path


def write_set(
    folder: Path, written: Sequence[WrittenImage], classes: Classes, division: TrainValSplit
) -> dict[str, Any]:
    """Writes the lists of the train and val sets, and labelmap.txt."""
    stems = sorted(one.source.stem for one in written)
    val = division.val_stems(stems)
    train = [stem for stem in stems if stem not in val]
    for name, members in (("train", train), ("val", sorted(val))):
        text = "".join(f"{stem}\n" for stem in members)
        put(folder / ROOT / "ImageSets" / "Segmentation" / f"{name}.txt", text.encode())
    names = [(one.id, one.name) for one in classes]
    if any(one.ignored_pixels for one in written):
        names.append((IGNORE_ID, IGNORED_NAME))
    palette = voc_palette()
    lines = [f"{name}:{','.join(map(str, palette[number]))}::\n" for number, name in names]
    put(folder / ROOT / "labelmap.txt", "".join(lines).encode())
    counts = {"train": len(train), "val": len(val), "val_share": division.val_share, "seed": division.seed}
    return {"mask_mode": "P", "split": counts}


VOC = Format("voc", "Pascal VOC 2012", check_classes, flat_stems, write_image, write_set)
