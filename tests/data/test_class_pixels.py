"""The pixels of each class in a folder of masks: counts by hand, and what is refused before any work is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images.image_index import ImageRecord
from picie_core.data.labelled_sets.class_pixels import ClassPixels, count_class_pixels
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.errors import PicieError

SIZE = (4, 6)


def counted(root: Path, masks: list[np.ndarray], names: str = "sky\nroad\ntree\n") -> ClassPixels:
    """What is counted in these masks; image i is 6 x 4, and image 9 has no mask."""
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for i, mask in enumerate(masks):
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(root / "images" / f"{i}.png")
        Image.fromarray(mask.astype(np.uint8)).save(root / "masks" / f"{i}.png")
    if names:
        (root / "masks" / "classes.txt").write_text(names)
    records = [ImageRecord(i, f"{i}.png", SIZE[1], SIZE[0], 0) for i in (*range(len(masks)), 9)]
    return count_class_pixels(open_labelled_set(root / "images", root / "masks"), records)


def mask_of(*ids: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A mask of the first id whose first pixels have the others."""
    mask = np.full(size, ids[0])
    mask[0, : len(ids) - 1] = ids[1:]
    return mask


def test_counts_by_hand(tmp_path):
    """Ignored pixels and images without a mask count nowhere; a class that no mask shows is named."""
    found = counted(tmp_path, [mask_of(0, 1, 255), mask_of(1, 0)])
    assert found.pixels.tolist() == [22 + 1, 1 + 23, 0]
    assert found.absent == [2]
    assert found.news == "no mask shows tree: the classifier never predicts it"


def test_nothing_to_say_when_all_classes_are_there(tmp_path):
    """Three classes of three."""
    found = counted(tmp_path, [mask_of(0, 1, 2)])
    assert (found.absent, found.news) == ([], "")


@pytest.mark.parametrize("names", ["sky\nroad\ntree\n", ""])
@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (
            [mask_of(255), mask_of(255)],
            r"masks (are ignored \(255\)|show no class, every pixel is 255 \(ignored\)): give masks with",
        ),
        ([mask_of(0), mask_of(0, 255)], r"the 2 masks under .* show one class only \((sky|class 0)\): a classifier"),
        ([mask_of(0, 1, size=(8, 12))], r"the mask of 0.png is 12 x 8, the image 6 x 4: give masks of the size of"),
    ],
)
def test_what_nothing_can_be_learnt_from(tmp_path, masks, words, names):
    """All pixels ignored, one class only, masks of other sizes; with and without classes.txt."""
    with pytest.raises(PicieError, match=words):
        counted(tmp_path, masks, names)


def test_ids_that_are_no_classes(tmp_path):
    """The file, the ids and the known ones are named."""
    with pytest.raises(PicieError, match=r"1.png has the ids 7, known are 0 to 2, 255: mend the mask or give"):
        counted(tmp_path, [mask_of(0, 1), mask_of(0, 7)])
