"""Hugging Face datasets: an image folder with two columns, image and label, and a dataset card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from picie_core.atomic_files import write_json
from picie_core.data.images.image_file import png_bytes
from picie_core.export.image_files import put, write_picture
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written
from picie_core.export.splits import SPLITS


class HuggingFace(Format):
    """<split>/images/, <split>/masks/ (mode L), <split>/metadata.jsonl, README.md and id2label.json."""

    key = "hf"
    title = "Hugging Face datasets"
    readers = "datasets, and with it transformers, AutoTrain and the dataset viewer of the Hub."
    opening = '`load_dataset("imagefolder", data_dir=folder)` gives `image` and `label`; 255 is ignored.'

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image and its mask below the folder of its split."""
        below = Path(image.split)
        picture = write_picture(folder / below / "images", image.stem, image.source, image.image_files)
        mask = below / "masks" / f"{image.stem}.png"
        put(folder / mask, png_bytes(image.mask))
        return {"image": picture and (below / "images" / picture).as_posix(), "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes the metadata of each split that has images, the card and id2label.json."""
        sizes = {split: sum(one.split == split for one in written) for split in SPLITS}
        for split in (name for name, size in sizes.items() if size):
            with open(folder / split / "metadata.jsonl", "w", encoding="utf-8") as file:
                for one in written:
                    if one.split == split:
                        row = {"image": one.entry["image"], "label": one.entry["mask"]}
                        names = {
                            f"{column}_file_name": path.removeprefix(f"{split}/")
                            for column, path in row.items()
                            if path
                        }
                        file.write(json.dumps(names, ensure_ascii=False) + "\n")
        id2label = {str(one.id): one.name for one in classes}
        write_json(folder / "id2label.json", id2label)
        put(folder / "README.md", _card(id2label, sizes).encode())
        return {"mask_mode": "L"}


def _card(id2label: dict[str, str], sizes: dict[str, int]) -> str:
    """The dataset card."""
    counts = ", ".join(f"{size} images in {split}" for split, size in sizes.items())
    return (
        "---\ntask_categories:\n- image-segmentation\n---\n\n# Semantic segmentation masks\n\n"
        f"Exported by PiCIE Explorer: {counts}. `label` is a grey PNG of class ids; 255 is ignored.\n\n"
        f"```json\n{json.dumps({'id2label': id2label}, indent=1, ensure_ascii=False)}\n```\n"
    )
