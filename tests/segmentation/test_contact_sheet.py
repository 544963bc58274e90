"""Contact sheets: which pixels stand for a cluster, and what is drawn of them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.cli.embed import embed
from picie_core.clustering.clustering import Clustering, cell_labels
from picie_core.data.embedding_sample import DenseFeatures, EmbeddingSample
from picie_core.errors import SettingError
from picie_core.segmentation.contact_sheet import (
    KINDS,
    MISSING,
    MosaicSource,
    cluster_facts,
    contact_sheet,
    contact_sheets,
    crops_at,
    exemplars,
)
from picie_core.segmentation.crops import crop_square, highlight, lead_of
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.workspace import Workspace
from tests.hand_made import clustering_of


def draw_scene(seed: int, width: int = 120, height: int = 90) -> np.ndarray:
    """A picture with a striped lower part and a plain upper one, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(90, 250, 3), np.uint8)
    horizon = rng.integers(height // 3, 2 * height // 3)
    image[horizon:] = (np.arange(width) // 3 % 2 * 120 + 40)[None, :, None]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str, Clustering, MosaicSource]:
    """A small real workspace: nine pictures, random weights, four clusters."""
    folder = tmp_path_factory.mktemp("mosaic")
    for i in range(9):
        target = folder / "images" / f"{i}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(draw_scene(i)).save(target)
    settings = EmbedderSettings(weights="none", dim=16)
    embed(folder / "w", settings, SampleSettings(size_px=96, pixels=4000, batch=4), folder / "images", device="cpu")
    workspace = Workspace.open(folder / "w")
    run = workspace.current_run()
    return workspace, run, run.cluster(4), run.contact_sheet_source()


def a_sample(images: np.ndarray, cells: np.ndarray, similarity: np.ndarray, labels: np.ndarray):
    """A sample of 2-D embeddings at given places, and its clustering of two centroids."""
    centroids = np.eye(2, dtype=np.float32)
    angle = np.where(labels == 0, np.arccos(similarity), np.pi / 2 - np.arccos(similarity))
    embeddings = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float16)
    places = np.column_stack([images, cells]).astype(np.int32)
    sample = EmbeddingSample(embeddings, places, np.zeros((len(images), 2), np.float32))
    return sample, Clustering(2, 0, "key", centroids, labels.astype(np.uint16), similarity.astype(np.float16), 0.1)


def random_sample(seed: int = 0, images: int = 12, n: int = 600):
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 60, (n, 2))
    return a_sample(rng.integers(0, images, n), places, rng.uniform(0.71, 1, n), rng.integers(0, 2, n))


# -- exemplars


def test_typical_by_hand():
    """The closest of each image first, the best image first; then the second ones; neighbours of a shown one never."""
    images = np.array([0, 0, 0, 1, 1, 2])
    cells = np.array([[0, 0], [1, 1], [30, 30], [5, 5], [40, 5], [9, 9]])
    similarity = np.array([0.99, 0.98, 0.80, 0.95, 0.90, 0.97])
    sample, clustering = a_sample(images, cells, similarity, np.zeros(6, int))
    assert exemplars(sample, clustering, 0).tolist() == [0, 5, 3, 4, 2]
    assert exemplars(sample, clustering, 1).tolist() == []


def test_border_is_the_smallest_margin_to_another_cluster():
    """The border exemplar is the one that is nearly in the other cluster."""
    sample, clustering = random_sample()
    first = exemplars(sample, clustering, 0, "border")[0]
    cosines = sample.embeddings.astype(np.float32) @ clustering.centroids.T
    margin = cosines[:, 0] - cosines[:, 1]
    members = np.flatnonzero(clustering.labels == 0)
    assert first == members[margin[members].argmin()]


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_comes_once_before_any_comes_twice(kind):
    """Every kind shows as many images as it can; all exemplars are members, none comes twice, and repeats are equal."""
    sample, clustering = random_sample()
    found = exemplars(sample, clustering, 1, kind)
    images = sample.positions[found, 0].tolist()
    assert len(set(images[:12])) == 12
    assert (clustering.labels[found] == 1).all() and len(set(found.tolist())) == len(found)
    assert exemplars(sample, clustering, 1, kind).tolist() == found.tolist()
    if kind == "one per image":
        assert len(found) == 12


