"""Writes every case in every format with the product's writers: python -m tests.interop.write_exports FOLDER

Runs in the environment of the product. Beside each export lies what it has to say: manifest.json, and the masks and
images as npy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from picie_core.data.images.image_file import read_image
from picie_core.export.export_folder import check_written, write_records
from picie_core.export.formats import FORMATS
from picie_core.export.mask_format import Format, MaskClass, MaskedImage, WrittenImage, held_classes
from tests.interop.cases import CASES, Case, write_image


class Kept:
    """What a format wrote, in memory; each iteration begins anew."""

    def __init__(self, images: list[WrittenImage]):
        self.images = images

    def __iter__(self) -> Iterator[WrittenImage]:
        return iter(self.images)

    def __len__(self) -> int:
        return len(self.images)


def write_case(folder: Path, case: Case) -> None:
    """Writes the images and the truth of a case, then one export a format."""
    for image in case.images:
        write_image(folder / "source", image)
    (folder / "truth").mkdir()
    for index, image in enumerate(case.images):
        np.save(folder / "truth" / f"mask-{index}.npy", image.mask)
        np.save(folder / "truth" / f"image-{index}.npy", read_image(folder / "source" / image.path))
    for form in FORMATS.values():
        write_export(folder / form.key, folder / "source", case, form)


def write_export(out: Path, source: Path, case: Case, form: Format) -> None:
    """Writes a case in one format, as the product does."""
    classes = [MaskClass(i, name, color, [i]) for i, (name, color) in enumerate(case.classes)]
    held = held_classes(form, classes, fix_names=True)
    paths = [image.path for image in case.images]
    splits = [case.split_of(index) for index in range(len(paths))]
    form.check_splits(splits)
    images = []
    for index, (path, stem, split) in enumerate(zip(paths, form.stems(paths), splits, strict=True)):
        mask = case.images[index].mask
        entry = form.write_image(out, MaskedImage(index, path, source / path, stem, split, mask), held)
        entry = json.loads(json.dumps(entry))
        ignored = int((mask == 255).sum())
        images.append(WrittenImage(path, stem, split, mask.shape[::-1], ignored, entry))
    written = Kept(images)
    head = {"format": form.key} | form.write_set(out, written, held)
    write_records(out, held, {}, written, problems=[], head=head)
    check_written(out, written)
    manifest = {
        "classes": [one.name for one in held],
        "images": [
            {"path": one.path, "stem": one.stem, "split": one.split, "size": one.size, **_files(one)} for one in images
        ],
    }
    out.with_name(f"{form.key}.manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _files(one: WrittenImage) -> dict[str, str | None]:
    return {"image": one.entry["image"], "mask": one.entry["mask"]}


def main() -> None:
    """Writes all cases below the folder that the command line names."""
    root = Path(sys.argv[1])
    for make in CASES:
        (root / make.__name__).mkdir(parents=True)
        write_case(root / make.__name__, make())


if __name__ == "__main__":
    main()
