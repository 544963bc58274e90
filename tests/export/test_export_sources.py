"""What is exported: raw ids, other folders, files that break; and the names that images get."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images.image_file import read_image, resize_image
from picie_core.errors import SettingError
from picie_core.export.export_settings import ExportSettings
from picie_core.export.image_files import flat_stems, folder_stems
from picie_core.segmentation.masks import cluster_mask
from picie_core.workspace.masks.mask_export import export_masks
from tests.export.odd_images import SIZE_PX, no_network, odd_images, picture, save


def test_raw_masks_are_cluster_ids(made, tmp_path):
    """Raw masks need no names; every value is the best cluster of its pixel."""
    workspace, run, _ = made
    other = run.cluster(7)
    export_masks(
        other,
        "png",
        tmp_path / "out",
        settings=ExportSettings(raw=True),
        feature_source=no_network,
    )
    image = read_image(workspace.images_root / "wide.bmp")
    expected = cluster_mask(no_network(resize_image(image, SIZE_PX)[None])[0], other, *image.shape[:2])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "masks" / "wide.png")), expected)
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert [one["clusters"] for one in record["classes"]] == [[i] for i in range(7)] and record["mask_mode"] == "L"


def test_more_than_255_clusters_are_written_in_16_bits(made, tmp_path):
    """Raw ids above 254 do not fit beside 255; export.json says so, and voc refuses."""
    _workspace, run, _ = made
    many = run.cluster(300)
    source = save(tmp_path / "in" / "x.png", picture(9)).parent
    export_masks(
        many,
        "png",
        tmp_path / "out",
        images=source,
        settings=ExportSettings(raw=True),
        feature_source=no_network,
    )
    with Image.open(tmp_path / "out" / "masks" / "x.png") as mask:
        assert mask.mode == "I;16" and np.asarray(mask).max() < 300
    assert json.loads((tmp_path / "out" / "export.json").read_text())["mask_mode"] == "I;16"
    with pytest.raises(SettingError, match="voc masks hold 255 ids at most, got 300 clusters: use --format png"):
        export_masks(many, "voc", tmp_path / "voc", settings=ExportSettings(raw=True))


def test_another_folder_with_broken_files(made, tmp_path):
    """Clusters and names apply to any images; unreadable ones are listed and do not stop the export."""
    odd_images(tmp_path / "in")
    (tmp_path / "in" / "empty.png").touch()
    (tmp_path / "in" / "text.jpg").write_text("hello")
    cut = (tmp_path / "in" / "plain.jpg").read_bytes()
    (tmp_path / "in" / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    report = export_masks(made[2], "png", tmp_path / "out", images=tmp_path / "in", device="cpu")
    assert report.images == 15
    assert [one.path for one in report.problems] == ["cut.jpg", "empty.png", "text.jpg"]
    assert not list((tmp_path / "out").rglob("cut.*"))


def test_an_image_that_vanishes_is_listed(made, tmp_path):
    """A file that is deleted between listing and reading becomes a problem, the others are written."""
    first = save(tmp_path / "in" / "a.png", picture(0))
    save(tmp_path / "in" / "b.png", picture(1, 90, 70))

    def deleting(images: np.ndarray) -> np.ndarray:
        first.unlink(missing_ok=True)
        return no_network(images)

    report = export_masks(made[2], "png", tmp_path / "out", images=tmp_path / "in", feature_source=deleting)
    assert report.images == 1 and [one.path for one in report.problems] == ["a.png"]


def test_many_shapes_are_all_written(made, tmp_path):
    """Images that are each of another size are written too, without a full batch of one size."""
    for i in range(45):
        save(tmp_path / "in" / f"{i:02d}.png", picture(i, 70 + 3 * i, 64))
    report = export_masks(made[2], "png", tmp_path / "out", images=tmp_path / "in", feature_source=no_network)
    assert report.images == 45


def test_stems_stay_unless_they_clash():
    """Folders keep equal names apart; a clash takes the suffix, never the name of a third image."""
    paths = ["a.jpg", "a.png", "a_png.jpg", "d/a.jpg", "x.png/a.jpg", "x.jpg", "c.tar.gif"]
    assert folder_stems(paths) == ["a", "a_png_2", "a_png", "d/a", "x.png/a", "x_jpg", "c.tar"]


def test_flat_stems_are_unique_and_short():
    """Joined names may clash with others and may be too long for a disk."""
    assert flat_stems(["a/b.jpg", "a__b.jpg", "a b.png", "a_b.png"]) == ["a__b", "a__b_jpg", "a_b", "a_b_png"]
    long = flat_stems(["ü" * 150 + "/x.jpg", "ü" * 150 + "/y.jpg"])
    assert len(set(long)) == 2 and all(len(stem.encode()) <= 200 for stem in long)
