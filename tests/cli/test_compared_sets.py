"""Data sets of a comparison: which images, which classes, things and stuff, and what is refused before a training."""

from __future__ import annotations

import os
import shutil

import pytest

from picie_core.cli.compare import choose_images, prepare_set
from picie_core.cli.compare_plan import read_plan
from picie_core.data.images.image_selection import read_selection
from picie_core.errors import PicieError
from picie_core.workspace.workspace import Workspace
from tests.small_plans import ROWS, make_plan, results, write_plan


def test_the_choice_of_images_is_always_the_same():
    """Seeded, in order, without repeats, and all of them for 0 or too many."""
    names = [f"{i:03}.png" for i in range(100)]
    chosen = choose_images(names, 30)
    assert chosen == choose_images(names, 30) == sorted(set(chosen))
    assert len(chosen) == 30 and set(chosen) <= set(names)
    assert chosen != names[:30]
    assert choose_images(names, 0) == choose_images(names, 200) == names


def test_chosen_images_keep_their_names(tmp_path, scenes):
    """Relative names stay, subfolders too, so that masks match; other images under the same name are refused."""
    for i in range(4):
        folder = tmp_path / "images" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes((scenes / f"images/scene-{i}.png").read_bytes())
    plan = make_plan(scenes)
    plan["sets"][0] |= {"images": str(tmp_path / "images"), "count": 3}
    del plan["sets"][0]["masks"]
    plan["rows"] = ROWS[:1]
    read = read_plan(write_plan(tmp_path / "plan.toml", plan), tmp_path)
    prepared = prepare_set(read.sets[0], tmp_path, tmp_path / "set")
    chosen = read_selection(prepared.workspace.root)
    assert chosen < {"a/0.png", "b/1.png", "a/2.png", "b/3.png"} and len(chosen) == 3
    assert {record.path for record in prepared.workspace.scan().readable} == chosen
    assert (prepared.images, prepared.classes) == (3, 3)
    plan["sets"][0]["count"] = 2
    other = read_plan(write_plan(tmp_path / "plan.toml", plan), tmp_path)
    with pytest.raises(PicieError, match="made from other images: give the set another name, or another --out"):
        prepare_set(other.sets[0], tmp_path, tmp_path / "set")


def test_things_and_stuff_have_a_table_of_their_own(scenes, say, tmp_path):
    """Where things.txt says which classes are things."""
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in (scenes / "masks").glob("*.png"):
        (masks / path.name).write_bytes(path.read_bytes())
    (masks / "classes.txt").write_text("sky\nhouse\nground\n")
    (masks / "things.txt").write_text("house\n")
    plan = make_plan(scenes, rows=ROWS[:1], seeds=[0])
    plan["sets"][0]["val_masks"] = str(masks)
    plan["sets"][0]["masks"] = str(masks)
    write_plan(tmp_path / "plan.toml", plan)
    assert say("compare", tmp_path / "plan.toml", "--out", tmp_path / "out", "--device", "cpu").code == 0
    text = (tmp_path / "out/compare.md").read_text()
    assert "Things and stuff on other images, K = 3:" in text
    figures = results(tmp_path / "out")["frozen-start-scenes-0"]["figures"]["k3"]
    assert f"{figures['accuracy_oracle_stuff']:.1f} / {figures['miou_oracle_stuff']:.1f} |" in text


def test_masks_of_other_classes_are_refused_before_a_training(scenes, say, tmp_path):
    """Ids without names against masks with names: both lists are shown, and nothing was trained."""
    masks = tmp_path / "masks"
    shutil.copytree(scenes / "masks", masks)
    (masks / "classes.txt").write_text("sky\nhouse\nground\n")
    plan = make_plan(scenes)
    plan["sets"][0]["val_masks"] = str(masks)
    write_plan(tmp_path / "plan.toml", plan)
    said = say("compare", tmp_path / "plan.toml", "--out", tmp_path / "out", "--device", "cpu")
    assert said.code == 1
    assert "the classes of the masks of set 'scenes' are class 0, class 1, class 2, those of the measured" in said.err
    assert not (tmp_path / "out/rows").exists() and not list((tmp_path / "out").glob("sets/*/workspace/runs/*"))


def test_the_papers_protocol_and_a_set_without_masks(scenes, say, tmp_path):
    """centre_square measures 320 px squares, without another training; without masks nothing is named."""
    plan, out = make_plan(scenes, rows=ROWS[:1], seeds=[0]), tmp_path / "out"
    del plan["sets"][0]["masks"]
    for square in (False, True):
        write_plan(tmp_path / "plan.toml", {**plan, "centre_square": square})
        assert say("compare", tmp_path / "plan.toml", "--out", out, "--device", "cpu").code == 0
        text = (out / "compare.md").read_text()
        assert ("the centre square at 320 px" in text) == square
        assert "Nothing is named here, as its own images have no masks" in text
        (one,) = results(out).values()
        assert one["made_of"]["measured"] == ("centre square at 320 px" if square else "whole images")
        ways = {"accuracy", "accuracy_oracle", "accuracy_own", "accuracy_named"}
        assert ways & one["figures"]["k3"].keys() == {"accuracy", "accuracy_oracle"}
    assert len(list((out / "sets/scenes/workspace/runs").iterdir())) == 1


def test_a_comparison_of_an_earlier_version_goes_on(scenes, tmp_path):
    """Version 0.3 linked the chosen images into the folder of the set; the workspace stays one of these."""
    plan = make_plan(scenes)
    plan["sets"][0]["count"] = 2
    read = read_plan(write_plan(tmp_path / "plan.toml", plan), tmp_path)
    chosen = choose_images(sorted(path.name for path in (scenes / "images").iterdir()), 2)
    (tmp_path / "set/images").mkdir(parents=True)
    for name in chosen:
        os.link(scenes / "images" / name, tmp_path / "set/images" / name)
    Workspace.create(tmp_path / "set/workspace", tmp_path / "set/images").scan()
    prepared = prepare_set(read.sets[0], tmp_path, tmp_path / "set")
    assert prepared.workspace.images_root == tmp_path / "set/images"
    assert [record.path for record in prepared.workspace.scan().readable] == chosen
