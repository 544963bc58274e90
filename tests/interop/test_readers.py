"""Every format is read back by the library that it is written for, equal pixel for pixel, in every case."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interop.cases import CASES
from tests.interop.reader_table import READERS, Reader
from tests.interop.written_export import IGNORED, Export

FORMATS = sorted({reader.form for reader in READERS})


@pytest.mark.parametrize("case", [make.__name__ for make in CASES])
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: f"{reader.form}-{reader.library}")
def test_masks_come_back_pixel_for_pixel(
    exports: Path, reader: Reader, case: str, record_property: Callable[[str, object], None]
) -> None:
    """All images are read, and each pixel has the class that it had, by the name that the library read."""
    record_property("reader", [reader.form, reader.library, reader.call])
    export = Export.load(exports / case, reader.form)
    masks = reader.read(export)
    assert sorted(masks) == list(range(len(export.images)))
    for index, mask in masks.items():
        expected = np.load(exports / case / "truth" / f"mask-{index}.npy")
        if reader.drops_class_0:
            expected[expected == 0] = IGNORED
        np.testing.assert_array_equal(mask, expected, err_msg=export.images[index]["path"])


@pytest.mark.parametrize("form", FORMATS)
def test_images_of_every_kind_are_upright_and_of_their_masks_size(exports: Path, form: str) -> None:
    """Whatever the image was, its copy shows the same picture to a reader that knows no EXIF and no 16 bits."""
    export = Export.load(exports / "kinds", form)
    for index, one in enumerate(export.images):
        if one["image"] is None:
            assert form == "cvat-mask"
            continue
        with Image.open(export.folder / one["image"]) as image:
            assert image.mode in ("L", "RGB") and list(image.size) == one["size"]
            seen = np.asarray(image.convert("RGB")).astype(int)
        truth = np.load(exports / "kinds" / "truth" / f"image-{index}.npy")
        assert np.abs(seen - truth).mean() < 2, one["path"]


@pytest.mark.parametrize("form", FORMATS)
def test_the_record_names_the_classes_that_the_format_holds(exports: Path, form: str) -> None:
    """export.json and classes.txt lie in every export, with the names under which the masks were read."""
    export = Export.load(exports / "odd_names", form)
    record = json.loads((export.folder / "export.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in record["classes"]] == export.classes
    assert (export.folder / "classes.txt").read_text(encoding="utf-8").splitlines() == export.classes
    assert record["format"] == form and record["images"] == len(export.images) and record["ignore_id"] == IGNORED


def test_fiftyone_knows_what_the_script_calls(exports: Path) -> None:
    """load_fiftyone.py needs a database to run; the arguments that it gives are those of the real function."""
    import fiftyone

    script = ast.parse((exports / "plain" / "fiftyone" / "load_fiftyone.py").read_text(encoding="utf-8"))
    (call,) = [
        node
        for node in ast.walk(script)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "from_dir"
    ]
    given = {keyword.arg for keyword in call.keywords}
    assert {"persistent", "name"} <= given <= {*inspect.signature(fiftyone.Dataset.from_dir).parameters, "label_field"}
    assert hasattr(fiftyone.types, "ImageSegmentationDirectory")
