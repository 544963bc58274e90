"""Cityscapes-27: label ids 7 to 33, the paper's splits, and small trees with exactly the public layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.labelled_sets.cityscapes import CLASSES, class_of_id
from picie_core.data.labelled_sets.datasets import open_dataset, open_training_images
from picie_core.errors import PicieError, SettingError

CITIES = {"train": "aachen", "val": "frankfurt", "test": "berlin", "train_extra": "augsburg"}


def save(root: Path, split: str, city: str, number: int, ids: np.ndarray | None) -> None:
    """One image, and its ground truth in the three files that the public archive has for it."""
    name = f"{city}_{number:06}_000019"
    images, truth = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
    images.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(images / f"{name}_leftImg8bit.png")
    if ids is not None:
        truth.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ids).save(truth / f"{name}_gtFine_labelIds.png")
        Image.fromarray(ids.astype(np.uint16)).save(truth / f"{name}_gtFine_instanceIds.png")
        Image.fromarray(ids[..., None].repeat(4, -1)).save(truth / f"{name}_gtFine_color.png")


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """A tree with the public layout: two images a split; test has ground truth files that say nothing, as public."""
    root = tmp_path / "cityscapes"
    ids = np.full((32, 64), 7, np.uint8)
    ids[:4], ids[4:8], ids[8:12], ids[12:16] = 23, 26, 33, 4
    for split, city in CITIES.items():
        for number in range(2):
            truth = {"train": ids, "val": ids, "test": np.zeros_like(ids), "train_extra": None}[split]
            save(root, split, city, number, truth)
    return root


def test_classes_by_their_public_ids():
    """27 classes in the order of ids 7 to 33; 0 to 6 are ignored, what follows 33 is no id."""
    table = class_of_id()
    known = {
        "road": 7,
        "building": 11,
        "pole": 17,
        "polegroup": 18,
        "vegetation": 21,
        "sky": 23,
        "car": 26,
        "bicycle": 33,
    }
    assert {name: CLASSES[table[number]] for name, number in known.items()} == {name: name for name in known}
    assert table[:7] == (255,) * 7
    assert table[7:34] == tuple(range(27))
    assert table[34:] == (-1,) * 221 + (255,)
    assert (len(CLASSES), len(set(CLASSES))) == (27, 27)


def test_evaluated_on_train_and_val(cityscapes):
    """The paper's 27 classes and both labelled splits; masks come as classes, void as 255."""
    found = open_dataset("cityscapes", cityscapes)
    assert [image.split("/")[:2] for image, _ in found.pairs] == [["train", "aachen"]] * 2 + [["val", "frankfurt"]] * 2
    mask = found.read_mask(0)
    assert [mask[row, 0] for row in (0, 4, 8, 12, 16)] == [16, 19, 26, 255, 0]
    assert found.thing_classes == set(range(17, 27))
    assert found.class_names[17] == "person"
    np.testing.assert_array_equal(found.mask_of("val/frankfurt/frankfurt_000001_000019_leftImg8bit.png"), mask)
    assert len(open_dataset("cityscapes", cityscapes, "val").pairs) == 2


def test_trained_on_test_and_train_extra(cityscapes):
    """The paper's training images need no ground truth; other splits can be chosen."""
    images = open_training_images("cityscapes", cityscapes)
    assert images.images_root == cityscapes / "leftImg8bit"
    assert [name.split("/")[0] for name in images.names] == ["test", "test", "train_extra", "train_extra"]
    assert len(open_training_images("cityscapes", cityscapes, "train").names) == 2


def test_lists_name_images(cityscapes, tmp_path):
    """A line is the name of an image, with or without its folders."""
    (tmp_path / "list.txt").write_text("frankfurt_000001_000019_leftImg8bit.png\n")
    pairs = open_dataset("cityscapes", cityscapes, None, tmp_path / "list.txt").pairs
    assert [mask for _, mask in pairs] == ["val/frankfurt/frankfurt_000001_000019_gtFine_labelIds.png"]


def test_without_train_extra_the_tree_is_shown(cityscapes):
    """What is missing, where it comes from and what it is for; evaluating goes on without it."""
    for path in sorted((cityscapes / "leftImg8bit/train_extra").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(PicieError) as refusal:
        open_training_images("cityscapes", cityscapes)
    message = str(refusal.value)
    assert message.startswith(f"{cityscapes} has no leftImg8bit/train_extra/*/*_leftImg8bit.png, which this needs.\n")
    lines = {line.split()[0]: line for line in message.splitlines()[2:-1]}
    assert len(lines) == 6
    extra = lines["leftImg8bit/train_extra/*/*_leftImg8bit.png"]
    assert "0 found   images to train on, 20,000 (leftImg8bit_trainextra.zip)" in extra
    assert "2 found   images to evaluate on" in lines["leftImg8bit/val/*/*_leftImg8bit.png"]
    assert message.endswith(f"In {cityscapes} there is: gtFine/, leftImg8bit/")
    assert len(open_dataset("cityscapes", cityscapes).pairs) == 4
    assert len(open_training_images("cityscapes", cityscapes, "test").names) == 2


@pytest.mark.parametrize("split", ["test", "train_extra", "val+test"])
def test_splits_without_public_ground_truth(cityscapes, split):
    """They cannot be evaluated, although the public archive has files for test: every pixel of them is void."""
    with pytest.raises(SettingError, match="has no public ground truth, it is for training; give train, val or train"):
        open_dataset("cityscapes", cityscapes, split)


def test_missing_ground_truth(cityscapes):
    """A whole part, or one file of it: each says which."""
    next((cityscapes / "gtFine/val").rglob("*000001_000019_gtFine_labelIds.png")).unlink()
    with pytest.raises(PicieError, match=r"1 of 4 images have no ground truth, first val/frankfurt/.*labelIds.png"):
        open_dataset("cityscapes", cityscapes)
    (cityscapes / "gtFine").rename(cityscapes / "gt")
    with pytest.raises(PicieError, match=r"has no gtFine/train/\*/\*_gtFine_labelIds.png and gtFine/val/"):
        open_dataset("cityscapes", cityscapes)


def test_other_ids_are_refused(cityscapes):
    """An id after 33 is none of Cityscapes: the file is named."""
    save(cityscapes, "val", "frankfurt", 0, np.full((32, 64), 34, np.uint8))
    with pytest.raises(
        PicieError, match=r"frankfurt_000000_000019_gtFine_labelIds.png has the ids 34, known are 0 to 33"
    ):
        open_dataset("cityscapes", cityscapes, "val").read_mask(0)
