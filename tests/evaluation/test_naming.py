"""Names from own images: measured there and on others, against numbers made by hand and plain counting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.cluster_head import ClusterHead
from picie_core.evaluation.naming import (
    HeadCounts,
    OwnImages,
    absent_classes,
    check_classes,
    mean_metrics,
    measure_heads,
)
from picie_core.models.classifier_head import Head

GREYS = np.array([[-1.0, 0, 0], [1, 0, 0]], np.float32)
"""Two clusters: dark and bright."""


class BrightnessEmbedder:
    """An engine whose feature maps are the means of 4 x 4 pixels; counts the images that it sees."""

    seen = 0

    def __call__(self, images: np.ndarray) -> torch.Tensor:
        self.seen += len(images)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() - 100
        return torch.nn.functional.avg_pool2d(pixels, 4).permute(0, 2, 3, 1)


def halves(root: Path, classes: tuple[int, int], names: list[str], count: int = 2) -> LabelledSet:
    """Images that are dark on the left and bright on the right, of which both halves have these classes."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(count):
        image = np.zeros((32, 64, 3), np.uint8)
        image[:, 32:] = 200
        mask = np.repeat(np.array(classes, np.uint8), 32)[None].repeat(32, 0)
        Image.fromarray(image).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
    return open_labelled_set(root / "images", root / "masks", names)


def test_the_names_of_own_images_are_measured_on_others(tmp_path):
    """Bright is sky at home and snow elsewhere: half right by name there, which the oracle does not see."""
    names = ["ground", "sky", "snow"]
    own, other = halves(tmp_path / "own", (0, 1), names), halves(tmp_path / "other", (0, 2), names)
    heads = [ClusterHead.of_centroids(GREYS)]
    (found,) = measure_heads(BrightnessEmbedder(), 32, other, heads, OwnImages(own))
    assert found.naming.tolist() == [0, 1]
    metrics = found.metrics()
    assert metrics["accuracy_named"] == pytest.approx(50, abs=2)  # the border between the halves is interpolated
    assert metrics["accuracy_own"] > 98 and metrics["accuracy_oracle"] > 98 and metrics["accuracy"] > 98
    assert metrics["miou_named"] == pytest.approx(50, abs=2)


def test_own_images_that_are_measured_are_counted_once(tmp_path):
    """Then named, own and oracle are one figure, and the network sees each image once; the square is another."""
    own = halves(tmp_path, (0, 1), ["ground", "sky"])
    heads, engine = [ClusterHead.of_centroids(GREYS)], BrightnessEmbedder()
    (found,) = measure_heads(engine, 32, own, heads, OwnImages(own))
    assert engine.seen == 2
    metrics = found.metrics()
    assert metrics["miou_own"] == metrics["miou_named"] == metrics["miou_oracle"]
    (square,) = measure_heads(engine, 32, own, heads, OwnImages(own), centre_square=True)
    assert square.measured.sum() == 2 * 320 * 320 and square.own.sum() == found.own.sum() == 2 * 32 * 64


def test_clusters_that_own_images_do_not_show_stay_without_a_name():
    """By hand: cluster 2 has no counted pixel at home, so all its pixels elsewhere are errors."""
    measured, own = np.array([[4, 0], [1, 5], [0, 10]]), np.array([[9, 1], [2, 3], [0, 0]])
    found = HeadCounts(measured, own, rows_are_classes=False)
    assert found.naming.tolist() == [0, 1, -1]
    metrics = found.metrics()
    assert metrics["accuracy_named"] == pytest.approx(100 * 9 / 20)
    assert metrics["miou_named"] == pytest.approx(100 * (4 / 5 + 5 / 16) / 2)
    assert metrics["accuracy_own"] == pytest.approx(100 * 12 / 15)
    assert metrics["accuracy_oracle"] == pytest.approx(100 * 19 / 20)
    without = HeadCounts(measured, None, rows_are_classes=False)
    assert without.naming is None and not {"accuracy_own", "accuracy_named"} & set(without.metrics())


