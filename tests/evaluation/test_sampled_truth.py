"""What clusters really are and how good names are, by hand and against scikit-learn; nothing where none is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from picie_core.evaluation.sampled_truth import SampledTruth, cluster_truth, map_truth
from tests.hand_made import clustering_of


def labelled(labels: list[int], classes: list[int], names: str = "abc"):
    """A clustering and the ground truth of its sampled pixels."""
    k = max(labels) + 1
    rows = np.eye(k, dtype=np.float32)[labels]
    return clustering_of(np.eye(k, dtype=np.float32), rows=rows), SampledTruth(
        tuple(names), np.array(classes, np.uint8)
    )


def test_clusters_by_hand():
    """Majority and purity without the pixels that are not known; a cluster of such pixels has neither."""
    made, truth = labelled([0, 0, 0, 0, 1, 1, 2], [1, 1, 0, 255, 2, 2, 255])
    first, second, third = cluster_truth(made, truth)
    assert (first.class_id, first.class_name, first.purity) == (1, "b", pytest.approx(2 / 3))
    assert (second.class_name, second.purity) == ("c", 1)
    assert (third.class_id, third.class_name, third.purity) == (None, None, None)


def test_a_label_map_by_hand():
    """Names decide, whatever their case; other names stand for what most of their pixels are; unnamed is wrong."""
    made, truth = labelled([0, 0, 0, 1, 1, 2, 3], [0, 0, 1, 1, 2, 2, 255])
    classes = ["B", "lane"]
    found = map_truth(made, {0: 1, 1: 0, 3: 0}, classes, truth)  # 0 is lane, 1 is B, 2 has no name
    assert found.meant == (1, 0)
    assert found.accuracy == pytest.approx(3 / 6)
    np.testing.assert_array_equal(found.confusion, [[0, 1, 1], [2, 1, 0], [0, 0, 1]])
    assert found.class_iou == (pytest.approx(2 / 3), pytest.approx(1 / 3), 0)
    assert found.mean_iou == pytest.approx(1 / 3)
    ignored = map_truth(made, {0: 1, 1: 0, 2: 255}, classes, truth)
    assert ignored.accuracy == found.accuracy


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_random_names_are_scikit_learns(seed):
    """Accuracy, IoU and confusion of a map whose names are those of the truth, some clusters without one."""
    rng = np.random.default_rng(seed)
    labels, truth_labels = rng.integers(0, 9, 500), rng.integers(0, 4, 500)
    made, truth = labelled(labels.tolist(), truth_labels.tolist(), "abcd")
    classes_of = {int(c): int(rng.integers(0, 4)) for c in rng.choice(9, 7, replace=False)}
    found = map_truth(made, classes_of, "dbca", truth)
    as_truth = {0: 3, 1: 1, 2: 2, 3: 0}
    predicted = np.array([as_truth[classes_of[c]] if c in classes_of else 4 for c in labels])
    assert found.accuracy == pytest.approx((predicted == truth_labels).mean())
    iou = jaccard_score(truth_labels, predicted, labels=range(4), average=None)
    np.testing.assert_allclose(found.class_iou, iou)
    assert found.mean_iou == pytest.approx(iou.mean())
    table = confusion_matrix(predicted, truth_labels, labels=range(5))[:, :4]
    np.testing.assert_array_equal(found.confusion[[3, 1, 2, 0, 4]], table)


def test_nothing_known_is_none_and_never_nan():
    """A class without pixels, no pixels at all, no classes: None each."""
    made, truth = labelled([0, 1], [0, 0])
    found = map_truth(made, {0: 0}, ["a", "new"], truth)
    assert found.class_iou == (0.5, None, None) and found.meant == (0, None)
    unknown = map_truth(made, {}, [], SampledTruth(("a",), np.array([255, 255], np.uint8)))
    assert (unknown.accuracy, unknown.mean_iou, unknown.class_iou, unknown.meant) == (None, None, (None,), ())
