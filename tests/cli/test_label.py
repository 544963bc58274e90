"""`label` as a person uses it in a terminal: name, split, undo, redo, history, snapshots."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def label(finished_copy, say):
    """Returns a function that runs `label WORDS` and gives its result; refusals fail the test."""

    def run(line: str) -> dict:
        said = say("label", *line.split(), "--workspace", finished_copy.root, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)

    return run


def names_of(space) -> dict[int, str]:
    """Cluster -> class name."""
    names = {item.id: item.name for item in space.label_map.classes()} | {255: "ignore"}
    return {cluster: names[owner] for cluster, owner in space.current_run().clustering().classes_of().items()}


def test_naming_and_its_history(finished_copy, label):
    """Each action says what there is after it; the history lists all, newest first."""
    assert label("name road --clusters 0,2")["named_clusters"] == 2
    label("name ignore --clusters 5")
    label("rename road --to street")
    label("recolor STREET --to #112233")
    label("unname --clusters 2")
    assert names_of(finished_copy) == {0: "street", 5: "ignore"}
    assert finished_copy.label_map.classes()[0].color == "#112233"
    found = label("history --last 3")
    words = ["took the name of cluster 2 away", "recoloured street", "renamed road to street"]
    assert [row["edit"] for row in found["edits"]] == words
    assert found["next_undo"] == words[0] and found["next_redo"] is None
    assert label("undo --last 3")["undone"] == words
    assert names_of(finished_copy) == {0: "road", 2: "road", 5: "ignore"}
    assert label("redo") == {
        "redone": ["renamed road to street"],
        "next_undo": "renamed road to street",
        "next_redo": "recoloured street",
    }
    label("delete street")
    assert names_of(finished_copy) == {5: "ignore"}


def test_a_name_is_known_in_any_spelling(finished_copy, label, say):
    """Case and the Unicode form of an accent make no other class, wherever a name is given; `ignore` is one too."""
    label("name caf\u00e9 --clusters 0,1")
    label("name CAFE\u0301 --clusters 2")
    assert names_of(finished_copy) == dict.fromkeys((0, 1, 2), "caf\u00e9")
    assert label("rename cafe\u0301 --to sea")["classes"] == ["sea"]
    label("name water --clusters 3")
    assert label("merge SEA --to Water")["classes"] == ["water"]
    assert names_of(finished_copy) == dict.fromkeys((0, 1, 2, 3), "water")


def test_split_is_previewed_and_made(finished_copy, label):
    """The preview stores nothing; the split has the same parts, and can be undone."""
    shown = label("split --clusters 0 --parts 3 --preview")
    assert shown["split"] is False and finished_copy.label_map.version() == 0
    made = label("split --clusters 0 --parts 3")
    assert made["parts"] == shown["parts"] and made["split"] is True and made["k"] == 8
    assert [row["cluster"] for row in made["parts"]] == [0, 6, 7]
    assert label("name road --clusters 7")["clustering"] == "k6-s0"
    assert label("undo --last 9")["undone"] == ["named cluster 7 road", "split cluster 0 into 3"]
    assert finished_copy.current_run().clustering().k == 6


def test_crops_are_drawn_and_sorted_out(finished_copy, label, say, tmp_path):
    """`contact-sheets` writes the sheet whose crops `label split --crops` counts; what they show leaves the cluster."""
    label("name road --clusters 0")
    out = tmp_path / "sheets"
    drawn = say(
        "contact-sheets",
        "--workspace",
        finished_copy.root,
        "--clusters",
        "0",
        "--kind",
        "random",
        "--out",
        out,
        "--json",
    )
    sheet = json.loads(drawn.out)["sheets"][0]
    assert [path.name for path in out.iterdir()] == ["cluster-0.png"] and sheet["crops"] > 3
    made = label("split car --clusters 0 --crops 1,3")
    assert made["split"] and made["k"] == 7 and [row["cluster"] for row in made["parts"]] == [0, 6]
    assert all(row["pixels"] for row in made["parts"])
    assert names_of(finished_copy) == {0: "road", 6: "car"}
    for crops in ("99", "a", ""):
        said = say("label", "split", "car", "--clusters", "1", "--crops", crops, "--workspace", finished_copy.root)
        assert said.code == 2 and "no crop" in said.err
    wrong = say("contact-sheets", "--workspace", finished_copy.root, "--clusters", "7", "--out", out)
    assert wrong.code == 2 and "no cluster 7: ids run from 0 to 6" in wrong.err
    assert label("undo")["undone"] == ["split car off cluster 0"] and names_of(finished_copy) == {0: "road"}


def test_snapshots(finished_copy, label):
    """Saved, listed, returned to, deleted."""
    label("name road --clusters 0")
    assert [row["name"] for row in label("snapshot first")["snapshots"]] == ["first"]
    label("name sky --clusters 0,1")
    assert label("snapshot first --restore")["next_undo"] == "returned to snapshot “first”"
    assert names_of(finished_copy) == {0: "road"}
    assert label("snapshot")["snapshots"][0]["named_clusters"] == 1
    assert label("snapshot first --delete")["snapshots"] == []


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("undo", 1, "nothing to undo: see `label history`"),
        ("redo", 1, "nothing to redo"),
        ("name road", 2, "the following arguments are required: --clusters"),
        ("name --clusters 1", 2, "the following arguments are required: NAME"),
        ("name road --clusters 1,x", 2, "clusters=1,x: 'x' is no cluster, ids run from 0 to 5"),
        ("name road --clusters 6", 2, "'6' is no cluster, ids run from 0 to 5"),
        ("split --clusters 1,2", 2, "clusters=1,2 are 2: split one at a time"),
        ("split --clusters 1 --parts 9", 2, "parts=9 must be from 2 to 8"),
        ("rename road --to sky", 2, "no class 'road': there are none"),
        ("rename road", 2, "the following arguments are required: --to"),
        ("recolor road", 2, "the following arguments are required: --to"),
        ("merge --to sky", 2, "the following arguments are required: NAME"),
        ("merge road --to sky", 2, "no class 'sky': there are none"),
        ("split --clusters 1 --crops 2", 2, "name is missing: give `label split NAME --clusters 3 --crops 5,8`"),
        ("snapshot --restore", 2, "which snapshot is missing"),
        ("snapshot x --restore", 2, "no snapshot 'x': there are none"),
        ("undo --import x.json", 2, "unrecognized arguments: --import x.json"),
    ],
)
def test_refusals(finished_copy, say, line, code, message):
    """Each names what is wrong and what to give; nothing is changed."""
    said = say("label", *line.split(), "--workspace", finished_copy.root)
    assert (said.code, said.out) == (code, "") and message in said.err
    assert finished_copy.label_map.version() == 0
