"""Index PNG: every image has its mask, whatever kind of image it is, and what is written is read back equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.clustering.clustering import Clustering
from picie_core.data.images.image_file import read_image, resize_image
from picie_core.segmentation.masks import class_mask
from picie_core.workspace.masks.mask_export import export_masks, network_features
from picie_core.workspace.workspace import Run, Workspace
from tests.export.odd_images import SIZE_PX


def image_paths(workspace: Workspace) -> dict[str, Path]:
    return {record.path: workspace.images_root / record.path for record in workspace.image_list().readable}


def expected_mask(workspace: Workspace, run: Run, clustering: Clustering, source: Path) -> np.ndarray:
    """The class mask of one image, computed by itself."""
    image = read_image(source)
    feature_map = network_features(run, "cpu")(resize_image(image, SIZE_PX)[None])[0]
    return class_mask(feature_map, clustering, workspace.label_map.classes_of(clustering.key), *image.shape[:2])


def test_every_image_has_its_mask(made, png_export):
    """Same relative stem, mode L, the upright size, ids of the label map or 255; the broken file is listed."""
    workspace, _, _ = made
    out, report, _ = png_export
    record = json.loads((out / "export.json").read_text())
    sources = image_paths(workspace)
    assert report.images == record["images"] == len(sources) == 15
    for path, source in sources.items():
        stem = record["renamed"].get(path, path.rsplit(".", 1)[0])
        with Image.open(out / "masks" / f"{stem}.png") as mask:
            assert mask.mode == "L" and mask.size == read_image(source).shape[1::-1]
            assert set(np.unique(np.asarray(mask))) <= {0, 1, 255}
    assert [one.path for one in report.problems] == ["broken.jpg"] == [one["path"] for one in record["problems"]]
    assert (
        len(list((out / "masks").rglob("*.png"))) == len([p for p in (out / "images").rglob("*") if p.is_file()]) == 15
    )


@pytest.mark.slow
def test_masks_are_the_argmax_of_upsampled_scores(made, png_export):
    """Against masks computed one image at a time; the batch changes nothing but rounding."""
    workspace, run, clustering = made
    out, report, _ = png_export
    same = total = ignored = 0
    for path, source in image_paths(workspace).items():
        stem = (
            "b/same_png" if path == "b/same.png" else "turned_png" if path == "turned.png" else path.rsplit(".", 1)[0]
        )
        mask = np.asarray(Image.open(out / "masks" / f"{stem}.png"))
        expected = expected_mask(workspace, run, clustering, source)
        same, total = same + (mask == expected).sum(), total + mask.size
        ignored += (mask == 255).sum()
    assert same / total > 0.99
    assert report.ignored_share == pytest.approx(ignored / total) and 0 < report.ignored_share < 1


def test_exported_images_are_upright_and_plain(made, png_export):
    """Whoever opens an exported image naively sees what the mask was made from; plain files are copied byte by byte."""
    workspace, _, _ = made
    out, _, _ = png_export
    renamed = json.loads((out / "export.json").read_text())["renamed"]
    for path, source in image_paths(workspace).items():
        stem = renamed.get(path, path.rsplit(".", 1)[0])
        exported = next((out / "images" / stem).parent.glob(f"{Path(stem).name}.*"))
        with Image.open(exported) as picture:
            assert picture.mode in ("L", "RGB") and picture.getexif().get(0x0112, 1) == 1
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), read_image(source))
    for path in ("plain.jpg", "grey.png", "wide.bmp", "a/same.png", "straße 日本/bild mit raum.tif"):
        assert (out / "images" / path).read_bytes() == (workspace.images_root / path).read_bytes()
    assert (out / "images" / "turned.png").exists() and not (out / "images" / "turned.jpg").exists()
    assert not (out / "images" / "cmyk.jpg").exists() and not (out / "images" / "moving.gif").exists()


def test_equal_stems_are_both_kept(png_export):
    """Of two images with one relative stem the later gets its suffix into the name, and export.json says so."""
    out, _, _ = png_export
    renamed = json.loads((out / "export.json").read_text())["renamed"]
    assert renamed == {"b/same.png": "b/same_png", "turned.png": "turned_png"}
    for stem in ("a/same", "b/same", "b/same_png"):
        assert (out / "masks" / f"{stem}.png").exists()


def test_export_json_says_what_the_masks_mean(made, png_export):
    """Classes with colours and clusters, ignore id, digest, command; label map and names beside it."""
    workspace, run, clustering = made
    out, report, _ = png_export
    record = json.loads((out / "export.json").read_text())
    classes = [(one["id"], one["name"], one["clusters"]) for one in record["classes"]]
    assert classes == [(0, "sky & sea", [0, 3]), (1, "Straße", [1])]
    assert record["format"] == "png" and record["ignore_id"] == 255 and record["command"] == "picie export X"
    assert record["run"] == run.name and record["clustering"] == clustering.name and len(record["digest"]) == 64
    assert (out / "classes.txt").read_text() == "sky & sea\nStraße\n"
    assert json.loads((out / "labelmap.json").read_text()) == workspace.label_map.export_map(clustering.key)
    assert json.loads(json.dumps(report.record()))["classes"] == ["sky & sea", "Straße"]


def test_previews_and_progress(png_export):
    """Twelve previews; the progress counts the readable images only."""
    out, _, events = png_export
    previews = sorted((out / "previews").glob("*.jpg"))
    assert len(previews) == 12 and all(Image.open(path).format == "JPEG" for path in previews)
    assert (events[0].done, events[-1].done, events[-1].total) == (0, 15, 15) and events[-1].phase == "export"


def test_a_repeated_export_is_equal(made, png_export, tmp_path):
    """The same command gives the same files, byte by byte."""
    out, _, _ = png_export
    export_masks(made[2], "png", tmp_path / "again", command_line="picie export X", device="cpu")
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    again = sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file())
    assert files == again
    assert all((out / path).read_bytes() == (tmp_path / "again" / path).read_bytes() for path in files)
