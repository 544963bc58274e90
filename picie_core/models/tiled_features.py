"""Tiled embedding: the feature map of a large image from overlapping tiles, each used where it is valid.

The network sees a tile as it sees a whole image, so a position differs from that of the untiled image only where its
receptive field leaves the tile: the wider the overlap, the less.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from picie_core.data.feature_windows import FeatureWindows
from picie_core.data.images.image_file import ImageError
from picie_core.data.images.image_source import ImageSource
from picie_core.data.sample_writer import quantise
from picie_core.data.tiling import Span, Tile, TileGrid, Window
from picie_core.errors import PicieError
from picie_core.models.embedding_pass import FIT_IMAGES, NOTHING_READ, ImagePass, OnError
from picie_core.models.inference import FrozenEmbedder
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import TOTAL_STRIDE, EmbedderSettings, SampleSettings, TilingSettings

FIT_PX = 384
"""Side of the windows that stand for the images where the decoder is fitted."""
READ_AHEAD = 2
"""Tiles that are read while the network works on another one."""


class EmbeddedTile(NamedTuple):
    """What a tile of an image is valid for."""

    image_id: int
    map_shape: tuple[int, int]
    tile: Tile
    valid: Tensor
    """(r, c, D), not of unit length."""


def network_tiling(tiling: TilingSettings, embedder: EmbedderSettings) -> TilingSettings:
    """Returns tiles that take as much memory as at scale 1, where the network also sees enlarged images."""
    side = tiling.tile_px / max(1.0, *embedder.scale_factors)
    side_px = max(256, round(side / TOTAL_STRIDE) * TOTAL_STRIDE)
    half_px = side_px // 2 // TOTAL_STRIDE * TOTAL_STRIDE
    return replace(tiling, tile_px=min(side_px, tiling.tile_px), overlap_px=min(tiling.overlap_px, half_px))


class TiledEmbedding:
    """Embeds images of a source tile by tile; `tiling` as of `network_tiling`."""

    def __init__(self, source: ImageSource, engine: FrozenEmbedder, tiling: TilingSettings):
        self.source, self.engine = source, engine
        self.tiling = network_tiling(tiling, engine.network.settings)

    def grid(self, image_id: int) -> TileGrid:
        """Returns the tiles of an image."""
        width, height = self.source.scaled_size(image_id)
        return TileGrid(height, width, self.tiling)

    def window(self, image_id: int) -> Window:
        """Returns what reads from an image as the network sees it."""
        return lambda *where: self.source.window(image_id, *where)

    def tiles(
        self, ids: Iterable[int], *, on_error: OnError, report: Report = ignore_progress
    ) -> Iterator[EmbeddedTile]:
        """Yields the tiles of all images, image by image; one that cannot be read is left out from there on.

        Raises PicieError when no image at all could be read, or for what is no fault of an image, such as a full disk.
        """
        order = list(ids)
        grids = {image_id: self.grid(image_id) for image_id in order}
        meter, bad, read = Meter("embed tiles", sum(map(len, grids.values())), report), set(), 0
        work = ((one, number) for one in order for number in range(len(grids[one])) if one not in bad)
        for image_id, number, pixels in self._read_ahead(work, grids):
            if image_id in bad:
                pass
            elif isinstance(pixels, ImageError):
                bad.add(image_id)
                on_error(image_id, pixels)
            else:
                read += 1
                tile = grids[image_id][number]
                yield EmbeddedTile(image_id, grids[image_id].map_shape, tile, self.embed(pixels, tile))
            meter.advance(1)
        if not read:
            raise PicieError(NOTHING_READ)

    def embed(self, pixels: np.ndarray, tile: Tile) -> Tensor:
        """Returns the embeddings (r, c, D), not of unit length, that a tile with these pixels is valid for."""
        return self.engine(pixels[None])[0][tile.valid]

    def _read_ahead(
        self, work: Iterator[tuple[int, int]], grids: dict[int, TileGrid]
    ) -> Iterator[tuple[int, int, np.ndarray | ImageError]]:
        """Yields image, number and pixels of each tile, or the error; one thread reads, as images are read in order."""

        def read(image_id: int, number: int) -> np.ndarray | ImageError:
            grid = grids[image_id]
            try:
                return grid[number].read(self.window(image_id), *grid.size_px)
            except ImageError as error:
                return error

        with ThreadPoolExecutor(1) as pool:
            waiting: deque = deque()
            for image_id, number in work:
                waiting.append((image_id, number, pool.submit(read, image_id, number)))
                if len(waiting) > READ_AHEAD:
                    first_id, first_number, future = waiting.popleft()
                    yield first_id, first_number, future.result()
            for last_id, last_number, future in waiting:
                yield last_id, last_number, future.result()


class TiledMap(FeatureWindows):
    """The feature map of one image, int8, whose tiles are embedded when a window needs them; the last ones are kept.

    Kept are two rows of tiles, so that a mask that is made from top to bottom embeds each tile once.
    """

    def __init__(self, embedding: TiledEmbedding, image_id: int):
        self.embedding, self.image_id, self.grid = embedding, image_id, embedding.grid(image_id)
        super().__init__(self.grid.map_shape)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        result: np.ndarray | None = None
        for number in self.grid.covering(rows, columns):
            tile, positions = self.grid[number], self._tile(number)
            if result is None:
                result = np.empty((rows[1] - rows[0], columns[1] - columns[0], positions.shape[2]), np.int8)
            spans = zip(tile, (rows, columns), strict=True)
            cut = [(max(span.first, first), min(span.last, last)) for span, (first, last) in spans]
            (top, bottom), (left, right) = cut
            inside = positions[top - tile.rows.first : bottom - tile.rows.first]
            result[top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]] = inside[
                :, left - tile.columns.first : right - tile.columns.first
            ]
        assert result is not None
        return result

    def _tile(self, number: int) -> np.ndarray:
        if number not in self._kept:
            while len(self._kept) > 2 * len(self.grid.columns):
                self._kept.popitem(last=False)
            tile = self.grid[number]
            pixels = tile.read(self.embedding.window(self.image_id), *self.grid.size_px)
            self._kept[number] = quantise(self.embedding.embed(pixels, tile)).numpy()
        self._kept.move_to_end(number)
        return self._kept[number]


# -- fitting the decoder


class _FitWindows(ImageSource):
    """Windows of the images of another source, under numbers of their own."""

    def __init__(self, source: ImageSource, windows: list[tuple[int, Tile]]):
        super().__init__([], 0)
        self.source, self.windows = source, windows

    def get(self, image_id: int) -> np.ndarray:
        owner, tile = self.windows[image_id]
        width, height = self.source.scaled_size(owner)
        return tile.read(lambda *where: self.source.window(owner, *where), height, width)


def fit_pass(
    source: ImageSource,
    ids: Iterable[int],
    settings: SampleSettings,
    *,
    on_error: Callable[[int, PicieError], None],
    report: Report = ignore_progress,
) -> ImagePass:
    """Returns a pass over windows of FIT_PX that stand for the images where a network is fitted, drawn with the seed.

    Every pixel of the collection is as likely to be in one. There are as many as images in a fit of small ones, fewer
    where that would be more pixels than there are.
    """
    rng, known = np.random.default_rng(settings.seed), sorted(ids)
    sizes = np.array([source.scaled_size(one)[::-1] for one in known])  # (n, 2) height, width
    areas = sizes.prod(1).astype(np.float64)
    count = int(np.clip(np.ceil(areas.sum() / FIT_PX**2), 1, FIT_IMAGES))
    windows = []
    for index in np.sort(rng.choice(len(known), count, p=areas / areas.sum())):
        spans = []
        for length in sizes[index].tolist():
            size = min(FIT_PX, -(-length // TOTAL_STRIDE) * TOTAL_STRIDE)
            spans.append(Span(int(rng.integers(max(length - size, 0) + 1)), size, 0, 0))
        windows.append((known[index], Tile(*spans)))
    numbers = _FitWindows(source, windows)

    def name_image(number: int, error: PicieError) -> None:
        on_error(windows[number][0], error)

    images = ImagePass(numbers, range(count), settings, on_error=name_image, report=report)
    images.order = list(range(count))  # by image, so that each is decoded once
    return images
