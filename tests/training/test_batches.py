"""Batches of a training: fixed slices, shares without overlap, and masks that stay on their images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from picie_core.data.images.image_cache import ImageCache
from picie_core.data.images.image_index import scan_images
from picie_core.training.views import paired_views
from picie_core.training.views.batches import Batches, ReadMask
from picie_core.workspace.workspace import Workspace
from tests.small_trainings import start_training

CPU = torch.device("cpu")
COLORS = np.array([[20, 40, 230], [230, 60, 20], [40, 220, 60]], np.uint8)
"""Far from each other, so that the nearest one tells the class after resizing."""


def draw_classes(seed: int, height: int, width: int) -> np.ndarray:
    """(H, W) uint8 classes 0 to 2 in large blobs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 48
    waves = [np.sin(x * rng.uniform(1, 2) + rng.uniform(0, 6)) + np.cos(y * rng.uniform(1, 2) + seed) for _ in range(3)]
    return np.argmax(waves, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of seven images, wide, tall and square, whose colours are their classes."""
    root = tmp_path_factory.mktemp("painted")
    (root / "images").mkdir()
    for i, (height, width) in enumerate(
        [(128, 192), (192, 128), (160, 160), (128, 256), (130, 170), (200, 140), (96, 96)]
    ):
        Image.fromarray(COLORS[draw_classes(i, height, width)]).save(root / "images" / f"{i}.png")
    space = Workspace.create(root / "work", root / "images")
    space.scan()
    return space


def read_classes(space: Workspace, image_id: int) -> np.ndarray:
    """The classes of an image at its full size, off its colours."""
    return (
        nearest_class(torch.from_numpy(space.read_image(image_id)).permute(2, 0, 1)[None])[0].numpy().astype(np.uint8)
    )


def reader_of(space: Workspace, missing: int | None = None) -> ReadMask:
    """Returns what reads the classes of an image by its id, nothing for the `missing` one."""
    return lambda image_id: None if image_id == missing else read_classes(space, image_id)


def nearest_class(images: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) 0..255 -> (B, H, W) class with the nearest colour."""
    colors = torch.from_numpy(COLORS).float()[None, :, :, None, None]
    return (images.float()[:, None] - colors).square().sum(2).argmin(1)


def away_from_edges(classes: torch.Tensor, width: int = 2) -> torch.Tensor:
    """Where all pixels within `width` have the same class."""
    maps = classes[:, None].float()
    size = 2 * width + 1
    high = F.max_pool2d(maps, size, 1, width)
    low = -F.max_pool2d(-maps, size, 1, width)
    return (high == low)[:, 0]


def batches_of(space: Workspace, batch: int = 3, masks: bool = False, cache: ImageCache | None = None) -> Batches:
    """Batches of 64 px squares of the painted images."""
    return Batches(cache or space.image_cache(64), 64, batch, 0, CPU, reader_of(space) if masks else None)


# -- slices and shares


def test_a_batch_is_a_fixed_slice(painted):
    """Batches follow the order of the ids, the last one may be smaller, and a start in the middle changes none."""
    ids = [5, 2, 6, 0, 1, 4, 3]
    whole = list(batches_of(painted).read(ids, 0))
    assert [batch.ids for batch in whole] == [[5, 2, 6], [0, 1, 4], [3]]
    assert [tuple(batch.images.shape) for batch in whole] == [(3, 3, 64, 64), (3, 3, 64, 64), (1, 3, 64, 64)]
    assert all(batch.images.dtype == torch.uint8 and batch.masks is None for batch in whole)
    later = list(batches_of(painted).read(ids, 0, first=1))
    assert [batch.ids for batch in later] == [[0, 1, 4], [3]]
    assert all(torch.equal(one.images, two.images) for one, two in zip(later, whole[1:], strict=True))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_shares_make_up_every_batch(painted, world):
    """The processes' shares of a batch overlap nowhere and are the batch of one process, images and all."""
    ids = [5, 2, 6, 0, 1, 4, 3]
    shares = [list(batches_of(painted).read(ids, 1, rank=rank, world_size=world)) for rank in range(world)]
    for step, whole in enumerate(batches_of(painted).read(ids, 1)):
        parts = [share[step] for share in shares]
        assert sorted(one for part in parts for one in part.ids) == sorted(whole.ids)
        for part in parts:
            for place, one in enumerate(part.ids):
                assert torch.equal(part.images[place], whole.images[whole.ids.index(one)])


def test_a_square_belongs_to_seed_epoch_and_image(painted):
    """The cut of an image is the same in any batch, and another one in another epoch."""
    (first,) = batches_of(painted).read([0, 1, 3], 0)
    again = next(iter(batches_of(painted, batch=1).read([3], 0)))
    other = next(iter(batches_of(painted, batch=1).read([3], 1)))
    assert torch.equal(first.images[2], again.images[0])
    assert not torch.equal(first.images[2], other.images[0])


def test_an_unreadable_image_shrinks_its_own_batch_only(painted, tmp_path):
    """The other batches stay as they are; the image is remembered with its reason; a batch may be left empty."""
    copied = tmp_path / "images"
    copied.mkdir()
    for record in painted.image_list().readable:
        if record.id not in (2, 3):
            (copied / record.path).write_bytes((painted.images_root / record.path).read_bytes())
    cache = ImageCache(tmp_path / "cache", 64, copied, painted.image_list())
    batches = batches_of(painted, masks=True, cache=cache)
    found = list(batches.read([5, 2, 6, 0, 1, 4, 3], 0))
    assert [batch.ids for batch in found] == [[5, 6], [0, 1, 4], []]
    assert [batch.order for batch in found] == [[0, 2], [3, 4, 5], []]
    assert len(found[2].images) == 0 and found[2].masks is None
    assert set(batches.unreadable) == {2, 3}
    whole = list(batches_of(painted).read([5, 2, 6, 0, 1, 4, 3], 0))
    assert torch.equal(found[1].images, whole[1].images)
    assert torch.equal(found[0].images, whole[0].images[[0, 2]])


def test_small_images_make_the_batch_smaller(tmp_path):
    """A panorama with a shorter side below the size is not blown up: its batch is cut to its side."""
    (tmp_path / "images").mkdir()
    for name, shape in (("a", (40, 40_000, 3)), ("b", (90, 90, 3))):
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    listed = scan_images(tmp_path / "images", tmp_path)
    cache = ImageCache(tmp_path / "cache", 64, tmp_path / "images", listed)
    (batch,) = Batches(cache, 64, 2, 0, CPU, lambda image_id: np.zeros((7, 7), np.uint8)).read([0, 1], 0)
    height = min(image.shape[0] for _, image in cache.iterate([0, 1]))
    assert height < 64
    assert tuple(batch.images.shape) == (2, 3, height, height) and tuple(batch.masks.shape) == (2, height, height)


# -- masks


def test_masks_stay_on_their_images_through_the_square(painted):
    """Resized and cut like the image: away from edges every pixel's colour is that of its class."""
    for batch in batches_of(painted, masks=True).read([5, 2, 6, 0, 1, 4, 3], 0):
        assert batch.masks.dtype == torch.uint8 and batch.masks.shape == batch.images.shape[:1] + batch.images.shape[2:]
        inner = away_from_edges(batch.masks)
        assert inner.float().mean() > 0.5
        assert torch.equal(nearest_class(batch.images)[inner], batch.masks.long()[inner])


def test_masks_stay_on_their_images_through_the_warp(painted, monkeypatch):
    """What the network sees and what it learns there agree after crop and flip, away from edges."""
    monkeypatch.setattr(paired_views, "apply_photometric", lambda images, draw: images)
    work = start_training(painted, "supervised", reader_of(painted), epochs=3, batch_norm="train")
    seen, learnt = [], []
    work.network.register_forward_hook(lambda module, given, made: seen.append(given[0]) if module.training else None)
    loss = work.objective.loss
    work.objective.loss = lambda step: learnt.append(step.masks) or loss(step)
    list(work.epochs())
    assert len(seen) == len(learnt) == 12
    for images, masks in zip(seen, learnt, strict=True):
        assert images.shape[2:] == masks.shape[1:] == (32, 32)
        inner = away_from_edges(masks)[:, 1:-1, 1:-1]  # an edge just outside of the crop shows at its border
        assert inner.float().mean() > 0.3
        said, truth = nearest_class(images * 255)[:, 1:-1, 1:-1], masks[:, 1:-1, 1:-1]
        assert torch.equal(said[inner], truth[inner])
        assert not torch.equal(said.flip(2)[inner], truth[inner])


def test_an_image_without_a_mask_is_all_ignored(painted):
    """Where there is no ground truth, every pixel is 255; the others of the batch keep theirs."""
    (batch,) = Batches(painted.image_cache(64), 64, 2, 0, CPU, reader_of(painted, missing=2)).read([2, 0], 0)
    assert (batch.masks[0] == 255).all()
    assert (batch.masks[1] != 255).all()


def test_ids_of_masks_are_never_mixed(painted):
    """Resizing takes the nearest pixel: between classes 0 and 200 no new class comes up, and 255 stays 255."""

    def read(image_id: int) -> np.ndarray:
        return np.array([0, 200, 255], np.uint8)[read_classes(painted, image_id)]

    for batch in Batches(painted.image_cache(64), 64, 7, 0, CPU, read).read(list(range(7)), 0):
        assert set(batch.masks.unique().tolist()) <= {0, 200, 255}
