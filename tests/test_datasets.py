"""Labelled sets: which mask belongs to which image, what classes are called, which files are no masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.datasets import open_labelled_set, read_mask
from picie_core.errors import PicieError


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    """Writes a picture or a mask where a test wants it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two pairs of equal stem in two folders, an image without a mask and a mask without an image."""
    random = np.random.default_rng(0)
    for name in ("a/x.jpg", "b/x.jpg", "b/no mask.png"):
        save(tmp_path / "images" / name, random.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    save(tmp_path / "masks" / "a" / "x.png", np.full((20, 30), 2, np.uint8))
    save(tmp_path / "masks" / "b" / "x.png", np.full((20, 30), 255, np.uint8))
    save(tmp_path / "masks" / "b" / "no image.png", np.zeros((20, 30), np.uint8))
    return tmp_path / "images", tmp_path / "masks"


def test_pairs_have_equal_relative_stems(pair):
    """Folder and stem decide, the suffix does not; what has no partner is left out."""
    found = open_labelled_set(*pair)
    assert found.pairs == [("a/x.jpg", "a/x.png"), ("b/x.jpg", "b/x.png")]
    assert (found.read_mask(0) == 2).all()
    assert (found.read_mask(1) == 255).all()


def test_class_names(pair):
    """Given names win, then classes.txt in or beside the masks, then the ids that occur; 255 is no class."""
    images, masks = pair
    assert open_labelled_set(images, masks).class_names == ["class 0", "class 1", "class 2"]
    (masks.parent / "classes.txt").write_text("sky\nroad\ntree\n\n")
    assert open_labelled_set(images, masks).class_names == ["sky", "road", "tree"]
    (masks / "classes.txt").write_text("air\nstreet\nbush\n")
    assert open_labelled_set(images, masks).class_names == ["air", "street", "bush"]
    assert open_labelled_set(images, masks, ["a", "b", "c"]).class_names == ["a", "b", "c"]


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_masks_of_one_channel_give_their_ids(tmp_path, mode):
    """Grey, palette and bilevel masks give what is stored, not colours."""
    ids = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    path = tmp_path / "mask.png"
    if mode == "1":
        Image.fromarray(ids.astype(bool)).save(path)
    else:
        image = Image.fromarray(ids)
        if mode == "P":
            image = Image.fromarray(ids, mode="P")
            image.putpalette([200, 10, 10, 5, 5, 5])
        image.save(path)
    with Image.open(path) as stored:
        assert stored.mode == mode
    np.testing.assert_array_equal(read_mask(path), ids)


def test_what_is_no_mask_is_refused(tmp_path):
    """Colours, deep grey, text: the message names the file and the remedy."""
    colours = save(tmp_path / "rgb.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(PicieError, match=r"rgb.png has mode RGB: a mask needs one channel of class ids"):
        read_mask(colours)
    deep = save(tmp_path / "deep.png", np.zeros((4, 4), np.uint16))
    with pytest.raises(PicieError, match=r"deep.png has mode I"):
        read_mask(deep)
    (tmp_path / "text.png").write_text("no mask")
    with pytest.raises(PicieError, match=r"text.png cannot be read as a mask"):
        read_mask(tmp_path / "text.png")


def test_no_pairs_and_no_folders_are_refused(pair, tmp_path):
    """The message says which folders were compared and by what rule."""
    images, _ = pair
    (tmp_path / "empty").mkdir()
    with pytest.raises(PicieError, match=r"no mask under .*empty has the name of an image under .*images"):
        open_labelled_set(images, tmp_path / "empty")
    with pytest.raises(PicieError, match=r"nowhere is not a folder: give --images DIR and --masks DIR"):
        open_labelled_set(images, tmp_path / "nowhere")
