"""The run lengths of every class of a mask at once: what COCO, CVAT and Label Studio encode, each in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from picie_core.data.class_names import IGNORE_ID


@dataclass(frozen=True, eq=False)
class ClassRuns:
    """The pixels of one class in a mask."""

    id: int
    box: tuple[int, int, int, int]
    """Left, top, width and height of the smallest box around them."""
    area: int
    """How many they are."""
    counts: np.ndarray
    """(R,) int64: lengths of runs row by row, first of pixels that are not of the class (may be 0), then of those that
    are, and so on in turn."""


def class_runs(mask: np.ndarray, in_box: bool = False) -> list[ClassRuns]:
    """Returns the runs of each class of a mask (H, W), by id; pixels of 255 are in none.

    in_box: runs through the class's box instead of the whole mask. A transposed mask gives runs column by column.
    """
    height, width = mask.shape
    flat = np.ascontiguousarray(mask).reshape(-1)
    begins = np.empty(flat.size, bool)
    begins[0] = True
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::width] = True  # a run within one row has a left and a right end, which the boxes need
    start = np.flatnonzero(begins)
    length, ids = np.diff(start, append=flat.size), flat[start]
    order = np.argsort(ids, kind="stable")
    order = order[: np.searchsorted(ids[order], IGNORE_ID)]
    ids, start, length = ids[order], start[order], length[order]
    if not len(ids):
        return []

    first = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))  # the first run of each class
    runs_of = np.diff(first, append=len(ids))
    last = first + runs_of - 1
    row, column = np.divmod(start, width)
    left, right = np.minimum.reduceat(column, first), np.maximum.reduceat(column + length, first)
    top, bottom = row[first], row[last] + 1
    area = np.add.reduceat(length, first)
    sizes = np.full(len(first), height * width)
    if in_box:
        sizes = (right - left) * (bottom - top)
        start = (row - np.repeat(top, runs_of)) * np.repeat(right - left, runs_of) + column - np.repeat(left, runs_of)

    end = start + length
    gap = np.append(start[0], start[1:] - end[:-1])
    gap[first] = start[first]
    begins_run = gap > 0  # no gap: the run of the row above goes on
    begins_run[first] = True
    kept = np.flatnonzero(begins_run)
    counts = np.stack([gap[kept], np.add.reduceat(length, kept)], axis=1)  # (runs, 2)
    of_class = np.split(counts.reshape(-1), 2 * np.searchsorted(kept, first[1:]))
    rest = sizes - end[last]
    return [
        ClassRuns(
            int(ids[first[i]]),
            (int(left[i]), int(top[i]), int(right[i] - left[i]), int(bottom[i] - top[i])),
            int(area[i]),
            np.append(of_class[i], rest[i]) if rest[i] else of_class[i],
        )
        for i in range(len(first))
    ]
