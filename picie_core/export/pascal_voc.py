"""Pascal VOC 2012: palette masks, JPEG images, train and val lists, and the label map with its colours."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import SettingError
from picie_core.export.image_files import flat_stems, put, write_jpeg
from picie_core.export.mask_format import Format, Item, Legend, Written

ROOT = Path("VOCdevkit/VOC2012")
IGNORED_NAME = "ignored"


def voc_palette() -> np.ndarray:
    """Returns the colours of Pascal VOC, uint8 (256, 3): the bits of an id, dealt to red, green and blue in turn."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for step in range(3):
        for channel in range(3):
            palette[:, channel] |= ((ids >> (3 * step + channel) & 1) << (7 - step)).astype(np.uint8)
    return palette


def check_legend(legend: Legend) -> None:
    """Raises SettingError for a class name that labelmap.txt cannot hold, or more ids than a palette has."""
    if len(legend.entries) > IGNORE_ID:
        raise SettingError(
            f"voc masks hold {IGNORE_ID} ids at most, {legend.clustering.name} has {len(legend.entries)} clusters: "
            "use --format png or fewer clusters"
        )
    for entry in legend.entries:
        rule = None
        if ":" in entry.name:
            rule = "must not contain ':'"
        elif entry.name.startswith("#"):
            rule = "must not begin with '#'"
        elif entry.name.lower() == IGNORED_NAME:
            rule = f"must not be {IGNORED_NAME!r}, which stands for the pixels without a class"
        if rule:
            raise SettingError(
                f"class name {entry.name!r} {rule} in the voc format: rename the class or use --format png"
            )


def write(folder: Path, item: Item, mask: np.ndarray, legend: Legend) -> tuple[Path, Path]:
    """Writes JPEGImages/<stem>.jpg and SegmentationClass/<stem>.png (mode P with the VOC palette)."""
    image = ROOT / "JPEGImages" / write_jpeg(folder / ROOT / "JPEGImages", item.stem, item.source)
    path = ROOT / "SegmentationClass" / f"{item.stem}.png"
    indexed = Image.fromarray(mask)
    indexed.putpalette(voc_palette().tobytes())
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", compress_level=3)
    put(folder / path, buffer.getvalue())
    return image, path


def finish(folder: Path, written: list[Written], legend: Legend, val_share: float, seed: int) -> dict[str, Any]:
    """Writes the train and val lists and labelmap.txt."""
    stems = sorted(one.item.stem for one in written)
    val = split(stems, val_share, seed)
    train = [stem for stem in stems if stem not in val]
    for name, members in (("train", train), ("val", sorted(val))):
        text = "".join(f"{stem}\n" for stem in members)
        put(folder / ROOT / "ImageSets" / "Segmentation" / f"{name}.txt", text.encode())
    ignored = any(one.ignored_pixels for one in written)
    names = [(entry.id, entry.name) for entry in legend.entries] + [(IGNORE_ID, IGNORED_NAME)] * ignored
    palette = voc_palette()
    lines = [f"{name}:{','.join(map(str, palette[number]))}::\n" for number, name in names]
    put(folder / ROOT / "labelmap.txt", "".join(lines).encode())
    return {"mask_mode": "P", "split": {"train": len(train), "val": len(val), "val_share": val_share, "seed": seed}}


def split(stems: list[str], val_share: float, seed: int) -> set[str]:
    """Returns the stems of the val list, drawn by seed; both lists get one where there are two and both are wanted."""
    count = round(len(stems) * val_share)
    if len(stems) > 1 and 0 < val_share < 1:
        count = min(max(count, 1), len(stems) - 1)
    chosen = np.random.default_rng(seed).permutation(len(stems))[:count]
    return {stems[i] for i in chosen}


VOC = Format("voc", "Pascal VOC 2012", check_legend, flat_stems, write, finish)
