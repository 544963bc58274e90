"""Exports that a student learns from: splits, confidence and annotations, and what is wrong with a folder in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.distillation.dataset import Example, Examples, check_learnable, open_export
from picie_core.errors import PicieError
from tests.small_exports import CLASSES, write_export


def equal(example: Example) -> np.ndarray:
    """Every pixel counts the same."""
    return np.ones(example.labels.shape)


def stems(part) -> list[str]:
    """The stems of a part, sorted."""
    return sorted(one.stem for one in part)


def test_the_splits_of_the_export_count(tmp_path):
    """An image of val is held out, one that no split names is left alone."""
    splits = {"train": ["scene 0", "a/scene 1"], "val": ["scene 2"]}
    labels = open_export(write_export(tmp_path / "out", splits=splits), 0.5, 0)
    assert (stems(labels.train), stems(labels.val)) == (sorted(splits["train"]), splits["val"])


def test_lists_of_the_splits_count_too(tmp_path):
    """splits/train.txt and val.txt, a stem a line; an empty val.txt holds out nothing, so the share does."""
    root = write_export(tmp_path / "out")
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("scene 0\na/scene 1\n")
    (root / "splits" / "val.txt").write_text("scene 2\n")
    labels = open_export(root, 0.34, 0)
    assert (stems(labels.train), stems(labels.val)) == (["a/scene 1", "scene 0"], ["scene 2"])
    (root / "splits" / "val.txt").write_text("")
    assert len(open_export(root, 0.34, 0).val) == 2


def test_annotated_images_are_named_by_stem_or_path(tmp_path):
    """Paths of the images before the export mean the stems that they got in it."""
    renamed = {"b/old.name.jpg": "scene 4"}
    root = write_export(tmp_path / "out", renamed=renamed)
    record_without(root, annotated=["scene 0", "a/scene 1.jpg", "b/old.name.jpg"])
    labels = open_export(root, 0.34, 0)
    annotated = [one.stem for one in (*labels.train, *labels.val) if one.annotated]
    assert sorted(annotated) == ["a/scene 1", "scene 0", "scene 4"]


def test_without_splits_a_share_is_held_out_by_seed(tmp_path):
    """The same seed gives the same images, both parts are there and do not meet."""
    root = write_export(tmp_path / "out")
    first, again, other = (open_export(root, 0.34, seed) for seed in (0, 0, 1))
    assert stems(first.val) == stems(again.val) != stems(other.val)
    assert len(first.val) == 2 and len(first.train) == 4
    assert not set(stems(first.val)) & set(stems(first.train))


def test_confidence_and_annotations_are_read_where_they_lie(tmp_path):
    """A map belongs to its stem; an annotated image is sure, whatever its map says."""
    root = write_export(tmp_path / "out", confidence=True, annotated=[1])
    labels = open_export(root, 0.34, 0)
    by_stem = {one.stem: one for one in (*labels.train, *labels.val)}
    assert [stem for stem, one in by_stem.items() if one.annotated] == ["a/scene 1"]
    sure, annotated = (Examples([by_stem[stem]], 64, 3)[0] for stem in ("scene 0", "a/scene 1"))
    assert set(np.unique(sure.confidence)) == {51, 255}
    assert annotated.confidence is None and annotated.annotated


def test_labels_are_scaled_by_nearest(tmp_path):
    """At half the size there are no new ids, and image, labels and confidence agree in size."""
    root = write_export(tmp_path / "out", confidence=True)
    labels = open_export(root, 0.34, 0)
    example = Examples(labels.train, 32, 3)[0]
    assert example.labels.shape == example.image.shape[:2] == example.confidence.shape == (32, 48)
    assert set(np.unique(example.labels)) <= {0, 1, 2}


def test_examples_beyond_the_memory_are_read_again(tmp_path):
    """With no memory to keep them they are the same."""
    labels = open_export(write_export(tmp_path / "out"), 0.34, 0)
    kept, read = Examples(labels.train, 64, 3), Examples(labels.train, 64, 3, memory_mb=0)
    for i in range(len(kept)):
        np.testing.assert_array_equal(kept[i].image, read[i].image)
    assert kept[0] is kept[0] and read[0] is not read[0]
    for one, other in zip(kept.label_counts(equal), read.label_counts(equal), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pixels_and_weights_of_each_class_are_counted(tmp_path):
    """Over all images, without the ignored ones: by hand."""
    labels = open_export(write_export(tmp_path / "out"), 0.34, 0)
    examples = Examples(labels.train, 64, 3)
    counts, mass = examples.label_counts(lambda one: np.full(one.labels.shape, 0.5))
    by_hand = [sum(int((examples[i].labels == c).sum()) for i in range(len(examples))) for c in range(3)]
    assert counts.tolist() == by_hand and mass.tolist() == [one / 2 for one in by_hand]


# -- what is wrong with a folder


def record_without(root: Path, **changes) -> None:
    """Changes entries of export.json."""
    path = root / "export.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def no_record(root: Path) -> None:
    (root / "export.json").unlink()


def half_a_record(root: Path) -> None:
    (root / "export.json").write_text('{"classes": [')


def another_format(root: Path) -> None:
    record_without(root, format="voc")
    (root / "masks").rename(root / "SegmentationClass")


def cluster_ids(root: Path) -> None:
    record_without(root, mask_mode="I;16")


def one_class(root: Path) -> None:
    record_without(root, classes=CLASSES[:1])


def gap_in_ids(root: Path) -> None:
    record_without(root, classes=[CLASSES[0], CLASSES[2]])


def empty_val(root: Path) -> None:
    record_without(root, splits={"train": ["scene 0"], "val": ["scene 7"]})


def no_images(root: Path) -> None:
    (root / "images").rename(root / "pictures")


def nothing_to_train_on(root: Path) -> None:
    record_without(root, splits={"train": [], "val": ["scene 0"]})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_record, r"is no export, it has no export.json: give the folder that `export --format png` wrote"),
        (half_a_record, r"export.json cannot be read .*: give the folder"),
        (another_format, r"has the format 'voc', not png with a folder masks/: give the folder"),
        (cluster_ids, r"are cluster ids of 16 bit, .*: name the clusters and export them without --raw"),
        (no_images, r"has masks but no images: export again, with the image files copied or linked"),
        (one_class, r"has 1 class: a network needs two classes to tell apart, name another and export again"),
        (gap_in_ids, r"class ids of .* must be 0 to 1 in order: export again"),
        (empty_val, r"the splits of .* list 'scene 7', which has no image or no mask: export again"),
        (nothing_to_train_on, r"leaves 0 images to train on and 1 to hold out, of 6: .*export more images"),
    ],
)
def test_a_folder_that_cannot_be_learnt_from_says_why(tmp_path, damage, words):
    """Before anything is decoded, with the remedy."""
    root = write_export(tmp_path / "out")
    damage(root)
    with pytest.raises(PicieError, match=words):
        open_export(root, 0.34, 0)


def test_one_image_is_too_few(tmp_path):
    """It cannot be trained on and held out."""
    with pytest.raises(PicieError, match=r"leaves 1 images to train on and 0 to hold out, of 1"):
        open_export(write_export(tmp_path / "out", 1), 0.34, 0)


def wrong_size(root: Path) -> None:
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(root / "masks" / "scene 0.png")


def unknown_class(root: Path) -> None:
    Image.fromarray(np.full((64, 96), 7, np.uint8)).save(root / "masks" / "scene 0.png")


def colours(root: Path) -> None:
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(root / "masks" / "scene 0.png")


def wrong_confidence(root: Path) -> None:
    (root / "confidence").mkdir()
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(root / "confidence" / "scene 0.png")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (wrong_size, r"scene 0.png is 20x10, its image 96x64: .*export again"),
        (unknown_class, r"scene 0.png has the id 7, export.json lists 3 classes, 0 to 2: mend the mask"),
        (colours, r"scene 0.png has mode RGB: a mask needs one channel"),
        (wrong_confidence, r"confidence.scene 0.png is 20x10, its image 96x64"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(tmp_path, damage, words):
    """When it is read: file, what is wrong, remedy."""
    root = write_export(tmp_path / "out")
    damage(root)
    labels = open_export(root, 0.34, 0)
    with pytest.raises(PicieError, match=words):
        Examples([*labels.train, *labels.val], 64, 3).label_counts(equal)


def test_masks_of_one_class_are_refused():
    """Three classes in the list, one in the masks: nothing to tell apart; or nothing to compare with."""
    names, some = ["sky", "road", "tree"], np.array([5, 0, 1])
    check_learnable(some, some, names)
    with pytest.raises(PicieError, match=r"the masks show road alone: a network needs two classes"):
        check_learnable(np.array([0, 9, 0]), some, names)
    with pytest.raises(PicieError, match=r"the masks show no class alone"):
        check_learnable(np.array([0, 0, 0]), some, names)
    with pytest.raises(PicieError, match=r"every pixel of the held-out masks is ignored: hold out other images"):
        check_learnable(some, np.array([0, 0, 0]), names)
