"""Masks as run lengths: those of COCO, column by column, of CVAT, row by row in a box, and of Label Studio's brush.

[1] Lin et al., Microsoft COCO, 2014; the packed text is that of its API: numbers in groups of five bits, lowest first,
each the difference to the number two before it. [2] thi.ng/rle-pack, the bits of Label Studio's brush.
"""

from __future__ import annotations

import numpy as np

CONTINUES, SIGN, BITS = 0x20, 0x10, 0x1F
FIRST_CHARACTER = 48
HALF = 127
"""A brush paints the pixels that it covers by more than half."""


def unpack_counts(text: str) -> np.ndarray:
    """Returns the run lengths in COCO's packed text: (R,) int64. Raises ValueError for anything else."""
    groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - FIRST_CHARACTER
    if not len(groups):
        return np.zeros(0, np.int64)
    if groups.min() < 0 or groups.max() > (CONTINUES | BITS) or groups[-1] & CONTINUES:
        raise ValueError("its run lengths are no COCO text")
    ends = np.flatnonzero(groups & CONTINUES == 0)  # the last group of each number
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    if place.max() > 11:
        raise ValueError("its run lengths are no COCO text")
    numbers = np.add.reduceat((groups & BITS) << (5 * place), starts)
    negative = groups[ends] & SIGN != 0
    numbers[negative] -= np.int64(1) << (5 * (place[ends][negative] + 1))
    for parity in (1, 2):  # from the fourth number on, a number is its difference to the one two before it
        numbers[parity::2] = np.cumsum(numbers[parity::2])
    return numbers


def from_runs(counts: np.ndarray, pixels: int) -> np.ndarray:
    """Returns runs of zeros and ones in turn, zeros first, as (pixels,) bool.

    Raises ValueError unless the runs are not negative and make up so many pixels.
    """
    if (len(counts) and counts.min() < 0) or int(counts.sum()) != pixels:
        raise ValueError(f"its runs make up {int(counts.sum()):,} pixels, not {pixels:,}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts)


def unpack_brush(data: bytes, pixels: int) -> np.ndarray:
    """Returns what a brush of Label Studio painted: (pixels,) bool, row by row, from packed RGBA values [2].

    Raises ValueError for anything else, or for another number of pixels.
    """
    bits = format(int.from_bytes(data, "big"), f"0{8 * len(data)}b") if data else ""
    count, word_bits = int(bits[:32], 2), int(bits[32:37], 2) + 1
    run_bits = [int(bits[at : at + 4], 2) + 1 for at in range(37, 53, 4)]
    if count != 4 * pixels or word_bits != 8:
        raise ValueError(f"its brush is of {count // 4:,} pixels, not {pixels:,}")
    values, packed = np.zeros(count, np.uint8), np.unpackbits(np.frombuffer(data, np.uint8))
    done, at = 0, 53
    while done < count:
        size = run_bits[int(bits[at + 1 : at + 3], 2)]
        end = min(done + 1 + int(bits[at + 3 : at + 3 + size], 2), count)
        repeated, at = bits[at] == "1", at + 3 + size
        words = 1 if repeated else end - done
        if at + 8 * words > len(bits):
            raise ValueError("its brush ends too early")
        values[done:end] = np.packbits(packed[at : at + 8 * words])
        done, at = end, at + 8 * words
    return values[3::4] > HALF
