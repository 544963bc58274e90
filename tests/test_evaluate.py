"""Figures against ground truth: against scikit-learn and torchmetrics, by hand, and whatever ids clusters have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torchmetrics import JaccardIndex

from picie_core.errors import PicieError
from picie_core.evaluate import centre_square, confusion, match_many_to_one, match_one_to_one, score
from picie_core.evaluation import summary


def labels_and_truth(k: int = 5, classes: int = 4, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Random labels that follow the truth in part, and a truth with some ignored pixels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, (size, size))
    labels = np.where(rng.random(truth.shape) < 0.6, truth % k, rng.integers(0, k, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    return labels.astype(np.uint16), truth.astype(np.uint8)


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


def test_many_to_one_by_hand():
    """Each cluster takes its majority class; one without pixels takes none."""
    assert match_many_to_one(np.array([[10, 8], [7, 1], [2, 3], [0, 0]])).tolist() == [0, 0, 1, -1]


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
    jaccard = JaccardIndex("multiclass", num_classes=4, ignore_index=255, average="none")
    np.testing.assert_allclose(found.class_iou, jaccard(predicted, target), atol=1e-6)
    counted = target != 255
    assert found.accuracy == pytest.approx(float((predicted == target)[counted].float().mean()))
    assert found.mean_iou == pytest.approx(found.class_iou.mean())


def test_scores_by_hand():
    """Of 12 pixels two matched clusters get 9 right, IoU 6/9 and 3/5; named by hand, the third cluster is right too."""
    counts = np.array([[6, 1], [1, 3], [1, 0]])
    found = score(counts, np.array([0, 1, -1]))
    assert found.accuracy == pytest.approx(9 / 12)
    np.testing.assert_allclose(found.class_iou, [6 / 9, 3 / 5])
    np.testing.assert_allclose(found.class_accuracy, [6 / 8, 3 / 4])
    named = score(counts, match_many_to_one(counts))
    assert named.accuracy == pytest.approx(10 / 12)
    np.testing.assert_allclose(named.class_iou, [7 / 9, 3 / 5])


def test_ids_of_clusters_do_not_matter():
    """Permuted cluster ids change no figure, with any number of clusters."""
    for k in (3, 4, 9):
        labels, truth = labels_and_truth(k=k)
        turn = np.random.default_rng(k).permutation(k)
        assert summary(confusion(labels, truth, k, 4)) == pytest.approx(
            summary(confusion(turn[labels], truth, k, 4)), nan_ok=False
        )


def test_more_clusters_than_classes():
    """Clusters beyond the classes are errors one-to-one, and no loss many-to-one."""
    truth = np.repeat(np.arange(3), 40).reshape(12, 10)
    halves = 2 * truth + np.arange(10)[None, :] // 5  # every class split into two clusters
    figures = summary(confusion(halves, truth, 6, 3))
    assert figures["accuracy"] == pytest.approx(50)
    assert figures["accuracy_named"] == figures["miou_named"] == pytest.approx(100)


def test_fewer_clusters_than_classes():
    """A class without a cluster has IoU 0 and stays in the mean."""
    truth = np.repeat(np.arange(4), 25).reshape(10, 10)
    figures = summary(confusion(np.minimum(truth, 1), truth, 2, 4))
    assert figures["accuracy"] == pytest.approx(50)
    assert figures["miou"] == pytest.approx(100 * (1 + 1 / 3) / 4)


def test_a_class_that_is_absent_from_the_truth():
    """It has no IoU and is left out of the mean; the authors' figure counts it as 0 when it was matched."""
    counts = np.array([[8, 0, 0], [0, 4, 0], [2, 1, 0]])
    found = score(counts, match_one_to_one(counts))
    assert np.isnan(found.class_iou).tolist() == [False, False, True]
    assert found.mean_iou == pytest.approx((8 / 10 + 4 / 5) / 2)
    assert found.mean_iou_absent_zero == pytest.approx((8 / 10 + 4 / 5) / 3)
    unmatched = score(counts, np.array([0, 1, -1]))
    assert unmatched.mean_iou_absent_zero == unmatched.mean_iou


def test_subset_tables_keep_the_matching():
    """Figures of some classes restrict the rows of the truth after the matching over all of them."""
    labels, truth = labels_and_truth(k=4, classes=4)
    counts = confusion(labels, truth, 4, 4)
    found = score(counts, match_one_to_one(counts))
    for class_id in range(4):
        cluster = int(np.flatnonzero(found.matching == class_id)[0])
        assert found.class_accuracy[class_id] == counts[cluster, class_id] / counts[:, class_id].sum()


def test_nothing_counted():
    """A truth of ignored pixels gives zeros, not NaN."""
    found = score(np.zeros((3, 2), np.int64), match_one_to_one(np.zeros((3, 2), np.int64)))
    assert (found.accuracy, found.mean_iou, found.mean_iou_absent_zero) == (0, 0, 0)


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(6, 10, (0, 6), (2, 8)), (9, 4, (2, 6), (0, 4))])
def test_centre_square(height, width, rows, columns):
    """The square of the shorter side from the middle, for images and masks alike."""
    image = np.arange(height * width).reshape(height, width)
    np.testing.assert_array_equal(centre_square(image), image[slice(*rows), slice(*columns)])
    assert centre_square(np.zeros((height, width, 3))).shape == (min(height, width),) * 2 + (3,)
