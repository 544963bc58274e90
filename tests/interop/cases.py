"""What every format has to bring through: masks, names, stems and kinds of images, each as a case of its own.

Needs numpy and Pillow only, so that the environment of the product and that of the readers can both import it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 56
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
IGNORED = 255


@dataclass(frozen=True, eq=False)
class CaseImage:
    """One image of a case: where it lies, how it is stored, and its mask."""

    path: str
    mask: np.ndarray
    """(H, W) uint8, of the upright image."""
    kind: str = "RGB"
    """Mode of the file, or `deep` for 16-bit grey, or `turned` for one that EXIF turns."""


@dataclass(frozen=True)
class Case:
    """Images with their masks and the classes of the masks; the first half is train, the rest val."""

    name: str
    classes: list[tuple[str, str]]
    """Name and colour by id."""
    images: list[CaseImage]

    def split_of(self, index: int) -> str:
        return "train" if 2 * index < len(self.images) else "val"


def blobs(seed: int, ids: list[int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A mask of irregular regions, (height, width) uint8, with each of the ids somewhere."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, (height, width), (3 * len(ids), 2))
    rows, columns = np.mgrid[:height, :width]
    nearest = ((rows[..., None] - centres[:, 0]) ** 2 + (columns[..., None] - centres[:, 1]) ** 2).argmin(-1)
    mask = np.resize(ids, len(centres)).astype(np.uint8)[nearest]
    mask[rng.integers(0, height, 40), rng.integers(0, width, 40)] = rng.choice(ids, 40)  # regions of one pixel
    mask.flat[rng.choice(mask.size, len(ids), replace=False)] = ids
    return mask


def named(*names: str) -> list[tuple[str, str]]:
    return [(name, COLORS[i % len(COLORS)]) for i, name in enumerate(names)]


def four(*masks: np.ndarray) -> list[CaseImage]:
    """Four PNGs with these masks, the first ones again where there are fewer."""
    return [CaseImage(f"image-{i}.png", masks[i % len(masks)]) for i in range(4)]


def corner_pixels() -> np.ndarray:
    """Class 0 with one pixel of another class in each corner and one in the middle."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[[0, 0, -1, -1, HEIGHT // 2], [0, -1, 0, -1, WIDTH // 2]] = [1, 2, 3, 4, 5]
    return mask


def plain() -> Case:
    masks = [blobs(seed, [0, 1, 2]) for seed in range(3)]
    return Case("no 255", named("sky", "road", "tree"), four(*masks, blobs(3, [1, 2], WIDTH, HEIGHT)))


def ignored() -> Case:
    whole = np.full((HEIGHT, WIDTH), IGNORED, np.uint8)
    masks = blobs(4, [0, 1, 2, IGNORED]), blobs(5, [0, IGNORED]), whole, blobs(6, [1, IGNORED])
    return Case("class 0 and 255", named("sky", "road", "tree"), four(*masks))


def one_class() -> Case:
    return Case("one class", named("water"), four(np.zeros((HEIGHT, WIDTH), np.uint8), blobs(7, [0, IGNORED])))


def many_classes() -> Case:
    """254 classes, two of them black and many of one colour."""
    classes = [(f"class {i}", "#000000" if i < 2 else COLORS[i % len(COLORS)]) for i in range(254)]
    ids = [*range(254), IGNORED]
    return Case("254 classes", classes, four(blobs(8, ids, 48, 64), blobs(9, ids, 64, 48)))


def single_pixels() -> Case:
    column = np.zeros((HEIGHT, WIDTH), np.uint8)
    column[:, 0], column[:, -1], column[0], column[-1] = 1, 2, 3, 4
    return Case("one pixel", named("a", "b", "c", "d", "e", "f"), four(corner_pixels(), column, corner_pixels().T))


def odd_names() -> Case:
    names = [
        "sky & sea",
        "<road>",
        "Straße größer",
        "a:b",
        "#1",
        "=1+1",
        'it\'s "it"',
        "日本 🙂",
        "unlabeled",
        "Ignored",
    ]
    return Case("names", named(*names), four(*(blobs(seed, [*range(len(names)), IGNORED]) for seed in (10, 11))))


def equal_stems() -> Case:
    paths = ["a/same.png", "b/same.png", "b/same.jpg", "images/x y.png", "straße/日本 (1).png", "c&d/50% 'x'.png"]
    paths += ["a/same_leftImg8bit.png", "train/val.png"]
    return Case("stems", named("sky", "road"), [CaseImage(path, blobs(i, [0, 1])) for i, path in enumerate(paths)])


def kinds() -> Case:
    files = {"grey.png": "L", "alpha.png": "RGBA", "cmyk.jpg": "CMYK", "deep.png": "deep", "turned.jpg": "turned"}
    files |= {"turned.png": "turned", "palette.png": "P", "plain.jpg": "RGB", "scan.tif": "RGB", "old.bmp": "RGB"}
    images = [CaseImage(path, blobs(20 + i, [0, 1, IGNORED]), kind) for i, (path, kind) in enumerate(files.items())]
    return Case("kinds of images", named("sky", "road"), images)


def long_runs() -> Case:
    masks = blobs(40, [0, 1, 2, IGNORED], 300, 400), np.full((300, 401), 1, np.uint8)
    return Case("long runs", named("sky", "road", "tree"), four(*masks))


CASES: tuple[Callable[[], Case], ...] = (
    plain, ignored, one_class, many_classes, single_pixels, odd_names, equal_stems, kinds, long_runs,
)  # fmt: skip


def write_image(folder: Path, image: CaseImage) -> None:
    """Writes a smooth picture of the size of the mask, in the kind of the image."""
    height, width = image.mask.shape
    rows, columns = np.mgrid[:height, :width]
    seed = sum(image.path.encode()) % 64
    scene = np.stack([rows * 200 // height, columns * 200 // width, 0 * rows + 3 * seed], -1).astype(np.uint8)
    picture, options = Image.fromarray(scene), {}
    if image.kind == "deep":
        picture = Image.fromarray(scene[..., 0].astype(np.uint16) * 256)
    elif image.kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture, options = picture.transpose(Image.Transpose.ROTATE_90), {"exif": exif}
    elif image.kind == "P":
        picture = picture.quantize(64, dither=Image.Dither.NONE)
    elif image.kind != "RGB":
        picture = picture.convert(image.kind)
    path = folder / image.path
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
