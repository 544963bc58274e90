"""Counting over a whole set: against one image after the other, whatever is read, batched or counted when."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picie_core.data.images.image_file import read_image, resize_image
from picie_core.data.images.square_crop import square_crop
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.cluster_head import ClusterHead
from picie_core.evaluation.metrics import confusion
from picie_core.evaluation.set_evaluation import confusions
from picie_core.models.classifier_head import Head
from picie_core.progress import Progress
from picie_core.segmentation.masks import channel_scores
from tests.hand_made import clustering_of

SIZES = [(48, 64)] * 7 + [(64, 48), (48, 64), (50, 50), (64, 48), (48, 64)]
"""(H, W) of the images of the set: runs of equal shapes longer than nothing and changes of shape between them."""


class PixelEmbedder:
    """An engine whose feature maps are the means of 4 x 4 pixels, in three channels; notes the batches that it gets."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, images: np.ndarray) -> torch.Tensor:
        self.batches.append(images.shape)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() - 100
        return torch.nn.functional.avg_pool2d(pixels, 4, ceil_mode=True).permute(0, 2, 3, 1)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    """Twelve smooth pictures of three shapes with masks of four classes, some pixels ignored."""
    root = tmp_path_factory.mktemp("set")
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for i, (height, width) in enumerate(SIZES):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((width, height)).save(root / "images" / f"{i:02}.png")
        mask = rng.integers(0, 5, (height, width))
        Image.fromarray(np.where(mask == 4, 255, mask).astype(np.uint8)).save(root / "masks" / f"{i:02}.png")
    return open_labelled_set(root / "images", root / "masks", ["a", "b", "c", "d"])


def centroids(k: int) -> np.ndarray:
    """K unit vectors (K, 3)."""
    rows = np.random.default_rng(k).normal(size=(k, 3))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def one_by_one(truth: LabelledSet, head: Head, square: bool) -> np.ndarray:
    """The confusion as the paper words it: an image, its scores, the full-size argmax, its pixels."""
    total = np.zeros((head.k, 4), np.int64)
    for index, (name, _) in enumerate(truth.pairs):
        image, mask = resize_image(read_image(truth.images_root / name), 320 if square else 32), truth.read_mask(index)
        if square:
            rows, columns = (
                ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(image.shape[:2], mask.shape, strict=True)
            )
            image, mask = square_crop(image), square_crop(mask[rows][:, columns])
        feature_map = torch.nn.functional.normalize(PixelEmbedder()(image[None])[0], dim=2).numpy()
        scores = (feature_map @ head.weight.T + head.bias).transpose(2, 0, 1)
        full = torch.nn.functional.interpolate(torch.from_numpy(scores)[None], size=mask.shape, mode="bilinear")
        total += confusion(full[0].argmax(0).numpy(), mask, head.k, 4)
    return total


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("k", [2, 4, 30])
def test_equals_one_image_after_the_other(truth, square, k):
    """In batches and threads the counts are those of the plain way, but for pixels that rounding decides.

    Of whole images, and of the paper's square: images and masks with a shorter side of 320, whatever their size was.
    """
    counts = confusions(PixelEmbedder(), 32, truth, [centroids(k)], square)[0]
    expected = one_by_one(truth, ClusterHead.of_centroids(centroids(k)), square)
    assert counts.sum() == expected.sum()
    assert np.abs(counts - expected).sum() <= (40 if square else 4)  # of 1.2 million pixels


def test_several_heads_in_one_pass(truth):
    """Each gets its own confusion, as if it had been alone."""
    heads = [centroids(3), Head(centroids(5), np.linspace(-1, 1, 5, dtype=np.float32)), centroids(300)]
    together = confusions(PixelEmbedder(), 32, truth, heads)
    assert [counts.shape for counts in together] == [(3, 4), (5, 4), (300, 4)]
    for head, counts in zip(heads, together, strict=True):
        np.testing.assert_array_equal(counts, confusions(PixelEmbedder(), 32, truth, [head])[0])


def test_a_head_has_a_bias(truth):
    """Against one image after the other; a bias that no cosine reaches decides alone."""
    head = Head(centroids(6), np.array([0.3, -0.2, 0, 0.1, 0.5, -0.4], np.float32))
    counts = confusions(PixelEmbedder(), 32, truth, [head])[0]
    assert np.abs(counts - one_by_one(truth, head, False)).sum() <= 4
    assert (counts != confusions(PixelEmbedder(), 32, truth, [centroids(6)])[0]).any()
    fixed = confusions(PixelEmbedder(), 32, truth, [Head(centroids(6), np.eye(6, dtype=np.float32)[2] * 5)])[0]
    assert fixed[2].sum() == fixed.sum()


def test_centroids_are_heads_without_bias():
    """Their scores are the cosines that masks are made from, bit by bit."""
    feature_map = np.random.default_rng(0).normal(size=(5, 6, 3)).astype(np.float32)
    scores = ClusterHead.of_centroids(centroids(7)).scores(feature_map)
    np.testing.assert_array_equal(scores, channel_scores(feature_map, clustering_of(centroids(7))))


