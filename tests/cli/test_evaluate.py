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
    assert sum(map(sum, result["confusion"])) == 2 * 64 * 96


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
    header = lines.index("| class | kind | share | accuracy | iou | accuracy_oracle | iou_oracle |")
    assert lines[header + 1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert [line.split(" | ")[0] for line in lines[header + 2 : header + 5]] == ["| smooth", "| striped", "| noisy"]
    assert "confusion: 6 x 3 numbers, see --json" in lines


def test_the_table_is_the_mean_of_all_clusterings(finished_copy, say, scene_set):
    """With several seeds per-class metrics are means, and their own mean is the mIoU that is said."""
    assert say("cluster", "--workspace", finished_copy.root, "--k", 6, "--seed", 1).code == 0
    work = ("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--k", 6, "--json")
    result = json.loads(say(*work).out)
    assert result["seeds"] == [0, 1]
    for name in ("", "_oracle"):
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
    assert learnt["accuracy_oracle"] == clusters["accuracy_oracle"] >= learnt["accuracy"]


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
    assert "the classes of the classifier are sky, road, tree, those of the measured masks smooth, striped" in said.err


# -- names from the workspace's own images


def test_without_masks_of_the_own_images_nothing_is_named(finished_copy, say, scene_set):
    """A note says how to get the figures; the oracle and one-to-one are there."""
    result = json.loads(say("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--json").out)
    assert not [name for name in result if name.endswith(("_named", "_own"))]
    assert result["own_images"] == 0
    assert "not known: give --own-masks DIR, or run `truth --masks DIR` once." in result["note"]
    assert result["accuracy_oracle"] >= result["accuracy"]


def test_names_come_from_the_own_masks(finished_copy, say, scene_set, scenes, tmp_path):
    """Clusters keep the names of the own images on others, where these mean something else: little is right there.

    The masks may be given, or be those that `truth` remembers.
    """
    turned = tmp_path / "own"
    turned.mkdir()
    for path in sorted((scenes / "masks").glob("*.png")):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.array([1, 2, 0], np.uint8)[mask]).save(turned / path.name)
    (turned / "classes.txt").write_text("smooth\nstriped\nnoisy\n")
    work = ("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--json")
    given = json.loads(say(*work, "--own-masks", turned).out)
    assert given["own_images"] == 6 and "note" not in given
    assert given["accuracy_own"] > 50 > given["accuracy_named"]
    assert given["accuracy_own"] == pytest.approx(given["accuracy_oracle"], abs=1)  # the same pixels, other names
    assert {"iou_own", "iou_named", "iou_oracle", "iou"} <= set(given["per_class"][0])
    assert say("truth", "--workspace", finished_copy.root, "--masks", turned).code == 0
    assert json.loads(say(*work).out) == given


def test_measured_images_of_the_workspace_are_its_own(finished_copy, say, scenes):
    """Measured on the workspace's folder, own and measured images are the same, and so are all figures of names."""
    masks = ("--images", scenes / "images", "--masks", scenes / "masks")
    result = json.loads(say("evaluate", "--workspace", finished_copy.root, *masks, "--json").out)
    assert result["own_images"] == result["images"] == 6
    assert result["accuracy_own"] == result["accuracy_named"] == result["accuracy_oracle"]
    square = json.loads(say("evaluate", "--workspace", finished_copy.root, *masks, "--centre-square", "--json").out)
    assert sum(map(sum, square["confusion"])) == 6 * 320 * 320
    assert square["accuracy_own"] == result["accuracy_own"]  # own images are whole, as a person sees them


def test_other_images_of_the_same_folder_are_not_the_own_ones(say, tiny, scene_set, tmp_path):
    """A workspace of three images of a folder is named from these, whatever else has masks there."""
    work = tmp_path / "work"
    chosen = tmp_path / "chosen.txt"
    chosen.write_text("scene-0\nscene-2\nscene-4\n")
    words = ("--dataset", "folders", "--root", scene_set, "--list", chosen)
    assert say("embed", "--workspace", work, *words, *tiny).code == 0
    assert say("cluster", "--workspace", work, "--k", 4).code == 0
    measure = ("evaluate", "--workspace", work, "--root", scene_set, "--json")
    every = json.loads(say(*measure).out)
    assert (every["images"], every["own_images"]) == (6, 3)
    assert every["accuracy_named"] <= every["accuracy_oracle"]
    (tmp_path / "rest.txt").write_text("scene-1\nscene-3\n")
    rest = json.loads(say(*measure, "--list", tmp_path / "rest.txt").out)
    assert rest["own_images"] == 0 and "not known: give --own-masks DIR" in rest["note"]
    given = json.loads(say(*measure, "--list", tmp_path / "rest.txt", "--own-masks", scene_set / "masks").out)
    assert given["own_images"] == 3 and given["accuracy_own"] == pytest.approx(every["accuracy_own"])


