"""mmsegmentation: images and masks by split, and a configuration file with classes and palette."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import png_bytes
from picie_core.export.image_files import put, write_jpeg
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written, distinct_colors
from picie_core.export.splits import SPLITS

CONFIG = "mmseg_dataset.py"


class MmSegmentation(Format):
    """img_dir/<split>/<stem>.jpg, ann_dir/<split>/<stem>.png (mode L, 255 ignored), mmseg_dataset.py."""

    key = "mmseg"
    title = "mmsegmentation"
    readers = "mmsegmentation."
    opening = (
        f'`_base_ = ["{CONFIG}"]` in your configuration, then `train_dataloader = dict(dataset=_base_.train_dataset)`'
    )

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image as JPEG, as all need one suffix, and its mask."""
        below = Path("img_dir", image.split)
        picture = write_jpeg(folder / below, image.stem, image.source, image.image_files)
        mask = Path("ann_dir", image.split, f"{image.stem}.png")
        put(folder / mask, png_bytes(image.mask))
        return {"image": picture and (below / picture).as_posix(), "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes the configuration file; mmengine puts the folder of the file in the place of `fileDirname`."""
        names = "".join(f"        {one.name!r},\n" for one in classes)
        colors = "".join(f"        {color},\n" for color in distinct_colors(classes).tolist())
        text = (
            '"""The datasets of this folder for mmsegmentation: take the file as _base_ of a configuration."""\n\n'
            f"metainfo = dict(\n    classes=[\n{names}    ],\n    palette=[\n{colors}    ],\n)\n"
        )
        for split in SPLITS:
            text += (
                f"{split}_dataset = dict(\n"
                '    type="BaseSegDataset",\n'
                '    data_root="{{ fileDirname }}",\n'
                f'    data_prefix=dict(img_path="img_dir/{split}", seg_map_path="ann_dir/{split}"),\n'
                '    img_suffix=".jpg",\n'
                '    seg_map_suffix=".png",\n'
                "    metainfo=metainfo,\n"
                f"    ignore_index={IGNORE_ID},\n"
                "    reduce_zero_label=False,\n"
                ")\n"
            )
        put(folder / CONFIG, text.encode())
        return {"mask_mode": "L"}
