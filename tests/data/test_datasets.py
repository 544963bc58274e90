"""Labelled sets in folders: which mask belongs to which image, what classes are called, which files are no masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.labelled_sets.datasets import open_dataset, open_labelled_set, open_training_images
from picie_core.data.labelled_sets.labelled_set import read_mask
from picie_core.errors import PicieError, SettingError


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    """Writes a image or a mask where a test wants it."""
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


# -- masks of images, ids and kinds of classes


def test_mask_of_an_image(pair):
    """By its relative name or its path; None for an image without a mask, and for one that lies elsewhere."""
    found = open_labelled_set(*pair)
    assert (found.mask_of("a/x.jpg") == 2).all()
    assert (found.mask_of(pair[0] / "a" / "x.jpg") == 2).all()
    assert found.mask_of("b/no mask.png") is None
    assert found.mask_of(pair[1] / "a" / "x.png") is None


def test_masks_are_read_when_they_are_asked_for(pair):
    """With names given, opening a set touches no mask: one that changes later is read as it is then."""
    found = open_labelled_set(*pair, ["sky", "road", "tree"])
    save(pair[1] / "a" / "x.png", np.ones((20, 30), np.uint8))
    assert (found.read_mask(0) == 1).all()


def test_ids_outside_the_list_are_refused(pair):
    """The message names the file, the ids it has too many, and those that are known."""
    ids = np.array([[0, 1, 2, 3], [4, 7, 255, 0]], np.uint8)
    path = save(pair[1] / "a" / "x.png", ids)
    found = open_labelled_set(*pair, ["sky", "road", "tree"])
    with pytest.raises(PicieError) as refusal:
        found.read_mask(0)
    assert str(refusal.value).startswith(f"{path} has the ids 3, 4, 7, known are 0 to 2, 255: mend the mask")
    assert (found.read_mask(1) == 255).all()


def test_things_have_a_list_of_their_own(pair):
    """things.txt beside classes.txt names the things, by id; without it nobody knows; a strange name is refused."""
    images, masks = pair
    assert open_labelled_set(images, masks).thing_classes is None
    (masks.parent / "classes.txt").write_text("sky\ncar\ntree\n")
    (masks.parent / "things.txt").write_text("car\n")
    assert open_labelled_set(images, masks).thing_classes == {1}
    (masks.parent / "things.txt").write_text("cat\n")
    with pytest.raises(PicieError, match=r"things.txt names 'cat', classes are sky, car, tree"):
        open_labelled_set(images, masks)


# -- a data set of folders, its splits and lists


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """images/ and masks/ with the splits train (2) and val (1), and names of classes."""
    for name in ("train/x", "train/y", "val/x"):
        save(tmp_path / "set" / "images" / f"{name}.jpg", np.zeros((20, 30, 3), np.uint8))
        save(tmp_path / "set" / "masks" / f"{name}.png", np.zeros((20, 30), np.uint8))
    (tmp_path / "set" / "classes.txt").write_text("sky\nroad\n")
    return tmp_path / "set"


def test_splits_are_subfolders(folders):
    """One, several joined by +, or all; training images have the same names."""
    assert [image for image, _ in open_dataset("folders", folders).pairs] == ["train/x.jpg", "train/y.jpg", "val/x.jpg"]
    assert open_dataset("folders", folders, "val").pairs == [("val/x.jpg", "val/x.png")]
    assert len(open_dataset("folders", folders, "train+val").pairs) == 3
    assert open_dataset("folders", folders).class_names == ["sky", "road"]
    images = open_training_images("folders", folders, "train")
    assert (images.images_root, images.names) == (folders / "images", ["train/x.jpg", "train/y.jpg"])
    with pytest.raises(
        SettingError, match=r"split='test' has no 'test': give train, val or several joined as train\+val"
    ):
        open_dataset("folders", folders, "test")


def test_a_list_names_images(folders, tmp_path):
    """By path or last part, with or without suffix, in any order, once or twice."""
    curated = tmp_path / "list.txt"
    for lines, names in (("y\n\n", ["train/y.jpg"]), ("val/x.jpg\ntrain/y\ntrain/y", ["train/y.jpg", "val/x.jpg"])):
        curated.write_text(lines)
        assert [image for image, _ in open_dataset("folders", folders, None, curated).pairs] == names
        assert open_training_images("folders", folders, None, curated).names == names


def test_lists_that_do_not_fit_are_refused(folders, tmp_path):
    """A line that names no image, an empty list, no list: each says so."""
    curated = tmp_path / "list.txt"
    curated.write_text("x\nz\nw\n")
    with pytest.raises(PicieError, match=r"list.txt names w, which is not there \(2 of 3 are not\)"):
        open_dataset("folders", folders, None, curated)
    curated.write_text("\n")
    with pytest.raises(PicieError, match=r"list.txt is empty"):
        open_training_images("folders", folders, None, curated)
    with pytest.raises(PicieError, match=r"absent.txt cannot be read as a list"):
        open_dataset("folders", folders, None, tmp_path / "absent.txt")


def test_missing_folders_show_the_tree(folders):
    """What is missing, what is expected with what was found of it, and what is there instead."""
    (folders / "masks").rename(folders / "truth")
    with pytest.raises(PicieError) as refusal:
        open_dataset("folders", folders)
    message = str(refusal.value)
    assert message.startswith(f"{folders} has no folder masks, which this needs.\nExpected for a data set of folders")
    assert "masks/*            0 found   masks: PNG of class ids" in message
    assert message.endswith(f"In {folders} there is: classes.txt, images/, truth/")
    with pytest.raises(PicieError, match="nowhere is not a folder: give --root DIR"):
        open_dataset("folders", folders / "nowhere")


def test_an_unknown_data_set_is_refused(folders):
    """The known ones are listed."""
    with pytest.raises(SettingError, match="dataset='voc' is unknown: choose one of folders, cocostuff, cityscapes"):
        open_dataset("voc", folders)