def test_threads_and_batches_change_nothing(truth):
    """One thread and batches of one give the same counts as many of both."""
    expected = confusions(PixelEmbedder(), 32, truth, [centroids(9)], threads=4)[0]
    alone = confusions(PixelEmbedder(), 32, truth, [centroids(9)], batch=1, threads=1)[0]
    np.testing.assert_array_equal(alone, expected)


def test_images_of_one_shape_share_a_pass(truth):
    """Whole pictures of other shapes never share one; centre squares all do."""
    engine = PixelEmbedder()
    confusions(engine, 32, truth, [centroids(3)], batch=5)
    assert [shape[0] for shape in engine.batches] == [5, 2, 1, 1, 1, 1, 1]
    engine = PixelEmbedder()
    confusions(engine, 32, truth, [centroids(3)], centre_square=True, batch=5)
    assert [shape[:3] for shape in engine.batches] == [(5, 320, 320), (5, 320, 320), (2, 320, 320)]


def test_stored_features_need_no_network(truth):
    """Feature maps that are stored for some images, of any length, give the counts of the network; it sees the rest."""
    maps = {}
    for name, _ in truth.pairs[2:9]:
        small = resize_image(read_image(truth.images_root / name), 32)
        maps[name] = PixelEmbedder()(small[None])[0].numpy() * 3
    engine = PixelEmbedder()
    counts = confusions(engine, 32, truth, [centroids(6)], stored=maps.get)[0]
    np.testing.assert_array_equal(counts, confusions(PixelEmbedder(), 32, truth, [centroids(6)])[0])
    assert sum(shape[0] for shape in engine.batches) == len(truth.pairs) - 7


def test_what_waits_is_bounded(truth):
    """However many images there are, only so many are read and not yet counted: memory does not grow with the set."""
    lock, waiting, most = threading.Lock(), 0, 0

    class CountedSet(LabelledSet):
        def read_mask(self, index: int) -> np.ndarray:
            nonlocal waiting, most
            with lock:
                waiting += 1
                most = max(most, waiting)
            return super().read_mask(index)

    class CountedHead(Head):
        def scores(self, feature_map: np.ndarray) -> np.ndarray:
            nonlocal waiting
            with lock:
                waiting -= 1
            return super().scores(feature_map)

    many = CountedSet(truth.images_root, truth.masks_root, truth.pairs[:1] * 200, truth.class_names)
    head = CountedHead(centroids(3), np.zeros(3, np.float32))
    counts = confusions(PixelEmbedder(), 32, many, [head], batch=8, threads=2)[0]
    assert counts.sum() > 0
    assert waiting == 0
    assert 8 <= most <= 2 * 8 + 2 + 2 * 2


def test_progress_counts_images(truth):
    """Every image is reported once it is counted."""
    seen: list[Progress] = []
    confusions(PixelEmbedder(), 32, truth, [centroids(3)], report=seen.append)
    assert [one.done for one in seen] == list(range(13))
    assert {(one.phase, one.total) for one in seen} == {("evaluate", 12)}


def test_the_first_bad_file_stops_the_work(truth, tmp_path):
    """A mask of another size, ids outside the list, an image that cannot be read: the message names the file."""
    strange = np.full((48, 64), 9, np.uint8)
    for name, pixels, message in (
        (
            "size",
            np.zeros((10, 10), np.uint8),
            r"size.png is \(10, 10\), its image 03.png is \(64, 48\): sizes must agree",
        ),
        ("ids", strange, r"ids.png has the ids 9, known are 0 to 3, 255"),
    ):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        pairs = list(truth.pairs)
        pairs[3] = ("03.png", str(tmp_path / f"{name}.png"))
        broken = LabelledSet(truth.images_root, truth.masks_root, pairs, truth.class_names)
        with pytest.raises(PicieError, match=message):
            confusions(PixelEmbedder(), 32, broken, [centroids(3)])
    (tmp_path / "torn.png").write_bytes((truth.images_root / "03.png").read_bytes()[:200])
    torn = LabelledSet(truth.images_root, truth.masks_root, [(str(tmp_path / "torn.png"), "03.png")], truth.class_names)
    with pytest.raises(PicieError, match=r"torn.png: "):
        confusions(PixelEmbedder(), 32, torn, [centroids(3)])
    assert Path(truth.masks_root, "03.png").is_file()


def test_masks_without_a_counted_pixel_are_refused(tmp_path, truth):
    """Ignored everywhere, with and without names of classes: an error that says so, never 0 / 0."""
    (tmp_path / "masks").mkdir()
    for i, (height, width) in enumerate(SIZES):
        Image.fromarray(np.full((height, width), 255, np.uint8)).save(tmp_path / "masks" / f"{i:02}.png")
    with pytest.raises(PicieError, match=r"masks show no class, every pixel is 255 \(ignored\): give masks with class"):
        open_labelled_set(truth.images_root, tmp_path / "masks")
    named = open_labelled_set(truth.images_root, tmp_path / "masks", ["a", "b"])
    with pytest.raises(
        PicieError, match=r"no pixel of the 12 masks under .*masks has a class, all are 255 \(ignored\)"
    ):
        confusions(PixelEmbedder(), 32, named, [centroids(3)])
