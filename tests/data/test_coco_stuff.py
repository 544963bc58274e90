"""COCO-Stuff-27: the coarse classes by the public label list, and small trees with exactly the public layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.labelled_sets.coco_stuff import COARSE, THINGS, coarse_of_fine
from picie_core.data.labelled_sets.datasets import open_dataset, open_training_images
from picie_core.errors import PicieError, SettingError

# Public label numbers (from 1; the masks hold one less) of labels that everybody knows, with their kind.
KNOWN = {
    "electronic": {"tv": 72, "cell phone": 77},
    "appliance": {"microwave": 78, "refrigerator": 82},
    "food": {"banana": 52, "cake": 61},
    "furniture": {"chair": 62, "toilet": 70},
    "indoor": {"book": 84, "toothbrush": 90},
    "kitchen": {"bottle": 44, "bowl": 51},
    "accessory": {"backpack": 27, "suitcase": 33},
    "animal": {"bird": 16, "giraffe": 25},
    "outdoor": {"traffic light": 10, "bench": 15},
    "person": {"person": 1},
    "sports": {"frisbee": 34, "tennis racket": 43},
    "vehicle": {"bicycle": 2, "car": 3, "boat": 9},
    "ceiling": {"ceiling-other": 102, "ceiling-tile": 103},
    "floor": {"carpet": 101, "floor-wood": 118},
    "food-stuff": {"food-other": 121, "fruit": 122, "salad": 153, "vegetable": 170},
    "furniture-stuff": {"cabinet": 98, "door-stuff": 112, "light": 130, "mirror-stuff": 133, "table": 165},
    "raw-material": {"cardboard": 100, "metal": 132, "paper": 139, "plastic": 143},
    "textile": {"banner": 92, "curtain": 109, "pillow": 141, "rug": 152, "towel": 168},
    "wall": {"wall-brick": 171, "wall-wood": 177},
    "window": {"window-blind": 180, "window-other": 181},
    "building": {"bridge": 95, "house": 128, "roof": 151, "tent": 166},
    "ground": {"dirt": 111, "road": 149, "sand": 154, "snow": 159, "pavement": 140},
    "plant": {"branch": 94, "grass": 124, "straw": 163, "tree": 169},
    "sky": {"clouds": 106, "sky-other": 157},
    "solid": {"hill": 127, "rock": 150, "stone": 162, "wood": 182},
    "structural": {"cage": 99, "fence": 113, "railing": 146},
    "water": {"fog": 120, "river": 148, "sea": 155, "waterdrops": 179},
}


def test_known_labels_have_their_kind():
    """Every coarse class by labels that it is known for; the order is the paper's, things before stuff."""
    assert list(KNOWN) == list(COARSE)
    table = coarse_of_fine()
    for coarse, labels in enumerate(KNOWN.values()):
        assert {name: table[number - 1] for name, number in labels.items()} == dict.fromkeys(labels, coarse)
    assert list(THINGS) == list(range(12))


def test_all_182_labels_have_one_kind():
    """91 are things, 91 are stuff, each kind has its public number of labels; other ids are none, 255 is ignored."""
    table = coarse_of_fine()
    assert all(0 <= coarse < 12 for coarse in table[:91])
    assert all(12 <= coarse < 27 for coarse in table[91:182])
    assert table[182:] == (-1,) * 73 + (255,)
    sizes = Counter(table[:182])
    things = [6, 6, 10, 10, 8, 8, 8, 10, 6, 1, 10, 8]
    stuff = [2, 6, 4, 11, 4, 11, 7, 2, 6, 11, 9, 2, 6, 5, 5]
    assert [sizes[coarse] for coarse in range(27)] == [*things, *stuff]
    spans = [span for spans in COARSE.values() for span in spans.split()]
    assert sum(int(span.split("-")[-1]) - int(span.split("-")[0]) + 1 for span in spans) == 182


