"""COCO, Cityscapes, Hugging Face, mmsegmentation, Ultralytics and binary PNGs: their files, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from picie_core.errors import SettingError
from picie_core.export.formats.binary_png import BinaryPng
from picie_core.export.formats.cityscapes import Cityscapes
from picie_core.export.formats.coco import Coco
from picie_core.export.formats.coco_panoptic import CocoPanoptic
from picie_core.export.formats.hugging_face import HuggingFace
from picie_core.export.formats.mmsegmentation import MmSegmentation
from picie_core.export.formats.ultralytics import Ultralytics
from tests.export.formats.small_exports import CLASSES, TINY, export, pixels


def test_coco_has_an_annotation_for_each_class_that_is_there(tmp_path):
    """Category ids from 1, column-major runs, boxes in the image; image ids are unique over both splits."""
    export(Coco(), tmp_path)
    train, val = (
        json.loads((tmp_path / "out" / "annotations" / f"instances_{split}.json").read_text())
        for split in ("train", "val")
    )
    assert [(one["id"], one["name"]) for one in train["categories"]] == [(1, "sky & sea"), (2, "<road>"), (3, "Straße")]
    assert train["images"] == [{"id": 1, "file_name": "a/one.png", "width": 30, "height": 20}]
    assert [(one["id"], one["file_name"]) for one in val["images"]] == [(2, "b/two x.jpg")]
    sky, road = train["annotations"]
    assert (sky["image_id"], sky["category_id"], sky["iscrowd"], sky["area"]) == (1, 1, 0, 300)
    assert sky["bbox"] == [0, 0, 20, 20] and sky["segmentation"]["size"] == [20, 30]
    assert (road["category_id"], road["bbox"]) == (2, [20, 0, 10, 20])
    assert road["segmentation"]["counts"] == "`<X6"  # 400 and 200: 16, 12 and 24, 6 in groups of five bits


def test_a_split_without_images_is_an_empty_list(tmp_path):
    """Readers open both files."""
    for form, kind in ((Coco(), "instances"), (CocoPanoptic(), "panoptic")):
        export(form, tmp_path / form.key, paths=("x.png",), splits=("train",))
        empty = json.loads((tmp_path / form.key / "out" / "annotations" / f"{kind}_val.json").read_text())
        assert empty["images"] == empty["annotations"] == [] and len(empty["categories"]) == 3


def test_panoptic_ids_are_those_of_the_categories(tmp_path):
    """Id = red + 256 green + 65536 blue, void is 0; areas add up to the pixels that have a class."""
    export(CocoPanoptic(), tmp_path)
    colors = pixels(tmp_path / "out" / "annotations" / "panoptic_train" / "a" / "one.png").astype(int)
    np.testing.assert_array_equal(colors @ [1, 256, 65536], np.where(TINY == 255, 0, TINY.astype(int) + 1))
    record = json.loads((tmp_path / "out" / "annotations" / "panoptic_train.json").read_text())
    assert [one["isthing"] for one in record["categories"]] == [0, 0, 0]
    (one,) = record["annotations"]
    assert one["file_name"] == "a/one.png" and one["image_id"] == record["images"][0]["id"]
    assert [(each["id"], each["category_id"], each["area"]) for each in one["segments_info"]] == [
        (1, 1, 300),
        (2, 2, 200),
    ]


def test_cityscapes_has_three_masks_an_image(tmp_path):
    """Label ids are class + 1, training ids the class, colours black where no class is; black is the last line."""
    names = [f"{one.name.replace(' ', '_')}" for one in CLASSES]
    classes = [type(one)(one.id, name, one.color, []) for one, name in zip(CLASSES, names, strict=True)]
    export(Cityscapes(), tmp_path, classes=classes)
    truth = tmp_path / "out" / "gtFine" / "train" / "a" / "a__one_gtFine"
    np.testing.assert_array_equal(pixels(truth.with_name(f"{truth.name}_labelIds.png")), TINY + np.uint8(1))
    np.testing.assert_array_equal(pixels(truth.with_name(f"{truth.name}_labelTrainIds.png")), TINY)
    lines = [line.split() for line in (tmp_path / "out" / "label_colors.txt").read_text().splitlines()]
    assert [line[3] for line in lines] == [*names, "unlabeled"] and lines[-1][:3] == ["0", "0", "0"]
    painted = pixels(truth.with_name(f"{truth.name}_color.png"))
    assert painted[0, 0].tolist() == [int(part) for part in lines[0][:3]] and not painted[TINY == 255].any()
    assert (tmp_path / "out" / "leftImg8bit" / "val" / "b" / "b__two_x_leftImg8bit.png").exists()


def test_cityscapes_names_survive_the_cut_of_its_readers():
    """An image of Cityscapes itself, or two that differ by that suffix only."""
    stems = Cityscapes().stems(["aachen/x_leftImg8bit.png", "aachen/x.png", "root.png"])
    assert stems == ["aachen/aachen__x", "aachen/aachen__x_png", "images/root"]


def test_hugging_face_rows_name_image_and_label(tmp_path):
    """Paths below the split; a split without images has no folder; the card says what the ids are."""
    export(HuggingFace(), tmp_path, splits=("train", "train"))
    rows = [json.loads(line) for line in (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()]
    assert rows == [
        {"image_file_name": "images/a/one.png", "label_file_name": "masks/a/one.png"},
        {"image_file_name": "images/b/two x.jpg", "label_file_name": "masks/b/two x.png"},
    ]
    assert not (tmp_path / "out" / "val").exists()
    assert json.loads((tmp_path / "out" / "id2label.json").read_text()) == {
        "0": "sky & sea",
        "1": "<road>",
        "2": "Straße",
    }
    assert '"1": "<road>"' in (tmp_path / "out" / "README.md").read_text()


def test_mmsegmentation_configuration_is_python(tmp_path):
    """Classes and palette by id, both data sets, and ids that are not shifted; every image is a JPEG."""
    written = export(MmSegmentation(), tmp_path)
    found: dict = {}
    exec((tmp_path / "out" / "mmseg_dataset.py").read_text(), found)
    assert found["metainfo"]["classes"] == ["sky & sea", "<road>", "Straße"] and len(found["metainfo"]["palette"]) == 3
    assert found["val_dataset"]["data_prefix"] == {"img_path": "img_dir/val", "seg_map_path": "ann_dir/val"}
    assert found["train_dataset"]["reduce_zero_label"] is False and found["train_dataset"]["ignore_index"] == 255
    assert [one.entry["image"] for one in written] == ["img_dir/train/a/one.jpg", "img_dir/val/b/two x.jpg"]


def test_ultralytics_finds_masks_beside_images(tmp_path):
    """The same flat stem in both trees; data.yaml names folders and classes."""
    written = export(Ultralytics(), tmp_path, paths=("images/one.png", "b/two.jpe"))
    assert [(one.entry["image"], one.entry["mask"]) for one in written] == [
        ("images/train/images__one.png", "masks/train/images__one.png"),
        ("images/val/b__two.jpg", "masks/val/b__two.png"),
    ]
    lines = (tmp_path / "out" / "data.yaml").read_text().splitlines()
    assert lines == ["train: images/train", "val: images/val", "masks_dir: masks", "names:",
                     '  0: "sky & sea"', '  1: "<road>"', '  2: "Straße"']  # fmt: skip


@pytest.mark.parametrize("only, missing", [("train", "val"), ("val", "train")])
def test_ultralytics_needs_both_splits(only, missing):
    """The message names the empty one and the options that fill it; the other formats take any division."""
    with pytest.raises(SettingError, match=rf"needs images in the {missing} set, and all 3 .* --val-share"):
        Ultralytics().check_splits([only] * 3)
    Ultralytics().check_splits(["train", "val"])
    HuggingFace().check_splits([only] * 3)


def test_binary_masks_are_black_and_white(tmp_path):
    """A folder a class, a mask for each image even where the class is not in it."""
    export(BinaryPng(), tmp_path)
    folders = json.loads((tmp_path / "out" / "masks" / "classes.json").read_text())
    assert folders == [
        {"folder": "000_sky_sea", "id": 0, "name": "sky & sea"},
        {"folder": "001__road_", "id": 1, "name": "<road>"},
        {"folder": "002_Straße", "id": 2, "name": "Straße"},
    ]
    for one in folders:
        expected = (one["id"] == TINY) * np.uint8(255)
        np.testing.assert_array_equal(pixels(tmp_path / "out" / "masks" / one["folder"] / "b" / "two x.png"), expected)
