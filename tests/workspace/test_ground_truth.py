"""Ground truth of a workspace: looked up at the right pixels, figures of the evaluation, nothing where none is."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score

from picie_core.errors import PicieError
from picie_core.labels.classes import Class
from picie_core.workspace.ground_truth import (
    SampledTruth,
    cluster_truth,
    forget_masks,
    has_truth,
    load_truth,
    look_up_truth,
    map_truth,
    open_truth,
    remember_masks,
    sample_truth,
)
from picie_core.workspace.workspace import Workspace
from tests.hand_made import clustering_of


@pytest.fixture
def masks(scenes, tmp_path):
    """A copy of the masks of the scenes to change."""
    return shutil.copytree(scenes / "masks", tmp_path / "truth")


def labelled(labels: list[int], classes: list[int], names: str = "abc"):
    """A clustering and the ground truth of its sampled pixels."""
    k = max(labels) + 1
    rows = np.eye(k, dtype=np.float32)[labels]
    return clustering_of(np.eye(k, dtype=np.float32), rows=rows), SampledTruth(
        tuple(names), np.array(classes, np.uint8)
    )


def test_the_class_of_a_sampled_pixel_is_the_one_at_its_centre(finished, scenes):
    """For every sampled cell by hand: 64 x 96 px are 16 x 24 cells of 4 px, and the centre is pixel 2 of them."""
    run = finished.current_run()
    found = look_up_truth(run, scenes / "masks")
    records = finished.image_list().records
    assert found.class_names == ("class 0", "class 1", "class 2")
    for place, label in zip(run.sample().positions[::7], found.labels[::7], strict=True):
        mask = np.asarray(Image.open(scenes / "masks" / records[place[0]].path))
        assert label == mask[4 * place[1] + 2, 4 * place[2] + 2]


def test_masks_of_large_images_are_read_at_their_own_size(finished_copy, tmp_path):
    """Cells are places in the resized image; masks and images may be of any size."""
    run, records = finished_copy.current_run(), finished_copy.image_list().records
    rng = np.random.default_rng(0)
    large = {record.path: rng.integers(0, 3, (64, 96)).astype(np.uint8) for record in records}
    (tmp_path / "large").mkdir()
    (tmp_path / "images").mkdir()
    for path, small in large.items():
        Image.fromarray(np.kron(small, np.ones((5, 5), np.uint8))).save(tmp_path / "large" / path)
        Image.fromarray(np.zeros((320, 480, 3), np.uint8)).save(tmp_path / "images" / path)
    space = Workspace.create(finished_copy.root, tmp_path / "images")
    space.scan()
    found = look_up_truth(run, tmp_path / "large")
    places = run.sample().positions
    expected = [large[records[image].path][4 * row + 2, 4 * column + 2] for image, row, column in places]
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
    with pytest.raises(PicieError, match=r"the masks of this workspace are gone .*truth --masks NEW_PLACE"):
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


def test_other_masks_are_other_figures(finished_copy, masks, tmp_path):
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


def test_clusters_by_hand():
    """Majority and purity without the pixels that are not known; a cluster of such pixels has neither."""
    made, truth = labelled([0, 0, 0, 0, 1, 1, 2], [1, 1, 0, 255, 2, 2, 255])
    first, second, third = cluster_truth(made, truth)
    assert (first.class_id, first.class_name, first.purity) == (1, "b", pytest.approx(2 / 3))
    assert (second.class_name, second.purity) == ("c", 1)
    assert (third.class_id, third.class_name, third.purity) == (None, None, None)


def test_a_label_map_by_hand():
    """Names decide, whatever their case; other names stand for what most of their pixels are; unnamed is wrong."""
    made, truth = labelled([0, 0, 0, 1, 1, 2, 3], [0, 0, 1, 1, 2, 2, 255])
    classes = [Class(0, "B", "#000001"), Class(1, "lane", "#000002")]
    found = map_truth(made, {0: 1, 1: 0, 3: 0}, classes, truth)  # 0 is lane, 1 is B, 2 has no name
    assert found.meant == (1, 0)
    assert found.accuracy == pytest.approx(3 / 6)
    np.testing.assert_array_equal(found.confusion, [[0, 1, 1], [2, 1, 0], [0, 0, 1]])
    assert found.class_iou == (pytest.approx(2 / 3), pytest.approx(1 / 3), 0)
    assert found.mean_iou == pytest.approx(1 / 3)
    ignored = map_truth(made, {0: 1, 1: 0, 2: 255}, classes, truth)
    assert ignored.accuracy == found.accuracy


@pytest.mark.parametrize("seed", range(5))
def test_figures_of_random_names_are_scikit_learns(seed):
    """Accuracy, IoU and confusion of a map whose names are those of the truth, some clusters without one."""
    rng = np.random.default_rng(seed)
    labels, truth_labels = rng.integers(0, 9, 500), rng.integers(0, 4, 500)
    made, truth = labelled(labels.tolist(), truth_labels.tolist(), "abcd")
    classes = [Class(i, name, f"#00000{i}") for i, name in enumerate("dbca")]
    classes_of = {int(c): int(rng.integers(0, 4)) for c in rng.choice(9, 7, replace=False)}
    found = map_truth(made, classes_of, classes, truth)
    as_truth = {0: 3, 1: 1, 2: 2, 3: 0}
    predicted = np.array([as_truth[classes_of[c]] if c in classes_of else 4 for c in labels])
    assert found.accuracy == pytest.approx((predicted == truth_labels).mean())
    iou = jaccard_score(truth_labels, predicted, labels=range(4), average=None)
    np.testing.assert_allclose(found.class_iou, iou)
    assert found.mean_iou == pytest.approx(iou.mean())
    table = confusion_matrix(predicted, truth_labels, labels=range(5))[:, :4]
    np.testing.assert_array_equal(found.confusion[[3, 1, 2, 0, 4]], table)


def test_nothing_known_is_none_and_never_nan():
    """A class without pixels, no pixels at all, no classes: None each."""
    made, truth = labelled([0, 1], [0, 0])
    found = map_truth(made, {0: 0}, [Class(0, "a", "#000001"), Class(1, "new", "#000002")], truth)
    assert found.class_iou == (0.5, None, None) and found.meant == (0, None)
    unknown = map_truth(made, {}, [], SampledTruth(("a",), np.array([255, 255], np.uint8)))
    assert (unknown.accuracy, unknown.mean_iou, unknown.class_iou, unknown.meant) == (None, None, (None,), ())


def test_the_command_says_how_good_the_names_are(finished_copy, masks, say):
    """`truth --masks` checks, remembers and measures; without it again; `--none` forgets."""
    root = finished_copy.root
    refused = say("truth", "--workspace", root)
    assert (refused.code, "truth needs --masks DIR" in refused.err) == (2, True)
    made = finished_copy.current_run().clustering()
    finished_copy.label_map.name_clusters(made.key, [0], "class 1")
    said = say("truth", "--masks", masks, "--workspace", root)
    assert said.code == 0, said.err
    assert "accuracy: " in said.out and "| cluster | best match | purity | pixels |" in said.out
    assert "nan" not in said.out.lower()
    assert say("truth", "--workspace", root).out == said.out
    both = say("truth", "--masks", masks, "--none", "--workspace", root)
    assert (both.code, "not both" in both.err) == (2, True)
    assert say("truth", "--none", "--workspace", root).code == 0
    assert not has_truth(finished_copy)
    failed = say("truth", "--masks", root / "absent", "--workspace", root)
    assert (failed.code, "is not a folder" in failed.err) == (1, True)
