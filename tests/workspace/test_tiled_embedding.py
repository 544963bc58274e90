"""A workspace at a downsample: what `embed` makes of large and small images together, and what is made from it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.pyramid_cache import PyramidCache
from picie_core.errors import PicieError
from picie_core.segmentation.contact_sheet import contact_sheet, contact_sheet_at
from picie_core.segmentation.crops import MISSING, crop_square
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.settings import EmbedderSettings, SampleSettings, TilingSettings
from picie_core.training.settings import TrainSettings
from picie_core.workspace.embedding import embed_workspace, frozen_run_name
from picie_core.workspace.masks.image_masks import feature_windows, mask_windows
from picie_core.workspace.masks.mask_files import MaskFiles
from picie_core.workspace.trainings.training_plan import has_settings
from picie_core.workspace.workspace import Workspace
from tests.factories import draw_scene, embedded

OPTIONS = ("--downsample", "2", "--tile", "256", "--overlap", "128")
SIZES = {"large.png": (1203, 1500), "small.png": (200, 300)}
"""(H, W) of the two good images."""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of a large image, a small one and a truncated one, with six clusters."""
    root = tmp_path_factory.mktemp("tiled")
    (root / "images").mkdir()
    for seed, (name, (height, width)) in enumerate({**SIZES, "torn.png": (600, 700)}.items()):
        image, _ = draw_scene(seed, height, width)
        Image.fromarray(image).save(root / "images" / name)
    torn = root / "images" / "torn.png"
    torn.write_bytes(torn.read_bytes()[:20_000])
    made = embedded(root / "work", root / "images", *OPTIONS)
    assert run_command(COMMANDS, ["cluster", "--workspace", str(made.root), "--k", "6"]) == 0
    return Workspace.open(root / "work")


def test_the_run_says_its_resolution(space):
    """Name and settings hold the downsample; what needs images at one size says that this run has none."""
    run = space.current_run()
    assert run.name.startswith("frozen-resnet18-down2-") and run.tiling == TilingSettings(2, 256, 128)
    with pytest.raises(PicieError, match=r"embeds images in tiles at --downsample 2, .*choose a run"):
        _ = run.size_px
    assert [problem.path for problem in space.image_list().problems] == ["torn.png"]
    sizes = [run.network_size(record) for record in space.image_list().readable]
    assert sizes == [(750, 602), (150, 100)]


def test_a_tiled_run_is_no_run_at_a_size(space):
    """A comparison that looks for a run of its settings never takes it for one."""
    info = space.current_run().info
    settings = TrainSettings(), EmbedderSettings(weights="none", dim=32), SampleSettings(pixels=600, batch=4)
    assert not has_settings(info, settings) and not info.sized
    assert has_settings(replace(info, settings={**info.settings, "downsample": 0}), settings)


def test_runs_at_a_size_keep_their_names():
    """A run without a downsample is found again under the name that it had before there were tiles."""
    assert frozen_run_name(EmbedderSettings(padding="zeros"), SampleSettings()) == "frozen-resnet18-320-7356"
    tiled = frozen_run_name(EmbedderSettings(), SampleSettings(), TilingSettings(4))
    assert tiled == frozen_run_name(EmbedderSettings(), SampleSettings(size_px=64), TilingSettings(4))
    assert tiled != frozen_run_name(EmbedderSettings(), SampleSettings(), TilingSettings(4, 512))


