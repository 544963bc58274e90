"""From the scores of positions to a label for every pixel: bilinear upsampling and argmax, without the scores between.

Numpy only. Between four positions only a few channels can win, most often one; only those are interpolated, so a mask
costs little more than its borders. Pixels come out the same, bit by bit, however the picture is cut into tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from picie_core.clustering.confidence import best_and_margin
from picie_core.data.feature_grid import positions_of_pixels

TILE_PX = 384
"""Side of the tiles a mask is computed in: so memory does not grow with the picture."""
SMALL_TILE_PX = 64
"""Side of the tiles that margins are computed in: in a small one few channels can be among the two best."""


def upsample(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns scores (..., h, w) bilinearly between their positions: (..., len(rows), len(columns)) float32.

    rows, columns: where between the positions, as of `positions_of_pixels`. Each value depends on its own row and
    column only, so tiles of a picture agree exactly.
    """
    return _interpolate(_interpolate(scores, rows, scores.ndim - 2), columns, scores.ndim - 1)


def upsample_argmax(scores: np.ndarray, height: int, width: int, tile_px: int = TILE_PX) -> np.ndarray:
    """Returns the best channel of each pixel: the scores upsampled bilinearly to full size, then argmax.

    scores: (C, h, w). Returns (height, width), uint8 up to 256 channels, else uint16; the first of equal channels wins.
    """
    return label_pixels(lambda first, last: scores[:, first:last], scores.shape, height, width, tile_px)


def label_pixels(
    rows_of_scores: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    height: int,
    width: int,
    tile_px: int = TILE_PX,
) -> np.ndarray:
    """Returns `upsample_argmax` of scores of `shape` (C, h, w), which are asked for by rows, [first, last)."""
    labels = np.empty((height, width), label_dtype(shape[0]))
    for pixels, scores, rows, columns in _tiles(rows_of_scores, shape, height, width, tile_px):
        _label_tile(scores, rows, columns, labels[pixels])
    return labels