def test_own_and_measured_masks_may_show_other_numbers_of_classes():
    """A name that is not measured is an error there; a class that own images lack has no cluster."""
    more = HeadCounts(np.array([[4, 1], [1, 5]]), np.array([[2, 1, 9], [0, 3, 0]]), False).metrics()
    assert more["accuracy_named"] == pytest.approx(100 * 5 / 11)
    fewer = HeadCounts(np.array([[4, 1, 2], [1, 5, 3]]), np.array([[2, 1], [0, 3]]), False)
    assert fewer.metrics()["miou_named"] == pytest.approx(100 * (4 / 8 + 5 / 10 + 0) / 3)
    assert absent_classes(fewer, ["a", "b", "c"]) == [
        "No own image shows c, so no cluster has that name, and its IoU on others is 0."
    ]


def test_classes_that_are_never_measured_are_told():
    """In one sentence with their names; nothing is said where all occur."""
    counts = np.array([[4, 0, 0], [0, 3, 0]])
    found = HeadCounts(counts, counts + 1, rows_are_classes=False)
    assert absent_classes(found, ["a", "b", "c"]) == ["No measured image shows c: the means leave it out."]
    assert absent_classes(HeadCounts(counts + 1, None, False), ["a", "b", "c"]) == []
    assert all(np.isfinite(value) for value in found.metrics().values())


def test_classifiers_of_classes_keep_their_names(tmp_path):
    """Whatever own images show: rows are classes, on own images and on others, and there is no oracle."""
    names = ["ground", "sky"]
    own, other = halves(tmp_path / "own", (1, 0), names), halves(tmp_path / "other", (0, 1), names)
    head = Head(GREYS, np.zeros(2, np.float32), ("ground", "sky"))
    (found,) = measure_heads(BrightnessEmbedder(), 32, other, [head], OwnImages(own))
    metrics = found.metrics()
    assert metrics["accuracy"] == metrics["accuracy_named"] > 98
    assert metrics["accuracy_own"] < 2


def test_means_over_clusterings():
    """Of every metric, over the counts that share a name."""
    one, other = HeadCounts(np.diag([3, 1]), None, False), HeadCounts(np.ones((2, 2), int), None, False)
    found = mean_metrics(["k2", "k2", "k9"], [one, other, one])
    assert found["k2"]["accuracy"] == pytest.approx((100 + 50) / 2)
    assert found["k9"]["accuracy"] == 100


@pytest.mark.parametrize(
    ("classes", "measured", "fits"),
    [
        (["a", "b"], ["a", "b"], True),
        (["A", "b"], ["a", "B"], True),
        (["a", "b"], ["a", "b", "c"], True),
        (["a", "b", "c"], ["a", "b"], True),
        (["b", "a"], ["a", "b"], False),
        (["class 0", "class 1"], ["a", "b"], False),
    ],
)
def test_one_rule_for_lists_of_classes(classes, measured, fits):
    """One begins with the other, whatever the case; ids without names do not fit names, and the remedy is said."""
    if fits:
        check_classes(classes, measured, "the classifier")
        return
    with pytest.raises(
        PicieError, match=r"the classes of the classifier are .*, those of the measured masks a, b: give"
    ):
        check_classes(classes, measured, "the classifier")


@pytest.mark.parametrize("whose", ["the classifier", "the workspace's masks"])
def test_other_classes_are_refused_before_anything_is_counted(tmp_path, whose):
    """Those of a classifier and those of own masks alike."""
    truth = halves(tmp_path / "other", (0, 1), ["ground", "sky"])
    strange = halves(tmp_path / "own", (0, 1), ["sea", "sky"])
    head = Head(GREYS, np.zeros(2, np.float32), ("sea", "sky"))
    heads, own = (
        ([head], None) if whose == "the classifier" else ([ClusterHead.of_centroids(GREYS)], OwnImages(strange))
    )
    engine = BrightnessEmbedder()
    with pytest.raises(
        PicieError, match=f"the classes of {whose} are sea, sky, those of the measured masks ground, sky"
    ):
        measure_heads(engine, 32, truth, heads, own)
    assert engine.seen == 0
