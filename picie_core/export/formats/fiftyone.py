"""FiftyOne: an image segmentation directory, the names of its masks' values, and the script that loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from picie_core.atomic_files import write_json
from picie_core.data.images.image_file import png_bytes
from picie_core.export.image_files import put, write_browser_picture
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written
from picie_core.export.splits import write_split_lists

FIRST_TARGET = 1
"""FiftyOne never paints 0: value in the PNG = class id + 1, and 0 where ignored."""
SCRIPT = '''"""Loads this folder into FiftyOne, as a dataset that stays there: python load_fiftyone.py [NAME]"""

import json
import sys
from pathlib import Path

import fiftyone as fo

folder = Path(__file__).resolve().parent
targets = json.loads((folder / "mask_targets.json").read_text(encoding="utf-8"))
dataset = fo.Dataset.from_dir(
    dataset_dir=str(folder),
    dataset_type=fo.types.ImageSegmentationDirectory,
    label_field="ground_truth",
    name=sys.argv[1] if len(sys.argv) > 1 else folder.name,
    persistent=True,
)
dataset.default_mask_targets = {int(value): name for value, name in targets.items()}
dataset.save()
for split in ("train", "val"):
    stems = set((folder / "splits" / f"{split}.txt").read_text(encoding="utf-8").splitlines())
    for sample in dataset.iter_samples(autosave=True):
        if str(Path(sample.filepath).relative_to(folder / "data").with_suffix("").as_posix()) in stems:
            sample.tags.append(split)
print(f"{dataset.name}: {len(dataset)} images; open it with `fiftyone app launch {dataset.name}`")
'''


class FiftyOne(Format):
    """data/<stem>.*, labels/<stem>.png (mode L), mask_targets.json, load_fiftyone.py."""

    key = "fiftyone"
    title = "FiftyOne"
    readers = "FiftyOne."
    opening = "`python load_fiftyone.py`, then `fiftyone app launch`. Masks hold class + 1, and 0 where ignored."

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image and its shifted mask."""
        picture = write_browser_picture(folder / "data", image.stem, image.source, image.image_files)
        mask = Path("labels", f"{image.stem}.png")
        put(folder / mask, png_bytes(image.mask + np.uint8(FIRST_TARGET)))  # 255, ignored, becomes 0
        return {"image": picture and f"data/{picture.as_posix()}", "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes mask_targets.json, the script and the lists of the splits, from which the script makes tags."""
        write_split_lists(folder / "splits", written)
        write_json(folder / "mask_targets.json", {str(one.id + FIRST_TARGET): one.name for one in classes})
        put(folder / "load_fiftyone.py", SCRIPT.encode())
        return {"mask_mode": "L", "first_target": FIRST_TARGET}
