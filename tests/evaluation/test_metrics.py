"""Metrics against ground truth: against scikit-learn and torchmetrics, by hand, and whatever ids clusters have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from picie_core.errors import PicieError
from picie_core.evaluation.metrics import (
    confusion,
    match_identity,
    match_majority,
    match_one_to_one,
    score,
    summary,
)
from tests.factories import labels_and_truth

# -- confusion


def test_confusion_equals_scikit_learn():
    """Counts are those of scikit-learn's matrix over the pixels that are not ignored."""
    labels, truth = labels_and_truth(k=6, classes=4)
    theirs = confusion_matrix(labels[truth < 255], truth[truth < 255], labels=range(6))[:, :4]
    np.testing.assert_array_equal(confusion(labels, truth, 6, 4), theirs)


def test_ignored_pixels_count_nowhere():
    """Whatever the labels are under ignored pixels, the counts are the same; all ignored gives zeros."""
    labels, truth = labels_and_truth()
    other = np.where(truth == 255, 3, labels)
    np.testing.assert_array_equal(confusion(labels, truth, 5, 4), confusion(other, truth, 5, 4))
    assert confusion(labels, np.full_like(truth, 255), 5, 4).sum() == 0


def test_impossible_masks_are_refused():
    """Other sizes and unknown class ids are named."""
    labels, truth = labels_and_truth()
    with pytest.raises(PicieError, match=r"labels are \(40, 40\), the mask is \(40, 39\)"):
        confusion(labels, truth[:, 1:], 5, 4)
    with pytest.raises(PicieError, match="class id 3, known are 0 to 2 and 255"):
        confusion(labels, truth, 5, 3)


# -- matching


def test_one_to_one_by_hand():
    """The best sum wins, not the best single pair: 0 -> 1 and 1 -> 0 give 15 where the greedy way gives 11."""
    assert match_one_to_one(np.array([[10, 8], [7, 1]])).tolist() == [1, 0]


def test_majority_by_hand():
    """Each cluster takes its majority class; one without pixels takes none."""
    assert match_majority(np.array([[10, 8], [7, 1], [2, 3], [0, 0]])).tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize(("k", "matched"), [(2, 2), (3, 3), (7, 3)])
def test_one_to_one_with_other_numbers_of_clusters_than_classes(k, matched):
    """Fewer clusters leave classes without one, more clusters stay unmatched; no class is taken twice."""
    counts = np.random.default_rng(k).integers(0, 100, (k, 3))
    matching = match_one_to_one(counts)
    named = matching[matching >= 0]
    assert len(matching) == k
    assert len(named) == len(set(named.tolist())) == matched


# -- scores


def test_scores_equal_torchmetrics():
    """With matched labels, IoU per class and its mean are JaccardIndex's, accuracy the share of equal pixels."""
    labels, truth = labels_and_truth(k=4, classes=4)
    counts = confusion(labels, truth, 4, 4)
    found = score(counts, match_one_to_one(counts))
    predicted, target = (torch.from_numpy(a.astype(np.int64)) for a in (found.matching[labels], truth))
    jaccard = MulticlassJaccardIndex(num_classes=4, ignore_index=255, average="none")
    np.testing.assert_allclose(found.class_iou, jaccard(predicted, target), atol=1e-6)
    accuracy = MulticlassAccuracy(num_classes=4, ignore_index=255, average="micro")
    assert found.accuracy == pytest.approx(float(accuracy(predicted, target)))
    recall = MulticlassAccuracy(num_classes=4, ignore_index=255, average="none")
    np.testing.assert_allclose(found.class_accuracy, recall(predicted, target), atol=1e-6)
    mean = MulticlassJaccardIndex(num_classes=4, ignore_index=255, average="macro")
    assert found.mean_iou == pytest.approx(float(mean(predicted, target)))


