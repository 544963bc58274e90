"""Masks in windows: wherever a window lies, it is that part of the whole mask."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.clustering.clustering import Clustering
from picie_core.data.feature_windows import MapInMemory
from picie_core.data.mapped_arrays import map_array
from picie_core.errors import PicieError, SettingError
from picie_core.segmentation.mask_windows import MaskWindows
from picie_core.segmentation.masks import class_mask, cluster_mask
from picie_core.segmentation.post_processing import PostProcessing, mask_and_confidence, post_processed_mask
from tests.factories import clustering_of, position_labels, unit

HEIGHT, WIDTH, K, DIM = 311, 403, 9, 16
WINDOWS = [(0, 0, 40, 50), (150, 205, 100, 65), (271, 350, 40, 53), (0, 0, HEIGHT, WIDTH), (17, 401, 250, 2)]


@pytest.fixture(scope="module")
def clustering() -> Clustering:
    """Nine random directions."""
    return clustering_of(unit(np.random.default_rng(0).standard_normal((K, DIM))))


@pytest.fixture(scope="module")
def feature_map() -> np.ndarray:
    """Smooth features with noise, of an image of 200 x 262 px at the network's input: int8 (50, 66, D)."""
    rng = np.random.default_rng(1)
    coarse = rng.standard_normal((12, 16, DIM)).repeat(5, 0)[:50].repeat(5, 1)[:, :66]
    return np.clip(40 * (coarse + 0.4 * rng.standard_normal(coarse.shape)), -127, 127).astype(np.int8)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """The image as the network saw it: uint8 (200, 262, 3)."""
    y, x = np.mgrid[:200, :262]
    bands = (x // 30 + y // 25) % 5 * 45
    noise = np.random.default_rng(2).integers(0, 12, (200, 262, 3))
    return (bands[..., None] + noise).astype(np.uint8)


def windows_of(
    feature_map: np.ndarray,
    clustering: Clustering,
    classes_of: dict[int, int] | None,
    post_processing: PostProcessing = PostProcessing(),
    image: np.ndarray | None = None,
) -> MaskWindows:
    """The mask of the image, in windows."""
    read = None if image is None else lambda top, left, height, width: image[top : top + height, left : left + width]
    size = None if image is None else (image.shape[1], image.shape[0])
    return MaskWindows(
        MapInMemory(feature_map), clustering, classes_of, (WIDTH, HEIGHT), post_processing, image=read, image_size=size
    )


def part(mask: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """The window of a whole mask."""
    top, left, height, width = window
    return mask[top : top + height, left : left + width]


@pytest.mark.parametrize("window", WINDOWS)
def test_plain_windows_are_exact(feature_map, clustering, window):
    """Of cluster ids and of classes, bit by bit."""
    classes_of = {0: 3, 1: 3, 4: 0, 7: 255, 8: 1}
    whole = cluster_mask(feature_map, clustering, HEIGHT, WIDTH)
    found = windows_of(feature_map, clustering, None).window(*window)
    np.testing.assert_array_equal(found, part(whole, window))
    assert found.dtype == whole.dtype
    whole = class_mask(feature_map, clustering, classes_of, HEIGHT, WIDTH)
    np.testing.assert_array_equal(windows_of(feature_map, clustering, classes_of).window(*window), part(whole, window))


@pytest.mark.parametrize("window", WINDOWS)
def test_confidence_and_threshold_are_those_of_the_whole(feature_map, clustering, window):
    """The confidence is that of the whole mask, and what is below the threshold is 255 in the same pixels."""
    classes_of, chosen = {0: 3, 1: 3, 4: 0, 8: 1}, PostProcessing(min_confidence=0.3)
    whole = mask_and_confidence(feature_map, clustering, classes_of, HEIGHT, WIDTH)
    found = windows_of(feature_map, clustering, classes_of).window_with_confidence(*window)
    np.testing.assert_array_equal(found.labels, part(whole.labels, window))
    np.testing.assert_allclose(found.confidence, part(whole.confidence, window), atol=1e-6)
    cut = post_processed_mask(feature_map, clustering, classes_of, HEIGHT, WIDTH, chosen)
    np.testing.assert_array_equal(
        windows_of(feature_map, clustering, classes_of, chosen).window(*window), part(cut, window)
    )


@pytest.mark.parametrize("window", WINDOWS)
def test_small_regions_are_removed_across_windows(feature_map, clustering, window):
    """A region counts as large as it is, not as much of it as a window shows."""
    chosen = PostProcessing(min_area_px=60)
    whole = post_processed_mask(feature_map, clustering, None, HEIGHT, WIDTH, chosen)
    plain = cluster_mask(feature_map, clustering, HEIGHT, WIDTH)
    found = windows_of(feature_map, clustering, None, chosen).window(*window)
    assert (whole != plain).mean() > 0.01
    # The nearest pixel that stays may be one of two as near.
    assert (found == part(whole, window)).mean() > 0.999


@pytest.mark.parametrize("method", ["guided", "pamr"])
@pytest.mark.parametrize("window", [WINDOWS[1], WINDOWS[2]])
def test_refined_edges_are_those_of_the_whole(feature_map, clustering, image, method, window):
    """A window sees as much of the image around it as the filter reaches."""
    chosen = PostProcessing(refine=method)
    whole = post_processed_mask(feature_map, clustering, None, HEIGHT, WIDTH, chosen, image)
    plain = cluster_mask(feature_map, clustering, HEIGHT, WIDTH)
    found = windows_of(feature_map, clustering, None, chosen, image).window(*window)
    assert (whole != plain).mean() > 0.05
    assert (found == part(whole, window)).mean() > 0.999


def test_a_whole_mask_is_written_block_by_block(feature_map, clustering, tmp_path):
    """Into a memory-mapped file, equal to the mask made at once, with the confidence beside it."""
    made = windows_of(feature_map, clustering, None)
    blocks = list(made.blocks())
    mask = map_array(tmp_path / "mask.npy", (HEIGHT, WIDTH), made.dtype)
    confidence = np.zeros((HEIGHT, WIDTH), np.uint8)
    heard = []
    made.write(mask, confidence, heard.append)
    np.testing.assert_array_equal(mask, cluster_mask(feature_map, clustering, HEIGHT, WIDTH))
    whole = mask_and_confidence(feature_map, clustering, None, HEIGHT, WIDTH).confidence
    assert np.abs(confidence - 255 * whole).max() <= 0.51
    covered = np.zeros((HEIGHT, WIDTH), int)
    for block in blocks:
        covered[block] += 1
    assert (covered == 1).all() and heard[-1].done == heard[-1].total == len(blocks)


def test_a_mask_that_does_not_fit_on_the_disk_is_refused_at_once(tmp_path):
    """Its room is taken before the first block, as a disk that fills while a file is mapped ends the process."""
    with pytest.raises(PicieError, match=r"mask\.npy: .*; (free some space|choose)"):
        map_array(tmp_path / "mask.npy", (1 << 21, 1 << 21), np.uint8)
    assert list(tmp_path.iterdir()) == []
    array = map_array(tmp_path / "mask.npy", (20, 30), np.uint16)
    array[3, 4] = 7
    array.flush()
    assert np.load(tmp_path / "mask.npy")[3, 4] == 7


def test_many_clusters_get_small_blocks(feature_map):
    """Scores of a block stay within the limit, however many clusters there are; ids above 255 are uint16."""
    many = clustering_of(unit(np.random.default_rng(0).standard_normal((1000, DIM))))
    large = MaskWindows(MapInMemory(np.zeros((7500, 7500, 1), np.int8)), many, None, (30_000, 30_000))
    rows, columns = next(large.blocks())
    positions = (rows.stop / 4 + 2) * (columns.stop / 4 + 2)
    assert positions * 1000 * 4 <= 80 << 20 and large.dtype is np.uint16
    made = windows_of(feature_map, many, None)
    np.testing.assert_array_equal(made.window(*WINDOWS[1]), part(cluster_mask(feature_map, many, HEIGHT, WIDTH),
                                                                 WINDOWS[1]))  # fmt: skip


def test_points_of_an_overview_have_the_labels_of_their_pixels(feature_map, clustering):
    """At every third pixel an overview has the mask's label; far fewer points take that of the nearest position."""
    made, whole = windows_of(feature_map, clustering, None), cluster_mask(feature_map, clustering, HEIGHT, WIDTH)
    rows, columns = np.arange(0, HEIGHT, 3), np.arange(0, WIDTH, 3)
    np.testing.assert_array_equal(made.at_points(rows, columns).labels, whole[rows[:, None], columns])
    rows, columns = np.arange(10, HEIGHT, 40), np.arange(5, WIDTH, 40)
    sparse = made.at_points(rows, columns, confidence=True)
    assert sparse.labels.shape == sparse.confidence.shape == (len(rows), len(columns))
    near = np.ix_(np.rint((rows + 0.5) * (50 / HEIGHT) - 0.5).astype(int),
                  np.rint((columns + 0.5) * (66 / WIDTH) - 0.5).astype(int))  # fmt: skip
    np.testing.assert_array_equal(sparse.labels, position_labels(feature_map, clustering)[near])
    least = windows_of(feature_map, clustering, None, PostProcessing(min_confidence=0.5)).at_points(rows, columns)
    np.testing.assert_array_equal(least.labels == 255, sparse.confidence < 0.5)


def test_what_cannot_be_is_refused(feature_map):
    """Refining needs the image; a threshold needs 255 free."""
    clustering = clustering_of(unit(np.random.default_rng(0).standard_normal((300, DIM))))
    with pytest.raises(SettingError, match="refine=pamr needs the image"):
        windows_of(feature_map, clustering, None, PostProcessing(refine="pamr"))
    with pytest.raises(SettingError, match="k=300"):
        windows_of(feature_map, clustering, None, PostProcessing(min_confidence=0.2))
