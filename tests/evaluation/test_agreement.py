"""Agreement of predicted and corrected masks, by hand and against a slow count."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.evaluation.agreement import Agreement

NAMES = ["sky", "road", "tree"]


def test_one_image_by_hand():
    """Eight pixels: three right, one wrong, one that had no class, one that lost it, two without any."""
    predicted = np.array([[0, 0, 1, 1], [255, 1, 255, 255]], np.uint8)
    corrected = np.array([[0, 0, 1, 2], [1, 255, 255, 255]], np.uint8)
    found = Agreement(NAMES)
    one = found.add("a.png", predicted, corrected)
    assert (one.path, one.pixels, one.labelled, one.changed) == ("a.png", 8, 5, 3)
    assert one.accuracy == pytest.approx(3 / 5)
    assert one.mean_iou == pytest.approx((1 + 1 / 3 + 0) / 3)
    rows = {row.name: row for row in found.classes()}
    assert (rows["road"].corrected, rows["road"].predicted) == (2, 2)
    assert rows["road"].iou == pytest.approx(1 / 3) and rows["road"].accuracy == pytest.approx(1 / 2)
    assert rows["tree"].iou == 0 and rows["sky"].iou == 1


def test_a_class_that_no_correction_shows_has_no_iou():
    """It was predicted where something else is: its pixels are told, its IoU is not made up."""
    found = Agreement(NAMES)
    found.add("a.png", np.full((2, 2), 2, np.uint8), np.zeros((2, 2), np.uint8))
    rows = {row.name: row for row in found.classes()}
    assert set(rows) == {"sky", "tree"} and rows["tree"].iou is None and rows["tree"].predicted == 4


def test_images_add_up():
    """The whole set counts as one picture of all pixels, and the order of images and classes does not matter."""
    rng = np.random.default_rng(0)
    pairs = [rng.choice([0, 1, 2, 255], (2, 9, 7)).astype(np.uint8) for _ in range(5)]
    found, whole = Agreement(NAMES), Agreement(NAMES)
    for index, (predicted, corrected) in enumerate(pairs):
        found.add(f"{index}.png", predicted, corrected)
    joined = np.concatenate(pairs, axis=2)
    one = whole.add("all", joined[0], joined[1])
    assert found.classes() == whole.classes() and found.overall == (one.accuracy, one.mean_iou)
    assert sum(image.changed for image in found.images) == one.changed == int((joined[0] != joined[1]).sum())
    swap = np.array([2, 0, 1, *[255] * 253], np.uint8)
    other = Agreement([NAMES[1], NAMES[2], NAMES[0]])
    other.add("all", swap[joined[0]], swap[joined[1]])
    assert {row.name: row for row in other.classes()} == {row.name: row for row in whole.classes()}


def test_all_254_classes_fit():
    names = [f"class {i}" for i in range(254)]
    ids = np.r_[np.arange(254), 255].astype(np.uint8)[None]
    found = Agreement(names)
    one = found.add("a.png", ids, ids)
    assert one.accuracy == 1 and one.changed == 0 and len(found.classes()) == 254


def test_a_corrected_mask_without_a_class_agrees_with_nothing():
    one = Agreement(NAMES).add("a.png", np.zeros((2, 3), np.uint8), np.full((2, 3), 255, np.uint8))
    assert (one.labelled, one.changed, one.accuracy, one.mean_iou) == (0, 6, 0.0, 0.0)