def test_one_per_image_is_sorted_by_share_and_shows_the_most_typical():
    """The image that the cluster fills comes first, with its most typical pixel."""
    sample, clustering = random_sample(3)
    found = exemplars(sample, clustering, 0, "one per image")
    images = sample.positions[:, 0]
    shares = [(clustering.labels[images == image] == 0).mean() for image in images[found]]
    assert shares == sorted(shares, reverse=True)
    for pixel in found:
        mates = (images == images[pixel]) & (clustering.labels == 0)
        assert clustering.similarity[pixel] == clustering.similarity[mates].max()


def test_random_draws_differ_by_seed():
    """Another seed shows other pixels."""
    sample, clustering = random_sample()
    first, second = (exemplars(sample, clustering, 0, "random", seed=seed).tolist() for seed in (0, 1))
    assert first != second


def test_images_with_stored_cells_come_first():
    """With a small disk budget the tiles that can be outlined are shown before the others."""
    sample, clustering = random_sample()
    stored = {2, 7, 9}
    found = exemplars(sample, clustering, 0, "typical", stored)
    assert set(sample.positions[found[:3], 0].tolist()) == stored
    assert len(set(sample.positions[found[:12], 0].tolist())) == 12


def test_facts_by_hand():
    """Share, images and tightness of each cluster, an empty one included."""
    sample, clustering = a_sample(
        np.array([0, 0, 4]), np.zeros((3, 2), int), np.array([1.0, 0.75, 0.875]), np.zeros(3, int)
    )
    full, empty = cluster_facts(sample, clustering)
    assert (full.share, full.images, round(full.tightness, 6)) == (1.0, 2, 0.875)
    assert (empty.share, empty.images, empty.tightness) == (0.0, 0, 0.0)


def test_wrong_kind_and_cluster_are_refused():
    """The message names the value and what there is."""
    sample, clustering = random_sample()
    with pytest.raises(SettingError, match="kind='best' is unknown: choose one of typical"):
        exemplars(sample, clustering, 0, "best")
    with pytest.raises(SettingError, match="no cluster 2: ids run from 0 to 1"):
        exemplars(sample, clustering, 2)


# -- sheets


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def test_a_sheet_has_the_places_it_says(made):
    """Tiles lie in their boxes, opaque; gaps and unused places are transparent; pages follow one another."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 0, tiles=6, tile_px=64, columns=3)
    drawn = pixels(sheet.png)
    assert drawn.shape == (2 * 64 + 4, 3 * 64 + 8, 4) and sheet.columns == 3
    opaque = np.zeros(drawn.shape[:2], bool)
    for tile in sheet.tiles:
        left, top, right, bottom = tile.box
        opaque[top:bottom, left:right] = True
    assert ((drawn[..., 3] == 255) == opaque).all() and len(sheet.tiles) == 6
    following = contact_sheet(source, clustering, 0, tiles=6, tile_px=64, columns=3, page=1)
    shown = [(tile.image_id, tile.row, tile.col) for tile in sheet.tiles + following.tiles]
    assert len(set(shown)) == len(shown)
    beyond = contact_sheet(source, clustering, 0, tiles=6, tile_px=64, columns=3, page=1000)
    assert beyond.tiles == [] and pixels(beyond.png).shape == drawn.shape and beyond.total == sheet.total


def test_several_sheets_equal_each(made):
    """Asking for many clusters gives the same sheets as asking one by one."""
    _, _, clustering, source = made
    several = contact_sheets(source, clustering, range(4), "border")
    assert [sheet.png for sheet in several] == [
        contact_sheet(source, clustering, cluster, "border").png for cluster in range(4)
    ]


def test_a_tile_shows_its_place_and_dims_the_rest(made):
    """At each cell the tile is bright where the cell's label is the cluster and dim elsewhere, away from the line."""
    _, _, clustering, source = made
    bright, dim = [], []
    sheet = contact_sheet(source, clustering, 1, tiles=8, tile_px=96)
    drawn = pixels(sheet.png)
    for tile in sheet.tiles:
        image = source.cache.get(tile.image_id)
        assert image.shape[0] == 96  # so a crop is the full height and tile pixels are image pixels
        labels = cell_labels(source.dense.get(tile.image_id), clustering)
        left, top, right, bottom = tile.box
        crop_left = min(max(round(4 * tile.col + 1.5 - 48), 0), image.shape[1] - 96)
        crop = image[:, crop_left : crop_left + 96].astype(float)
        ratio = drawn[top:bottom, left:right, :3].astype(float).mean(-1) / np.maximum(crop.mean(-1), 1)
        full = labels.repeat(4, 0).repeat(4, 1)[:96, crop_left : crop_left + 96]
        inside = far_from_border(full == 1)
        outside = far_from_border(full != 1)
        bright += ratio[inside].tolist()
        dim += ratio[outside].tolist()
    assert len(bright) > 100 and len(dim) > 100
    assert np.median(bright) == pytest.approx(1, abs=0.01) and np.median(dim) == pytest.approx(0.75, abs=0.02)


