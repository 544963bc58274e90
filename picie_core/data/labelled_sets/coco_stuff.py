"""COCO-Stuff with the 27 coarse classes of the paper: 12 things and 15 stuff, from 182 fine ids.

The masks are the stuff-thing maps of COCO 2017 [1]: a pixel is the number of its label in the list of labels less one,
so person is 0 and wood 181; 255 is unlabelled. Coarse classes are the middle level of the label hierarchy of [1], in
the order of [2].

[1] Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and stuff classes in context", CVPR 2018.
[2] Ji, Henriques, Vedaldi, "Invariant Information Clustering", ICCV 2019; Cho et al., PiCIE, CVPR 2021.
"""

from __future__ import annotations

from pathlib import Path

from picie_core.data.labelled_sets.dataset_layout import Part, pair_with_masks, pick_listed, pick_splits, require_parts
from picie_core.data.labelled_sets.labelled_set import LabelledSet

NAME = "COCO-Stuff"
LAYOUT = [
    Part("images/train2017/*.jpg", "images to train on (train2017.zip of COCO)"),
    Part("annotations/train2017/*.png", "their ground truth, if wanted (stuffthingmaps_trainval2017.zip)"),
    Part("images/val2017/*.jpg", "images to evaluate on (val2017.zip of COCO)"),
    Part("annotations/val2017/*.png", "their ground truth (stuffthingmaps_trainval2017.zip)"),
]
SPLITS = ("train", "val")
ID_DIGITS = 12

COARSE = {
    # things: COCO keeps each kind together
    "electronic": "71-76",
    "appliance": "77-82",
    "food": "51-60",
    "furniture": "61-70",
    "indoor": "83-90",
    "kitchen": "43-50",
    "accessory": "25-32",
    "animal": "15-24",
    "outdoor": "9-14",
    "person": "0",
    "sports": "33-42",
    "vehicle": "1-8",
    # stuff: sorted by name there, so every kind is scattered
    "ceiling": "101-102",
    "floor": "100 113-117",  # carpet, floors
    "food-stuff": "120-121 152 169",  # other food, fruit, salad, vegetable
    "furniture-stuff": "97 106-107 109 111 122 129 132 155 160 164",  # cabinet, counter, cupboard, ..., stairs, table
    "raw-material": "99 131 138 142",  # cardboard, metal, paper, plastic
    "textile": "91-92 103-104 108 130 136 140 151 166-167",  # banner, blanket, cloth, clothes, curtain, ..., towel
    "wall": "170-176",
    "window": "179-180",
    "building": "94-95 127 150 157 165",  # bridge, building, house, roof, skyscraper, tent
    "ground": "110 124-125 135 139 143-144 146 148 153 158",  # dirt, gravel, ..., pavement, road, sand, snow
    "plant": "93 96 118 123 128 133 141 162 168",  # branch, bush, flower, grass, leaves, moss, other, straw, tree
    "sky": "105 156",  # clouds, other sky
    "solid": "126 134 149 159 161 181",  # hill, mountain, rock, other, stone, wood
    "structural": "98 112 137 145 163",  # cage, fence, net, railing, other
    "water": "119 147 154 177-178",  # fog, river, sea, other water, drops
}
"""Coarse class -> its fine ids."""
THINGS = frozenset(range(12))


def coarse_of_fine() -> tuple[int, ...]:
    """Returns the coarse class of each stored id 0..255: 0..26, 255 for unlabelled, -1 for what is no fine id."""
    table = [-1] * 256
    table[255] = 255
    for coarse, spans in enumerate(COARSE.values()):
        for span in spans.split():
            first, _, last = span.partition("-")
            for fine in range(int(first), int(last or first) + 1):
                table[fine] = coarse
    return tuple(table)


def open_cocostuff(root: Path, split: str | None = None, list_file: Path | None = None) -> LabelledSet:
    """Returns COCO-Stuff-27 of `split` (val, train or train+val; val when None), or what a curated list names of it.

    list_file: an image id a line, zeros in front or not. Raises PicieError that shows the tree when a part is missing.
    """
    splits = pick_splits(split, SPLITS, "val")
    wanted = [part for part in LAYOUT if any(part.folder.endswith(f"{one}2017") for one in splits)]
    require_parts(root, NAME, LAYOUT, wanted)
    masks = [path.removeprefix("annotations/") for part in wanted for path in part.find(root)]
    images = cocostuff_images(root, "+".join(splits), list_file)
    remedy = "unpack all of stuffthingmaps_trainval2017.zip"
    pairs = pair_with_masks(images, masks, lambda image: image.removesuffix(".jpg") + ".png", remedy)
    return LabelledSet(root / "images", root / "annotations", pairs, list(COARSE), THINGS, coarse_of_fine())


def cocostuff_images(root: Path, split: str | None = None, list_file: Path | None = None) -> list[str]:
    """Returns the images to train on, below images/: of `split` (train when None), or what a list names of them."""
    splits = pick_splits(split, SPLITS, "train")
    wanted = [part for part in LAYOUT if part.folder in [f"images/{one}2017" for one in splits]]
    require_parts(root, NAME, LAYOUT, wanted)
    images = sorted(path.removeprefix("images/") for part in wanted for path in part.find(root))
    return pick_listed(images, list_file, ID_DIGITS)
