"""Small files of other tools, written by hand: PNG masks, COCO and CVAT files, zips."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

SIZE = (6, 4)
"""Width and height of the images that most tests speak of."""


def png(mask: np.ndarray | Image.Image) -> bytes:
    """A mask as a PNG file."""
    buffer = io.BytesIO()
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(buffer, "PNG")
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    """Writes files below a folder and returns it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def zipped(path: Path, files: dict[str, bytes | str]) -> Path:
    """Writes files into a zip and returns it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def coco(annotations: list[dict[str, Any]], **more: Any) -> str:
    """A COCO file of the image `a.png` with the categories sky (1) and road (7)."""
    record = {
        "info": {"year": 2026},
        "images": [{"id": 1, "file_name": "a.png", "width": SIZE[0], "height": SIZE[1]}],
        "categories": [{"id": 1, "name": "sky"}, {"id": 7, "name": "road"}],
        "annotations": [{"id": i, "image_id": 1, "iscrowd": 0, **one} for i, one in enumerate(annotations)],
    }
    return json.dumps(record | more, ensure_ascii=False, indent=1)


def cvat(shapes: str, name: str = "a.png", size: tuple[int, int] = SIZE, labels: tuple[str, ...] = ("sky",)) -> str:
    """An annotations.xml of one image."""
    return cvat_task(f'<image id="0" name="{name}" width="{size[0]}" height="{size[1]}">{shapes}</image>', labels)


def cvat_task(images: str, labels: Sequence[str]) -> str:
    """An annotations.xml with these elements and labels."""
    listed = "".join(f"<label><name>{escape(one)}</name><color>#fff</color></label>" for one in labels)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f"<meta><task><name>task of mine</name><labels>{listed}</labels></task></meta>{images}</annotations>"
    )


def runs_of(flat: np.ndarray) -> list[int]:
    """Run lengths of a flat bool array, zeros first."""
    ends = np.flatnonzero(np.diff(flat.astype(np.int8))) + 1
    counts = np.diff(np.r_[0, ends, len(flat)]).tolist()
    return [0, *counts] if flat[0] else counts


def pack_counts(counts: list[int]) -> str:
    """Run lengths as the COCO API packs them, one character at a time: the slow way round of `unpack_counts`."""
    text = ""
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            group = number & 0x1F
            number >>= 5
            more = number != -1 if group & 0x10 else number != 0
            text += chr((group | 0x20 if more else group) + 48)
    return text


def whole_coco(masks: dict[str, np.ndarray], names: list[str]) -> str:
    """A COCO file with a packed mask for each class of each image, as pycocotools makes them."""
    images, annotations = [], []
    for number, (path, mask) in enumerate(masks.items()):
        height, width = mask.shape
        images.append({"id": number, "file_name": path, "width": width, "height": height})
        for class_id in sorted(set(mask.ravel().tolist()) - {255}):
            counts = pack_counts(runs_of((mask == class_id).ravel(order="F")))
            segmentation = {"counts": counts, "size": [height, width]}
            annotations.append({"image_id": number, "category_id": class_id + 1, "segmentation": segmentation})
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(names)]
    return coco(annotations, images=images, categories=categories)


def whole_cvat(masks: dict[str, np.ndarray], names: list[str]) -> str:
    """An annotations.xml with a mask for each class of each image, as CVAT writes them."""
    elements = []
    for path, mask in masks.items():
        shapes = ""
        for class_id in sorted(set(mask.ravel().tolist()) - {255}):
            rows, columns = np.nonzero(mask == class_id)
            top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
            runs = runs_of((mask == class_id)[top:bottom, left:right].ravel())
            place = f'left="{left}" top="{top}" width="{right - left}" height="{bottom - top}"'
            rle, label = ", ".join(map(str, runs)), escape(names[class_id], {'"': "&quot;"})
            shapes += f'<mask label="{label}" source="semi-auto" occluded="0" rle="{rle}" {place} z_order="0"></mask>'
        size = f'width="{mask.shape[1]}" height="{mask.shape[0]}"'
        elements.append(f'<image id="0" name="{escape(path)}" {size}>{shapes}</image>')
    return cvat_task("".join(elements), names)
