"""Corrected masks that cannot be used: each is listed with its reason, and the others are taken."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from picie_core.errors import PicieError
from picie_core.workspace.masks.mask_import import import_masks
from picie_core.workspace.workspace import Workspace
from tests.export.readers.small_files import cvat, png, write
from tests.factories import decisions


def test_masks_that_cannot_be_used_are_listed_and_the_others_are_taken(clustering, tmp_path):
    """Another size, no image, two for one image, a damaged file: each with its reason, nothing else is lost."""
    good = np.zeros((64, 96), np.uint8)
    write(
        tmp_path,
        {
            "classes.txt": "smooth & blue\nStraße\n",
            "masks/scene-0.png": png(good),
            "masks/scene-1.png": png(good[:32, :48]),
            "masks/scene-2.png": png(good)[:60],
            "masks/scene-3.png": png(good),
            "masks/more/scene-3.png": png(good),
            "masks/nobody.png": png(good),
            "masks/scene-4.png": png(good + 9),
        },
    )
    report = import_masks(clustering, tmp_path, device="cpu")
    reasons = {one.path: one.reason for one in report.problems}
    assert "it is 48 x 32 pixels, its image 96 x 64" in reasons["scene-1.png"]
    assert "damaged or no PNG" in reasons["scene-2.png"] and "ids outside the list: 9" in reasons["scene-4.png"]
    assert reasons["scene-3"] == "scene-3.png has another mask too (more/scene-3): remove all but one of them"
    assert reasons["more/scene-3"] == "scene-3.png has another mask too (scene-3): remove all but one of them"
    assert "no image of this workspace" in reasons["nobody"]
    assert clustering.label_map.annotated_paths() == {"scene-0.png"} and report.masks == 1


def test_clipped_polygons_are_told(clustering, tmp_path):
    polygon = '<polygon label="Straße" points="80,50;120,50;120,90;80,90" z_order="0"/>'
    write(tmp_path, {"annotations.xml": cvat(polygon, "scene-1.png", (96, 64))})
    report = import_masks(clustering, tmp_path, device="cpu")
    assert [(one.path, one.reason) for one in report.problems] == [
        ("scene-1.png", "1 shape reached out of the picture and was clipped")
    ]
    mask = clustering.label_map.annotation_mask("scene-1.png")
    assert (mask[50:, 80:] == 1).all() and (mask == 1).sum() == 14 * 16


def test_nothing_that_can_be_used_is_an_error(clustering, tmp_path):
    before = decisions(clustering.label_map)
    write(tmp_path, {"masks/scene-0.png": png(np.zeros((3, 3), np.uint8)), "classes.txt": "a"})
    with pytest.raises(PicieError, match=r"none of the masks in .* can be used; the first: scene-0\.png: it is 3 x 3"):
        import_masks(clustering, tmp_path, device="cpu")
    assert decisions(clustering.label_map) == before


def test_masks_of_rotated_images_have_the_upright_size(scenes, tmp_path, say):
    """A mask of the stored size is refused with the reason; one of the size that is shown is taken."""
    images = tmp_path / "images"
    images.mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.open(scenes / "images" / "scene-0.png").save(images / "turned.png", exif=turned)  # shown as 64 x 96
    Image.open(scenes / "images" / "scene-1.png").save(images / "plain.png")
    words = ["--workspace", tmp_path / "w", "--weights", "none", "--size", 64, "--pixels", 600, "--dim", 16]
    assert say("embed", images, *words).code == 0
    clustering = Workspace.open(tmp_path / "w").current_run().cluster(3)
    mask = np.zeros((64, 96), np.uint8)
    files = {"masks/turned.png": png(mask), "masks/plain.png": png(mask), "classes.txt": "a\n"}
    report = import_masks(clustering, write(tmp_path / "wrong", files), device="cpu", dry_run=True)
    (problem,) = report.problems
    assert "it is 96 x 64 pixels, the size of turned.png before its EXIF rotation: turn it to 64 x 96" in problem.reason
    files["masks/turned.png"] = png(mask.T)
    assert import_masks(clustering, write(tmp_path / "right", files), device="cpu").problems == []
    assert clustering.label_map.annotation_mask("turned.png").shape == (96, 64)
