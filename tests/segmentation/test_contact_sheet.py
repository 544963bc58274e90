"""Contact sheets: where the crops are, what is drawn in them, and that no network is needed."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.cli.embed import embed
from picie_core.clustering.clustering import Clustering
from picie_core.data.embedding_sample import DenseFeatures
from picie_core.data.feature_windows import MapInMemory
from picie_core.segmentation.contact_sheet import (
    ContactSheetSource,
    contact_sheet,
    contact_sheet_at,
)
from picie_core.segmentation.crops import MISSING, cluster_margin, crop_square, highlight
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.workspace import Workspace
from tests.factories import clustering_of, position_labels


def draw_scene(seed: int, width: int = 120, height: int = 90) -> np.ndarray:
    """A picture with a striped lower part and a plain upper one, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(90, 250, 3), np.uint8)
    horizon = rng.integers(height // 3, 2 * height // 3)
    image[horizon:] = (np.arange(width) // 3 % 2 * 120 + 40)[None, :, None]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str, Clustering, ContactSheetSource]:
    """A small real workspace: nine pictures, random weights, four clusters."""
    folder = tmp_path_factory.mktemp("contact-sheets")
    for i in range(9):
        target = folder / "images" / f"{i}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(draw_scene(i)).save(target)
    settings = EmbedderSettings(weights="none", dim=16)
    embed(folder / "w", settings, SampleSettings(size_px=96, pixels=4000, batch=4), folder / "images", device="cpu")
    workspace = Workspace.open(folder / "w")
    run = workspace.current_run()
    return workspace, run, run.cluster(4), run.contact_sheet_source()


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def test_a_contact_sheet_has_its_crops_in_their_boxes(made):
    """Crops are opaque; gaps and unused room are transparent; pages follow one another."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 0, per_page=6, shown_px=64, columns=3)
    drawn = pixels(sheet.png)
    assert drawn.shape == (2 * 64 + 4, 3 * 64 + 8, 4) and sheet.columns == 3
    opaque = np.zeros(drawn.shape[:2], bool)
    for crop in sheet.crops:
        left, top, right, bottom = crop.box
        opaque[top:bottom, left:right] = True
    assert ((drawn[..., 3] == 255) == opaque).all() and len(sheet.crops) == 6
    following = contact_sheet(source, clustering, 0, per_page=6, shown_px=64, columns=3, page=1)
    shown = [(crop.image_id, crop.row, crop.col) for crop in sheet.crops + following.crops]
    assert len(set(shown)) == len(shown)
    beyond = contact_sheet(source, clustering, 0, per_page=6, shown_px=64, columns=3, page=1000)
    assert beyond.crops == [] and pixels(beyond.png).shape == drawn.shape and beyond.total == sheet.total


def test_a_crop_shows_the_cluster_and_dims_the_rest(made):
    """Away from the line a crop is bright where the label of a position is the cluster, and dim elsewhere."""
    _, _, clustering, source = made
    bright, dim = [], []
    sheet = contact_sheet(source, clustering, 1, per_page=8, shown_px=96)
    drawn = pixels(sheet.png)
    for crop in sheet.crops:
        image = source.cache.get(crop.image_id)
        assert image.shape[0] == 96  # so a crop has the full height, pixel by pixel
        labels = position_labels(source.dense.get(crop.image_id), clustering)
        left, top, right, bottom = crop.box
        crop_left = min(max(round(4 * crop.col + 1.5 - 48), 0), image.shape[1] - 96)
        plain = image[:, crop_left : crop_left + 96].astype(float)
        ratio = drawn[top:bottom, left:right, :3].astype(float).mean(-1) / np.maximum(plain.mean(-1), 1)
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


def test_the_margin_agrees_with_the_label_of_every_position():
    """It is positive at positions of the cluster, else negative: outlines show the labels."""
    rng = np.random.default_rng(0)
    feature_map = rng.integers(-127, 128, (20, 30, 8)).astype(np.int8)
    centroids = rng.normal(size=(6, 8)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    clustering = clustering_of(centroids)
    labels = position_labels(feature_map, clustering)
    rows, columns = np.arange(4, 16), np.arange(7, 30)
    for cluster in range(6):
        margin = cluster_margin(MapInMemory(feature_map), clustering, cluster, rows, columns)
        np.testing.assert_array_equal(margin > 0, labels[4:16, 7:30] == cluster)


def test_the_outline_is_in_the_color_on_the_border():
    """A straight border gets a line of the colour inside, a dark hairline outside, and nothing far away."""
    margin = np.repeat(np.linspace(-1, 1, 40, dtype=np.float32)[None], 40, axis=0)
    row = highlight(np.full((1, 40, 40, 3), 200, np.float32), margin[None], np.array([(255, 0, 0)]))[0, 20]
    assert np.allclose(row[-1], 200) and np.allclose(row[0], 150)
    assert row[20].tolist() == pytest.approx([255, 0, 0], abs=30)
    assert row[19].max() < 60


def test_a_plain_contact_sheet_is_the_image_itself(made):
    """Without outline nothing is drawn: a crop of the full height is the image, pixel by pixel."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 1, per_page=4, shown_px=96, outline=False)
    for crop in sheet.crops:
        image = source.cache.get(crop.image_id)
        left, top, right, bottom = crop.box
        start = min(max(round(4 * crop.col + 1.5 - 48), 0), image.shape[1] - 96)
        np.testing.assert_array_equal(sheet.sheet[top:bottom, left:right, :3], image[:, start : start + 96])


def test_context_shows_more_of_the_image(made):
    """A wide crop holds the narrow one: of images of 96 px a crop of 48 is the middle of one of 96."""
    _, _, clustering, source = made
    near, wide = (
        contact_sheet(source, clustering, 0, per_page=1, shown_px=side, outline=False, crop_px=side)
        for side in (48, 96)
    )
    (crop,) = near.crops
    image = source.cache.get(crop.image_id)
    boxes = [crop_square(crop.row, crop.col, *image.shape[:2], side) for side in (48, 96)]
    (left, top, _), (wide_left, wide_top, _) = boxes
    inner = wide.sheet[top - wide_top : top - wide_top + 48, left - wide_left : left - wide_left + 48]
    np.testing.assert_array_equal(inner, near.sheet)


def test_a_jpeg_is_the_contact_sheet_on_its_ground(made):
    """Nearly the pixels of the PNG, the ground where that is transparent, and a fraction of its size."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 0, per_page=8, shown_px=96, columns=4, page=0)
    with Image.open(io.BytesIO(sheet.jpeg((30, 30, 30)))) as opened:
        drawn = np.asarray(opened).astype(int)
    shown = sheet.sheet[..., 3] > 0
    assert np.abs(drawn[shown] - sheet.sheet[shown][:, :3]).mean() < 6
    assert abs(drawn[~shown].mean() - 30) < 12 and len(sheet.jpeg((30, 30, 30))) < len(sheet.png)


def test_a_point_of_a_contact_sheet_is_its_crop(made):
    """The middle of each crop finds it again, from shares of the size; a gap has none."""
    _, _, clustering, source = made
    sheet = contact_sheet(source, clustering, 0, per_page=6, shown_px=40, columns=3)
    height, width = sheet.sheet.shape[:2]
    for crop in sheet.crops:
        left, top, right, bottom = crop.box
        assert sheet.crop_at((left + right) / 2 / width, (top + bottom) / 2 / height) == crop
    assert sheet.crop_at(42 / width, 20 / height) is None


def test_crops_at_positions_keep_their_order(made, tmp_path):
    """Any positions give a contact sheet, with the outline of the cluster there or a ring."""
    _, _, clustering, source = made
    positions = source.sample.positions[[5, 900, 40, 5]]
    bare = ContactSheetSource(source.sample, DenseFeatures(tmp_path), source.cache)
    for found in (contact_sheet_at(bare, positions, clustering), contact_sheet_at(source, positions, clustering)):
        assert [[crop.image_id, crop.row, crop.col] for crop in found.crops] == positions.tolist()
    assert pixels(contact_sheet_at(source, positions[:0], clustering).png)[..., 3].max() == 0


def test_no_stored_feature_map_gives_a_ring_and_no_network(made, tmp_path):
    """Without stored feature maps a contact sheet is still drawn: the crop as it is, a white ring at the pixel."""
    _, _, clustering, source = made
    bare = ContactSheetSource(source.sample, DenseFeatures(tmp_path), source.cache)
    sheet = contact_sheet(bare, clustering, 0, per_page=1, shown_px=96)
    crop = sheet.crops[0]
    image = source.cache.get(crop.image_id)
    left = min(max(round(4 * crop.col + 1.5 - 48), 0), image.shape[1] - 96)
    y, x = 4 * crop.row + 2, 4 * crop.col + 2 - left
    drawn = pixels(sheet.png)
    on_ring = [(y + dy, x + dx) for dy, dx in ((-5, 0), (4, 0), (0, -5), (0, 4))]
    seen = [drawn[py, px, :3] for py, px in on_ring if 0 <= py < 96 and 0 <= px < 96]
    assert len(seen) >= 2 and all((color == 255).all() for color in seen)
    far = np.hypot(np.arange(96)[:, None] - y, np.arange(96)[None] - x) > 10
    np.testing.assert_array_equal(drawn[far][:, :3], image[:, left : left + 96][far])


def test_an_image_that_is_gone_is_a_grey_crop(made):
    """A deleted picture takes nothing else away."""
    workspace, _, clustering, source = made
    emptied = workspace.image_cache(97)  # nothing is stored at this size, so the files are needed
    lost = Path(workspace.images_root / workspace.image_list().records[3].path)
    content = lost.read_bytes()
    lost.unlink()
    try:
        positions = np.array([[3, 4, 4], [2, 4, 4]])
        drawn = pixels(
            contact_sheet_at(
                ContactSheetSource(source.sample, source.dense, emptied), positions, clustering, columns=2
            ).png
        )
    finally:
        lost.write_bytes(content)
    assert (drawn[:96, :96, :3] == MISSING).all()
    assert drawn[:96, 100:, :3].std() > 5


def test_no_torch_is_loaded_for_contact_sheets():
    """The Clusters screen opens without the weight of torch, faiss or scikit-learn."""
    loaded = "print([n for n in ('torch', 'faiss', 'sklearn') if n in sys.modules])"
    code = f"import sys, picie_core.segmentation.contact_sheet; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