def far_from_border(region: np.ndarray) -> np.ndarray:
    """Pixels whose surrounding of 11 x 11 lies in the region."""
    padded = np.pad(region, 5)
    height, width = region.shape
    return np.all([padded[y : y + height, x : x + width] for y in range(11) for x in range(11)], axis=0)


def test_the_lead_agrees_with_the_labels_at_every_cell():
    """Where a cell belongs to the cluster the lead is positive there, else negative: outlines show the labels."""
    rng = np.random.default_rng(0)
    cells = rng.integers(-127, 128, (20, 30, 8)).astype(np.int8)
    centroids = rng.normal(size=(6, 8)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    clustering = clustering_of(centroids)
    labels = cell_labels(cells, clustering)
    rows, columns = np.arange(4, 16), np.arange(7, 30)
    for cluster in range(6):
        lead = lead_of(cells, clustering, cluster, rows, columns)
        np.testing.assert_array_equal(lead > 0, labels[4:16, 7:30] == cluster)


def test_the_outline_is_in_the_color_on_the_border():
    """A straight border gets a line of the colour inside, a dark hairline outside, and nothing far away."""
    lead = np.repeat(np.linspace(-1, 1, 40, dtype=np.float32)[None], 40, axis=0)
    row = highlight(np.full((1, 40, 40, 3), 200, np.float32), lead[None], np.array([(255, 0, 0)]))[0, 20]
    assert np.allclose(row[-1], 200) and np.allclose(row[0], 150)
    assert row[20].tolist() == pytest.approx([255, 0, 0], abs=30)
    assert row[19].max() < 60


def test_a_plain_sheet_is_the_image_itself(made):
    """Without outline nothing is drawn: a crop of the full height is the image, pixel by pixel."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 1, tiles=4, tile_px=96, outline=False)
    for tile in sheet.tiles:
        image = source.cache.get(tile.image_id)
        left, top, right, bottom = tile.box
        start = min(max(round(4 * tile.col + 1.5 - 48), 0), image.shape[1] - 96)
        np.testing.assert_array_equal(sheet.sheet[top:bottom, left:right, :3], image[:, start : start + 96])


def test_context_shows_more_of_the_image(made):
    """A wide crop holds the narrow one: of images of 96 px a crop of 48 is the middle of one of 96."""
    _, _, clustering, source = made
    near, wide = (
        contact_sheet(source, clustering, 0, tiles=1, tile_px=side, outline=False, crop_px=side) for side in (48, 96)
    )
    (tile,) = near.tiles
    image = source.cache.get(tile.image_id)
    boxes = [crop_square(tile.row, tile.col, *image.shape[:2], side) for side in (48, 96)]
    (left, top, _), (wide_left, wide_top, _) = boxes
    inner = wide.sheet[top - wide_top : top - wide_top + 48, left - wide_left : left - wide_left + 48]
    np.testing.assert_array_equal(inner, near.sheet)


def test_a_jpeg_is_the_sheet_on_its_ground(made):
    """Nearly the pixels of the PNG, the ground where that is transparent, and a fraction of its size."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 0, tiles=8, tile_px=96, columns=4, page=0)
    with Image.open(io.BytesIO(sheet.jpeg((30, 30, 30)))) as opened:
        drawn = np.asarray(opened).astype(int)
    shown = sheet.sheet[..., 3] > 0
    assert np.abs(drawn[shown] - sheet.sheet[shown][:, :3]).mean() < 6
    assert abs(drawn[~shown].mean() - 30) < 12 and len(sheet.jpeg((30, 30, 30))) < len(sheet.png)


def test_a_point_of_the_sheet_is_its_tile(made):
    """The middle of each tile finds it again, from shares of the size; gaps are nobody's."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 0, tiles=6, tile_px=40, columns=3)
    height, width = sheet.sheet.shape[:2]
    for tile in sheet.tiles:
        left, top, right, bottom = tile.box
        assert sheet.tile_at((left + right) / 2 / width, (top + bottom) / 2 / height) == tile
    assert sheet.tile_at(42 / width, 20 / height) is None


def test_lasso_crops_keep_their_order(made):
    """Any places give a sheet, outlined in the colour of each place's own cluster or with a ring at the place."""
    _, _, clustering, source = made
    places = source.sample.positions[[5, 900, 40, 5]]
    for found in (crops_at(source, places), crops_at(source, places, clustering)):
        assert [[tile.image_id, tile.row, tile.col] for tile in found.tiles] == places.tolist()
    assert pixels(crops_at(source, places[:0]).png)[..., 3].max() == 0


def test_no_stored_cells_give_a_ring_and_no_network(made, tmp_path):
    """Without stored cells a sheet is still drawn: the crop as it is, a white ring at the pixel."""
    _, _, clustering, source = made
    bare = MosaicSource(source.sample, DenseFeatures(tmp_path), source.cache)
    sheet = contact_sheet(bare, clustering, 0, tiles=1, tile_px=96)
    tile = sheet.tiles[0]
    image = source.cache.get(tile.image_id)
    left = min(max(round(4 * tile.col + 1.5 - 48), 0), image.shape[1] - 96)
    y, x = 4 * tile.row + 2, 4 * tile.col + 2 - left
    drawn = pixels(sheet.png)
    on_ring = [(y + dy, x + dx) for dy, dx in ((-5, 0), (4, 0), (0, -5), (0, 4))]
    seen = [drawn[py, px, :3] for py, px in on_ring if 0 <= py < 96 and 0 <= px < 96]
    assert len(seen) >= 2 and all((color == 255).all() for color in seen)
    far = np.hypot(np.arange(96)[:, None] - y, np.arange(96)[None] - x) > 10
    np.testing.assert_array_equal(drawn[far][:, :3], image[:, left : left + 96][far])


def test_an_image_that_is_gone_is_a_grey_tile(made):
    """A deleted picture takes nothing else from the sheet."""
    workspace, _, _, source = made
    emptied = workspace.image_cache(97)  # nothing is stored at this size, so the files are needed
    lost = Path(workspace.images_root / workspace.image_list().records[3].path)
    content = lost.read_bytes()
    lost.unlink()
    try:
        places = np.array([[3, 4, 4], [2, 4, 4]])
        drawn = pixels(crops_at(MosaicSource(source.sample, source.dense, emptied), places, columns=2).png)
    finally:
        lost.write_bytes(content)
    assert (drawn[:96, :96, :3] == MISSING).all()
    assert drawn[:96, 100:, :3].std() > 5


def test_no_torch_is_loaded_for_mosaics():
    """The Clusters screen opens without the weight of torch, faiss or scikit-learn."""
    loaded = "print([n for n in ('torch', 'faiss', 'sklearn') if n in sys.modules])"
    code = f"import sys, picie_core.segmentation.contact_sheet; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
