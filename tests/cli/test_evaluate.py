"""`evaluate`: which ground truth it opens, what it says of it, and what it draws."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.evaluation.cluster_head import ClusterHead
from picie_core.models.classifier_head import Head, save_head


@pytest.fixture
def scene_set(scenes: Path, tmp_path: Path) -> Path:
    """The scenes as a data set of folders, with a split, names of classes and one thing among them."""
    for folder in ("images", "masks"):
        shutil.copytree(scenes / folder, tmp_path / "set" / folder / "val")
    (tmp_path / "set" / "masks" / "classes.txt").write_text("smooth\nstriped\nnoisy\n")
    (tmp_path / "set" / "masks" / "things.txt").write_text("noisy\n")
    return tmp_path / "set"


def test_a_data_set_and_its_folders_give_the_same(finished_copy, say, scene_set):
    """--root finds what --images and --masks name; metrics, table and confusion are equal."""
    work = ("evaluate", "--workspace", finished_copy.root, "--json")
    by_root = json.loads(say(*work, "--root", scene_set, "--split", "val").out)
    by_folders = json.loads(say(*work, "--images", scene_set / "images", "--masks", scene_set / "masks").out)
    assert by_root == by_folders
    assert by_root["images"] == 6


def test_a_list_chooses_images(finished_copy, say, scene_set, tmp_path):
    """--list counts the pixels of its images only."""
    (tmp_path / "list.txt").write_text("scene-1\nscene-4\n")
    words = ("--root", scene_set, "--list", tmp_path / "list.txt", "--json")
    result = json.loads(say("evaluate", "--workspace", finished_copy.root, *words).out)
    assert result["images"] == 2
    assert sum(map(sum, result["confusion"])) == 2 * 64 * 64


def test_things_and_stuff_have_their_own_metrics(finished_copy, say, scene_set):
    """A set that knows its things gives both metrics, which make up the whole; one that does not gives neither."""
    work = ("evaluate", "--workspace", finished_copy.root, "--json", "--root", scene_set)
    result = json.loads(say(*work).out)
    assert [row["kind"] for row in result["per_class"]] == ["stuff", "stuff", "thing"]
    share = result["per_class"][2]["share"] / 100
    parts = share * result["accuracy_things"] + (1 - share) * result["accuracy_stuff"]
    assert parts == pytest.approx(result["accuracy"], abs=0.02)
    (scene_set / "masks" / "things.txt").unlink()
    bare = json.loads(say(*work).out)
    assert "accuracy_things" not in bare
    assert "kind" not in bare["per_class"][0]
    assert bare["miou"] == result["miou"]


def test_a_person_reads_a_markdown_table(finished_copy, say, scene_set):
    """Without --json: a row a class in percent, and not the confusion's numbers one by one."""
    said = say("evaluate", "--workspace", finished_copy.root, "--root", scene_set)
    lines = said.out.splitlines()
    header = lines.index("| class | kind | share | accuracy | iou | accuracy_named | iou_named |")
    assert lines[header + 1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert [line.split(" | ")[0] for line in lines[header + 2 : header + 5]] == ["| smooth", "| striped", "| noisy"]
    assert "confusion: 6 x 3 numbers, see --json" in lines


def test_the_table_is_the_mean_of_all_clusterings(finished_copy, say, scene_set):
    """With several seeds per-class metrics are means, and their own mean is the mIoU that is said."""
    assert say("cluster", "--workspace", finished_copy.root, "--k", 6, "--seed", 1).code == 0
    work = ("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--k", 6, "--json")
    result = json.loads(say(*work).out)
    assert result["seeds"] == [0, 1]
    for name in ("", "_named"):
        mean = np.mean([row[f"iou{name}"] for row in result["per_class"]])
        assert mean == pytest.approx(result[f"miou{name}"], abs=0.01)


def test_the_confusion_is_drawn(finished_copy, say, scene_set, tmp_path):
    """--picture writes a PNG and says where; another ending is wrong usage, before any work."""
    work = ("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--picture")
    said = say(*work, tmp_path / "confusion.png")
    assert f"picture: {tmp_path / 'confusion.png'}" in said.out
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
    said = say(*work, tmp_path / "confusion.jpg")
    assert (said.code, said.out) == (2, "")
    assert "confusion.jpg must end in .png: give another name" in said.err


# -- classifiers


def test_a_classifier_of_clusters_is_matched(finished_copy, say, scene_set):
    """A learnt head without names of classes scores as its rows do as centroids."""
    run = finished_copy.pick_run(None)
    centroids = run.clustering().centroids
    save_head(ClusterHead.of_centroids(centroids), run.folder / "head.npz")
    work = ("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--json")
    learnt, clusters = json.loads(say(*work, "--head").out), json.loads(say(*work).out)
    assert learnt["confusion"] == clusters["confusion"]
    assert learnt["accuracy_named"] == clusters["accuracy_named"] >= learnt["accuracy"]


def test_a_classifier_of_classes_is_not_matched(finished_copy, say, scene_set, tmp_path):
    """Rows that are classes count as they are, so that rows in the wrong order are wrong; and the picture has names."""
    run = finished_copy.pick_run(None)
    counts = json.loads(say("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--json").out)[
        "confusion"
    ]
    majority = np.argmax(counts, axis=1)
    centroids = run.clustering().centroids
    rows = np.array([centroids[np.flatnonzero(majority == i)[0]] for i in range(3)])
    names = ("smooth", "striped", "noisy")
    results = []
    for order in ([0, 1, 2], [1, 2, 0]):
        head = Head(rows[order], np.zeros(3, np.float32), names)
        save_head(head, run.folder / "head.npz")
        work = ("--head", "--picture", tmp_path / "head.png", "--json")
        results.append(json.loads(say("evaluate", "--workspace", finished_copy.root, "--root", scene_set, *work).out))
    right, wrong = results
    assert right["accuracy"] == right["accuracy_named"] > 50 > wrong["accuracy"]
    assert right["miou"] == right["miou_named"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--root", "SET", "--images", "SET"), 2, "ground truth is missing: give --images DIR and --masks DIR, or"),
        ((), 2, "ground truth is missing"),
        (("--images", "SET"), 2, "ground truth is missing"),
        (("--dataset", "cityscapes", "--images", "SET", "--masks", "SET"), 2, "ground truth is missing"),
        (("--dataset", "voc", "--root", "SET"), 2, "invalid choice: 'voc'"),
        (("--root", "SET", "--split", "test"), 2, "split='test' has no 'test': give val"),
        (("--dataset", "cocostuff", "--root", "SET"), 1, "has no images/val2017/*.jpg and annotations/val2017/*.png"),
        (("--dataset", "cityscapes", "--root", "SET"), 1, "Expected for Cityscapes, below"),
        (("--root", "SET", "--head"), 1, "only trainings with mdc, iic, supervised or probe have one"),
        (("--root", "SET", "--head", "--k", "6"), 2, "k=6 asks for clusterings, --head for the classifier"),
        (("--root", "SET", "--list", "absent.txt"), 1, "absent.txt cannot be read as a list"),
    ],
)
def test_refusals(finished, say, scene_set, words, code, message):
    """Each says what is missing or wrong and what to give, without a traceback."""
    said = say("evaluate", "--workspace", finished.root, *(scene_set if word == "SET" else word for word in words))
    assert (said.code, said.out) == (code, "")
    assert message in said.err
    assert "Traceback" not in said.err


def test_masks_with_other_ids_are_refused(finished_copy, say, scene_set):
    """A mask of more classes than classes.txt has: file and ids are named."""
    Image.fromarray(np.full((64, 96), 7, np.uint8)).save(scene_set / "masks" / "val" / "scene-2.png")
    said = say("evaluate", "--workspace", finished_copy.root, "--root", scene_set)
    assert said.code == 1
    assert "scene-2.png has the ids 7, known are 0 to 2, 255: mend the mask or give its classes" in said.err


def test_a_classifier_of_other_classes_is_refused(finished_copy, say, scene_set):
    """Both lists of names are shown."""
    run = finished_copy.pick_run(None)
    head = Head(np.ones((3, 32), np.float32), np.zeros(3, np.float32), ("sky", "road", "tree"))
    save_head(head, run.folder / "head.npz")
    said = say("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--head")
    assert said.code == 1
    assert "the classifier knows sky, road, tree, the ground truth smooth, striped, noisy" in said.err
