"""What a training step works on: batches of square images, decoded ahead of time, sharded over the workers."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_source import ImageSource
from picie_core.data.images.square_crop import square_crop
from picie_core.errors import PicieError
from picie_core.training.views.augmentations import uniforms

SQUARE_STREAM = 3
"""The stream of uniform numbers that places the square crop of an image."""

ReadMask = Callable[[int], np.ndarray | None]
"""Image id to class ids (H, W) uint8, None where there is no mask."""


@dataclass(frozen=True)
class Batch:
    """The images of one worker in one step; none when no file of them could be read."""

    ids: list[int]
    order: list[int]
    """Index of each image in the epoch."""
    images: Tensor
    """(B, 3, S, S) uint8."""
    masks: Tensor | None = None
    """(B, S, S) uint8 class ids, 255 is ignored."""

    def only(self, known: Container[int]) -> Batch:
        """Returns the batch without the images that are not among the `known`."""
        kept = [i for i, one in enumerate(self.ids) if one in known]
        if len(kept) == len(self.ids):
            return self
        masks = None if self.masks is None else self.masks[kept]
        return Batch([self.ids[i] for i in kept], [self.order[i] for i in kept], self.images[kept], masks)


class Batches:
    """Reads batches of square crops, `size_px` wide; the next ones are decoded and cropped during a step."""

    def __init__(
        self,
        cache: ImageSource,
        size_px: int,
        batch: int,
        seed: int,
        device: torch.device,
        masks: ReadMask | None = None,
        centre: bool = False,
    ):
        """centre: cut the square from the centre of an image, as the paper does, not from anywhere along it."""
        self.cache, self.size_px, self.batch, self.seed, self.device = cache, size_px, batch, seed, device
        self.masks, self.centre = masks, centre
        self.unreadable: dict[int, str] = {}
        """Image id to the reason."""

    def read(self, ids: list[int], epoch: int, first: int = 0, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
        """Yields the shard of worker `rank` of every batch of `ids`, from batch `first` on.

        A batch is a fixed slice of `ids` and a shard every `world_size`-th of it, so neither an unreadable image nor
        the world size changes which images meet in a step, or how large they are there.
        """
        slices = [range(i, min(i + self.batch, len(ids))) for i in range(first * self.batch, len(ids), self.batch)]
        images = self.cache.iterate((ids[i] for part in slices for i in part[rank::world_size]), ahead=2 * self.batch)
        with ThreadPoolExecutor(1) as one_ahead:  # crops and stacks, beside the decoding threads of the cache
            waiting = None
            for part in slices:
                share, side = part[rank::world_size], self._side([ids[i] for i in part])
                coming = one_ahead.submit(self._make, share, islice(images, len(share)), side, epoch)
                if waiting is not None:
                    yield self._to_device(waiting.result())
                waiting = coming
            if waiting is not None:
                yield self._to_device(waiting.result())

    def _side(self, ids: list[int]) -> int:
        """Returns the side of the squares of a step: long panoramas are smaller than size_px."""
        return min(self.size_px, *(min(self.cache.scaled_size(one)) for one in ids))

    def _make(self, share: range, read: Iterable[tuple[int, np.ndarray | PicieError]], side: int, epoch: int) -> Batch:
        ids, order, squares, masks = [], [], [], []
        for index, (image_id, image) in zip(share, read, strict=True):
            if isinstance(image, PicieError):
                self.unreadable[image_id] = getattr(image, "reason", str(image))
                continue
            u = None if self.centre else uniforms(self.seed, epoch, [image_id], SQUARE_STREAM, 1)[0, 0]
            ids.append(image_id)
            order.append(index)
            squares.append(square_crop(image, u)[:side, :side])
            if self.masks is not None:
                masks.append(square_crop(self._mask(image_id, image.shape[:2]), u)[:side, :side])
        images = self._stack(squares) if ids else torch.zeros(0, side, side, 3, dtype=torch.uint8)
        return Batch(ids, order, images.permute(0, 3, 1, 2), self._stack(masks) if masks else None)

    def _mask(self, image_id: int, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the mask of an image at the size of the cached image; all ignored where there is none."""
        mask = self.masks(image_id) if self.masks else None
        if mask is None:
            return np.full(shape, IGNORE_ID, np.uint8)
        return np.asarray(Image.fromarray(mask).resize((shape[1], shape[0]), Image.Resampling.NEAREST))

    def _stack(self, squares: list[np.ndarray]) -> Tensor:
        stacked = torch.from_numpy(np.stack(squares))
        return stacked.pin_memory() if self.device.type == "cuda" else stacked

    def _to_device(self, batch: Batch) -> Batch:
        images = batch.images.to(self.device, non_blocking=True)
        masks = None if batch.masks is None else batch.masks.to(self.device, non_blocking=True)
        return Batch(batch.ids, batch.order, images, masks)
