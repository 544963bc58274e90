"""Annotations: exact pixels, classes that follow every edit, one undo an import, and no cost for other edits."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import SettingError
from picie_core.labels.label_map import LabelMap
from tests.factories import decisions, name_in_order, names_of

KEY = "k27-digest"
NAMES = ["road", "sky", "tree"]


def mask_of(*ids: int) -> np.ndarray:
    """Stripes of these ids, (4, 3 * number) uint8."""
    return np.repeat(np.array([ids], np.uint8), 4, axis=0).repeat(3, axis=1)


def shown(label_map: LabelMap, path: str) -> list[str]:
    """The class name of each stripe of an annotation, as a person sees it."""
    names = {one.id: one.name for one in label_map.classes()} | {IGNORE_ID: "-"}
    mask = label_map.annotation_mask(path)
    assert mask is not None and mask.dtype == np.uint8 and mask.shape[0] == 4
    return [names[one] for one in mask[0, ::3].tolist()]


@pytest.fixture
def annotated(label_map: LabelMap) -> LabelMap:
    """Two images with annotations; road, sky and tree were there in another order."""
    name_in_order(label_map, KEY, "tree road sky")
    label_map.annotate([("a/1.png", mask_of(0, 1, 255)), ("b.png", mask_of(2, 2, 0))], NAMES, "cvat.zip")
    return label_map


def test_pixels_come_back_exactly_in_the_ids_of_now(annotated):
    """Classes are found by name, 255 stays 255, and an image without an annotation has none."""
    assert annotated.annotated_paths() == {"a/1.png", "b.png"}
    np.testing.assert_array_equal(annotated.annotation_mask("a/1.png"), mask_of(1, 2, 255))
    np.testing.assert_array_equal(annotated.annotation_mask("b.png"), mask_of(0, 0, 1))
    assert annotated.annotation_mask("1.png") is None and LabelMap("/nowhere/at/all").annotation_mask("b.png") is None


def test_what_was_read_once_stays_as_it_was(annotated):
    """An export that reads the annotations at its start writes them in the ids of then, whatever is edited after."""
    then = annotated.annotated_images()
    expected = {path: annotated.annotation_mask(path) for path in annotated.annotated_paths()}
    annotated.delete_class(0)
    annotated.annotate([("b.png", mask_of(1, 1, 1))], NAMES, "x")
    annotated.remove_annotations(["a/1.png"])
    for path, mask in expected.items():
        np.testing.assert_array_equal(then.mask(path), mask)
    assert then.mask("c.png") is None and set(then.entries) == {"a/1.png", "b.png"}
    assert then.digest != annotated.annotated_images().digest
    for _ in range(3):
        annotated.undo()
    assert then.digest == annotated.annotated_images().digest and LabelMap("/no/map").annotated_images().digest == ""


def test_a_random_mask_of_every_id_comes_back(label_map):
    """All 254 classes and 255, in an image of odd size."""
    mask = np.random.default_rng(0).integers(0, 256, (37, 53)).astype(np.uint8)
    mask[mask == 254] = 255
    added = label_map.annotate([("x.png", mask)], [f"class {i}" for i in range(254)], "png")
    assert len(added) == 254
    np.testing.assert_array_equal(label_map.annotation_mask("x.png"), mask)


def test_every_spelling_of_a_name_is_the_same_class(label_map):
    """NFC and case do not matter, `IGNORE` is ignored, and only classes that a pixel has are added."""
    label_map.name_clusters(KEY, [0], "Café")
    names = ["cafe\u0301", "IGNORE", "unused", "new"]
    assert label_map.annotate([("x.png", mask_of(0, 1, 3))], names, "png") == ["new"]
    assert shown(label_map, "x.png") == ["Café", "-", "new"]
    assert [one.name for one in label_map.classes()] == ["Café", "new"]


def test_annotated_pixels_follow_their_class(annotated):
    """Renames, merges, deletions and new ids change what pixels are called as they do with clusters."""
    ids = {one.name: one.id for one in annotated.classes()}
    annotated.rename_class(ids["sky"], "heaven")
    assert shown(annotated, "a/1.png") == ["road", "heaven", "-"]
    annotated.merge_class(ids["tree"], ids["road"])
    assert shown(annotated, "b.png") == ["road", "road", "road"]
    assert shown(annotated, "a/1.png") == ["road", "heaven", "-"]
    annotated.delete_class(next(one.id for one in annotated.classes() if one.name == "road"))
    assert shown(annotated, "a/1.png") == ["-", "heaven", "-"] and shown(annotated, "b.png") == ["-", "-", "-"]
    for _ in range(3):
        annotated.undo()
    assert shown(annotated, "a/1.png") == ["road", "sky", "-"] and shown(annotated, "b.png") == ["tree", "tree", "road"]


def test_an_import_of_names_that_swaps_ids_swaps_no_pixels(annotated):
    """Classes in a new order keep their pixels."""
    record = annotated.export_map(KEY)
    for one, new_id in zip(record["classes"], (2, 0, 1), strict=True):
        one["id"] = new_id
    annotated.import_map(KEY, record, 27)
    assert [one.name for one in annotated.classes()] != ["tree", "road", "sky"]
    assert shown(annotated, "a/1.png") == ["road", "sky", "-"] and shown(annotated, "b.png") == ["tree", "tree", "road"]


def test_one_import_is_one_edit(annotated):
    """Undo takes all of its images back, with the classes that it added; redo brings both again."""
    before = decisions(annotated)
    masks = [("b.png", mask_of(0, 1, 2)), ("c.png", mask_of(1, 1, 1))]
    assert annotated.annotate(masks, ["sky", "boat", "road"], "voc") == ["boat"]
    after = decisions(annotated)
    assert shown(annotated, "b.png") == ["sky", "boat", "road"] and shown(annotated, "c.png") == ["boat"] * 3
    assert annotated.can_undo().words == "annotated 2 images from voc" == annotated.undo().words
    assert decisions(annotated) == before and shown(annotated, "b.png") == ["tree", "tree", "road"]
    assert annotated.annotation_mask("c.png") is None
    annotated.redo()
    assert decisions(annotated) == after and shown(annotated, "b.png") == ["sky", "boat", "road"]


def test_annotations_are_removed_in_one_edit(annotated):
    """Those that are named and there; the others stay, and undo brings them back pixel by pixel."""
    assert annotated.remove_annotations(["b.png", "never.png"]) == 1
    assert annotated.annotated_paths() == {"a/1.png"} and annotated.annotation_mask("b.png") is None
    assert annotated.undo().words == "removed the annotation of 1 image"
    assert shown(annotated, "b.png") == ["tree", "tree", "road"]
    version = annotated.version()
    assert annotated.remove_annotations(["never.png"]) == 0 and annotated.version() == version


def test_the_same_again_is_no_edit(annotated):
    """Importing what is there already leaves nothing to undo."""
    version = annotated.version()
    annotated.annotate([("b.png", mask_of(2, 2, 0))], NAMES, "cvat.zip")
    assert annotated.version() == version


def test_a_snapshot_holds_annotations(annotated):
    """Returning to it brings them back, and so does undoing the return."""
    annotated.save_snapshot("with")
    annotated.remove_annotations(["a/1.png", "b.png"])
    annotated.delete_class(0)
    annotated.restore_snapshot("with")
    assert shown(annotated, "b.png") == ["tree", "tree", "road"]
    annotated.undo()
    assert annotated.annotated_paths() == set()


def test_a_snapshot_of_an_older_program_has_none(annotated):
    """What it saved had no annotations; returning to it can be undone."""
    annotated.save_snapshot("old")
    with closing(sqlite3.connect(annotated.path)) as database, database:
        rows = "json_remove(rows, '$.annotations', '$.annotation_classes')"
        database.execute(f"UPDATE snapshots SET rows = {rows}")
    annotated.restore_snapshot("old")
    assert annotated.annotated_paths() == set() and names_of(annotated, KEY)[0] == "tree"
    annotated.undo()
    assert shown(annotated, "b.png") == ["tree", "tree", "road"]


def test_a_mask_that_cannot_be_made_changes_nothing(annotated):
    """A failure in the middle of an import leaves decisions as they were."""
    before = decisions(annotated)

    def masks() -> Iterator[tuple[str, np.ndarray]]:
        yield "c.png", mask_of(0, 0, 0)
        raise SettingError("damaged")

    with pytest.raises(SettingError, match="damaged"):
        annotated.annotate(masks(), NAMES, "png")
    with pytest.raises(SettingError, match=r"the mask of c\.png has the ids \[3, 9\], 3 have a name"):
        annotated.annotate([("c.png", mask_of(0, 3, 9))], NAMES, "png")
    with pytest.raises(SettingError, match="must have 1 to 60 characters"):
        annotated.annotate([("c.png", mask_of(0, 0, 0))], ["x" * 61], "png")
    assert decisions(annotated) == before


@pytest.mark.slow
def test_a_kill_loses_no_annotation_that_was_done(label_map):
    """After kill -9 in the middle of imports the file opens, and every import that was reported as done is there."""
    program = (
        "import sys, numpy as np; from picie_core.labels.label_map import LabelMap\n"
        "label_map, names = LabelMap(sys.argv[1]), [f'class {i}' for i in range(5)]\n"
        "for index in range(10**6):\n"
        "    mask = np.random.default_rng(index).integers(0, 5, (40, 40)).astype(np.uint8)\n"
        "    label_map.annotate([(f'{index}-{i}.png', np.roll(mask, i)) for i in range(3)], names, 'x')\n"
        "    print(index, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(label_map.path)]
    for wanted in (1, 4, 9):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
            assert process.stdout is not None
            done = [int(process.stdout.readline()) for _ in range(wanted)]
            os.kill(process.pid, signal.SIGKILL)
            done += [int(line) for line in process.stdout if line.endswith("\n")]
        names = np.array([one.name for one in label_map.classes()])
        for index in done:
            expected = np.random.default_rng(index).integers(0, 5, (40, 40))
            for i in range(3):
                found = names[label_map.annotation_mask(f"{index}-{i}.png")]
                assert (found == np.char.add("class ", np.roll(expected, i).astype(str))).all()
        assert len(label_map.annotated_paths()) % 3 == 0


def test_names_are_taken_in_one_edit(label_map):
    """Clusters get the names of corrected masks, known classes in any spelling; undo takes all back."""
    label_map.name_clusters(KEY, [0, 1], "road")
    label_map.take_names(KEY, {1: "sky", 2: "ROAD", 3: "ignore"}, "coco.json")
    assert names_of(label_map, KEY) == {0: "road", 1: "sky", 2: "road", 3: "ignore"}
    assert label_map.undo().words == "took 3 names from coco.json"
    assert names_of(label_map, KEY) == {0: "road", 1: "road"}


def test_other_edits_neither_read_nor_write_annotations(annotated):
    """What a name changes does not grow with the annotated images: no row of an image is in its log."""
    annotated.annotate([(f"{i}.png", mask_of(0, 1, i % 3)) for i in range(50)], NAMES, "png")
    read: list[str] = []
    connect = sqlite3.connect

    def watched(*arguments: object, **options: object) -> sqlite3.Connection:
        database = connect(*arguments, **options)
        database.set_trace_callback(read.append)
        return database

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", watched)
        annotated.name_clusters(KEY, [7], "boat")
        annotated.undo()
    assert read and not [sql for sql in read if "annotations" in sql]
