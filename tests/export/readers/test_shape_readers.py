"""COCO and CVAT for images read back, as each tool writes them, and what is wrong with such files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.coco import read_coco
from picie_core.export.readers.detection import open_masks
from picie_core.export.readers.file_tree import open_tree
from picie_core.export.readers.json_items import json_items
from picie_core.export.readers.mask_set import MaskError, MaskSizeError
from tests.export.readers.small_files import SIZE, coco, cvat, png, write, zipped

SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]
RUNS = {"size": [4, 6], "counts": [0, 4, 20]}
EXPECTED = np.full((4, 6), 255, np.uint8)
EXPECTED[1:3, 1:4] = 0
EXPECTED[:, 0] = 1


# -- COCO


def two_classes() -> str:
    """A square of sky, and a column of road as run lengths."""
    return coco([{"category_id": 1, "segmentation": SQUARE}, {"category_id": 7, "segmentation": RUNS}])


@pytest.mark.parametrize(
    "name", ["instances_default.json", "annotations/instances_val.json", "train/_annotations.coco.json", "result.json"]
)
def test_coco_is_found_under_the_names_that_tools_give(tmp_path, name):
    """CVAT, pycocotools, Roboflow, Label Studio: as a folder, a zip, and the lone file."""
    write(tmp_path / "f", {name: two_classes(), "images/a.png": b"", "annotations/panoptic_val.json": "{}"})
    paths = [tmp_path / "f", tmp_path / "f" / name, zipped(tmp_path / "f.zip", {name: two_classes()})]
    for path in paths:
        found = open_masks(path)
        assert (found.form, found.class_names) == ("coco", ("sky", "road"))
        assert [(one.name, one.is_stem) for one in found.masks] == [("a.png", False)]
        np.testing.assert_array_equal(found.masks[0].read(SIZE).mask, EXPECTED)


def test_several_files_are_one_set(tmp_path):
    """The train and val files number their categories as they like; names decide, in any spelling."""
    other = coco(
        [{"category_id": 3, "segmentation": RUNS}],
        images=[{"id": 1, "file_name": "b.png", "width": 6, "height": 4}],
        categories=[{"id": 3, "name": "SKY"}],
    )
    found = open_masks(write(tmp_path, {"instances_train.json": two_classes(), "instances_val.json": other}))
    assert found.class_names == ("sky", "road")
    assert {one.name: int(one.read(SIZE).mask[0, 0]) for one in found.masks} == {"a.png": 1, "b.png": 0}


def test_annotations_that_come_before_everything_else(tmp_path):
    """The order of the keys is free."""
    record = json.loads(two_classes())
    path = write(tmp_path, {"a.json": json.dumps(dict(reversed(record.items())))}) / "a.json"
    np.testing.assert_array_equal(open_masks(path).masks[0].read(SIZE).mask, EXPECTED)


def test_what_is_no_mask_is_told(tmp_path):
    """Boxes, annotations of unknown images or categories; images without a mask are left out silently."""
    annotations = [
        {"category_id": 1, "segmentation": SQUARE},
        {"category_id": 1, "segmentation": [], "bbox": [0, 0, 2, 2]},
        {"category_id": 99, "segmentation": SQUARE},
        {"category_id": 1, "segmentation": SQUARE, "image_id": 5},
    ]
    images = [{"id": i, "file_name": f"{name}.png", "width": 6, "height": 4} for i, name in ((1, "a"), (2, "b"))]
    found = open_masks(write(tmp_path, {"instances.json": coco(annotations, images=images)}))
    assert [one.name for one in found.masks] == ["a.png"] and found.class_names == ("sky",)
    assert {(one.path, one.reason) for one in found.problems} == {
        ("instances.json", "1 annotations are of an unknown image 5"),
        ("a.png", "1 annotations are of unknown categories"),
        ("a.png", "1 annotations are boxes without a mask: they are left out"),
    }


def test_roboflow_says_what_a_file_was_called(tmp_path):
    image = {"id": 1, "file_name": "a_png.rf.0123456789abcdef.jpg", "width": 6, "height": 4, "extra": {"name": "a.png"}}
    found = open_masks(write(tmp_path, {"_annotations.coco.json": coco(json.loads(two_classes())["annotations"],
                                                                       images=[image])}))  # fmt: skip
    assert [one.name for one in found.masks] == ["a.png"]


def test_coco_of_another_size_is_refused_for_this_image_only(tmp_path):
    found = open_masks(write(tmp_path, {"instances.json": two_classes()}))
    with pytest.raises(MaskSizeError, match=r"a\.png: it is 6 x 4 pixels, its image 12 x 8"):
        found.masks[0].read((12, 8))
    wrong = coco([{"category_id": 1, "segmentation": {"size": [6, 4], "counts": "0h0"}}])
    found = open_masks(write(tmp_path / "b", {"instances.json": wrong}))
    with pytest.raises(MaskError, match="its runs are of 4 x 6 pixels"):
        found.masks[0].read(SIZE)


@pytest.mark.parametrize(
    "text, told",
    [
        ("", r"is no COCO file or a damaged one \('\{' expected at character 0\)"),
        ("[1]", "is no COCO file or a damaged one"),
        (two_classes()[:-40], "is no COCO file or a damaged one"),
        ('{"images": [], }', "is no COCO file or a damaged one"),
        ('{"a": ' + "[" * 100_000, "is no COCO file or a damaged one"),
        (b'\xff\xfe{"a"', "is no COCO file or a damaged one"),
        ("{}", "lacks annotations, categories, images"),
        (coco([{"segmentation": SQUARE}]), r"annotations: category_id: Field required"),
        (coco([{"category_id": 1, "segmentation": [[1, 2, 3]]}]), "a polygon has 3 numbers"),
        (coco([{"category_id": 1, "segmentation": [["x"] * 6]}]), "annotations: segmentation.*valid number"),
        (coco([], images=[{"id": 1, "file_name": "a", "width": "x", "height": 1}]), "images: width"),
    ],
)
def test_a_damaged_coco_file_says_where(tmp_path, text, told):
    write(tmp_path, {"instances.json": text})
    with pytest.raises(PicieError, match=told):
        read_coco(open_tree(tmp_path))


def test_json_is_read_item_by_item_as_the_library_reads_it():
    """White space, escapes and empty lists; lists come one item at a time."""
    record = {"ä\n": {"b": [1]}, "list": [1, {"x": []}, "]"], "none": [], "n": None, "t": "},{"}
    for text in (json.dumps(record), json.dumps(record, indent=3, ensure_ascii=False), f"\n {json.dumps(record)} "):
        found: dict[str, object] = {}
        for key, value in json_items(text):
            if key == "list":
                found.setdefault(key, []).append(value)
            else:
                found[key] = value
        assert found == {key: value for key, value in record.items() if key != "none"}


# -- CVAT for images


MASK = '<mask label="{}" source="manual" occluded="0" rle="{}" left="{}" top="{}" width="{}" height="{}" z_order="{}"/>'
SKY = MASK.format("sky", "0, 6", 1, 1, 3, 2, 0)
ROAD = '<polygon label="road" points="0.0,0.0;1.00,0.00;1.00,4.00;0.00,4.00" z_order="1"><attribute/></polygon>'


@pytest.mark.parametrize("name", ["annotations.xml", "task/annotations.xml"])
def test_cvat_masks_and_polygons(tmp_path, name):
    """As a folder, a zip, and the lone file, under any name; labels in the list and others."""
    text = cvat(SKY + ROAD, "folder/a b.png")
    write(tmp_path / "f", {name: text, "images/a.png": b"", "my task.xml": text})
    for path in (tmp_path / "f", tmp_path / "f" / "my task.xml", zipped(tmp_path / "f.zip", {name: text})):
        found = open_masks(path)
        assert (found.form, found.class_names) == ("cvat", ("sky", "road"))
        assert [one.name for one in found.masks] == ["folder/a b.png"]
        np.testing.assert_array_equal(found.masks[0].read(SIZE).mask, EXPECTED)


def test_cvat_paints_by_z_order(tmp_path):
    """Higher ones over lower ones, later ones over earlier ones of the same."""
    whole = "0, 24", 0, 0, 6, 4
    shapes = MASK.format("top", *whole, 2) + MASK.format("low", *whole, 0) + MASK.format("late", "0,1", 0, 0, 1, 1, 2)
    found = open_masks(write(tmp_path, {"annotations.xml": cvat(shapes)}))
    mask = found.masks[0].read(SIZE).mask
    names = np.array(found.class_names)[mask]
    assert names[0, 0] == "late" and set(names.ravel()[1:]) == {"top"}


def test_cvat_images_without_a_mask_are_left_out(tmp_path):
    """Nobody labelled them, so nothing is known of their pixels; boxes are told."""
    box = '<box label="sky" xtl="0" ytl="0" xbr="2" ybr="2" z_order="0"/>'
    text = cvat(SKY).replace("</annotations>", '<image id="1" name="b.png" width="6" height="4"/></annotations>')
    text = text.replace(
        "</annotations>", f'<image id="2" name="c.png" width="6" height="4">{box}</image></annotations>'
    )
    found = open_masks(write(tmp_path, {"annotations.xml": text}))
    assert [one.name for one in found.masks] == ["a.png"]
    assert [(one.path, one.reason) for one in found.problems] == [
        ("c.png", "1 box left out: only masks and polygons are masks")
    ]


def test_a_damaged_cvat_shape_spoils_its_image_only(tmp_path):
    text = cvat(SKY + MASK.format("sky", "0, 6", "x", 1, 3, 2, 0))
    text = text.replace(
        "</annotations>", f'<image id="1" name="b.png" width="6" height="4">{SKY}</image></annotations>'
    )
    first, second = open_masks(write(tmp_path, {"annotations.xml": text})).masks
    with pytest.raises(MaskError, match=r"a\.png: a mask of class 'sky' is damaged"):
        first.read(SIZE)
    assert (second.read(SIZE).mask[1:3, 1:4] == 0).all()


def test_cvat_of_another_size_is_refused_for_this_image_only(tmp_path):
    found = open_masks(write(tmp_path, {"annotations.xml": cvat(SKY)}))
    with pytest.raises(MaskSizeError, match="6 x 4 pixels, its image 12 x 8"):
        found.masks[0].read((12, 8))


BOMB = '<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "text, told",
    [
        (cvat(SKY)[:-20], "is damaged or no CVAT file"),
        ("", "is damaged or no CVAT file"),
        ("<html></html>", "it has no element annotations"),
        (cvat(SKY.replace("label=", "l=")), "is damaged or no CVAT file .KeyError: 'label'"),
        (cvat(SKY).replace("<annotations>", f"{BOMB}<annotations>"), "declares a document type"),
        (cvat(SKY).replace("task of mine", "&a;"), "undefined entity"),
        (
            cvat("").replace("</annotations>", '<track id="0" label="sky"></track></annotations>'),
            "it is CVAT for video",
        ),
        (cvat(SKY, size=("x", 4)), "is damaged or no CVAT file"),
    ],
)
def test_a_damaged_cvat_file_says_so(tmp_path, text, told):
    with pytest.raises(PicieError, match=told):
        open_masks(write(tmp_path, {"annotations.xml": text}))


# -- which format it is


def test_a_folder_of_several_formats_asks_which(tmp_path):
    write(tmp_path, {"annotations.xml": cvat(SKY), "instances.json": two_classes()})
    with pytest.raises(SettingError, match="looks like cvat and coco: say which with --format"):
        open_masks(tmp_path)
    assert open_masks(tmp_path, "coco").form == "coco" and open_masks(tmp_path, "cvat").form == "cvat"


@pytest.mark.parametrize("files", [{}, {"notes.txt": "x"}, {"a.png": png(EXPECTED)}, {"tasks.json": "[]"},
                                   {"a.json": '{"images": []}', "b.json": "{"}])  # fmt: skip
def test_a_folder_of_nothing_that_is_known(tmp_path, files):
    with pytest.raises(SettingError, match="is of no format that is known: give index PNGs"):
        open_masks(write(tmp_path, files))


def test_an_unknown_format_and_a_set_without_masks(tmp_path):
    write(tmp_path, {"annotations.xml": cvat("")})
    with pytest.raises(
        SettingError, match="format='x' is unknown: choose one of auto, png, voc, coco, cvat, label-studio"
    ):
        open_masks(tmp_path, "x")
    with pytest.raises(PicieError, match="holds no mask as CVAT for images: is it the right folder"):
        open_masks(tmp_path)
    with pytest.raises(SettingError, match="is neither a file nor a folder"):
        open_masks(tmp_path / "gone")
