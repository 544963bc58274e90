"""Masks out, corrected by a script as a person would, and in again: exactly those come back, and can be undone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.errors import SettingError
from picie_core.progress import Progress
from picie_core.workspace.masks.exported_masks import FILE, exported_digests, mask_digest
from picie_core.workspace.masks.mask_export import export_masks
from picie_core.workspace.masks.mask_import import import_masks
from picie_core.workspace.workspace import StoredClustering
from tests.export.readers.small_files import cvat, png, whole_coco, whole_cvat, write
from tests.factories import decisions, names_of

CORRECTED = (1, 4)
"""The scenes that the script corrects."""


def mask_path(out: Path, scene: int) -> Path:
    return next(path for path in out.rglob(f"scene-{scene}.png") if path.parent.name in ("masks", "SegmentationClass"))


def correct(path: Path, scene: int) -> np.ndarray:
    """Paints into a mask as a person would, in its own encoding, and returns its ids."""
    with Image.open(path) as image:
        palette, ids = image.getpalette() if image.mode == "P" else None, np.array(image)
    ids[20:40, 10 + scene : 50] = 1
    ids[0:6, :20] = 0
    ids[50:, 90:] = 255
    edited = Image.fromarray(ids)
    if palette:
        edited.putpalette(palette)
    edited.save(path)
    return ids


def of(scene: int) -> str:
    return f"scene-{scene}.png"


# -- the round trip


@pytest.mark.parametrize("form, remembered", [("png", True), ("png", False), ("voc", True)])
def test_corrected_masks_come_back_exactly_and_no_others(clustering, tmp_path, form, remembered):
    """Two of six masks were changed: these two are annotations, pixel by pixel; one undo an edit takes all back.

    Where nothing tells which masks were exported, the network finds out those that nobody changed.
    """
    label_map, before = clustering.label_map, decisions(clustering.label_map)
    export_masks(clustering, form, tmp_path / "out", device="cpu")
    if not remembered:
        (clustering.workspace.root / FILE).unlink()
    changed = {of(scene): correct(mask_path(tmp_path / "out", scene), scene) for scene in CORRECTED}
    events: list[Progress] = []
    report = import_masks(clustering, tmp_path / "out", device="cpu", report=events.append)
    assert (report.form, report.masks, report.unchanged, report.problems) == (form, 6, 4, [])
    assert {one.path for one in report.corrected} == set(changed) == label_map.annotated_paths()
    for scene in range(6):
        found = label_map.annotation_mask(of(scene))
        if scene in CORRECTED:
            np.testing.assert_array_equal(found, changed[of(scene)])
        else:
            assert found is None
    assert report.applied[0] == "annotated 2 images from out"
    assert (events[-1].phase, events[-1].done, events[-1].total) == ("compare", 6, 6)
    for words in reversed(report.applied):
        assert label_map.undo().words == words
    assert decisions(label_map) == before and label_map.annotated_paths() == set()


@pytest.mark.parametrize("name, whole", [("instances_default.json", whole_coco), ("annotations.xml", whole_cvat)])
def test_corrected_masks_come_back_exactly_through_coco_and_cvat(clustering, tmp_path, name, whole):
    """All masks go through the file of another tool, two are changed there: the same two, pixel by pixel."""
    export_masks(clustering, "png", tmp_path / "out", device="cpu")
    changed = {of(scene): correct(mask_path(tmp_path / "out", scene), scene) for scene in CORRECTED}
    masks = {of(scene): np.array(Image.open(mask_path(tmp_path / "out", scene))) for scene in range(6)}
    write(tmp_path / "tool", {name: whole(masks, ["smooth & blue", "Straße"])})
    report = import_masks(clustering, tmp_path / "tool", device="cpu")
    assert (report.masks, report.unchanged, report.problems, report.new_classes) == (6, 4, [], [])
    assert clustering.label_map.annotated_paths() == set(changed)
    for path, mask in changed.items():
        np.testing.assert_array_equal(clustering.label_map.annotation_mask(path), mask)


def test_annotations_are_exported_and_all_other_masks_are_as_they_were(clustering, tmp_path):
    """The corrected pixels are the new ones, in every format alike, and undo brings the predicted masks back."""
    export_masks(clustering, "png", tmp_path / "first", device="cpu")
    wanted = {scene: np.array(Image.open(mask_path(tmp_path / "first", scene))) for scene in range(6)}
    predicted = dict(wanted)
    wanted |= {scene: correct(mask_path(tmp_path / "first", scene), scene) for scene in CORRECTED}
    report = import_masks(clustering, tmp_path / "first", device="cpu", name=False)
    assert report.applied == ["annotated 2 images from first"]
    for form in ("png", "voc"):
        assert export_masks(clustering, form, tmp_path / form, device="cpu").annotated == 2
        for scene in range(6):
            np.testing.assert_array_equal(np.array(Image.open(mask_path(tmp_path / form, scene))), wanted[scene])
        again = import_masks(clustering, tmp_path / form, device="cpu", dry_run=True)
        assert (again.unchanged, again.corrected) == (6, [])
    clustering.label_map.undo()
    export_masks(clustering, "png", tmp_path / "last", device="cpu")
    for scene in range(6):
        np.testing.assert_array_equal(np.array(Image.open(mask_path(tmp_path / "last", scene))), predicted[scene])


def test_masks_that_were_exported_are_known_whatever_happened_since(clustering, tmp_path):
    """Names that were given after the export make no mask look corrected; another format and other ids neither."""
    export_masks(clustering, "png", tmp_path / "out", device="cpu")
    names = [one.name for one in clustering.label_map.classes()]
    assert len(exported_digests(clustering.workspace.root)) == 6
    clustering.label_map.name_clusters(clustering.key, [1, 2, 5], "something else")
    changed = correct(mask_path(tmp_path / "out", 1), 1)
    report = import_masks(clustering, tmp_path / "out", device="cpu", dry_run=True)
    assert [one.path for one in report.corrected] == [of(1)] and report.unchanged == 5
    swapped = np.array([1, 0, *[255] * 254], np.uint8)[changed]
    assert mask_digest(of(1), changed, names) == mask_digest(of(1), swapped, [n.upper() for n in names[::-1]])
    assert mask_digest(of(1), changed, names) not in exported_digests(clustering.workspace.root)
    assert exported_digests(tmp_path) == frozenset()


def test_two_people_correct_two_copies(clustering, tmp_path):
    """What the second one did not touch takes nothing from the first; what both corrected is as the last one has it."""
    export_masks(clustering, "png", tmp_path / "one", device="cpu")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = {scene: correct(mask_path(tmp_path / "one", scene), scene) for scene in (1, 2)}
    second = {scene: correct(mask_path(tmp_path / "two", scene), scene + 9) for scene in (2, 3)}
    for folder in ("one", "two"):
        import_masks(clustering, tmp_path / folder, device="cpu")
    for scene, mask in (first | second).items():
        np.testing.assert_array_equal(clustering.label_map.annotation_mask(of(scene)), mask)
    assert clustering.label_map.annotated_paths() == {of(1), of(2), of(3)}


def test_a_dry_run_changes_nothing_and_keep_says_what_is_kept(clustering, tmp_path):
    label_map = clustering.label_map
    export_masks(clustering, "png", tmp_path / "out", device="cpu")
    correct(mask_path(tmp_path / "out", 1), 1)
    before = decisions(label_map)
    assert import_masks(clustering, tmp_path / "out", device="cpu", dry_run=True).applied == []
    assert decisions(label_map) == before
    import_masks(clustering, tmp_path / "out", device="cpu", keep="none")
    assert label_map.annotated_paths() == set()
    import_masks(clustering, tmp_path / "out", device="cpu", keep="all")
    assert label_map.annotated_paths() == {of(scene) for scene in range(6)}
    with pytest.raises(SettingError, match="keep='some' is unknown: choose one of changed, all, none"):
        import_masks(clustering, tmp_path / "out", keep="some")


# -- agreement


def test_agreement_is_that_of_the_pixels(clustering, tmp_path):
    """Counted by hand: an image whose prediction is known, and a correction of one block."""
    export_masks(clustering, "png", tmp_path / "out", device="cpu")
    path = mask_path(tmp_path / "out", 2)
    predicted = np.array(Image.open(path))
    corrected = correct(path, 2)
    report = import_masks(clustering, tmp_path / "out", device="cpu", dry_run=True)
    (one,) = report.corrected
    labelled = corrected != 255
    assert (one.path, one.pixels, one.labelled) == (of(2), 96 * 64, int(labelled.sum()))
    assert abs(one.changed - int((predicted != corrected).sum())) <= 3  # sums in another order move pixels on borders
    assert one.accuracy == pytest.approx((predicted == corrected)[labelled].mean(), abs=1e-3)
    ious = {}
    for index, item in enumerate(clustering.label_map.classes()):
        both = ((predicted == index) & (corrected == index)).sum()
        either = (((predicted == index) | (corrected == index)) & labelled).sum()
        ious[item.name] = both / either
    for row in report.classes:
        assert row.iou == pytest.approx(ious[row.name], abs=1e-3)
    assert report.mean_iou == pytest.approx(np.mean(list(ious.values())), abs=1e-3)
    assert json.loads(json.dumps(report.record()))["corrected"][0]["changed"] == one.changed


# -- names, renames and splits


def by_truth(clustering: StoredClustering, root: Path, scenes: Path) -> Path:
    """The ground truth of all scenes as index PNGs: class 0 is smooth, 1 stripes, 2 noise."""
    shutil.copytree(scenes / "masks", root / "masks")
    (root / "classes.txt").write_text("smooth\nstripes\nnoise\n")
    return root


def test_unnamed_clusters_take_the_name_of_most_of_their_pixels(finished_copy, scenes, tmp_path):
    """Every cluster that has a majority is named by it, in one edit; new classes are added and told."""
    clustering = finished_copy.current_run().clustering()
    label_map, path = clustering.label_map, by_truth(clustering, tmp_path / "truth", scenes)
    report = import_masks(clustering, path, device="cpu")
    assert report.new_classes == ["smooth", "stripes", "noise"] and report.renames == []
    assert names_of(label_map, clustering.key) == {one["cluster"]: one["name"] for one in report.names}
    assert len(report.names) == 6 and all(one["share"] >= 0.5 for one in report.names)
    assert report.applied == ["annotated 6 images from truth", "took 6 names from truth"]
    again = import_masks(clustering, path, device="cpu", keep="none", dry_run=True)
    assert again.unchanged == 6 and again.names == again.renames == []
    label_map.undo()
    assert names_of(label_map, clustering.key) == {}


def test_names_that_disagree_are_proposed_and_changed_only_on_request(finished_copy, scenes, tmp_path):
    clustering = finished_copy.current_run().clustering()
    label_map, path = clustering.label_map, by_truth(clustering, tmp_path / "truth", scenes)
    wanted = {one["cluster"]: one["name"] for one in import_masks(clustering, path, device="cpu", dry_run=True).names}
    wrong = {cluster: "stripes" if name == "smooth" else name for cluster, name in wanted.items()}
    for cluster, name in wrong.items():
        label_map.name_clusters(clustering.key, [cluster], name)
    report = import_masks(clustering, path, device="cpu")
    disagreeing = {cluster for cluster in wanted if wrong[cluster] != wanted[cluster]}
    assert disagreeing and {one["cluster"] for one in report.renames} == disagreeing and report.names == []
    assert {(one["now"], one["name"]) for one in report.renames} == {("stripes", "smooth")}
    assert names_of(label_map, clustering.key) == wrong
    label_map.remove_annotations(label_map.annotated_paths())
    import_masks(clustering, path, device="cpu", rename=True)
    assert names_of(label_map, clustering.key) == wanted


def test_a_cluster_that_holds_two_classes_is_split_on_request(finished_copy, scenes, tmp_path):
    """With two clusters for three classes one holds two; the split makes the masks agree more, and can be undone."""
    run = finished_copy.current_run()
    clustering = run.cluster(2)
    label_map, path = clustering.label_map, by_truth(clustering, tmp_path / "truth", scenes)
    report = import_masks(clustering, path, device="cpu", dry_run=True)
    assert report.splits and report.applied == []
    for one in report.splits:
        assert one["right_after"] >= one["right_before"] + 0.05 and len(one["parts"]) >= 2
        assert all(share >= 0.15 for share in one["parts"].values())
    report = import_masks(clustering, path, device="cpu", keep="none", split=True)
    assert [words.split()[0] for words in report.applied if words.startswith("split")] == ["split"] * len(report.splits)
    split = run.clustering("k2-s0")
    assert split.k == 2 + sum(len(one["parts"]) - 1 for one in report.splits)
    after = import_masks(split, path, device="cpu", keep="none", dry_run=True)
    plain = import_masks(clustering, path, device="cpu", keep="none", dry_run=True)
    assert after.accuracy > plain.accuracy
    for _ in report.applied:
        label_map.undo()
    assert label_map.splits_of(clustering.key) == [] and names_of(label_map, clustering.key) == {}


# -- classes


def test_classes_of_the_file_are_united_added_and_left_out(clustering, tmp_path):
    """Other spellings are the same class, `background` that no class is called so is nothing labelled."""
    shapes = "".join(
        f'<mask label="{label}" rle="0, 640" left="0" top="{top}" width="64" height="10" z_order="0"/>'
        for label, top in (("STRASSE", 0), ("Stra&#xdf;e", 12), ("background", 24), ("New One", 36))
    )
    write(tmp_path, {"annotations.xml": cvat(shapes, "scene-1.png", (96, 64))})
    report = import_masks(clustering, tmp_path, device="cpu")
    assert report.other_spellings == {"STRASSE": "Straße"} and report.ignored_names == ["background"]
    assert report.new_classes == ["New One"]
    names = [one.name for one in clustering.label_map.classes()]
    assert names == ["smooth & blue", "Straße", "New One"]
    expected = np.full((64, 96), 255, np.uint8)
    expected[0:10, :64] = expected[12:22, :64] = 1
    expected[36:46, :64] = 2
    np.testing.assert_array_equal(clustering.label_map.annotation_mask("scene-1.png"), expected)


def test_names_that_a_format_could_not_hold_find_their_class(clustering, tmp_path):
    """White space, `&` and `:` go in some formats; letters and digits find the class where they fit one only."""
    mask = np.repeat(np.arange(4, dtype=np.uint8), 16)[:, None].repeat(96, axis=1)
    write(tmp_path, {"masks/scene-1.png": png(mask), "classes.txt": "smooth___blue\nstraße\nStraße:\n&&\n"})
    report = import_masks(clustering, tmp_path, device="cpu", dry_run=True)
    assert report.other_spellings == {"smooth___blue": "smooth & blue", "straße": "Straße"}
    assert report.new_classes == ["Straße:", "&&"], "the file tells Straße and Straße: apart"


def test_an_impossible_class_name_changes_nothing(clustering, tmp_path):
    before = decisions(clustering.label_map)
    write(tmp_path, {"masks/scene-1.png": png(np.zeros((64, 96), np.uint8)), "classes.txt": "x" * 61})
    with pytest.raises(SettingError, match=r"a class in .*: class name 'x+' must have 1 to 60 characters"):
        import_masks(clustering, tmp_path, device="cpu")
    assert decisions(clustering.label_map) == before
