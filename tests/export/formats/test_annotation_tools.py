"""CVAT, Label Studio and FiftyOne: their files, by hand."""

from __future__ import annotations

import json
import zipfile
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from picie_core.export.formats.cvat_images import CvatImages
from picie_core.export.formats.cvat_mask import CvatMask
from picie_core.export.formats.fiftyone import FiftyOne
from picie_core.export.formats.label_studio import LabelStudio
from tests.export.formats.small_exports import TINY, export, pixels


def test_cvat_images_has_a_mask_for_each_class_that_is_there(tmp_path):
    """Frames by the names of the images; runs row by row inside the box; no entry for 255 nor for class 2."""
    export(CvatImages(), tmp_path)
    root = ElementTree.parse(tmp_path / "out" / "annotations.xml").getroot()
    assert [one.text for one in root.iterfind("meta/task/labels/label/name")] == ["sky & sea", "<road>", "Straße"]
    frames = root.findall("image")
    assert [one.get("name") for one in frames] == ["a/one.png", "b/two x.jpg"]
    assert [(one.get("id"), one.get("width"), one.get("height")) for one in frames] == [
        ("0", "30", "20"),
        ("1", "30", "20"),
    ]
    sky, road = frames[0].findall("mask")
    assert (sky.get("label"), sky.get("left"), sky.get("top"), sky.get("width")) == ("sky & sea", "0", "0", "20")
    assert sky.get("rle") == "0, 200" + ", 10, 10" * 10
    assert (road.get("label"), road.get("left"), road.get("rle")) == ("<road>", "20", "0, 200")


def test_cvat_images_names_frames_by_the_source_without_image_files(tmp_path):
    """The task has the person's own images then."""
    export(CvatImages(), tmp_path, paths=("a/one.png",), splits=("train",), image_files="none")
    root = ElementTree.parse(tmp_path / "out" / "annotations.xml").getroot()
    assert [one.get("name") for one in root.iterfind("image")] == ["a/one.png"]


def test_cvat_labels_are_what_the_constructor_takes(tmp_path):
    """Names, and colours of which no two are equal and none is black."""
    export(CvatImages(), tmp_path)
    labels = json.loads((tmp_path / "out" / "cvat_labels.json").read_text())
    assert [one["name"] for one in labels] == ["sky & sea", "<road>", "Straße"]
    assert len({one["color"] for one in labels} - {"#000000"}) == 3 and labels[0]["color"] == "#e69f00"


def test_cvat_mask_is_an_archive_of_palette_masks(tmp_path):
    """Stems are the frames' names; the label map gives each id the colour that the palette has there."""
    export(CvatMask(), tmp_path)
    with zipfile.ZipFile(tmp_path / "out" / "cvat_masks.zip") as archive:
        assert archive.namelist() == [
            "labelmap.txt",
            "ImageSets/Segmentation/default.txt",
            "SegmentationClass/a/one.png",
            "SegmentationClass/b/two x.png",
        ]
        assert archive.read("ImageSets/Segmentation/default.txt").decode() == "a/one\nb/two x\n"
        lines = [line.split(":") for line in archive.read("labelmap.txt").decode().splitlines()]
        with Image.open(archive.open("SegmentationClass/a/one.png")) as mask:
            np.testing.assert_array_equal(np.asarray(mask), TINY)
            palette = np.reshape(mask.getpalette(), (256, 3))
    assert [line[0] for line in lines] == ["sky & sea", "<road>", "Straße", "ignored"]
    colors = [tuple(map(int, line[1].split(","))) for line in lines]
    assert colors == [tuple(palette[i]) for i in (0, 1, 2, 255)] and len(set(colors) - {(0, 0, 0)}) == 4


def test_cvat_mask_without_ignored_pixels_has_no_label_for_them(tmp_path):
    """A task needs no label that nothing has."""
    export(CvatMask(), tmp_path, mask=np.zeros((20, 30), np.uint8))
    labels = json.loads((tmp_path / "out" / "cvat_labels.json").read_text())
    assert [one["name"] for one in labels] == ["sky & sea", "<road>", "Straße"]
    assert "ignored" not in (tmp_path / "out" / "labelmap.txt").read_text()


def test_label_studio_tasks_are_predictions_on_local_files(tmp_path):
    """Addresses are quoted; every brush says the size and names a label of the configuration."""
    export(LabelStudio(), tmp_path)
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        "/data/local-files/?d=images/a/one.png",
        "/data/local-files/?d=images/b/two%20x.jpg",
    ]
    config = ElementTree.parse(tmp_path / "out" / "label_config.xml").getroot()
    assert [one.get("value") for one in config.iter("Label")] == ["sky & sea", "<road>", "Straße"]
    assert len({one.get("background") for one in config.iter("Label")}) == 3
    results = tasks[0]["predictions"][0]["result"]
    assert [one["value"]["brushlabels"] for one in results] == [["sky & sea"], ["<road>"]]
    assert all((one["original_width"], one["original_height"]) == (30, 20) for one in results)
    assert all(one["value"]["rle"][:4] == list((20 * 30 * 4).to_bytes(4, "big")) for one in results)


def test_label_studio_and_fiftyone_show_tiffs_in_a_browser(tmp_path):
    """Browsers show no TIFF, so it is written as PNG."""
    for form in (LabelStudio(), FiftyOne()):
        (one,) = export(form, tmp_path / form.key, paths=("scan.tif",), splits=("train",))
        assert one.entry["image"].endswith("/scan.png")


def test_fiftyone_masks_are_shifted_by_one(tmp_path):
    """0 is never painted there: classes begin at 1, and ignored pixels are 0; the script is Python."""
    export(FiftyOne(), tmp_path)
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "labels" / "a" / "one.png"), TINY + np.uint8(1))
    targets = json.loads((tmp_path / "out" / "mask_targets.json").read_text())
    assert targets == {"1": "sky & sea", "2": "<road>", "3": "Straße"}
    compile((tmp_path / "out" / "load_fiftyone.py").read_text(), "load_fiftyone.py", "exec")
    assert (tmp_path / "out" / "splits" / "val.txt").read_text() == "b/two x\n"
