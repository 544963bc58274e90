"""Labelled rows: an even draw of each class, in any order of the images, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from picie_core.data.labelled_rows import LabelledRows, LabelledSample

IMAGES, SIDE = 6, 8


def image_of(image_id: int) -> tuple[np.ndarray, np.ndarray]:
    """A feature map (8, 8, 7) int8 that says which image and position it is, and a mask at four times the side.

    Class 0 is common, 1 is rare, 2 is nowhere; a row of positions is ignored.
    """
    feature_map = np.zeros((SIDE, SIDE, IMAGES + 1), np.int8)
    feature_map[..., image_id] = 100
    feature_map[..., IMAGES] = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[0, :3], mask[3] = 1, 255
    return feature_map, mask.repeat(4, 0).repeat(4, 1)


def gathered(rows: int, order: Sequence[int] = range(IMAGES), seed: int = 0) -> LabelledSample:
    """What the gatherer takes of all images."""
    gatherer = LabelledRows(3, rows, seed)
    for image_id in order:
        gatherer.add(image_id, *image_of(image_id))
    return gatherer.take()


def origins(sample: LabelledSample) -> list[tuple[int, int, int]]:
    """(class, image, position) of every row."""
    images = sample.embeddings[:, :IMAGES].argmax(1)
    positions = np.round(100 * sample.embeddings[:, IMAGES] / sample.embeddings[:, :IMAGES].max(1)).astype(int)
    return list(zip(sample.classes.tolist(), images.tolist(), positions.tolist(), strict=True))


def test_all_rows_are_there_when_there_is_room():
    """Every position that counts, once, at unit length, with weight 1; ignored ones are left out."""
    sample = gathered(10_000)
    positions = [p for p in range(SIDE * SIDE) if p // SIDE != 3]
    assert sorted(origins(sample)) == sorted((int(p < 3), image, p) for image in range(IMAGES) for p in positions)
    assert np.bincount(sample.classes).tolist() == [IMAGES * (SIDE * (SIDE - 1) - 3), IMAGES * 3]
    np.testing.assert_allclose(np.linalg.norm(sample.embeddings, axis=1), 1, atol=1e-6)
    assert (sample.weights == 1).all()


def test_a_rare_class_is_there_whole():
    """With room for 20 rows a class, the rare one gives all of its 18, the common one 20 that stand for all."""
    sample = gathered(60)
    assert np.bincount(sample.classes).tolist() == [20, 18]
    assert sample.weights[sample.classes == 1].tolist() == [1] * 18
    assert sample.weights[sample.classes == 0].sum() == pytest.approx(IMAGES * (SIDE * (SIDE - 1) - 3), rel=1e-5)


def test_the_order_of_the_images_does_not_matter():
    """The same rows in the same order, whatever image came first; other seeds draw others."""
    one, two, other = gathered(60), gathered(60, [3, 1, 5, 0, 4, 2]), gathered(60, seed=1)
    assert np.array_equal(one.embeddings, two.embeddings) and np.array_equal(one.classes, two.classes)
    assert set(origins(one)) != set(origins(other))


def test_the_draw_is_even():
    """Over 200 seeds every image gives a sixth of the common class's rows."""
    draws = [origins(gathered(30, seed=seed)) for seed in range(200)]
    images = [image for draw in draws for class_id, image, _ in draw if class_id == 0]
    np.testing.assert_allclose(np.bincount(images) / len(images), 1 / IMAGES, atol=0.035)


def test_nothing_but_ignored_pixels():
    """No row at all, and no error: what learns from it says what is missing."""
    gatherer = LabelledRows(3)
    feature_map, mask = image_of(0)
    gatherer.add(0, feature_map, np.full_like(mask, 255))
    assert len(gatherer.take().classes) == 0
