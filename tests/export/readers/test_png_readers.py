"""Index PNG and Pascal VOC read back: ids, palettes and exact colours, and what is wrong with them."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from PIL import Image

from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.detection import open_masks
from picie_core.export.readers.mask_set import MaskError, MaskSizeError
from picie_core.export.voc_colors import voc_color
from tests.export.readers.small_files import SIZE, png, write, zipped

IDS = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 2, 2, 1, 1], [2, 2, 2, 2, 255, 255], [0, 1, 2, 255, 255, 255]], np.uint8)
CLASSES = "sky\nroad\nStraße\n"
COLORS = {0: (10, 20, 30), 1: (200, 0, 0), 2: (0, 0, 0), 255: (224, 224, 192)}
LABEL_MAP = "# label:color_rgb:parts:actions\nsky:10,20,30::\nroad:200,0,0::\nStraße:0,0,0::\n"


def colored(ids: np.ndarray = IDS) -> np.ndarray:
    """The mask in the colours of its classes, (H, W, 3)."""
    table = np.zeros((256, 3), np.uint8)
    for one, color in COLORS.items():
        table[one] = color
    return table[ids]


def record(**more: object) -> str:
    colors = ["#{:02x}{:02x}{:02x}".format(*COLORS[i]) for i in range(3)]
    names = CLASSES.split()
    classes = [{"id": i, "name": names[i], "color": colors[i], "clusters": [3 - i]} for i in range(3)]
    return json.dumps({"format": "png", "classes": classes, "renamed": {}} | more)


def one_mask(path, form: str = "auto") -> np.ndarray:
    (mask,) = open_masks(path, form).masks
    return mask.read(SIZE).mask


# -- index PNG


@pytest.mark.parametrize("legend", [{"classes.txt": CLASSES}, {"export.json": record()}])
@pytest.mark.parametrize("root", ["", "out/"])
def test_grey_values_are_ids(tmp_path, legend, root):
    """In a folder and in a zip, named by the list or the record; 255 is no class, image files are no masks."""
    files = {f"{root}masks/b/a.v2.png": png(IDS), f"{root}images/b/a.v2.png": png(colored())}
    files |= {f"{root}{name}": text for name, text in legend.items()}
    for path in (write(tmp_path / "f", files), zipped(tmp_path / "f.zip", files)):
        found = open_masks(path)
        assert (found.form, found.class_names) == ("png", ("sky", "road", "Straße"))
        assert [(one.name, one.is_stem) for one in found.masks] == [("b/a.v2", True)]
        np.testing.assert_array_equal(found.masks[0].read(SIZE).mask, IDS)


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "I;16", "palette in another order", "LA"])
def test_what_image_editors_make_of_a_mask_is_read_too(tmp_path, mode):
    """As long as ids or exact colours are there, the classes are the same."""
    if mode in ("RGB", "RGBA"):
        image = Image.fromarray(colored(np.where(IDS == 255, 0, IDS))).convert(mode)
        if mode == "RGBA":
            image.putalpha(Image.fromarray(np.where(IDS == 255, 0, 255).astype(np.uint8)))
    elif mode == "I;16":
        image = Image.fromarray(IDS.astype(np.uint16))
    elif mode == "palette in another order":
        image = Image.fromarray(colored(np.where(IDS == 255, 0, IDS))).quantize(3, dither=Image.Dither.NONE)
        assert image.mode == "P"
    else:
        image = Image.fromarray(IDS)
        image.putpalette([0, 0, 9] * 256) if mode == "P" else None
        image = image.convert("LA") if mode == "LA" else image
    expected = np.where(IDS == 255, 0, IDS) if mode in ("RGB", "palette in another order") else IDS
    write(tmp_path, {"masks/a.png": png(image), "export.json": record()})
    np.testing.assert_array_equal(one_mask(tmp_path), expected)


def test_a_bilevel_mask_has_two_classes(tmp_path):
    write(tmp_path, {"masks/a.png": png(Image.fromarray(IDS > 0)), "classes.txt": "no\nyes\n"})
    np.testing.assert_array_equal(one_mask(tmp_path), IDS > 0)


def test_ids_outside_the_list_are_named(tmp_path):
    """With their pixels, and what is known; every other mask of the set can still be read."""
    wrong = IDS.copy()
    wrong[0, :3] = 7
    write(tmp_path, {"masks/a.png": png(wrong), "masks/b.png": png(IDS), "classes.txt": CLASSES})
    first, second = open_masks(tmp_path).masks
    with pytest.raises(MaskError, match=r"masks/a\.png: ids outside the list: 7 \(3 px\); known are 0 to 2, 255: mend"):
        first.read(SIZE)
    np.testing.assert_array_equal(second.read(SIZE).mask, IDS)


def test_unknown_colours_are_named_with_their_pixels(tmp_path):
    """A mask with soft edges, or one in the colours of something else."""
    wrong = colored(np.where(IDS == 255, 0, IDS))
    wrong[0, :4] = (1, 2, 3)
    wrong[1, 0] = (255, 0, 0)
    write(tmp_path, {"masks/a.png": png(wrong), "export.json": record()})
    with pytest.raises(MaskError, match=r"a\.png: 2 unknown colours: #010203 \(4 px\), #ff0000 \(1 px\); paint with"):
        one_mask(tmp_path)
    write(tmp_path / "plain", {"masks/a.png": png(wrong), "classes.txt": CLASSES})
    with pytest.raises(MaskError, match=r"a\.png: it is an RGB picture and no colours of classes are known"):
        one_mask(tmp_path / "plain")


def test_half_transparent_pixels_have_no_colour(tmp_path):
    image = Image.fromarray(colored()).convert("RGBA")
    image.putalpha(100)
    write(tmp_path, {"masks/a.png": png(image), "export.json": record()})
    with pytest.raises(MaskError, match="half-transparent"):
        one_mask(tmp_path)


def test_another_size_is_told_before_anything_is_decoded(tmp_path):
    """Also of a file whose header claims billions of pixels."""
    huge = bytearray(png(IDS))
    huge[16:24] = (60000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    write(tmp_path, {"masks/a.png": png(IDS.T), "masks/b.png": bytes(huge), "classes.txt": CLASSES})
    first, second = open_masks(tmp_path).masks
    with pytest.raises(MaskSizeError, match="4 x 6 pixels, its image 6 x 4") as told:
        first.read(SIZE)
    assert told.value.size == (4, 6)
    with pytest.raises(MaskSizeError, match="60000 x 60000"):
        second.read(SIZE)


@pytest.mark.parametrize("data", [b"", b"no picture", png(IDS)[:60], png(IDS)[:-30]])
def test_a_damaged_mask_is_named(tmp_path, data):
    write(tmp_path, {"masks/a.png": data, "classes.txt": CLASSES})
    with pytest.raises(MaskError, match=r"masks/a\.png: damaged or no PNG"):
        one_mask(tmp_path)


def test_a_mask_that_is_no_png_is_a_problem(tmp_path):
    write(tmp_path, {"masks/a.png": png(IDS), "masks/b.jpg": b"?", "classes.txt": CLASSES})
    found = open_masks(tmp_path)
    assert [(one.path, one.reason[:8]) for one in found.problems] == [("masks/b.jpg", "only PNG")]
    assert len(found.masks) == 1


def test_nothing_says_what_the_values_mean(tmp_path):
    with pytest.raises(SettingError, match=r"says what the values of the masks mean: put classes\.txt beside them"):
        open_masks(write(tmp_path, {"masks/a.png": png(IDS)}), "png")


@pytest.mark.parametrize("text", ["{", "[]", '{"classes": 3}', "[" * 100_000])
def test_a_damaged_record_is_told(tmp_path, text):
    with pytest.raises(PicieError, match=r"export\.json in .* is damaged"):
        open_masks(write(tmp_path, {"masks/a.png": png(IDS), "export.json": text}))


def test_masks_of_cluster_ids_cannot_be_corrected(tmp_path):
    classes = [{"id": i, "name": f"cluster_{i}", "color": "#00000" + str(i), "clusters": [i]} for i in range(3)]
    write(tmp_path, {"masks/a.png": png(IDS), "export.json": json.dumps({"classes": classes})})
    with pytest.raises(PicieError, match="hold cluster ids: export classes, without --raw"):
        open_masks(tmp_path)


# -- Pascal VOC


@pytest.mark.parametrize("kind", ["RGB", "P", "L"])
@pytest.mark.parametrize("root", ["", "VOCdevkit/VOC2012/"])
def test_voc_masks_are_read_by_colour_or_by_the_order_of_the_list(tmp_path, kind, root):
    """RGB as CVAT writes them, palette as VOC has it, grey as its documents allow; the border colour is no class."""
    if kind == "P":
        image = Image.fromarray(IDS)
        image.putpalette(bytes(np.array([COLORS.get(i, (9, 9, 9)) for i in range(256)], np.uint8)))
    else:
        image = Image.fromarray(colored() if kind == "RGB" else IDS)
    files = {f"{root}SegmentationClass/a.png": png(image), f"{root}labelmap.txt": LABEL_MAP}
    files |= {f"{root}SegmentationObject/a.png": png(IDS), f"{root}ImageSets/Segmentation/default.txt": "a\n"}
    for path in (write(tmp_path / "f", files), zipped(tmp_path / "f.zip", files)):
        found = open_masks(path)
        assert (found.form, found.class_names) == ("voc", ("sky", "road", "Straße"))
        np.testing.assert_array_equal(found.masks[0].read(SIZE).mask, IDS)


def test_a_list_without_colours_means_those_of_voc(tmp_path):
    """Datumaro leaves the colours out where they are the usual ones: by the place in the list."""
    colors = np.zeros((256, 3), np.uint8)
    colors[[1, 2, 3]] = (128, 0, 0), (0, 128, 0), (128, 128, 0)
    shifted = np.where(IDS == 255, 0, IDS + 1)
    text = "# label:color_rgb:parts:actions\nbackground:::\nsky:::\nroad:::\nStraße:::\n"
    write(tmp_path, {"SegmentationClass/a/b 1.png": png(colors[shifted]), "labelmap.txt": text})
    found = open_masks(tmp_path)
    assert found.class_names == ("background", "sky", "road", "Straße") and found.masks[0].name == "a/b 1"
    np.testing.assert_array_equal(found.masks[0].read(SIZE).mask, shifted)
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {index: voc_color(index) for index in known} == known


def test_ignored_in_the_list_is_no_class(tmp_path):
    text = LABEL_MAP + "ignored:224,224,192::\n"
    write(tmp_path, {"SegmentationClass/a.png": png(colored()), "labelmap.txt": text})
    found = open_masks(tmp_path)
    assert found.class_names == ("sky", "road", "Straße")
    np.testing.assert_array_equal(found.masks[0].read(SIZE).mask, IDS)


@pytest.mark.parametrize(
    "text, told",
    [
        ("sky 10,20,30", r"labelmap\.txt in .*, line 1: 'sky 10,20,30' must read name:r,g,b::"),
        ("sky:10,20::", "line 1"),
        ("\nsky:10,20,300::", "line 2"),
        ("sky:1,2,3::\nroad:1,2,3::", "line 2: 'road' has the colour of 'sky'"),
        ("# nothing\n", "lists no class"),
        (b"\xff\xfe", "is no UTF-8 text"),
    ],
)
def test_a_wrong_list_of_colours_names_its_line(tmp_path, text, told):
    with pytest.raises(PicieError, match=told):
        open_masks(write(tmp_path, {"SegmentationClass/a.png": png(IDS), "labelmap.txt": text}))


def test_voc_without_a_list_says_what_to_write(tmp_path):
    with pytest.raises(SettingError, match=r"has no labelmap\.txt, .*: write lines `name:r,g,b::` beside"):
        open_masks(write(tmp_path, {"SegmentationClass/a.png": png(IDS)}))
