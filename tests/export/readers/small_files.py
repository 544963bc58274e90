"""Small files of other tools, written by hand: PNG masks, COCO and CVAT files, zips."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

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
    listed = "".join(f"<label><name>{one}</name><color>#fff</color></label>" for one in labels)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f"<meta><task><name>task of mine</name><labels>{listed}</labels></task></meta>"
        f'<image id="0" name="{name}" width="{size[0]}" height="{size[1]}">{shapes}</image></annotations>'
    )
