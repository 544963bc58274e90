"""Ground truth of a workspace: looked up at the right pixels, remembered, stored and forgotten."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from picie_core.errors import PicieError
from picie_core.evaluation.sampled_truth import cluster_truth
from picie_core.workspace.ground_truth import (
    forget_masks,
    has_truth,
    load_truth,
    look_up_truth,
    open_truth,
    remember_masks,
    sample_truth,
)
from picie_core.workspace.workspace import Workspace


@pytest.fixture
def masks(scenes, tmp_path):
    """A copy of the masks of the scenes to change."""
    return shutil.copytree(scenes / "masks", tmp_path / "truth")


def test_the_class_of_a_sampled_pixel_is_the_one_at_its_centre(finished, scenes):
    """By hand: 64 x 96 px are 16 x 24 positions of 4 px, and the centre of each is its pixel 2."""
    run = finished.current_run()
    found = look_up_truth(run, scenes / "masks")
    records = finished.image_list().records
    assert found.class_names == ("class 0", "class 1", "class 2")
    for position, label in zip(run.sample().positions[::7], found.labels[::7], strict=True):
        mask = np.asarray(Image.open(scenes / "masks" / records[position[0]].path))
        assert label == mask[4 * position[1] + 2, 4 * position[2] + 2]


def test_masks_of_large_images_are_read_at_their_own_size(finished_copy, tmp_path):
    """Positions are those of the resized image; masks and images may be of any size."""
    run, records = finished_copy.current_run(), finished_copy.image_list().records
    rng = np.random.default_rng(0)
    large = {record.path: rng.integers(0, 3, (64, 96)).astype(np.uint8) for record in records}
    (tmp_path / "large").mkdir()
    (tmp_path / "images").mkdir()
    for path, small in large.items():
        Image.fromarray(np.kron(small, np.ones((5, 5), np.uint8))).save(tmp_path / "large" / path)
        Image.fromarray(np.zeros((320, 480, 3), np.uint8)).save(tmp_path / "images" / path)
    workspace = Workspace.create(finished_copy.root, tmp_path / "images")
    workspace.scan()
    found = look_up_truth(run, tmp_path / "large")
    positions = run.sample().positions
    expected = [large[records[image].path][4 * row + 2, 4 * column + 2] for image, row, column in positions]
    np.testing.assert_array_equal(found.labels, expected)


def test_masks_are_remembered_stored_and_forgotten(finished_copy, masks):
    """Nothing before, the same after a reopening without a mask being read, nothing again afterwards."""
    run = finished_copy.current_run()
    assert not has_truth(finished_copy)
    assert (open_truth(finished_copy), load_truth(run), sample_truth(run)) == (None,) * 3
    made = remember_masks(run, masks)
    again = Workspace.open(finished_copy.root)
    assert has_truth(again) and open_truth(again).masks_root == masks
    shutil.rmtree(masks)
    stored = load_truth(again.current_run())
    np.testing.assert_array_equal(stored.labels, made.labels)
    assert stored.class_names == made.class_names
    with pytest.raises(PicieError, match=r"the masks of this workspace are gone .*truth --masks NEW_FOLDER"):
        sample_truth(again.current_run())
    forget_masks(again)
    assert not has_truth(finished_copy) and load_truth(run) is None


def test_masks_and_workspace_can_move_together(finished_copy, masks, tmp_path):
    """The way from one to the other is kept too."""
    remember_masks(finished_copy.current_run(), masks)
    (tmp_path / "moved").mkdir()
    for folder in (finished_copy.root, masks):
        folder.rename(tmp_path / "moved" / folder.name)
    moved = Workspace.open(tmp_path / "moved" / finished_copy.root.name)
    assert open_truth(moved).masks_root == tmp_path / "moved" / "truth"


def test_other_masks_are_other_classes(finished_copy, masks, tmp_path):
    """What was looked up in one folder is never shown for another."""
    run = finished_copy.current_run()
    remember_masks(run, masks)
    other = shutil.copytree(masks, tmp_path / "other")
    for path in other.iterdir():
        Image.fromarray(np.full((64, 96), 2, np.uint8)).save(path)
    remember_masks(run, other)
    assert set(load_truth(run).labels) == {2}


def test_images_without_a_mask_are_not_known(finished_copy, masks):
    """Some masks are enough; pixels of the other images count nowhere."""
    run = finished_copy.current_run()
    for path in sorted(masks.iterdir())[1:]:
        path.unlink()
    found = remember_masks(run, masks)
    images = np.asarray(run.sample().positions[:, 0])
    assert set(found.labels[images != 0]) == {255} and 255 not in found.labels[images == 0]
    clustering = run.clustering()
    assert sum(one.purity is not None for one in cluster_truth(clustering, found)) > 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda path: Image.fromarray(np.zeros((9, 9), np.uint8)).save(path),
            "is 9 x 9, the image 96 x 64: give masks",
        ),
        (lambda path: path.write_bytes(b"no picture"), "cannot be read as a mask"),
        (lambda path: Image.new("RGB", (96, 64)).save(path), "has mode RGB: a mask needs one channel"),
    ],
)
def test_a_wrong_mask_is_refused_and_nothing_is_remembered(finished_copy, masks, spoil, message):
    """The message says which mask, what is wrong and the remedy."""
    spoil(masks / "scene-3.png")
    with pytest.raises(PicieError, match=message):
        remember_masks(finished_copy.current_run(), masks)
    assert not has_truth(finished_copy)


def test_a_folder_without_masks_is_refused(finished_copy, tmp_path):
    """No folder, and a folder of other names."""
    run = finished_copy.current_run()
    with pytest.raises(PicieError, match="absent is not a folder"):
        remember_masks(run, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PicieError, match=r"no mask under .*empty has the name of an image"):
        remember_masks(run, tmp_path / "empty")


def test_the_command_says_how_good_the_names_are(finished_copy, masks, say):
    """`truth --masks` checks, remembers and measures; without it again; `--none` forgets."""
    root = finished_copy.root
    refused = say("truth", "--workspace", root)
    assert (refused.code, "truth needs --masks DIR" in refused.err) == (2, True)
    made = finished_copy.current_run().clustering()
    finished_copy.label_map.name_clusters(made.key, [0], "class 1")
    said = say("truth", "--masks", masks, "--workspace", root)
    assert said.code == 0, said.err
    assert "accuracy: " in said.out and "| cluster | majority class | purity | pixels |" in said.out
    assert "nan" not in said.out.lower()
    assert say("truth", "--workspace", root).out == said.out
    both = say("truth", "--masks", masks, "--none", "--workspace", root)
    assert (both.code, "not both" in both.err) == (2, True)
    assert say("truth", "--none", "--workspace", root).code == 0
    assert not has_truth(finished_copy)
    failed = say("truth", "--masks", root / "absent", "--workspace", root)
    assert (failed.code, "is not a folder" in failed.err) == (1, True)
