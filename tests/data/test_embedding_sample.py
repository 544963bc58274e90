"""The embedding sample and the dense features: positions, rows and bytes belong together, whatever the batches."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picie_core.cli.embed import embed
from picie_core.data.embedding_sample import DenseFeatures
from picie_core.data.feature_grid import feature_map_shape
from picie_core.data.images.image_file import resize_image
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.sample_writer import SampleReport, SampleWriter, draw_positions, two_widest_axes
from picie_core.errors import PicieError
from picie_core.models.embedder import load_embedder
from picie_core.models.inference import FrozenEmbedder, embed_image
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.workspace import Run, Workspace
from tests.factories import position_labels

NETWORK = EmbedderSettings(weights="none", dim=32)
SAMPLING = SampleSettings(size_px=64, pixels=600, batch=4)


def embedded(images: Path, root: Path, **changes: object) -> tuple[Workspace, Run, dict]:
    """A new workspace of the images, its run, and what `embed` said."""
    result = embed(root, NETWORK, dataclasses.replace(SAMPLING, **changes), images)
    workspace = Workspace.open(root)
    return workspace, workspace.run(result["run"]), result


def records(*sizes: tuple[int, int]) -> list[ImageRecord]:
    """Records of images with these (width, height)."""
    return [ImageRecord(i, f"{i}.png", width, height, 1) for i, (width, height) in enumerate(sizes)]


# -- which positions are drawn


def test_positions_are_spread_evenly():
    """Every image gives its share of positions by area, to one pixel; together they are as many as wanted."""
    listed = records((128, 64), (64, 64), (64, 256), (128, 64))
    positions = draw_positions(listed, SampleSettings(size_px=64, pixels=500))
    cells = {0: 16 * 32, 1: 16 * 16, 2: 64 * 16, 3: 16 * 32}
    counts = {image: len(drawn) for image, drawn in positions.items()}
    assert sum(counts.values()) == 500
    for image, count in counts.items():
        assert abs(count - 500 * cells[image] / sum(cells.values())) <= 1


def test_positions_are_distinct_and_inside():
    """No position is drawn twice, none lies outside, and every part of an image has its chance."""
    positions = draw_positions(records(*[(64, 64)] * 40), SampleSettings(size_px=64, pixels=4000))
    for drawn in positions.values():
        assert len(np.unique(drawn)) == len(drawn)
    every = np.concatenate(list(positions.values()))
    assert every.min() >= 0 and every.max() < 256
    quarters = np.bincount(every // 64)
    np.testing.assert_allclose(quarters / len(every), 0.25, atol=0.03)


def test_few_positions_are_all_taken():
    """Images with fewer positions than wanted pixels give each position once."""
    positions = draw_positions(records((64, 64), (64, 128)), SampleSettings(size_px=64, pixels=100_000))
    np.testing.assert_array_equal(positions[0], np.arange(256))
    np.testing.assert_array_equal(positions[1], np.arange(512))


def test_of_very_many_images_a_subset_takes_part():
    """Where fewer than 16 pixels would fall on each, pixels / 16 images are drawn by the seed."""
    listed = records(*[(64, 64)] * 100)
    positions = draw_positions(listed, SampleSettings(size_px=64, pixels=320))
    assert len(positions) == 20
    assert {len(drawn) for drawn in positions.values()} == {16}
    again, other = (draw_positions(listed, SampleSettings(size_px=64, pixels=320, seed=seed)) for seed in (0, 1))
    assert set(positions) == set(again) != set(other)
    assert max(positions) > 50


# -- what embed stores


def test_rows_are_the_embeddings_of_their_positions(finished):
    """Each sampled row is the unit embedding that the network gives at its position."""
    run = finished.current_run()
    sample = run.sample()
    network, size_px = load_embedder(run.folder / "embedder")
    engine = FrozenEmbedder(network, "cpu")
    assert len(sample.embeddings) == len(sample.positions) == len(sample.pca) == 600
    np.testing.assert_allclose(np.linalg.norm(sample.embeddings.astype("f4"), axis=1), 1, atol=2e-3)
    for image in range(6):
        cells = embed_image(engine, resize_image(finished.read_image(image), size_px))
        mine = sample.positions[:, 0] == image
        expected = cells[sample.positions[mine, 1], sample.positions[mine, 2]]
        cosines = (expected * sample.embeddings[mine]).sum(1)
        assert cosines.min() > 0.99


def test_rows_are_ordered_by_position(finished):
    """Rows are sorted by image, row and column, so that equal samples are equal files."""
    positions = finished.current_run().sample().positions
    np.testing.assert_array_equal(np.lexsort(positions.T[::-1]), np.arange(len(positions)))


def test_batch_size_does_not_matter(scenes, tmp_path):
    """Batches of 4 and of 16 give the same positions and the same embeddings up to rounding."""
    (_small, run4, _), (_large, run16, _) = (
        embedded(scenes / "images", tmp_path / f"w{batch}", batch=batch) for batch in (4, 16)
    )
    one, other = run4.sample(), run16.sample()
    np.testing.assert_array_equal(one.positions, other.positions)
    cosines = (one.embeddings.astype("f4") * other.embeddings.astype("f4")).sum(1)
    assert cosines.min() > 0.98


def test_the_same_command_gives_the_same_sample(scenes, finished, tmp_path):
    """Two workspaces of the same images have samples of equal digest, byte by byte."""
    _, _, first = embedded(scenes / "images", tmp_path / "a")
    _, _, second = embedded(scenes / "images", tmp_path / "b")
    assert first["digest"] == second["digest"]


def test_dense_features_are_the_embeddings_in_8_bit(finished):
    """The stored features of every image have the direction of its embeddings, to a degree."""
    run = finished.current_run()
    dense, sample = run.dense_features(), run.sample()
    assert dense.ids.tolist() == list(range(6))
    for image in range(6):
        cells = dense.get(image).astype("f4")
        assert cells.shape == (16, 24, 32)
        mine = sample.positions[:, 0] == image
        stored = cells[sample.positions[mine, 1], sample.positions[mine, 2]]
        cosines = (stored * sample.embeddings[mine]).sum(1) / np.linalg.norm(stored, axis=1)
        assert cosines.min() > np.cos(np.radians(1.5))


def write_maps(folder: Path, dense_budget: int, **options: int) -> SampleReport:
    """Writes feature maps (16, 24, 32) of six images in batches of four, the last images first."""
    (folder / "dense").mkdir(parents=True)
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 16, 24, 32)).astype(np.float32))
    wanted = {image_id: np.arange(image_id, 384, 4) for image_id in range(6)}
    with open(folder / "dense" / "cells.i8", "wb") as file:
        writer = SampleWriter(wanted, dense_budget, file, **options)
        for ids in ([5, 4, 3, 2], [1, 0]):
            writer.add(ids, maps[ids])
    writer.write_index(folder / "dense")
    return writer.write_sample(folder / "sample")


def test_small_disk_budget_leaves_images_out_but_the_sample_whole(tmp_path):
    """Feature maps stop at the budget, here after the first five images; the sample still holds every image."""
    bytes_each = 16 * 24 * 32
    report = write_maps(tmp_path, 6 * bytes_each - 1)
    assert (report.images, report.pixels, report.dense_images) == (6, 6 * 96 - 2, 5)
    dense = DenseFeatures(tmp_path / "dense")
    assert dense.ids.tolist() == [1, 2, 3, 4, 5] and dense.get(0) is None
    assert (tmp_path / "dense" / "cells.i8").stat().st_size == 5 * bytes_each
    assert len(np.unique(np.load(tmp_path / "sample" / "places.npy")[:, 0])) == 6


def test_a_nearly_full_disk_keeps_room_for_results(tmp_path):
    """However large the budget is, feature maps never take the last of the disk; the sample is written without them."""
    report = write_maps(tmp_path, 1 << 62, reserve_bytes=1 << 62)
    assert (report.images, report.dense_images) == (6, 0)
    assert write_maps(tmp_path / "more", 1 << 62, reserve_bytes=0).dense_images == 6


def test_a_small_budget_stores_a_seeded_subset(scenes, tmp_path):
    """Which images the budget holds depends on the seed, not on their names: a fair subset, the same every time."""
    network = EmbedderSettings(weights="none", dim=256)
    stored = []
    for index, seed in enumerate((0, 0, 1)):
        sampling = SampleSettings(size_px=128, pixels=600, batch=2, dense_mb=1, seed=seed)
        embed(tmp_path / f"w{index}", network, sampling, scenes / "images")
        stored.append(set(Workspace.open(tmp_path / f"w{index}").current_run().dense_features().index))
    assert [len(one) for one in stored] == [2] * 3
    assert stored[0] == stored[1] != stored[2]


def test_images_that_are_not_stored_are_embedded_again(finished_copy):
    """Beyond the budget the network gives what would have been stored: the same clusters, up to 8 bits."""
    run = finished_copy.current_run()
    whole, folder = run.dense_features(), run.folder / "dense"
    with np.load(folder / "index.npz") as stored:
        two = {name: array[:2] if array.ndim else array for name, array in stored.items()}
    np.savez(folder / "index.npz", **two)
    partly, clusters = DenseFeatures(folder), run.cluster(6)
    assert len(partly.index) == 2
    for image in range(6):
        again = run.feature_map(image, partly)
        assert again.dtype == (np.int8 if image in partly.index else np.float32)
        assert (position_labels(again, clusters) == position_labels(whole.get(image), clusters)).mean() > 0.97


def test_ten_gigabytes_are_the_default_budget():
    """Feature maps of about 7,000 images of 1920 x 1080 at 320 px, at the usual width, fit."""
    assert SampleSettings().dense_mb << 20 == 10 * 1024**3
    bytes_each = int(np.prod(feature_map_shape(320, 569))) * 128
    assert 6500 < (SampleSettings().dense_mb << 20) // bytes_each < 8000


def test_no_disk_budget_stores_no_dense_features(scenes, tmp_path):
    """--dense-mb 0 keeps the sample only."""
    _space, run, result = embedded(scenes / "images", tmp_path / "w", dense_mb=0)
    assert (result["dense_images"], result["pixels"]) == (0, 600)
    assert run.dense_features().get(0) is None


def test_unreadable_image_in_the_middle(scenes, tmp_path):
    """A file whose header is fine but whose pixels are cut off becomes a problem; all others are embedded."""
    images = tmp_path / "in"
    images.mkdir()
    for i in range(6):
        image = Image.open(scenes / "images" / f"scene-{i}.png").convert("RGB")
        image.save(images / f"{i}.jpg", quality=95)
    data = (images / "3.jpg").read_bytes()
    (images / "3.jpg").write_bytes(data[: len(data) // 2])
    space, run, result = embedded(images, tmp_path / "w")
    assert (result["images"], result["unreadable"]) == (5, 1)
    assert np.unique(run.sample().positions[:, 0]).tolist() == [0, 1, 2, 4, 5]
    problem = space.image_list().problems[0]
    assert problem.path == "3.jpg"
    assert problem.reason.startswith("truncated")


def test_mixed_shapes_fill_whole_batches_of_their_own(tmp_path, scenes):
    """Portrait and landscape in turns: every image is embedded at its own shape."""
    images = tmp_path / "in"
    images.mkdir()
    for i in range(6):
        image = Image.open(scenes / "images" / f"scene-{i}.png")
        (image if i % 2 else image.transpose(Image.Transpose.ROTATE_90)).save(images / f"{i}.png")
    _space, run, _ = embedded(images, tmp_path / "w")
    dense = run.dense_features()
    assert [dense.get(i).shape for i in range(6)] == [(24, 16, 32), (16, 24, 32)] * 3


def test_a_run_without_a_sample_says_what_to_do(finished_copy):
    """The message names the run, the folder and the command."""
    with pytest.raises(PicieError, match=r"run picie-x has no embedding sample in .*: run `embed` or `train` again"):
        Run(finished_copy, "picie-x").sample()
    assert len(Run(finished_copy, "picie-x").dense_features().ids) == 0


def test_two_widest_axes_by_hand():
    """Rows along one line, with a little across: x is the line, y the rest, both centred."""
    rows = np.zeros((5, 4), np.float16)
    rows[:, 2] = [-2, -1, 0, 1, 2]
    rows[:, 0] = [0.25, -0.5, 0.5, -0.5, 0.25]
    xy = two_widest_axes(rows)
    np.testing.assert_allclose(xy[:, 0], rows[:, 2], atol=1e-3)
    np.testing.assert_allclose(np.abs(xy[:, 1]), np.abs(rows[:, 0]), atol=1e-3)