def save(root: Path, split: str, number: int, ids: np.ndarray) -> None:
    """One image and its mask where the public archives have them."""
    for folder in ("images", "annotations"):
        (root / folder / f"{split}2017").mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.zeros((*ids.shape, 3), np.uint8))
    image.save(root / "images" / f"{split}2017" / f"{number:012}.jpg")
    Image.fromarray(ids).save(root / "annotations" / f"{split}2017" / f"{number:012}.png")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A tree with the public layout: two images to train on, two to evaluate on."""
    root = tmp_path / "coco"
    for split, number in (("train", 9), ("train", 25), ("val", 139), ("val", 285)):
        ids = np.full((20, 30), 124 - 1, np.uint8)
        ids[:2], ids[2:4], ids[4:6] = 1 - 1, 157 - 1, 255
        save(root, split, number, ids)
    return root


def test_opens_the_public_layout(coco):
    """27 classes, things first; masks come as coarse classes, 255 stays; the usual split is val."""
    found = open_dataset("cocostuff", coco)
    assert [image for image, _ in found.pairs] == ["val2017/000000000139.jpg", "val2017/000000000285.jpg"]
    assert (found.class_names[9], found.class_names[23], len(found.class_names)) == ("person", "sky", 27)
    assert found.thing_classes == set(range(12))
    mask = found.read_mask(0)
    assert (mask.shape, mask.dtype) == ((20, 30), np.uint8)
    assert [mask[row, 0] for row in (0, 2, 4, 6)] == [9, 23, 255, found.class_names.index("plant")]
    np.testing.assert_array_equal(found.mask_of("val2017/000000000285.jpg"), found.read_mask(1))
    np.testing.assert_array_equal(found.mask_of(coco / "images/val2017/000000000285.jpg"), found.read_mask(1))


def test_splits(coco):
    """train, val or both; images to train on are those of train and need no annotations."""
    assert len(open_dataset("cocostuff", coco, "train").pairs) == 2
    assert len(open_dataset("cocostuff", coco, "train+val").pairs) == 4
    for path in (coco / "annotations").rglob("*.png"):
        path.unlink()
    images = open_training_images("cocostuff", coco)
    assert images.images_root == coco / "images"
    assert images.names == ["train2017/000000000009.jpg", "train2017/000000000025.jpg"]
    with pytest.raises(
        SettingError, match=r"split='test' has no 'test': give train, val or several joined as train\+val"
    ):
        open_dataset("cocostuff", coco, "test")


@pytest.mark.parametrize("line", ["000000000285", "285", "val2017/000000000285", "000000000285.jpg"])
def test_curated_lists(coco, tmp_path, line):
    """A line is an image id, as the public lists have it, or without its zeros."""
    (tmp_path / "list.txt").write_text(f"{line}\n")
    found = open_dataset("cocostuff", coco, None, tmp_path / "list.txt")
    assert found.pairs == [("val2017/000000000285.jpg", "val2017/000000000285.png")]


def test_a_list_of_another_split_is_refused(coco, tmp_path):
    """The first image that is not there is named."""
    (tmp_path / "list.txt").write_text("000000000009\n000000000139\n")
    with pytest.raises(PicieError, match=r"list.txt names 000000000009, which is not there \(1 of 2 are not\)"):
        open_dataset("cocostuff", coco, None, tmp_path / "list.txt")
    assert open_training_images("cocostuff", coco, "train+val", tmp_path / "list.txt").names[1].startswith("val2017/")


def test_missing_parts_show_the_tree(coco):
    """Which files were looked for, every part with its archive and what was found of it, and what lies there."""
    (coco / "annotations" / "val2017").rename(coco / "annotations" / "val")
    with pytest.raises(PicieError) as refusal:
        open_dataset("cocostuff", coco)
    first, expected, *parts, last = str(refusal.value).splitlines()
    assert first == f"{coco} has no annotations/val2017/*.png, which this needs."
    assert expected == f"Expected for COCO-Stuff, below {coco}:"
    assert [part.split()[:3] for part in parts] == [
        ["images/train2017/*.jpg", "2", "found"],
        ["annotations/train2017/*.png", "2", "found"],
        ["images/val2017/*.jpg", "2", "found"],
        ["annotations/val2017/*.png", "0", "found"],
    ]
    assert "stuffthingmaps_trainval2017.zip" in parts[3]
    assert last == f"In {coco} there is: annotations/, images/"


def test_an_image_without_ground_truth_is_refused(coco):
    """Leaving it out in silence would change the figures."""
    (coco / "annotations/val2017/000000000285.png").unlink()
    with pytest.raises(
        PicieError, match=r"1 of 2 images have no ground truth, first val2017/000000000285.png is missing"
    ):
        open_dataset("cocostuff", coco)


def test_ids_that_are_no_labels_are_refused(coco):
    """Ids between the last label and 255 name the file: such a mask was made with another list."""
    save(coco, "val", 139, np.array([[181, 182], [200, 255]], np.uint8).repeat(10, 0).repeat(15, 1))
    with pytest.raises(PicieError, match=r"000000000139.png has the ids 182, 200, known are 0 to 181, 255"):
        open_dataset("cocostuff", coco).read_mask(0)