def test_every_position_is_as_likely_in_the_sample(space):
    """Images give rows by their area; these lie in their feature maps, and are the embeddings stored there."""
    run = space.current_run()
    sample, dense = run.sample(), run.dense_features()
    positions = np.asarray(sample.positions)
    areas = {0: 151 * 188, 1: 25 * 38}
    counts = {image_id: int((positions[:, 0] == image_id).sum()) for image_id in areas}
    drawn = 600 * areas[0] / (areas[0] + areas[1] + 75 * 88)  # the torn image has its share and gives nothing
    assert abs(counts[0] - drawn) <= 1 and counts[1] > 0 and sum(counts.values()) == len(positions)
    for image_id, shape in {0: (151, 188), 1: (25, 38)}.items():
        own = positions[:, 0] == image_id
        assert dense.shape(image_id) == shape and (positions[own, 1:] < shape).all()
        stored = dense.get(image_id)[tuple(positions[own, 1:].T)].astype(np.float32)
        stored /= np.linalg.norm(stored, axis=1, keepdims=True)
        assert (stored * sample.embeddings[own].astype(np.float32)).sum(1).min() > 0.999


def test_features_that_are_not_stored_are_those_that_were(space):
    """The tiles of a window go through the network when it is read, and give the stored int8 embeddings."""
    run = space.current_run()
    stored, again = feature_windows(run, 0, run.dense_features()), feature_windows(run, 0)
    assert stored.shape == again.shape
    for rows, columns in [((0, 151), (0, 188)), ((60, 62), (100, 188))]:
        first, second = stored.window(rows, columns), again.window(rows, columns)
        assert (np.abs(first.astype(int) - second) <= 1).all() and (first == second).mean() > 0.99


def test_stored_windows_are_parts_of_the_feature_map(space):
    """Read row by row from disk or whole, it is the same."""
    features = feature_windows(space.current_run(), 0, space.current_run().dense_features())
    whole = space.current_run().dense_features().get(0)
    for rows, columns in [((3, 90), (0, 188)), ((3, 90), (20, 21)), ((150, 151), (0, 188))]:
        np.testing.assert_array_equal(features.window(rows, columns), whole[slice(*rows), slice(*columns)])


def test_crops_come_from_the_downsampled_image(space):
    """A contact sheet shows pixels of the image at the network's resolution, outlined from the stored features."""
    run = space.current_run()
    source, clustering = run.contact_sheet_source(), run.clustering()
    for cluster in range(6):
        sheet = contact_sheet(source, clustering, cluster, per_page=4, shown_px=112)
        assert sheet.total and not (sheet.sheet[..., :3][sheet.sheet[..., 3] > 0] == MISSING).all()
    positions = np.asarray(run.sample().positions[:3])
    assert len(contact_sheet_at(source, positions, clustering).crops) == 3
    plain = contact_sheet(source, clustering, 0, per_page=1, shown_px=112, outline=False)
    crop = plain.crops[0]
    whole = run.network_images().get(crop.image_id)
    left, top, side = crop_square(crop.row, crop.col, *whole.shape[:2])
    assert side == min(112, *whole.shape[:2])
    if side == 112:
        np.testing.assert_array_equal(plain.sheet[..., :3], whole[top : top + 112, left : left + 112])


def test_a_mask_is_of_the_full_size(space):
    """A whole mask has a label for every pixel of the image, and follows its bands."""
    run = space.current_run()
    record, clustering = space.image_list().records[0], run.clustering()
    mask = mask_windows(run, clustering, record, None, dense=run.dense_features())
    whole = mask.write(np.zeros((record.height, record.width), mask.dtype))
    _, truth = draw_scene(0, *SIZES["large.png"])
    named = np.zeros(6, int)
    for cluster in range(6):
        own = truth[whole == cluster]
        named[cluster] = np.bincount(own, minlength=3).argmax() if own.size else 0
    assert (named[whole] == truth).mean() > 0.9


def test_no_budget_stores_no_maps(tmp_path):
    """Without disk for dense features the run is whole, and masks are made by the network."""
    (tmp_path / "images").mkdir()
    image, _ = draw_scene(0, 300, 420)
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    made = embedded(tmp_path / "work", Path(tmp_path / "images"), "--downsample", "1", "--tile", "256", "--overlap",
                    "64", "--dense-mb", "0")  # fmt: skip
    run = made.current_run()
    assert not run.dense_features().index and len(run.sample().positions) == 600
    assert feature_windows(run, 0).window((0, 75), (0, 105)).shape == (75, 105, 32)


