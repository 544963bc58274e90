"""Metrics of some of the classes: ground truth restricted after matching, against brute force and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.evaluation.metrics import confusion, match_one_to_one, score, summary
from tests.factories import labels_and_truth


@pytest.mark.parametrize(("k", "classes"), [(6, 6), (4, 6), (11, 6)])
@pytest.mark.parametrize("only", [{0, 2}, {1, 3, 4, 5}, set(range(6))])
def test_subset_metrics_equal_brute_force(k, classes, only):
    """Pixels of the other classes are thrown away one by one, after all pixels were matched; what is left is scored."""
    labels, truth = labels_and_truth(k, classes)
    counts = confusion(labels, truth, k, classes)
    matching = match_one_to_one(counts)
    right, union, pixels = dict.fromkeys(only, 0), dict.fromkeys(only, 0), 0
    for label, true in zip(labels.ravel(), truth.ravel(), strict=True):
        if true in only:
            pixels += 1
            said = matching[label]
            right[true] += said == true
            for one in {said, true} & only:
                union[one] += 1
    found = score(counts, matching, only)
    assert found.accuracy == pytest.approx(sum(right.values()) / pixels)
    assert found.mean_iou == pytest.approx(np.mean([right[one] / union[one] for one in only]))
    assert np.isnan(found.class_iou).tolist() == [one not in only for one in range(classes)]
    assert (found.matching == matching).all()


def test_subsets_restrict_the_ground_truth_not_the_predictions():
    """Restricting what was predicted gives other metrics, by hand: the axis that the authors' code takes is wrong."""
    counts = np.array([[8, 2, 4], [2, 6, 0], [0, 2, 6]])  # cluster i is class i
    identity = np.arange(3)
    things = score(counts, identity, {0, 1})  # of 10 + 10 pixels 8 + 6 are right
    assert things.accuracy == pytest.approx(14 / 20)
    np.testing.assert_allclose(things.class_iou[:2], [8 / (8 + 2 + 2), 6 / (6 + 2 + 4)])
    rows_of_clusters = np.where(np.isin(identity, [0, 1])[:, None], counts, 0)
    assert score(rows_of_clusters, identity).accuracy == pytest.approx(14 / 22)
    assert things.accuracy != pytest.approx(14 / 22)


def test_parts_make_the_whole():
    """Right pixels of things and of stuff are all right pixels: their accuracies, weighed by their pixels, agree."""
    labels, truth = labels_and_truth(k=9, classes=6)
    counts = confusion(labels, truth, 9, 6)
    found = summary(counts, thing_classes={0, 1, 4})
    share = counts[:, [0, 1, 4]].sum() / counts.sum()
    for figure in ("accuracy", "accuracy_oracle"):
        parts = share * found[f"{figure}_things"] + (1 - share) * found[f"{figure}_stuff"]
        assert parts == pytest.approx(found[figure])
    assert "accuracy_things" not in summary(counts)


def test_subsets_and_absent_classes():
    """A class that is absent and has counted pixels counts as 0 in the authors' mIoU of its own subset only."""
    counts = np.array([[8, 0, 0, 0], [0, 4, 0, 0], [2, 1, 0, 0]])
    matching = np.array([0, 1, 2])
    assert score(counts, matching, {0, 1}).mean_iou_absent_zero == pytest.approx((8 / 10 + 4 / 5) / 2)
    assert score(counts, matching, {0, 2}).mean_iou_absent_zero == pytest.approx(8 / 10 / 2)
    assert score(counts, matching, {0, 3}).mean_iou_absent_zero == pytest.approx(8 / 10)
    assert score(counts, matching, {2, 3}).mean_iou == 0
