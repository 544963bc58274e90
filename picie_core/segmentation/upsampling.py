"""From the scores of cells to a label for every pixel: bilinear upsampling and argmax, without the scores in between.

Numpy only. Between four cells only a few channels can win, most often one; only those are interpolated, so a mask
costs little more than its borders. Pixels come out the same, bit by bit, however the picture is cut.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from picie_core.data.feature_grid import positions_of_pixels

TILE_PX = 384
"""Side of the pieces a mask is computed in: so memory does not grow with the picture."""


def upsample_argmax(scores: np.ndarray, height: int, width: int, tile_px: int = TILE_PX) -> np.ndarray:
    """Returns the best channel of each pixel: the scores upsampled bilinearly to full size, then argmax.

    scores: (C, h, w). Returns (height, width), uint8 up to 256 channels, else uint16; the first of equal
    channels wins. Computed tile by tile, which changes no pixel: memory does not grow with the picture.
    """
    return label_pixels(lambda first, last: scores[:, first:last], scores.shape, height, width, tile_px)


def label_pixels(
    rows_of_scores: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    height: int,
    width: int,
    tile_px: int = TILE_PX,
) -> np.ndarray:
    """Returns `upsample_argmax` of scores of `shape` (C, h, w) that are asked for by rows of cells, [first, last)."""
    channels, cell_rows, cell_columns = shape
    down, right = positions_of_pixels(height, cell_rows), positions_of_pixels(width, cell_columns)
    labels = np.empty((height, width), np.uint8 if channels <= 256 else np.uint16)
    for top in range(0, height, tile_px):
        rows = down[top : top + tile_px]
        first, last = _touched(rows, cell_rows)
        strip = rows_of_scores(first, last)  # (C, last - first, w)
        for start in range(0, width, tile_px):
            columns = right[start : start + tile_px]
            left, stop = _touched(columns, cell_columns)
            tile = labels[top : top + tile_px, start : start + tile_px]
            _label_tile(strip[:, :, left:stop], rows - first, columns - left, tile)
    return labels


def interpolate(scores: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """Returns scores between cells, linearly along one of the first two axes; positions as of `positions_of_pixels`.

    Each value depends on its own position only, so pieces of a picture agree exactly.
    """
    low = np.minimum(positions.astype(np.intp), scores.shape[axis] - 1)
    high = np.minimum(low + 1, scores.shape[axis] - 1)
    share = (positions - low).astype(np.float32)
    share = share.reshape(-1, *[1] * (scores.ndim - 1 - axis))
    upper = np.take(scores, low, axis=axis)
    upper *= 1 - share
    lower = np.take(scores, high, axis=axis)
    lower *= share
    upper += lower
    return upper


def _touched(positions: np.ndarray, cells: int) -> tuple[int, int]:
    """The range [first, last) of the cells that the positions are interpolated between."""
    return int(positions[0]), min(int(positions[-1]) + 2, cells)


# -- one tile: a square is what lies between four cells, named by its upper left one


def _label_tile(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray, labels: np.ndarray) -> None:
    """Writes the best channel of each pixel of a tile into `labels`; scores (C, r, c) of its cells."""
    winners = _possible_winners(scores)
    if len(winners) == 1:
        labels[:] = winners[0]
        return
    scores = np.ascontiguousarray(scores[winners])
    possible = _possible_in_squares(scores)  # (C, r, c)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    labels[:] = winners[possible.argmax(0)][top][:, left]
    several = possible.sum(0) > 1
    y, x = np.nonzero(several[top][:, left])
    if len(y):
        labels[y, x] = winners[_best_of_several(scores, possible, rows[y], columns[x])]


def _possible_winners(scores: np.ndarray) -> np.ndarray:
    """Channels that can be the best between these cells: interpolation never leaves a channel's own range."""
    flat = scores.reshape(len(scores), -1)
    return np.flatnonzero(flat.max(axis=1) >= flat.min(axis=1).max() - _margin(scores))


def _possible_in_squares(scores: np.ndarray) -> np.ndarray:
    """Whether a channel can be the best in the square below and right of each cell: bool (C, r, c)."""
    highest, lowest = scores, scores
    for axis in (1, 2):
        following = np.minimum(np.arange(scores.shape[axis]) + 1, scores.shape[axis] - 1)
        highest = np.maximum(highest, highest.take(following, axis))
        lowest = np.minimum(lowest, lowest.take(following, axis))
    return highest >= lowest.max(0) - _margin(scores)


def _margin(scores: np.ndarray) -> np.float32:
    """By how much a channel may seem worse and still win: far above rounding, far below what matters."""
    return np.float32(1e-5 * max(float(scores.max()), -float(scores.min()), 1e-30))


def _best_of_several(scores: np.ndarray, possible: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The best channel of each of P pixels at (rows, columns), the first of equal ones, among those possible there.

    The r-th possible channel of all pixels is interpolated at once, as `interpolate` does it, rows before columns.
    """
    _, cell_rows, cell_columns = scores.shape
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    square = top * cell_columns + left  # (P,)
    counts = possible.sum(0).ravel()
    first = np.cumsum(counts) - counts
    _, channels = np.nonzero(possible.reshape(len(possible), -1).T)  # of square 0, of square 1, ..., each ascending
    down = np.where(top + 1 < cell_rows, cell_columns, 0)
    right = (left + 1 < cell_columns).astype(np.intp)
    shares = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    pixels, count, first = np.arange(len(square)), counts[square], first[square]
    best, winner = np.full(len(square), -np.inf, np.float32), np.zeros(len(square), np.intp)
    for rank in range(int(count.max())):
        if rank > 1:  # two are possible everywhere here
            more = count[pixels] > rank
            pixels, down, right = pixels[more], down[more], right[more]
            shares = shares[0][more], shares[1][more]
        channel = channels[first[pixels] + rank]
        corner = channel * (cell_rows * cell_columns) + square[pixels]
        score = _between(scores.ravel(), corner, down, right, *shares)
        better = score > best[pixels]
        best[pixels[better]], winner[pixels[better]] = score[better], channel[better]
    return winner


def _between(
    scores: np.ndarray, corner: np.ndarray, down: np.ndarray, right: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """Scores (P,) float32 in the squares whose upper left cells are at `corner`; row, column: shares of the way."""
    left_side = scores[corner] * (1 - row) + scores[corner + down] * row
    corner = corner + right
    right_side = scores[corner] * (1 - row) + scores[corner + down] * row
    return left_side * (1 - column) + right_side * column
