"""What an export writes beside masks of all classes: subsets, confidence maps, links, sets, names that fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.errors import SettingError
from picie_core.export.export_settings import ExportSettings
from picie_core.workspace.masks.mask_export import export_masks
from tests.export.odd_images import SIZE_PX, no_network, picture, save
from tests.factories import embedded


def record_of(out: Path) -> dict:
    return json.loads((out / "export.json").read_text(encoding="utf-8"))


def masks_of(out: Path) -> dict[str, np.ndarray]:
    paths = sorted((out / "masks").rglob("*.png"))
    return {path.relative_to(out / "masks").as_posix(): np.asarray(Image.open(path)) for path in paths}


def test_one_pass_writes_what_single_exports_write(made, png_export, tmp_path):
    """Several formats: each in a folder of its own, and each mask as in an export of that format alone."""
    out = tmp_path / "out"
    images = []

    def counting(batch: np.ndarray) -> np.ndarray:
        images.append(len(batch))
        return no_network(batch)

    export_masks(made[2], ["png", "voc"], out, feature_source=counting)
    assert sum(images) == 15 and {path.name for path in out.iterdir()} == {"png", "voc"}
    for fmt in ("png", "voc"):
        export_masks(made[2], fmt, tmp_path / fmt, feature_source=no_network)
        together = {p.relative_to(out / fmt): p.read_bytes() for p in (out / fmt).rglob("*") if p.is_file()}
        alone = {p.relative_to(tmp_path / fmt): p.read_bytes() for p in (tmp_path / fmt).rglob("*") if p.is_file()}
        assert together == alone


def test_a_subset_of_classes_is_dense_and_the_rest_is_255(made, tmp_path):
    """Ids are 0 to C-1 again; pixels keep their class or become 255."""
    everything, some = tmp_path / "all", tmp_path / "some"
    export_masks(made[2], "png", everything, feature_source=no_network)
    settings = ExportSettings(classes=("STRASSE",))  # one rule for equal names: composed, whatever the case
    export_masks(made[2], "png", some, feature_source=no_network, settings=settings)
    assert [(one["id"], one["name"]) for one in record_of(some)["classes"]] == [(0, "Straße")]
    for name, mask in masks_of(everything).items():
        np.testing.assert_array_equal(masks_of(some)[name], np.where(mask == 1, 0, 255))


def test_a_class_that_is_not_there_is_refused(made, tmp_path):
    """The message lists the classes."""
    with pytest.raises(SettingError, match=r"classes='see' is no class of the label map: choose from sky & sea, Str"):
        export_masks(made[2], "png", tmp_path / "out", settings=ExportSettings(classes=("see",)))
    with pytest.raises(SettingError, match="classes and raw exclude each other"):
        ExportSettings(classes=("sky",), raw=True)


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_confidence_maps_have_the_size_of_their_masks(made, tmp_path, kind):
    """One map a mask, 0 to 1, and the pixels that a threshold ignores are those below it."""
    out, cut = tmp_path / "out", tmp_path / "cut"
    settings = ExportSettings(confidence=kind)
    export_masks(made[2], "png", out, feature_source=no_network, settings=settings)
    export_masks(made[2], "png", cut, feature_source=no_network, settings=ExportSettings())
    assert record_of(out)["confidence"] == kind
    for name, mask in masks_of(out).items():
        np.testing.assert_array_equal(mask, masks_of(cut)[name])
        path = (out / "confidence" / name).with_suffix(f".{kind}")
        values = np.asarray(Image.open(path)) / 255 if kind == "png" else np.load(path)["confidence"]
        assert values.shape == mask.shape and values.min() >= 0 and values.max() <= 1


def test_image_files_are_linked_or_left_out(made, tmp_path):
    """A hard link is the file itself where it can stay as it is; others are written; none writes no images."""
    save(tmp_path / "in" / "plain.jpg", picture(0))
    Image.fromarray(picture(1)).convert("CMYK").save(tmp_path / "in" / "cmyk.jpg")
    for how in ("link", "none"):
        out, settings = tmp_path / how, ExportSettings(image_files=how)
        export_masks(made[2], "png", out, images=tmp_path / "in", feature_source=no_network, settings=settings)
        assert set(masks_of(out)) == {"plain.png", "cmyk.png"}
    assert os.path.samefile(tmp_path / "link" / "images" / "plain.jpg", tmp_path / "in" / "plain.jpg")
    assert Image.open(tmp_path / "link" / "images" / "cmyk.png").mode == "RGB"
    assert not (tmp_path / "none" / "images").exists()


def test_folders_can_be_the_validation_set(made, tmp_path):
    """All images below the named folders are in val, the others in train, and export.json says so."""
    out, settings = tmp_path / "out", ExportSettings(val_folders=("b",))
    export_masks(made[2], "png", out, feature_source=no_network, settings=settings)
    val = (out / "splits" / "val.txt").read_text(encoding="utf-8").split("\n")[:-1]
    train = (out / "splits" / "train.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert val and all(stem.startswith("b/") for stem in val) and not any(stem.startswith("b/") for stem in train)
    assert record_of(out)["split"] == {"train": len(train), "val": len(val), "val_folders": ["b"], "seed": 0}


def test_names_that_a_format_cannot_hold_can_be_changed(made, tmp_path):
    """With fix_names the export tells the written name; the other formats keep theirs; without it, it is offered."""
    other = made[1].cluster(5)
    label_map = made[0].label_map
    for cluster, name in enumerate(("a:b", "A_B", "#1")):
        label_map.name_clusters(other.key, [cluster], name)
    try:
        with pytest.raises(SettingError, match=r"'a:b' must not contain ':' .*--fix-names writes 'a_b_2' instead"):
            export_masks(other, "voc", tmp_path / "no", feature_source=no_network)
        settings = ExportSettings(fix_names=True)
        export_masks(other, ["png", "voc"], tmp_path / "out", feature_source=no_network, settings=settings)
        names = (tmp_path / "out" / "voc" / "classes.txt").read_text(encoding="utf-8").split("\n")
        assert {"a_b_2", "A_B", "1"} <= set(names)
        assert {"a:b", "A_B", "#1"} <= set((tmp_path / "out" / "png" / "classes.txt").read_text().split("\n"))
    finally:
        for _ in range(3):
            label_map.undo()


@pytest.mark.slow
def test_an_image_that_changed_since_the_embedding_has_the_mask_of_now(tmp_path):
    """The cache holds the pixels of before; the mask has the size and the classes of the file as it is exported."""
    for i in range(3):
        save(tmp_path / "in" / f"{i}.png", picture(i))
    workspace = embedded(tmp_path / "w", tmp_path / "in", "--size", str(SIZE_PX), "--pixels", "300", "--dim", "8")
    clustering = workspace.current_run().cluster(3)
    workspace.label_map.name_clusters(clustering.key, [0], "sky")
    save(tmp_path / "in" / "1.png", picture(9, 90, 70))
    save(tmp_path / "in" / "2.png", picture(8))  # of the same size
    save(tmp_path / "other" / "1.png", picture(9, 90, 70))
    save(tmp_path / "other" / "2.png", picture(8))
    report = export_masks(clustering, "png", tmp_path / "out", device="cpu")
    export_masks(clustering, "png", tmp_path / "other_out", images=tmp_path / "other", device="cpu")
    assert report.images == 3 and report.problems == []
    for name, mask in masks_of(tmp_path / "other_out").items():
        np.testing.assert_array_equal(masks_of(tmp_path / "out")[name], mask)


def test_a_format_that_needs_a_validation_set_says_so_before_it_writes(made, tmp_path):
    """Ultralytics does not read a data set without one: nothing is segmented for it."""
    settings = ExportSettings(val_share=0)
    with pytest.raises(SettingError, match=r"val-share"):
        export_masks(made[2], ["png", "ultralytics"], tmp_path / "out", feature_source=no_network, settings=settings)
    assert list(tmp_path.iterdir()) == []
