"""Cityscapes style: PNG images by city, and three PNGs for each: label ids, training ids and colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.data.class_names import name_key
from picie_core.data.images.image_file import png_bytes
from picie_core.export.image_files import flat_stems, put, write_png
from picie_core.export.mask_format import (
    Classes,
    Entry,
    Format,
    MaskedImage,
    NameRule,
    Written,
    distinct_colors,
)
from picie_core.export.splits import SPLITS

UNLABELLED = "unlabeled"
"""As Cityscapes writes it."""
CITY = "images"
"""The city of images that lie in no folder."""


class Cityscapes(Format):
    """leftImg8bit/<split>/<city>/, gtFine/<split>/<city>/ and label_colors.txt; the city is the first folder."""

    key = "cityscapes"
    title = "Cityscapes style"
    readers = "torchvision, Datumaro, mmsegmentation and training code made for Cityscapes."
    opening = (
        "`labelIds` are class + 1 with 0 unlabelled, `labelTrainIds` the class with 255. "
        '`Cityscapes(root, split="train", mode="fine", target_type="semantic")` of torchvision gives the first'
    )
    name_rules = (
        NameRule("must not contain white space", lambda name: "_".join(name.split())),
        NameRule(
            f"must not be {UNLABELLED!r}, which stands for the pixels without a class",
            lambda name: f"{name}_" if name_key(name) == UNLABELLED else name,
        ),
    )

    def stems(self, paths: Sequence[str]) -> list[str]:
        """Returns <city>/<flat stem>; readers cut names at `_leftImg8bit`, so it must not be in them twice."""
        plain = [path.replace("_leftImg8bit", "") for path in paths]
        cities = [flat_stems([path.split("/")[0]])[0] if "/" in path else CITY for path in plain]
        return [f"{city}/{stem}" for city, stem in zip(cities, flat_stems(plain), strict=True)]

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image and its three PNGs."""
        below = Path("leftImg8bit", image.split)
        picture = write_png(folder / below, f"{image.stem}_leftImg8bit", image.source, image.image_files)
        truth = Path("gtFine", image.split)
        colors = np.zeros((256, 3), np.uint8)
        colors[: len(classes)] = distinct_colors(classes)
        files = {
            "labelIds": image.mask + np.uint8(1),  # 255, ignored, becomes 0
            "color": colors[image.mask],
            "labelTrainIds": image.mask,
        }
        for kind, pixels in files.items():
            put(folder / truth / f"{image.stem}_gtFine_{kind}.png", png_bytes(pixels))
        mask = truth / f"{image.stem}_gtFine_labelTrainIds.png"
        return {"image": picture and (below / picture).as_posix(), "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes label_colors.txt, and the folders of a split without images, which torchvision looks for.

        Black is the last line: where there is none, Datumaro puts a class of its own before all others.
        """
        for split in SPLITS:
            (folder / "gtFine" / split).mkdir(parents=True, exist_ok=True)
            if any(one.entry["image"] for one in written):
                (folder / "leftImg8bit" / split).mkdir(parents=True, exist_ok=True)
        colors = distinct_colors(classes).tolist()
        lines = ["{} {} {} ".format(*colors[one.id]) + one.name for one in classes]
        put(folder / "label_colors.txt", "".join(f"{line}\n" for line in [*lines, f"0 0 0 {UNLABELLED}"]).encode())
        return {"first_label_id": 1}