def upsample_best_and_margin(
    scores: np.ndarray, height: int, width: int, tile_px: int = SMALL_TILE_PX
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels of `upsample_argmax` and by how much each leads the next best channel.

    The margin is float32 (height, width); a lone channel leads by infinity.
    """
    labels = np.empty((height, width), label_dtype(len(scores)))
    margin = np.empty((height, width), np.float32)
    for pixels, tile, rows, columns in _tiles(
        lambda first, last: scores[:, first:last], scores.shape, height, width, tile_px
    ):
        possible = _possible_winners(tile, min(2, len(scores)))
        best, margin[pixels] = best_and_margin(upsample(tile[possible], rows, columns))
        labels[pixels] = possible[best]
    return labels, margin


def label_points(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the best channel at any rows and columns between positions: (len(rows), len(columns)).

    scores: (C, h, w); rows, columns: ascending, as of `positions_of_pixels`. Equal to `upsample_argmax` at its pixels.
    """
    labels = np.empty((len(rows), len(columns)), label_dtype(len(scores)))
    for pixels, tile, tile_rows, tile_columns in _point_tiles(scores, rows, columns, TILE_PX):
        _label_tile(tile, tile_rows, tile_columns, labels[pixels])
    return labels


def label_points_with_margin(
    scores: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels of `label_points`, and by how much each leads the next best channel, float32."""
    labels = np.empty((len(rows), len(columns)), label_dtype(len(scores)))
    margin = np.empty(labels.shape, np.float32)
    for pixels, tile, tile_rows, tile_columns in _point_tiles(scores, rows, columns, SMALL_TILE_PX):
        possible = _possible_winners(tile, min(2, len(scores)))
        best, margin[pixels] = best_and_margin(upsample(tile[possible], tile_rows, tile_columns))
        labels[pixels] = possible[best]
    return labels, margin


def label_dtype(channels: int) -> type[np.uint8] | type[np.uint16]:
    """Returns the smallest type that holds the ids of so many channels."""
    return np.uint8 if channels <= 256 else np.uint16


def _tiles(
    rows_of_scores: Callable[[int, int], np.ndarray], shape: tuple[int, ...], height: int, width: int, tile_px: int
) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the pixels of each tile, the scores (C, r, c) around it, and its rows and columns between them."""
    across = list(_pieces(width, shape[2], tile_px))
    for pixel_rows, rows, first, last in _pieces(height, shape[1], tile_px):
        strip = rows_of_scores(first, last)  # (C, last - first, w)
        for pixel_columns, columns, left, right in across:
            yield (pixel_rows, pixel_columns), strip[:, :, left:right], rows, columns


def _point_tiles(
    scores: np.ndarray, rows: np.ndarray, columns: np.ndarray, tile_px: int
) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the same as `_tiles` for rows and columns that lie anywhere between the positions of scores (C, h, w)."""
    for row in range(0, len(rows), tile_px):
        down = rows[row : row + tile_px]
        top, bottom = int(down[0]), min(int(down[-1]) + 2, scores.shape[1])
        for column in range(0, len(columns), tile_px):
            across = columns[column : column + tile_px]
            left, right = int(across[0]), min(int(across[-1]) + 2, scores.shape[2])
            pixels = slice(row, row + tile_px), slice(column, column + tile_px)
            yield pixels, scores[:, top:bottom, left:right], down - top, across - left


def _pieces(full_px: int, length: int, tile_px: int) -> Iterator[tuple[slice, np.ndarray, int, int]]:
    """Yields pieces of an axis: pixels, the range [first, last) of positions they lie between, where from `first`."""
    positions = positions_of_pixels(full_px, length)
    for start in range(0, full_px, tile_px):
        piece = positions[start : start + tile_px]
        first, last = int(piece[0]), min(int(piece[-1]) + 2, length)
        yield slice(start, start + tile_px), piece - first, first, last


def _interpolate(scores: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """Scores between positions, linearly along one axis."""
    low = np.minimum(positions.astype(np.intp), scores.shape[axis] - 1)
    high = np.minimum(low + 1, scores.shape[axis] - 1)
    share = (positions - low).astype(np.float32).reshape(-1, *[1] * (scores.ndim - 1 - axis))
    upper = np.take(scores, low, axis=axis)
    upper *= 1 - share
    lower = np.take(scores, high, axis=axis)
    lower *= share
    upper += lower
    return upper


# -- one tile: a square is what lies between four positions, named by its upper left one


def _label_tile(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray, labels: np.ndarray) -> None:
    """Writes the best channel of each pixel of a tile into `labels`; scores (C, r, c) around it."""
    winners = _possible_winners(scores, 1)
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


def _possible_winners(scores: np.ndarray, best: int) -> np.ndarray:
    """Channels that can be among the `best` first between these positions.

    Interpolation never leaves a channel's own range, and so many channels are everywhere as high as the lowest value
    of the best of them.
    """
    flat = scores.reshape(len(scores), -1)
    highest, lowest = flat.max(axis=1), flat.min(axis=1)
    enough = np.partition(lowest, -best)[-best]
    return np.flatnonzero(highest >= enough - _slack(highest, lowest))


def _possible_in_squares(scores: np.ndarray) -> np.ndarray:
    """Whether a channel can be the best in the square below and right of each position: bool (C, r, c)."""
    highest, lowest = scores, scores
    for axis in (1, 2):
        following = np.minimum(np.arange(scores.shape[axis]) + 1, scores.shape[axis] - 1)
        highest = np.maximum(highest, highest.take(following, axis))
        lowest = np.minimum(lowest, lowest.take(following, axis))
    return highest >= lowest.max(0) - _slack(highest, lowest)


def _slack(highest: np.ndarray, lowest: np.ndarray) -> np.float32:
    """By how much a channel may seem worse and still win: far above rounding, far below what matters."""
    return np.float32(1e-5 * max(float(highest.max()), -float(lowest.min()), 1e-30))


def _best_of_several(scores: np.ndarray, possible: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The best channel of each of P pixels at (rows, columns), the first of equal ones, among those possible there.

    The r-th possible channel of all pixels is interpolated at once, as `upsample` does it, rows before columns.
    """
    _, map_rows, map_columns = scores.shape
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    square = top * map_columns + left  # (P,)
    counts = possible.sum(0).ravel()
    first = np.cumsum(counts) - counts
    _, channels = np.nonzero(possible.reshape(len(possible), -1).T)  # of square 0, of square 1, ..., each ascending
    down = np.where(top + 1 < map_rows, map_columns, 0)
    right = (left + 1 < map_columns).astype(np.intp)
    shares = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    pixels, count, first = np.arange(len(square)), counts[square], first[square]
    best, winner = np.full(len(square), -np.inf, np.float32), np.zeros(len(square), np.intp)
    for rank in range(int(count.max())):
        if rank > 1:  # two are possible everywhere here
            more = count[pixels] > rank
            pixels, down, right = pixels[more], down[more], right[more]
            shares = shares[0][more], shares[1][more]
        channel = channels[first[pixels] + rank]
        corner = channel * (map_rows * map_columns) + square[pixels]
        score = _between(scores.ravel(), corner, down, right, *shares)
        better = score > best[pixels]
        best[pixels[better]], winner[pixels[better]] = score[better], channel[better]
    return winner


def _between(
    scores: np.ndarray, corner: np.ndarray, down: np.ndarray, right: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """Scores (P,) float32 in the squares whose upper left positions are at `corner`; row, column: shares of the way."""
    left_side = scores[corner] * (1 - row) + scores[corner + down] * row
    corner = corner + right
    right_side = scores[corner] * (1 - row) + scores[corner + down] * row
    return left_side * (1 - column) + right_side * column
