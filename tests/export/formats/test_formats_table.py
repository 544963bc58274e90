"""What holds for every format of the table: its words, files of images, names, and memory."""

from __future__ import annotations

import re
import weakref

import numpy as np
import pytest

from picie_core.errors import SettingError
from picie_core.export.export_folder import check_written
from picie_core.export.formats import FORMATS
from picie_core.export.mask_format import MaskClass, distinct_colors, held_classes
from tests.export.formats.small_exports import CLASSES, Written, export, write_images

WITHOUT_IMAGES = ("cvat-mask",)
"""The target has the images already."""


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_card_can_be_made_of_it(form):
    """Title, readers and one line of how to open it; the key is what is typed."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)?", form.key) and form.title and form.readers.endswith(".")
    assert "\n" not in form.opening and form.opening.count("`") % 2 == 0


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_files_are_where_the_entry_says(form, tmp_path):
    """Images and masks have the size of the image; no two images share a mask, whatever their names."""
    paths = ("a/same.png", "b/same.png", "b/same.jpg", "images/x.png")
    written = export(form, tmp_path, paths=paths, splits=("train", "val", "train", "val"))
    check_written(tmp_path / "out", Written(written))
    assert all((one.entry["image"] is None) == (form.key in WITHOUT_IMAGES) for one in written)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_without_image_files_there_are_masks_only(form, tmp_path):
    """No file of the export holds an image, and the entries say so."""
    written = export(form, tmp_path, image_files="none")
    assert all(one.entry["image"] is None for one in written)
    sources = {path.read_bytes() for path in (tmp_path / "source").rglob("*.*")}
    assert sources.isdisjoint(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_links_are_the_same_file(form, tmp_path):
    """A file that every reader shows alike is linked, not copied."""
    suffix = ".jpg" if form.key in ("voc", "mmseg") else ".png"
    written = write_images(form, tmp_path, paths=[f"x{suffix}"], splits=["train"], image_files="link")
    path = written[0].entry["image"]
    if form.key not in WITHOUT_IMAGES:
        assert (tmp_path / "out" / path).samefile(tmp_path / "source" / f"x{suffix}")


@pytest.mark.filterwarnings("ignore:Duplicate name")  # the archive of CVAT gets the same mask often
@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_set_is_written_image_by_image(form, tmp_path):
    """Of 400 entries a few at most are in memory at once."""
    written = write_images(form, tmp_path, image_files="none")
    held: list[weakref.ref] = []
    most = 0

    class Watched(Written):
        def __iter__(self):
            nonlocal held, most
            for one in super().__iter__():
                held = [ref for ref in [*held, weakref.ref(one)] if ref() is not None]
                most = max(most, len(held))
                yield one

    form.write_set(tmp_path / "out", Watched(written, 200), CLASSES)
    assert most <= 4


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_names_are_refused_or_fixed(form):
    """A name that a format cannot hold has one that it can hold; names stay unique."""
    names = ["a:b", "#a_b", "a_b", "ignored", "unlabeled", "two words", "two_words", "#", "x"]
    classes = [MaskClass(i, name, "#e69f00", []) for i, name in enumerate(names)]
    fixed = held_classes(form, classes, fix_names=True)
    assert held_classes(form, fixed) == fixed and len({one.name for one in fixed}) == len(names)
    if form.name_rules:
        with pytest.raises(SettingError, match=r"class name .* must not .*--fix-names writes"):
            held_classes(form, classes)
    else:
        assert held_classes(form, classes) == classes


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_more_ids_than_a_byte_are_refused(form):
    """255 is ignored, so 255 ids fit; only index PNGs hold more."""
    classes = [MaskClass(i, f"c{i}", "#e69f00", []) for i in range(256)]
    assert len(held_classes(form, classes[:255])) == 255
    if form.key == "png":
        assert held_classes(form, classes) == classes
    else:
        with pytest.raises(SettingError, match=f"{form.key} masks hold 255 ids at most, got 256"):
            held_classes(form, classes)


def test_colours_are_distinct_and_never_black():
    """The first class of a colour keeps it; the others and a black one get colours that nobody has."""
    many = [MaskClass(i, f"c{i}", "#000000" if i % 2 else "#E69F00", []) for i in range(254)]
    colors = distinct_colors(many)
    assert len(np.unique(colors, axis=0)) == 254 and colors.any(axis=1).all()
    assert tuple(colors[0]) == (0xE6, 0x9F, 0x00)
    plain = [MaskClass(0, "a", "#000000", []), MaskClass(1, "b", "#ffffff", [])]
    assert distinct_colors(plain, reserved=()).tolist() == [[0, 0, 0], [255, 255, 255]]
