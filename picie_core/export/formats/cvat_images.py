"""CVAT for images 1.1: one annotations.xml with the pixels of each class, run-length encoded inside its box."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from picie_core.colors import hex_color
from picie_core.export.formats.cvat_labels import write_cvat_labels
from picie_core.export.image_files import write_picture
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written, WrittenImage, distinct_colors
from picie_core.export.run_lengths import class_runs


class CvatImages(Format):
    """images/<stem>.*, annotations.xml, and cvat_labels.json for the task constructor."""

    key = "cvat-images"
    title = "CVAT for images 1.1"
    readers = "CVAT and Datumaro."
    opening = (
        "Make a task of `images/` with the labels of `cvat_labels.json` (tab Raw), then Actions, Upload annotations, "
        "CVAT 1.1 with `annotations.xml`"
    )

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image, and returns its masks as XML: only the box of a class is encoded, so CVAT stays quick."""
        picture = write_picture(folder / "images", image.stem, image.source, image.image_files)
        shapes = [
            {"class": one.id, "box": one.box, "rle": ", ".join(map(str, one.counts.tolist()))}
            for one in class_runs(image.mask, in_box=True)
        ]
        return {"image": picture and f"images/{picture.as_posix()}", "mask": None, "shapes": shapes}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes annotations.xml and cvat_labels.json."""
        names, colors = [one.name for one in classes], [hex_color(color) for color in distinct_colors(classes)]
        write_cvat_labels(folder, names, colors)
        labels = [
            f"<label><name>{escape(name)}</name><color>{color}</color><type>any</type><attributes></attributes></label>"
            for name, color in zip(names, colors, strict=True)
        ]
        with open(folder / "annotations.xml", "w", encoding="utf-8") as file:
            file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task>\n')
            file.write(f"<name>PiCIE Explorer</name><size>{len(written)}</size><mode>annotation</mode>\n")
            file.write("\n".join(["<labels>", *labels, "</labels>", "</task></meta>", ""]))
            for frame, one in enumerate(written):
                file.write(_image_element(frame, one, names))
            file.write("</annotations>\n")
        return {}


def _image_element(frame: int, one: WrittenImage, names: list[str]) -> str:
    """The element of an image; CVAT finds its frame by name, which is the image's own where no files are written."""
    path = one.entry["image"]
    name = quoteattr(one.path if path is None else path.removeprefix("images/"))
    lines = [f'<image id="{frame}" name={name} width="{one.size[0]}" height="{one.size[1]}">']
    for shape in one.entry["shapes"]:
        left, top, width, height = shape["box"]
        lines.append(
            f'<mask label={quoteattr(names[shape["class"]])} source="auto" occluded="0" rle="{shape["rle"]}" '
            f'left="{left}" top="{top}" width="{width}" height="{height}" z_order="0"></mask>'
        )
    return "\n".join([*lines, "</image>", ""])
