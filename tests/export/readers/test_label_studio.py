"""Label Studio's JSON read back: brush strokes and polygons exactly, and what is wrong with such files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.detection import open_masks
from picie_core.export.readers.mask_set import MaskError, MaskSizeError
from picie_core.export.readers.run_lengths import unpack_brush
from tests.export.readers.small_files import SIZE, write, zipped

BRUSH = [0, 0, 0, 96, 57, 27, 254, 19, 0, 143, 254, 48, 11, 127, 246, 192, 45, 255, 225, 240, 0]
"""What Label Studio's own library makes of the mask below, of 6 x 4 pixels."""
PAINTED = np.zeros((4, 6), bool)
PAINTED[1:3, 1:4] = PAINTED[0, 5] = True


def brush(label: str = "sky", rle: Any = BRUSH, **more: Any) -> dict[str, Any]:
    value = {"format": "rle", "rle": rle, "brushlabels": [label]}
    return {"type": "brushlabels", "original_width": 6, "original_height": 4, "value": value} | more


def polygon(label: str, *points: tuple[float, float]) -> dict[str, Any]:
    value = {"points": points, "polygonlabels": [label], "closed": True}
    return {"type": "polygonlabels", "original_width": 6, "original_height": 4, "value": value}


def task(*results: dict[str, Any], image: str = "/data/upload/1/0a1b2c3d-a.png", **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": results} | more], "predictions": []}


def tasks(*items: dict[str, Any]) -> str:
    return json.dumps(items, indent=1)


def test_brush_and_polygons_are_painted_in_their_order(tmp_path):
    """As a folder, a zip and the lone file; points are percentages, the later shape lies on top."""
    column = polygon("road", (0, 0), (100 / 3, 0), (100 / 3, 100), (0, 100))
    text = tasks(task(brush(), column), task(image="b.png"))
    expected = np.where(PAINTED, 0, 255)
    expected[:, :2] = 1
    write(tmp_path / "f", {"project-1.json": text})
    for path in (tmp_path / "f", tmp_path / "f" / "project-1.json", zipped(tmp_path / "f.zip", {"x/a.json": text})):
        found = open_masks(path)
        assert (found.form, found.class_names) == ("label-studio", ("sky", "road"))
        assert [one.name for one in found.masks] == ["/data/upload/1/0a1b2c3d-a.png"], "nobody labelled b.png"
        np.testing.assert_array_equal(found.masks[0].read(SIZE).mask, expected)


def test_only_what_a_person_finished_counts(tmp_path):
    """Skipped tasks and predictions do not; of several annotations the ground truth does, and without one none."""
    skipped = task(brush(), was_cancelled=True, image="skipped.png")
    predicted = {"data": {"image": "p.png"}, "annotations": [], "predictions": [{"result": [brush()]}]}
    both, marked = task(brush(), image="both.png"), task(brush(), image="marked.png")
    both["annotations"].append({"result": [brush("road")]})
    marked["annotations"].append({"result": [brush("road")], "ground_truth": True})
    found = open_masks(write(tmp_path, {"a.json": tasks(skipped, predicted, both, marked)}))
    assert [one.name for one in found.masks] == ["marked.png"] and found.class_names == ("road",)
    (problem,) = found.problems
    assert problem.path == "both.png" and "it has 2 annotations: mark the one that counts" in problem.reason


def test_what_is_no_mask_is_told(tmp_path):
    box = {"type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["sky"]}}
    found = open_masks(write(tmp_path, {"a.json": tasks(task(brush(), box, {"type": "choices"}))}))
    reason = "1 rectanglelabels, 1 choices left out: only brush strokes and polygons are masks"
    assert [one.reason for one in found.problems] == [reason]
    assert (found.masks[0].read(SIZE).mask == 0).sum() == PAINTED.sum()


@pytest.mark.parametrize(
    "wrong, told",
    [
        (brush(rle=BRUSH[:9]), "is damaged"),
        (brush(rle=[]), "is damaged"),
        (brush(rle=[0, 0, 0, 255, *BRUSH[4:]]), "its brush is of 63 pixels, not 24"),
        (brush(rle=[255] * 20), "its brush is of 1,073,741,823 pixels, not 24"),
        (brush(rle=[0, 300]), "a brushlabels is damaged"),
        (brush(rle="text"), "a brushlabels is damaged .rle: Input should be a valid list"),
        (brush(value={"rle": BRUSH, "brushlabels": []}), "a brushlabels is damaged .it has 0 labels"),
        (brush(image_rotation=90), "its image was rotated in Label Studio"),
        (polygon("sky", (0, 0), (1, 1)), "at least three finite corners"),
    ],
)
def test_a_damaged_shape_spoils_its_image_only(tmp_path, wrong, told):
    text = tasks(task(brush(), wrong, image="a.png"), task(brush(), image="b.png"))
    first, second = open_masks(write(tmp_path, {"a.json": text})).masks
    with pytest.raises(MaskError, match=rf"a\.png: .*{told}"):
        first.read(SIZE)
    assert (second.read(SIZE).mask == 0).sum() == PAINTED.sum()


def test_another_size_is_refused(tmp_path):
    found = open_masks(write(tmp_path, {"a.json": tasks(task(brush()))}))
    with pytest.raises(MaskSizeError, match="6 x 4 pixels, its image 12 x 8"):
        found.masks[0].read((12, 8))


@pytest.mark.parametrize(
    "text, told",
    [
        (tasks(task(brush()))[:-30], "is damaged"),
        ('[{"data": 3, "annotations": []}]', "is damaged .data: Input should be a valid dictionary"),
        ('[{"annotations": [], "data": ' + "[" * 100_000, "is damaged"),
        (tasks(task()), "holds no mask as Label Studio"),
    ],
)
def test_a_damaged_file_says_so(tmp_path, text, told):
    with pytest.raises(PicieError, match=told):
        open_masks(write(tmp_path, {"a.json": text}))


def test_two_lists_of_tasks_have_to_be_told_apart(tmp_path):
    write(tmp_path, {"a.json": tasks(task(brush())), "b.json": tasks(task(brush()))})
    with pytest.raises(SettingError, match="has 2 lists of annotated Label Studio tasks"):
        open_masks(tmp_path)


def test_an_empty_brush_is_refused_without_a_traceback():
    for data in (b"", b"\0", b"\0" * 7):
        with pytest.raises((ValueError, IndexError)):
            unpack_brush(data, 24)
