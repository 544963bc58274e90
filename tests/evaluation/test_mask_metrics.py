"""Metrics of masks in memory: by hand, against the metrics of one array, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.errors import SettingError
from picie_core.evaluation.mask_metrics import evaluate
from picie_core.evaluation.metrics import confusion, match_one_to_one, score

TRUTH = [np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8), np.array([[2, 2]], np.uint8)]
MASKS = [np.array([[3, 3, 1, 1], [3, 0, 0, 1]], np.uint8), np.array([[1, 1]], np.uint8)]


def test_by_hand():
    """Nine pixels count: cluster 3 is class 0 and cluster 1 class 1 or 2, cluster 0 has one pixel of each of two."""
    found = evaluate(MASKS, TRUTH)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 2, 2], [0, 0, 0], [3, 0, 0]]
    assert found.one_to_one.accuracy == pytest.approx((3 + 1 + 2) / 9)  # 3 is 0, 1 is 2, 0 is 1
    assert found.one_to_one.mean_iou == pytest.approx((3 / 4 + 1 / 4 + 2 / 4) / 3)
    assert found.oracle.matching.tolist() == [0, 1, -1, 0]
    assert found.oracle.accuracy == pytest.approx((4 + 2) / 9)
    assert found.oracle.mean_iou == pytest.approx((4 / 5 + 2 / 5 + 0) / 3)


def test_all_images_make_one_confusion():
    """The metrics are those of all pixels at once, whatever the sizes of the images."""
    rng = np.random.default_rng(0)
    shapes = [(4, 5), (7, 3), (2, 9)]
    masks = [rng.integers(0, 6, shape) for shape in shapes]
    truth = [rng.integers(0, 4, shape).astype(np.uint8) for shape in shapes]
    flat = confusion(np.concatenate([m.ravel() for m in masks]), np.concatenate([t.ravel() for t in truth]), 6, 4)
    expected = score(flat, match_one_to_one(flat))
    assert evaluate(masks, truth).one_to_one.accuracy == expected.accuracy
    np.testing.assert_array_equal(evaluate(masks, truth).confusion, flat)


def test_ignored_ids_and_numbers_of_classes():
    """Another ignore id works like 255; classes that the truth never shows have no IoU and change no mean."""
    truth = [np.where(true == 255, -1, true.astype(int)) for true in TRUTH]
    plain, other = evaluate(MASKS, TRUTH), evaluate(MASKS, truth, n_classes=5, ignore=-1)
    assert other.one_to_one.mean_iou == plain.one_to_one.mean_iou
    assert np.isnan(other.one_to_one.class_iou[3:]).all()
    assert other.confusion.shape == (4, 5)
    every = evaluate([np.zeros((1, 2), int)], [np.array([[0, 1]])], ignore=None)
    assert every.confusion.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("masks", "truth", "options", "message"),
    [
        (MASKS, TRUTH[:1], {}, "got 2 masks and 1 of ground truth: give one of each for every image"),
        (
            [MASKS[1]],
            [np.full((1, 2), 255)],
            {},
            r"every pixel of the truth is ignored \(255\): give pixels with class",
        ),
        ([], [], {}, "got 0 masks and 0 of ground truth"),
        (MASKS, [TRUTH[0], TRUTH[0]], {}, r"mask 1 is \(1, 2\), its ground truth \(2, 4\): give masks of the size"),
        (MASKS, TRUTH, {"n_classes": 2}, "the ids run from 0 to 2, n_classes is 2: give class ids from 0 to"),
        (MASKS, TRUTH, {"ignore": None}, "the ids run from 0 to 255, n_classes is 256: .* at most 254 classes"),
        ([MASKS[1].astype(int) - 2], [TRUTH[1]], {}, "the ids run from -1 to 2"),
    ],
)
def test_what_does_not_belong_together_is_refused(masks, truth, options, message):
    """The message says what was given and what to give."""
    with pytest.raises(SettingError, match=message):
        evaluate(masks, truth, **options)
