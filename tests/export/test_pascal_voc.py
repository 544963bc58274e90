"""Pascal VOC: torchvision reads what was written; names that the format cannot hold are refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCSegmentation

from picie_core.errors import SettingError
from picie_core.export.splits import TrainValSplit
from picie_core.export.voc_colors import voc_palette
from picie_core.workspace.masks.mask_export import export_masks
from tests.export.odd_images import no_network


def test_torchvision_reads_voc_pixel_for_pixel(made, voc_export, png_export):
    """Every mask of the VOC lists, read by torchvision, equals the one of the png export; no image is in both lists."""
    out, _ = voc_export
    masks = [np.asarray(Image.open(path)) for path in sorted((png_export[0] / "masks").rglob("*.png"))]
    seen = 0
    for name in ("train", "val"):
        data = VOCSegmentation(str(out), year="2012", image_set=name, download=False)
        for image, mask in data:
            assert mask.mode == "P" and image.mode in ("RGB", "L") and image.size == mask.size
            seen += 1
            twin = [i for i, other in enumerate(masks) if np.array_equal(other, np.asarray(mask))]
            assert twin, "every VOC mask is one of the png masks"
            masks.pop(twin[0])
    assert seen == 15 and masks == []


def test_voc_label_map_names_the_palette(voc_export):
    """Names in the order of the ids with the colours that the palette has at them, and a line for 255."""
    out, _ = voc_export
    root = out / "VOCdevkit" / "VOC2012"
    lines = (root / "labelmap.txt").read_text().splitlines()
    assert lines == ["sky & sea:0,0,0::", "Straße:128,0,0::", "ignored:224,224,192::"]
    with Image.open(next((root / "SegmentationClass").glob("*.png"))) as mask:
        np.testing.assert_array_equal(np.reshape(mask.getpalette(), (256, 3)), voc_palette())


def test_voc_palette_is_the_known_one():
    """The first colours and the last ones of the published list."""
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0),
             15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}  # fmt: skip
    assert all(tuple(voc_palette()[number].tolist()) == color for number, color in known.items())


def test_voc_names_are_flat_and_without_spaces(made, voc_export):
    """Folders are joined into the name and white space goes, as lists of names need; JPEGs are copied."""
    out, _ = voc_export
    root = out / "VOCdevkit" / "VOC2012"
    names = {path.stem for path in (root / "JPEGImages").iterdir()}
    assert {"straße_日本__bild_mit_raum", "a__same", "b__same", "b__same_png", "plain"} <= names
    assert (root / "JPEGImages" / "plain.jpg").read_bytes() == (made[0].images_root / "plain.jpg").read_bytes()
    assert (root / "JPEGImages" / "liar.jpg").read_bytes() == (made[0].images_root / "liar.png").read_bytes()
    for path in (root / "JPEGImages").iterdir():
        with Image.open(path) as picture:
            assert picture.format == "JPEG" and picture.mode in ("L", "RGB")


def test_the_split_is_seeded():
    """The share holds, repeats agree, seeds differ, both lists get an image when both are wanted."""
    paths = [f"{i:03d}.jpg" for i in range(100)]
    splits = TrainValSplit(0.25, 1).splits_of(paths)
    assert splits.count("val") == 25
    assert splits == TrainValSplit(0.25, 1).splits_of(paths) != TrainValSplit(0.25, 2).splits_of(paths)
    assert [TrainValSplit(share).splits_of(["a", "b"]).count("val") for share in (0, 0.01, 0.99, 1)] == [0, 1, 1, 2]


@pytest.mark.parametrize("name, rule", [("a:b", "must not contain ':'"), ("#1", "must not begin with '#'"),
                                        ("Ignored", "must not be 'ignored'")])  # fmt: skip
def test_names_that_voc_cannot_hold_are_refused(made, tmp_path, name, rule):
    """The message names class, rule and remedy; the png format takes them."""
    workspace, run, _ = made
    other = run.cluster(5)
    workspace.label_map.name_clusters(other.key, [0], name)
    try:
        with pytest.raises(SettingError, match=f"class name '{name}' {rule}.*rename the class or use --format png"):
            export_masks(other, "voc", tmp_path / "out", feature_source=no_network)
        assert export_masks(other, "png", tmp_path / "png", feature_source=no_network).images == 15
    finally:
        workspace.label_map.delete_class(max(item.id for item in workspace.label_map.classes()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["png"]
