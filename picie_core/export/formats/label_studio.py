"""Label Studio: tasks with brush predictions, and the labelling configuration that they belong to."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from picie_core.colors import hex_color
from picie_core.export.image_files import put, write_browser_picture
from picie_core.export.json_lists import write_json_list
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written, WrittenImage, distinct_colors
from picie_core.export.run_lengths import class_runs

CHANNELS = 4
"""A brush mask is the RGBA picture that the browser draws: all four bytes of a pixel are 0 or 255."""
SIZE_BITS = np.array([3, 4, 8, 16])
"""Bits that the length of a run may take."""
LONGEST = 1 << 16


class LabelStudio(Format):
    """images/<stem>.*, tasks.json with predictions, label_config.xml."""

    key = "label-studio"
    title = "Label Studio"
    readers = "Label Studio."
    opening = (
        "Start it with `LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true` and "
        "`LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT` = this folder, paste `label_config.xml` into Settings, Labeling "
        "Interface, Code, and import `tasks.json`"
    )

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image, and returns the brush masks of its classes in base64."""
        picture = write_browser_picture(folder / "images", image.stem, image.source, image.image_files)
        shapes = [
            {"class": one.id, "rle": base64.b64encode(brush_bytes(one.counts)).decode("ascii")}
            for one in class_runs(image.mask)
        ]
        return {"image": picture and f"images/{picture.as_posix()}", "mask": None, "shapes": shapes}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes tasks.json and label_config.xml."""
        colors = [hex_color(color) for color in distinct_colors(classes)]
        labels = [f"    <Label value={quoteattr(one.name)} background={quoteattr(colors[one.id])}/>" for one in classes]
        config = ["<View>", '  <Image name="image" value="$image" zoom="true"/>']
        config += ['  <BrushLabels name="label" toName="image">', *labels, "  </BrushLabels>", "</View>", ""]
        put(folder / "label_config.xml", "\n".join(config).encode())
        names = [one.name for one in classes]
        write_json_list(folder / "tasks.json", (_task(one, names) for one in written))
        return {}


def brush_bytes(counts: np.ndarray) -> bytes:
    """Returns run lengths, (R,) int64 and from 0 pixels on, as the bytes of a brush mask of 0 and 255 [1].

    A head (how many bytes the picture has, bits of a byte, the four sizes of a length), then for each run a bit 1, two
    bits for the size, its length - 1 in as many bits, and the byte that repeats.
    [1] label_studio_sdk, `encode_rle` in converter/brush.py, after thi.ng/rle-pack.
    """
    lengths = CHANNELS * counts
    values = np.arange(len(lengths)) % 2 * 255
    pieces = -(-lengths // LONGEST)  # none of the first run where it has no pixels
    ends = np.cumsum(pieces) - 1
    rest = lengths - (pieces - 1) * LONGEST
    values, split = np.repeat(values, pieces), np.full(int(pieces.sum()), LONGEST)
    split[ends[pieces > 0]] = rest[pieces > 0]
    size = np.searchsorted(1 << SIZE_BITS, split)  # the smallest that holds it
    bits = SIZE_BITS[size]
    codes = (1 << bits + 10) | (size << bits + 8) | (split - 1 << 8) | values
    head = [(int(lengths.sum()), 32), (7, 5), *((int(one) - 1, 4) for one in SIZE_BITS)]
    numbers = np.concatenate([[number for number, _ in head], codes])
    widths = np.concatenate([[width for _, width in head], bits + 11])
    aligned = (numbers << 32 - widths).astype(">u4").view(np.uint8).reshape(-1, 4)
    used = np.arange(32) < widths[:, None]
    return np.packbits(np.unpackbits(aligned, axis=1)[used]).tobytes()


def _task(one: WrittenImage, names: Sequence[str]) -> dict[str, Any]:
    """The task of an image; its address is a path below the document root of local files."""
    shared = {
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": one.size[0],
        "original_height": one.size[1],
        "image_rotation": 0,
    }
    result = [
        {
            "id": f"class-{shape['class']}",
            **shared,
            "value": {
                "format": "rle",
                "rle": list(base64.b64decode(shape["rle"])),
                "brushlabels": [names[shape["class"]]],
            },
        }
        for shape in one.entry["shapes"]
    ]
    address = f"/data/local-files/?d={quote(one.entry['image'] or one.path)}"
    return {"data": {"image": address}, "predictions": [{"model_version": "picie-explorer", "result": result}]}
