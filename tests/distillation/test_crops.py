"""Augmented crops: image, labels and weights stay aligned, draws belong to the step, and each one changes something."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from picie_core.distillation.crops import GREY, random_crop, stack_crops
from picie_core.distillation.dataset import Example
from picie_core.distillation.settings import DistilSettings

PLAIN = DistilSettings(crop_px=64, scale_jitter=1, classmix=0, cutout=0)


def coded(height: int, width: int, annotated: bool = False) -> Example:
    """An example whose image and confidence say its labels: class c is grey 40 + 60 c and confidence 100 + c."""
    y, x = np.mgrid[:height, :width]
    labels = ((y // 16 + x // 16) % 3).astype(np.uint8)
    image = np.repeat((40 + 60 * labels)[..., None], 3, 2).astype(np.uint8)
    return Example(image, labels, (100 + labels).astype(np.uint8), annotated)


@pytest.mark.parametrize("scale_jitter", [1.0, 3.0])
@pytest.mark.parametrize("size", [(96, 160), (40, 50)])
def test_labels_and_confidence_stay_under_their_pixels(scale_jitter, size):
    """Away from borders of classes, where bilinear mixes, every pixel of a crop has the grey of its label."""
    example, agreed = coded(*size), []
    for draw in range(20):
        crop = random_crop(example, np.random.default_rng(draw), 64, scale_jitter)
        inside = crop.labels != 255
        assert (crop.image[~inside] == GREY).all() and (crop.confidence[~inside] == 0).all()
        np.testing.assert_array_equal(crop.confidence[inside], 100 + crop.labels[inside])
        wanted = 40 + 60 * crop.labels[inside].astype(int)
        agreed.append(np.abs(crop.image[inside][:, 0].astype(int) - wanted) < 20)
    assert np.concatenate(agreed).mean() > 0.75
    if scale_jitter == 1:
        assert np.concatenate(agreed).mean() > 0.93


def test_a_crop_of_its_own_size_is_the_image_or_its_mirror():
    """Nothing to choose: the whole image, and both ways are drawn."""
    example, seen = coded(64, 64), set()
    for draw in range(12):
        crop = random_crop(example, np.random.default_rng(draw), 64, 1)
        mirrored = not np.array_equal(crop.image, example.image)
        step = -1 if mirrored else 1
        np.testing.assert_array_equal(crop.image, example.image[:, ::step])
        np.testing.assert_array_equal(crop.labels, example.labels[:, ::step])
        seen.add(mirrored)
    assert seen == {True, False}


def test_draws_belong_to_the_step():
    """The same step gives the same crops, the next one others."""
    examples = [coded(96, 160), coded(80, 80)]
    settings = DistilSettings(crop_px=64, classmix=1, cutout=1, confidence=1)
    first, again, other = (stack_crops(examples, settings, (0, 1, 2, step)) for step in (3, 3, 4))
    for name in ("images", "labels", "weights"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


def test_pasted_classes_bring_labels_and_weights_along():
    """What is pasted from an annotated image counts as such; about half of the classes are."""
    examples = [coded(64, 64), coded(64, 64, annotated=True)]
    mixed = stack_crops(examples, DistilSettings(crop_px=64, scale_jitter=1, classmix=1, annotated=7), (0,))
    plain = stack_crops(examples, DistilSettings(crop_px=64, scale_jitter=1, classmix=0, annotated=7), (0,))
    pasted = mixed.weights[0] == 7
    assert 0.1 < pasted.float().mean() < 0.6
    assert torch.equal(mixed.labels[0][pasted], plain.labels[1][pasted])
    assert torch.equal(mixed.labels[0][~pasted], plain.labels[0][~pasted])
    assert torch.equal(mixed.images[0][:, pasted], plain.images[1][:, pasted])
    assert len(torch.unique(mixed.labels[0][pasted])) == 1  # one of three


def test_cut_out_boxes_keep_their_labels():
    """A box of each image becomes grey; labels and weights are those of before."""
    examples = [coded(64, 64), coded(64, 64)]
    plain, cut = (stack_crops(examples, DistilSettings(crop_px=64, classmix=0, cutout=one), (0,)) for one in (0, 1))
    changed = (plain.images != cut.images).any(1)
    assert torch.equal(plain.labels, cut.labels) and torch.equal(plain.weights, cut.weights)
    for one in changed:
        assert 0.01 < one.float().mean() < 0.25