@pytest.mark.parametrize(("k", "classes"), [(4, 4), (3, 5), (9, 4)])
@pytest.mark.parametrize("match", [match_one_to_one, match_majority])
def test_scores_equal_scikit_learn(k, classes, match):
    """Either matching, K above or below the classes: accuracy, IoU per class and its mean are those of the labels."""
    labels, truth = labels_and_truth(k, classes)
    found = score(confusion(labels, truth, k, classes), match(confusion(labels, truth, k, classes)))
    counted = truth < 255
    predicted, target = found.matching[labels][counted], truth[counted].astype(int)
    assert found.accuracy == pytest.approx(accuracy_score(target, predicted))
    every = range(classes)  # -1, the label of an unmatched cluster, is nobody's class: an error
    np.testing.assert_allclose(found.class_iou, jaccard_score(target, predicted, labels=every, average=None))
    assert found.mean_iou == pytest.approx(jaccard_score(target, predicted, labels=every, average="macro"))


def test_scores_by_hand():
    """Of 12 pixels two matched clusters get 9 right, IoU 6/9 and 3/5; by majority the third cluster is right too."""
    counts = np.array([[6, 1], [1, 3], [1, 0]])
    found = score(counts, np.array([0, 1, -1]))
    assert found.accuracy == pytest.approx(9 / 12)
    np.testing.assert_allclose(found.class_iou, [6 / 9, 3 / 5])
    np.testing.assert_allclose(found.class_accuracy, [6 / 8, 3 / 4])
    oracle = score(counts, match_majority(counts))
    assert oracle.accuracy == pytest.approx(10 / 12)
    np.testing.assert_allclose(oracle.class_iou, [7 / 9, 3 / 5])


def test_ids_of_clusters_do_not_matter():
    """Permuted cluster ids change no metric, with any number of clusters."""
    for k in (3, 4, 9):
        labels, truth = labels_and_truth(k=k)
        turn = np.random.default_rng(k).permutation(k)
        assert summary(confusion(labels, truth, k, 4)) == pytest.approx(
            summary(confusion(turn[labels], truth, k, 4)), nan_ok=False
        )


def test_more_clusters_than_classes():
    """Clusters beyond the classes are errors one-to-one, and no loss for the oracle."""
    truth = np.repeat(np.arange(3), 40).reshape(12, 10)
    halves = 2 * truth + np.arange(10)[None, :] // 5  # every class split into two clusters
    metrics = summary(confusion(halves, truth, 6, 3))
    assert metrics["accuracy"] == pytest.approx(50)
    assert metrics["accuracy_oracle"] == metrics["miou_oracle"] == pytest.approx(100)


def test_fewer_clusters_than_classes():
    """A class without a cluster has IoU 0 and stays in the mean."""
    truth = np.repeat(np.arange(4), 25).reshape(10, 10)
    metrics = summary(confusion(np.minimum(truth, 1), truth, 2, 4))
    assert metrics["accuracy"] == pytest.approx(50)
    assert metrics["miou"] == pytest.approx(100 * (1 + 1 / 3) / 4)


def test_a_class_that_is_absent_from_the_truth():
    """It has no IoU and is left out of the mean; the authors' mIoU counts it as 0 when pixels were given to it."""
    counts = np.array([[8, 0, 0], [0, 4, 0], [2, 1, 0]])
    found = score(counts, match_one_to_one(counts))
    assert np.isnan(found.class_iou).tolist() == [False, False, True]
    assert found.mean_iou == pytest.approx((8 / 10 + 4 / 5) / 2)
    assert found.mean_iou_absent_zero == pytest.approx((8 / 10 + 4 / 5) / 3)
    unmatched = score(counts, np.array([0, 1, -1]))
    assert unmatched.mean_iou_absent_zero == unmatched.mean_iou


def test_an_absent_class_of_an_empty_cluster():
    """It is 0 / 0, which the authors' mean leaves out: the figure is the plain mean, not two thirds of it."""
    counts = np.array([[8, 1, 0], [2, 4, 0], [0, 0, 0]])
    found = score(counts, np.arange(3))
    assert found.mean_iou_absent_zero == found.mean_iou == pytest.approx((8 / 11 + 4 / 7) / 2)