def test_a_full_disk_ends_the_embedding_and_blames_no_image(tmp_path, monkeypatch):
    """It says what room is missing; afterwards the same images can be embedded."""
    (tmp_path / "images").mkdir()
    Image.fromarray(draw_scene(0, 300, 420)[0]).save(tmp_path / "images" / "a.png")
    space = Workspace.create(tmp_path / "work", tmp_path / "images")
    settings = EmbedderSettings(weights="none", dim=32), SampleSettings(pixels=600), TilingSettings(1, 256, 64)
    with monkeypatch.context() as full:
        small = partial(PyramidCache, stored_from=0, reserve_bytes=1 << 60)
        full.setattr(
            Workspace, "pyramids", lambda self: small(tmp_path / "p", self.images_root, self.image_list().records)
        )
        with pytest.raises(PicieError, match=r"pixels of a\.png need .* GB of disk"):
            embed_workspace(space, *settings)
    assert space.image_list().problems == []
    assert embed_workspace(space, *settings).info.images == 1


def test_images_that_become_tiny_are_embedded(tmp_path):
    """At a downsample that suits large images a small one still has its few positions."""
    (tmp_path / "images").mkdir()
    for name, size in (("large.png", (700, 900)), ("tiny.png", (100, 64))):
        Image.fromarray(draw_scene(0, *size)[0]).save(tmp_path / "images" / name)
    made = embedded(tmp_path / "work", tmp_path / "images", "--downsample", "8", "--tile", "256", "--overlap", "64")
    assert made.image_list().problems == []
    assert [made.current_run().dense_features().shape(one) for one in (0, 1)] == [(22, 29), (4, 2)]


# -- masks in files, as an export of large images gets them


def test_a_mask_file_is_there_for_as_long_as_it_is_used(space, tmp_path):
    """It holds the mask that windows give, and its confidence; afterwards the folder is empty again."""
    run, record = space.current_run(), space.image_list().records[0]
    clustering, size = run.clustering(), (record.height, record.width)
    files = MaskFiles(run, clustering, {0: 4, 1: 4, 2: 7}, PostProcessing(), tmp_path)
    windows = mask_windows(run, clustering, record, {0: 4, 1: 4, 2: 7}, dense=run.dense_features())
    expected = windows.window_with_confidence(0, 0, *size)
    with files.mask_of(record, confidence=True) as made:
        assert isinstance(made.mask, np.memmap) and made.mask.dtype == np.uint8
        np.testing.assert_array_equal(made.mask, expected.labels)
        assert np.abs(made.confidence - 255 * expected.confidence).max() <= 0.51
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="mine"), files.mask_of(record):
        raise ValueError("mine")
    assert list(tmp_path.iterdir()) == []


def test_masks_of_images_of_another_folder(space, tmp_path):
    """They are embedded at the downsample of the run, by the ids that they have there."""
    run, image = space.current_run(), space.read_image(1)
    (tmp_path / "other").mkdir()
    Image.fromarray(image).save(tmp_path / "other" / "same.png")
    others = tmp_path / "other", [ImageRecord(0, "same.png", 0, 0, 5)]
    files = MaskFiles(run, run.clustering(), None, PostProcessing(), tmp_path / "out", others=others)
    (tmp_path / "out").mkdir()
    record = files.know(0, image.shape[1::-1])
    with files.mask_of(record) as made:
        same = mask_windows(run, run.clustering(), space.image_list().records[1], None)
        np.testing.assert_array_equal(made.mask, same.window(0, 0, *image.shape[:2]))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_at_a_size_has_no_mask_files(finished, tmp_path):
    """Its feature maps are small: the export makes its masks at once."""
    run = finished.current_run()
    with pytest.raises(PicieError, match="embeds images at a --size"):
        MaskFiles(run, run.clustering(), None, PostProcessing(), tmp_path)
