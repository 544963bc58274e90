"""Masks that other tools' own libraries write are read exactly; runs where these libraries are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from picie_core.export.readers.detection import open_masks
from picie_core.export.readers.image_names import ImageNames
from picie_core.export.readers.shapes import Brush, Polygon, Runs, paint_shapes

NAMES = ["sky & sea", "Straße", "road", "tree"]


def drawn_masks() -> dict[str, np.ndarray]:
    """Blocks of four classes and of none, a class of one pixel, equal stems in two folders, several sizes."""
    rng, masks = np.random.default_rng(0), {}
    for name, (height, width) in {"a/scene 1": (64, 96), "b/scene 1": (64, 96), "wide": (41, 133)}.items():
        blocks = rng.choice([0, 1, 2, 255], (height // 8 + 1, width // 8 + 1))
        masks[name] = np.kron(blocks, np.ones((8, 8), int))[:height, :width].astype(np.uint8)
        masks[name][3, 5] = 3
    return masks


@pytest.mark.parametrize("form", ["coco", "coco_instances", "cvat", "voc", "voc_segmentation"])
def test_what_datumaro_writes_is_read_exactly(tmp_path: Path, form: str) -> None:
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed: see requirements-interop.txt")
    from datumaro.components.annotation import Mask
    from datumaro.components.media import Image

    masks = drawn_masks()
    items = [
        datumaro.DatasetItem(
            id=name,
            subset="default",
            media=Image.from_numpy(np.zeros((*mask.shape, 3), np.uint8)),
            annotations=[Mask(image=mask == c, label=c, id=c + 1, group=c + 1) for c in range(4)],
        )
        for name, mask in masks.items()
    ]
    datumaro.Dataset.from_iterable(items, categories=NAMES).export(str(tmp_path / "out"), form, save_media=False)
    found, names = open_masks(tmp_path / "out"), ImageNames([f"{name}.jpg" for name in masks])
    table = np.full(256, 255, np.uint8)
    table[: len(found.class_names)] = [NAMES.index(one) if one in NAMES else 255 for one in found.class_names]
    seen = set()
    for one in found.masks:
        path = names.find(one.name, one.is_stem)
        expected = masks[path.removesuffix(".jpg")]
        np.testing.assert_array_equal(table[one.read(expected.shape[::-1]).mask], expected)
        seen.add(path)
    assert len(seen) == len(masks) and found.problems == ()


def test_run_lengths_are_those_of_pycocotools() -> None:
    """Noise, blocks, empty and full masks of any size, packed by the COCO API."""
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed: see requirements-interop.txt")
    rng = np.random.default_rng(1)
    for index in range(60):
        height, width = (int(one) for one in rng.integers(1, 150, 2))
        mask = rng.random((height, width)) < (0, 1, 0.5, 0.02)[index % 4]
        packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        runs = Runs(1, packed["counts"].decode(), tuple(packed["size"]))
        np.testing.assert_array_equal(paint_shapes("a", [runs], (width, height)).mask == 1, mask)


def test_polygons_differ_from_pycocotools_on_their_edges_only() -> None:
    """Every pixel that differs has its centre within a quarter of a pixel of an edge."""
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed: see requirements-interop.txt")
    rng = np.random.default_rng(2)
    for _ in range(40):
        angles, radii = np.sort(rng.uniform(0, 2 * np.pi, 12)), rng.uniform(10, 45, 12)
        corners = (50 + radii * np.array([np.cos(angles), np.sin(angles)])).T.astype(np.float32)
        ours = paint_shapes("a", [Polygon(1, (corners,))], (100, 100)).mask == 1
        theirs = coco.decode(coco.frPyObjects([corners.ravel().tolist()], 100, 100))[..., 0] == 1
        rows, columns = np.nonzero(ours != theirs)
        centres = np.stack([columns + 0.5, rows + 0.5], 1)
        nearest = np.full(len(centres), np.inf)
        for start, end in zip(corners.astype(float), np.roll(corners, -1, 0).astype(float), strict=True):
            along = np.clip((centres - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(centres - start - along[:, None] * (end - start), axis=1))
        assert (nearest < 0.25).all()


def test_brush_strokes_are_those_of_label_studio() -> None:
    """Noise, blocks, empty and full masks, packed by Label Studio's own library."""
    studio = pytest.importorskip("label_studio_sdk.converter.brush", reason="label-studio-sdk is not installed")
    rng = np.random.default_rng(3)
    for index in range(24):
        height, width = (int(one) for one in rng.integers(1, 90, 2))
        mask = rng.random((height, width)) < (0, 1, 0.5, 0.02)[index % 4]
        packed = bytes(studio.mask2rle(mask.astype(np.uint8) * 255))
        np.testing.assert_array_equal(paint_shapes("a", [Brush(1, packed)], (width, height)).mask == 1, mask)
