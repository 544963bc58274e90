"""Ultralytics semantic segmentation: images and masks by split, and data.yaml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from picie_core.data.images.image_file import png_bytes
from picie_core.errors import SettingError
from picie_core.export.image_files import flat_stems, put, write_jpeg, write_picture
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written
from picie_core.export.splits import SPLITS


class Ultralytics(Format):
    """images/<split>/<stem>.*, masks/<split>/<stem>.png (mode L, 255 ignored), data.yaml."""

    key = "ultralytics"
    title = "Ultralytics semantic"
    readers = "Ultralytics YOLO, semantic segmentation."
    opening = '`YOLO("yolo26n-sem.pt").train(data="data.yaml")`; 255 is ignored.'

    def stems(self, paths: Sequence[str]) -> list[str]:
        """Returns flat stems: Ultralytics finds a mask by replacing a folder `images`, of which there must be one."""
        return flat_stems(paths)

    def check_splits(self, splits: Sequence[str]) -> None:
        """Raises SettingError unless both sets have images: its training needs both."""
        for name in SPLITS:
            if name not in splits:
                raise SettingError(
                    f"{self.key} needs images in the {name} set, and all {len(splits)} are in the other one: give a "
                    "--val-share between 0 and 1, or --val-folders with some of the images"
                )

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image and its mask; .jpe, a suffix that Ultralytics does not know, becomes .jpg."""
        below = Path("images", image.split)
        write = write_jpeg if image.source.suffix.lower() == ".jpe" else write_picture
        picture = write(folder / below, image.stem, image.source, image.image_files)
        mask = Path("masks", image.split, f"{image.stem}.png")
        put(folder / mask, png_bytes(image.mask))
        return {"image": picture and (below / picture).as_posix(), "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes data.yaml; without a `path` it means its own folder."""
        lines = ["train: images/train", "val: images/val", "masks_dir: masks", "names:"]
        lines += [
            f"  {one.id}: {json.dumps(one.name, ensure_ascii=False)}" for one in classes
        ]  # YAML reads JSON's text
        put(folder / "data.yaml", "".join(f"{line}\n" for line in lines).encode())
        return {"mask_mode": "L"}