def test_remembered_masks_of_other_classes_are_left_out(finished_copy, say, scene_set, scenes):
    """Ids without names do not fit classes with names: the note says so; as an option they are refused."""
    work = ("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--json")
    assert say("truth", "--workspace", finished_copy.root, "--masks", scenes / "masks").code == 0
    note = json.loads(say(*work).out)["note"]
    assert "There are no named metrics: the classes of the workspace's masks are class 0, class 1, class 2" in note
    said = say(*work, "--own-masks", scenes / "masks")
    assert said.code == 1 and "give masks of the same classes, with the same classes.txt beside both" in said.err


@pytest.mark.parametrize("part", ["own", "measured"])
def test_masks_that_ignore_every_pixel(finished_copy, say, scene_set, scenes, part):
    """An error that says so, never a NaN; a class that some masks never show is only told."""
    for path in (scene_set / "masks" / "val").glob("*.png"):
        Image.fromarray(np.full((64, 96), 255, np.uint8)).save(path)
    words: tuple[object, ...] = ("--root", scene_set)
    if part == "own":
        shutil.copy(scene_set / "masks" / "classes.txt", scene_set / "masks" / "val")
        plain = (scene_set.parent / "plain" / "masks", scenes / "masks")
        shutil.copytree(plain[1], plain[0])
        shutil.copy(scene_set / "masks" / "classes.txt", plain[0])
        shutil.copytree(scenes / "images", scene_set.parent / "plain" / "images")
        words = ("--root", scene_set.parent / "plain", "--own-masks", scene_set / "masks" / "val")
    said = say("evaluate", "--workspace", finished_copy.root, *words, "--json")
    assert (said.code, said.out) == (1, "")
    assert "no pixel of the 6 masks under" in said.err and "all are 255 (ignored): give masks with class" in said.err


def test_classes_that_never_occur_are_told(finished_copy, say, scene_set, scenes, tmp_path):
    """One in no measured image is left out of means, one in no own image gets no cluster; JSON has no NaN."""
    own = tmp_path / "own"
    own.mkdir()
    for path in (scenes / "masks").glob("*.png"):
        mask = np.array(Image.open(path))
        Image.fromarray(np.where(mask == 2, 255, mask).astype(np.uint8)).save(own / path.name)
    for name in (scene_set / "masks", own):
        (name / "classes.txt").write_text("smooth\nstriped\nnoisy\nabsent\n")
    words = ("--root", scene_set, "--own-masks", own, "--json")
    said = say("evaluate", "--workspace", finished_copy.root, *words)
    assert "NaN" not in said.out
    result = json.loads(said.out)
    assert "No measured image shows absent: the means leave it out." in result["note"]
    assert "No own image shows noisy, so no cluster has that name, and its IoU on others is 0." in result["note"]
    assert result["per_class"][2]["iou_named"] == 0 and result["per_class"][2]["iou_own"] is None
    assert result["per_class"][3]["iou"] is None


def test_more_clusters_than_the_sample_has_pixels(finished_copy, say, scene_set):
    """The number of sampled pixels is named, before anything is measured."""
    said = say("evaluate", "--workspace", finished_copy.root, "--root", scene_set, "--k", 5000)
    assert said.code == 2
    assert "k=5000 needs at least 5000 sampled pixels, got" in said.err


def test_masks_of_other_sizes_are_refused(finished_copy, say, scene_set, scenes):
    """Those of measured images and of own ones alike, with both sizes and the file."""
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(scene_set / "masks" / "val" / "scene-2.png")
    work = ("evaluate", "--workspace", finished_copy.root)
    said = say(*work, "--root", scene_set)
    assert said.code == 1
    assert "scene-2.png is (12, 10), its image val/scene-2.png is (96, 64): sizes must agree, give masks" in said.err
    plain = ("--images", scenes / "images", "--masks", scenes / "masks", "--own-masks", scene_set / "masks" / "val")
    for name in ("classes.txt", "things.txt"):
        (scene_set / "masks" / name).unlink()
    said = say(*work, *plain)
    assert said.code == 1 and "sizes must agree, give masks of the size of their images" in said.err