@pytest.mark.parametrize("seed", range(40))
def test_the_mean_with_absent_classes_equals_a_slow_version(seed):
    """Class by class over the pixels, as described: right / (right + missed + wrong), 0 / 0 left out of the mean.

    Small sets, so that clusters without pixels and classes that never occur are common.
    """
    rng = np.random.default_rng(seed)
    classes = k = int(rng.integers(2, 7))
    labels = rng.choice(rng.choice(k, rng.integers(1, k + 1)), 12)
    truth = rng.choice(rng.choice(classes, rng.integers(1, classes + 1)), 12)
    counts = confusion(labels, truth.astype(np.uint8), k, classes)
    found = score(counts, match_one_to_one(counts))
    predicted, values, plain = found.matching[labels], [], []
    for one in range(classes):
        right = sum(p == one and t == one for p, t in zip(predicted, truth, strict=True))
        missed = sum(p != one and t == one for p, t in zip(predicted, truth, strict=True))
        wrong = sum(p == one and t != one for p, t in zip(predicted, truth, strict=True))
        values += [right / (right + missed + wrong)] if right + missed + wrong else []
        plain += [right / (right + missed + wrong)] if right + missed else []
    assert found.mean_iou_absent_zero == pytest.approx(sum(values) / len(values))
    assert found.mean_iou == pytest.approx(sum(plain) / len(plain))


# -- names


def test_names_from_other_images():
    """Clusters keep the names that other images gave them, right or not; one without a name is an error."""
    counts = np.array([[6, 1], [3, 4], [0, 5]])
    found = summary(counts, naming=np.array([0, 0, -1]))
    assert found["accuracy_named"] == pytest.approx(100 * 9 / 19)
    assert found["miou_named"] == pytest.approx(100 * (9 / 14 + 0) / 2)
    assert found["accuracy_oracle"] == pytest.approx(100 * 15 / 19)
    assert "accuracy_named" not in summary(counts)


def test_a_name_that_is_not_measured():
    """A class beyond those of the ground truth is an error like any other, and no class of its own."""
    counts = np.array([[6, 1], [3, 4], [0, 5]])
    beyond, none = (score(counts, np.array([0, one, 1])) for one in (5, -1))
    assert (beyond.accuracy, beyond.mean_iou) == (none.accuracy, none.mean_iou)
    np.testing.assert_array_equal(beyond.class_iou, none.class_iou)


@pytest.mark.parametrize("seed", range(5))
def test_no_names_are_better_than_the_oracle(seed):
    """Its accuracy is the highest of all ways to give clusters classes, on whatever images."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 50, (9, 4))
    for naming in rng.integers(-1, 4, (30, 9)):
        found = summary(counts, naming=naming)
        assert found["accuracy_named"] <= found["accuracy_oracle"] + 1e-9
        assert found["accuracy"] <= found["accuracy_oracle"] + 1e-9


# -- classifiers whose rows are classes


def test_rows_that_are_classes_are_not_matched():
    """A classifier that mistakes two classes for each other is wrong, however well it could be matched."""
    counts = np.array([[0, 9, 0], [7, 0, 0], [1, 0, 8]])
    assert match_identity(counts).tolist() == [0, 1, 2]
    found = summary(counts, rows_are_classes=True)
    assert found["accuracy"] == found["accuracy_named"] == pytest.approx(100 * 8 / 25)
    assert found["miou"] == found["miou_named"] == pytest.approx(100 * 8 / 9 / 3)
    assert "accuracy_oracle" not in found
    assert summary(counts)["accuracy"] == pytest.approx(100 * 24 / 25)


def test_a_classifier_of_more_or_fewer_classes():
    """A class that was never learnt is never right; one that is not measured is an error and changes no mean."""
    fewer = summary(np.array([[5, 1, 2], [0, 3, 1]]), rows_are_classes=True)
    assert fewer["accuracy"] == pytest.approx(100 * 8 / 12)
    assert fewer["miou"] == pytest.approx(100 * (5 / 8 + 3 / 5 + 0) / 3)
    more = summary(np.array([[5, 0], [1, 3], [2, 1]]), rows_are_classes=True)
    assert more["accuracy"] == pytest.approx(100 * 8 / 12)
    assert more["miou"] == pytest.approx(100 * (5 / 8 + 3 / 5) / 2)


def test_nothing_counted():
    """A truth of ignored pixels gives zeros, not NaN."""
    found = score(np.zeros((3, 2), np.int64), match_one_to_one(np.zeros((3, 2), np.int64)))
    assert (found.accuracy, found.mean_iou, found.mean_iou_absent_zero) == (0, 0, 0)
