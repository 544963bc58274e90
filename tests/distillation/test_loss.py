"""The loss by hand: ignored pixels, confidence, annotated images, class weights, and the student's own targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from picie_core.distillation.crops import pixel_weights
from picie_core.distillation.dataset import Example
from picie_core.distillation.loss import class_weights, weighted_cross_entropy
from picie_core.distillation.settings import DistilSettings

C = 3


def scores_and_labels(ignored: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    """(2, C, 4, 5) scores that want a gradient and labels (2, 4, 5) with a share of ignored pixels."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, C, 4, 5, generator=generator, requires_grad=True)
    labels = torch.randint(0, C, (2, 4, 5), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = 255
    return scores, labels


def test_equal_weights_are_plain_cross_entropy():
    """With every pixel at 1 it is the mean of -log softmax over the pixels that are not ignored."""
    scores, labels = scores_and_labels()
    assert 0 < (labels == 255).sum() < labels.numel()
    found = weighted_cross_entropy(scores, labels, torch.ones(labels.shape))
    torch.testing.assert_close(found, F.cross_entropy(scores, labels, ignore_index=255))


def test_each_pixel_counts_by_its_weight():
    """The weighted mean, summed by hand pixel by pixel."""
    scores, labels = scores_and_labels()
    weights = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1))
    total, mass = 0.0, 0.0
    for b, y, x in np.ndindex(*labels.shape):
        if labels[b, y, x] != 255:
            p = torch.softmax(scores[b, :, y, x].detach(), 0)[labels[b, y, x]]
            total, mass = total - float(weights[b, y, x] * p.log()), mass + float(weights[b, y, x])
    assert float(weighted_cross_entropy(scores, labels, weights).detach()) == pytest.approx(total / mass, rel=1e-5)


def test_ignored_pixels_pull_at_nothing():
    """Scores under ignored pixels get no gradient, the others do."""
    scores, labels = scores_and_labels()
    weighted_cross_entropy(scores, labels, torch.ones(labels.shape)).backward()
    assert scores.grad is not None
    assert torch.equal(scores.grad.abs().sum(1) > 0, labels != 255)


@pytest.mark.parametrize("bootstrap", [0.0, 0.5])
def test_a_batch_without_labels_gives_no_gradient_and_no_nan(bootstrap):
    """All pixels 255: the loss is 0, and so is every gradient."""
    scores, labels = scores_and_labels(ignored=2)
    own = scores.detach().softmax(1)
    loss = weighted_cross_entropy(scores, labels, torch.ones(labels.shape), own=own, bootstrap=bootstrap)
    loss.backward()
    assert float(loss.detach()) == 0
    assert scores.grad is not None and torch.equal(scores.grad, torch.zeros_like(scores))


def test_own_targets_are_a_share_of_the_cross_entropy():
    """Half of the targets from the averaged student: the mean of the two cross-entropies."""
    scores, labels = scores_and_labels(ignored=0)
    own = torch.rand(scores.shape, generator=torch.Generator().manual_seed(2)).softmax(1)
    soft = F.cross_entropy(scores, own)
    hard = F.cross_entropy(scores, labels)
    found = weighted_cross_entropy(scores, labels, torch.ones(labels.shape), own=own, bootstrap=0.5)
    torch.testing.assert_close(found, (soft + hard) / 2)


# -- weights of pixels and classes


def example(confidence: list[int] | None, annotated: bool) -> Example:
    """An example of one row."""
    row = None if confidence is None else np.array([confidence], np.uint8)
    return Example(np.zeros((1, 3, 3), np.uint8), np.zeros((1, 3), np.uint8), row, annotated)


@pytest.mark.parametrize(
    ("confidence", "annotated", "wanted"),
    [
        ([255, 51, 0], False, [1.0, 0.2, 0.0]),
        (None, False, [1.0, 1.0, 1.0]),
        (None, True, [4.0, 4.0, 4.0]),
        ([255, 51, 0], True, [4.0, 4.0, 4.0]),
    ],
)
def test_a_pixel_weighs_its_confidence_and_more_where_a_person_was(confidence, annotated, wanted):
    """Confidence maps are round(255 * confidence); an annotated image is sure everywhere."""
    settings = DistilSettings(annotated=4.0, confidence=1)
    np.testing.assert_allclose(pixel_weights(example(confidence, annotated), settings)[0], wanted, rtol=1e-6)


def test_the_power_of_the_confidence():
    """Squared it counts less; to the power 0 every pixel is equal."""
    made = example([255, 51, 0], False)
    np.testing.assert_allclose(pixel_weights(made, DistilSettings(confidence=2))[0], [1, 0.04, 0], rtol=1e-6)
    np.testing.assert_array_equal(pixel_weights(made, DistilSettings(confidence=0))[0], [1, 1, 1])


@pytest.mark.parametrize("sure", [1.0, 0.25])
def test_class_weights_are_a_power_of_the_frequency(sure):
    """Frequencies 0.8 and 0.2 at -0.5: a pixel of the rare one counts twice, however sure it is on average."""
    mass = np.array([80, 20 * sure, 0])
    found = class_weights(np.array([80, 20, 0]), mass, -0.5)
    assert found[1] * sure / found[0] == pytest.approx(2)
    assert (found * mass).sum() / mass.sum() == pytest.approx(1)
    assert found[2] == 0
    np.testing.assert_allclose(class_weights(np.array([80, 20, 0]), np.array([80.0, 20, 0]), 0.0), [1, 1, 0])
