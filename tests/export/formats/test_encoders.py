"""Run lengths and what COCO and Label Studio make of them: by hand, and by slow versions."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.export.formats.coco import coco_texts
from picie_core.export.formats.label_studio import brush_bytes
from picie_core.export.run_lengths import class_runs


def random_masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 9), (9, 1), (16, 16), (30, 41)]
    masks = [rng.choice(np.array([0, 1, 254, 255], np.uint8), shape) for shape in shapes]
    return [*masks, np.zeros((7, 5), np.uint8), np.repeat(np.repeat(masks[-1], 3, 0), 4, 1)]


def painted(counts: np.ndarray) -> np.ndarray:
    """The pixels that run lengths stand for, bool."""
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts)


def test_runs_by_hand():
    """Three classes in two rows: runs, box and area; the last run of other pixels is there, an ignored pixel is not."""
    mask = np.array([[3, 3, 7, 255], [3, 7, 7, 0]], np.uint8)
    found = {one.id: (one.counts.tolist(), one.box, one.area) for one in class_runs(mask)}
    assert found == {
        0: ([7, 1], (3, 1, 1, 1), 1),
        3: ([0, 2, 2, 1, 3], (0, 0, 2, 2), 3),
        7: ([2, 1, 2, 2, 1], (1, 0, 2, 2), 3),
    }
    in_box = {one.id: one.counts.tolist() for one in class_runs(mask, in_box=True)}
    assert in_box == {0: [0, 1], 3: [0, 3, 1], 7: [1, 3]}


@pytest.mark.parametrize("mask", random_masks(), ids=lambda mask: "x".join(map(str, mask.shape)))
def test_runs_are_those_of_each_class_alone(mask):
    """For every class they paint its pixels, in the whole mask and in its box, and no run is empty but the first."""
    for in_box in (False, True):
        found = class_runs(mask, in_box)
        assert [one.id for one in found] == sorted(set(np.unique(mask).tolist()) - {255})
        for one in found:
            rows, columns = np.nonzero(mask == one.id)
            left, top, width, height = one.box
            assert (left, top) == (columns.min(), rows.min()) and one.area == len(rows)
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            part = mask[top : top + height, left : left + width] if in_box else mask
            np.testing.assert_array_equal(painted(one.counts), (part == one.id).ravel())
            assert (one.counts[1:] > 0).all()


def test_a_mask_without_classes_has_no_runs():
    """Neither has an annotation."""
    assert class_runs(np.full((4, 4), 255, np.uint8)) == [] and coco_texts([]) == []


@pytest.mark.parametrize(
    "counts, text",
    [([0, 5], "05"), ([33], "Q1"), ([16], "`0"), ([3, 2, 4, 1], "324O"), ([0, 1, 1, 20], "011c0")],
)
def test_coco_text_by_hand(counts, text):
    """Five bits a letter, a sixth for more to come; from the fourth on differences, which may be negative."""
    assert coco_texts([np.array(counts)]) == [text]


def coco_counts(text: str) -> list[int]:
    """Slow reading of COCO's text, letter by letter."""
    counts, value, shift = [], 0, 0
    for letter in text:
        group = ord(letter) - 48
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            value -= (1 << shift) if group & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    return counts


def test_coco_text_holds_the_counts():
    """Small, large and shrinking runs of several classes at once are read again as they were."""
    rng = np.random.default_rng(1)
    counts = [(2.0 ** rng.uniform(0, 31, size)).astype(np.int64) for size in (1, 2, 3, 4, 5, 400)]
    assert [coco_counts(text) for text in coco_texts(counts)] == [one.tolist() for one in counts]


def brush_pixels(data: bytes) -> np.ndarray:
    """Slow reading of a brush mask, bit by bit, (N,) uint8."""
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def number(width: int) -> int:
        nonlocal at
        at += width
        return int(bits[at - width : at], 2)

    size, word = number(32), number(5) + 1
    lengths = [number(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < size:
        assert number(1) == 1
        count = number(lengths[number(2)]) + 1
        out += [number(word)] * count
    assert len(bits) - at < 8
    return np.array(out, np.uint8)


@pytest.mark.parametrize(
    "counts", [[0, 2, 1], [5], [1, 4, 64, 1], [0, 16384], [16384, 16385], [3, 40000, 1], [64, 65, 2, 3]]
)
def test_brush_bytes_paint_every_channel(counts):
    """Runs of each size, as long as a size holds and one longer: four bytes a pixel, 255 where the class is."""
    expected = np.repeat(painted(np.array(counts)), 4) * np.uint8(255)
    np.testing.assert_array_equal(brush_pixels(brush_bytes(np.array(counts))), expected)


def test_brush_bytes_by_hand():
    """Head: 8 bytes of picture, words of 8 bits, sizes 3, 4, 8, 16; then one run of 8 times 255."""
    bits = f"{8:032b}" + "00111" + "0010" + "0011" + "0111" + "1111" + "1" + "00" + "111" + "11111111"
    assert brush_bytes(np.array([0, 2])) == int(bits.ljust(72, "0"), 2).to_bytes(9, "big")
