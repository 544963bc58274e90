"""COCO panoptic: a PNG of segment ids an image, and a JSON that says which class each segment is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.data.images.image_file import png_bytes
from picie_core.export.formats.coco import FIRST_CATEGORY, write_coco_files, write_split_picture
from picie_core.export.image_files import put
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written, WrittenImage, distinct_colors
from picie_core.export.run_lengths import class_runs


class CocoPanoptic(Format):
    """images/<split>/<stem>.*, annotations/panoptic_<split>/<stem>.png and annotations/panoptic_<split>.json."""

    key = "coco-panoptic"
    title = "COCO panoptic"
    readers = "Datumaro, panopticapi, detectron2, Mask2Former and OneFormer."
    opening = (
        "One PNG an image, segment id = red + 256 green + 65536 blue, 0 where ignored. "
        '`Dataset.import_from(folder, "coco_panoptic")` of Datumaro'
    )

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image and its PNG; the one segment of a class has the id of its category, which is below 256."""
        picture = write_split_picture(folder, image)
        mask = Path("annotations", f"panoptic_{image.split}", f"{image.stem}.png")
        ids = np.zeros((*image.mask.shape, 3), np.uint8)
        ids[..., 0] = image.mask + np.uint8(FIRST_CATEGORY)  # 255, ignored, becomes 0
        put(folder / mask, png_bytes(ids))
        segments = [
            {"id": one.id + FIRST_CATEGORY, "area": one.area, "bbox": list(one.box)} for one in class_runs(image.mask)
        ]
        return {"image": picture, "mask": mask.as_posix(), "segments": segments}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes annotations/panoptic_train.json and panoptic_val.json."""
        colors = distinct_colors(classes).tolist()
        categories = [
            {
                "id": one.id + FIRST_CATEGORY,
                "name": one.name,
                "supercategory": one.name,
                "isthing": 0,
                "color": colors[one.id],
            }
            for one in classes
        ]
        write_coco_files(folder, "panoptic", written, categories, _annotations)
        return {"first_category": FIRST_CATEGORY}


def _annotations(images: Iterable[tuple[int, WrittenImage]]) -> Iterator[dict[str, Any]]:
    """One annotation for each image, with its segments."""
    for image_id, one in images:
        segments = [{**each, "category_id": each["id"], "iscrowd": 0} for each in one.entry["segments"]]
        name = one.entry["mask"].removeprefix(f"annotations/panoptic_{one.split}/")
        yield {"image_id": image_id, "file_name": name, "segments_info": segments}
