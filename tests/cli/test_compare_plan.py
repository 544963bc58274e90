"""Plans of comparisons: what the settings of a run are, and how an impossible plan is refused."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from picie_core.cli.compare_plan import read_plan
from picie_core.errors import SettingError
from picie_core.training.recipes import SUPERVISED
from tests.small_plans import ROWS, make_plan, write_plan

ROOT = Path(__file__).resolve().parents[2]


def test_settings_come_from_recipe_set_and_row(scenes, tmp_path):
    """Recipe, then plan, then data set, then row; K is the number of classes unless the row says it."""
    rows = [
        {"name": "a", "method": "picie", "recipe": "paper", "settings": {"temperature": 2, "size": 128}},
        {"name": "b", "method": "mdc", "settings": {"k": 9}, "epochs": 3, "seeds": [4]},
    ]
    plan = read_plan(write_plan(tmp_path / "plan.toml", make_plan(scenes, rows=rows)), tmp_path)
    assert [(run.row.name, run.seed) for run in plan.runs()] == [("a", 0), ("a", 1), ("b", 4)]
    training, embedder, sampling = plan.runs()[1].settings(3)
    assert (training.k, training.epochs, training.temperature, training.labels) == (3, 6, 2.0, "epoch")
    assert (embedder.stages, embedder.dim, sampling.size_px, sampling.batch, sampling.seed) == (4, 32, 128, 4, 1)
    training, _, sampling = plan.runs()[2].settings(3)
    assert (training.k, training.epochs, sampling.seed, sampling.size_px) == (9, 3, 4, 64)
    assert plan.ks_of(5) == [5] and plan.ks_of(3) == [3, 5]


def test_bounds_train_as_long_as_their_recipe_says(scenes, tmp_path):
    """The plan's epochs are of methods without labels; a supervised row has those of its recipe, or its own."""
    rows = [
        {"name": "PiCIE", "method": "picie"},
        {"name": "supervised", "method": "supervised"},
        {"name": "supervised, short", "method": "supervised", "epochs": 2},
    ]
    plan = read_plan(write_plan(tmp_path / "plan.toml", make_plan(scenes, rows=rows, seeds=[0])), tmp_path)
    assert [run.settings(3)[0].epochs for run in plan.runs()] == [6, SUPERVISED["epochs"], 2]


def change(plan: dict, where: str, value: object) -> None:
    """Sets or, for None, removes what lies at a place such as `rows.1.settings.k`."""
    *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    inner: object = plan
    for part in path:
        inner = inner[part]  # type: ignore[index]
    if value is None:
        del inner[last]  # type: ignore[attr-defined]
    else:
        inner[last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("sets", None, "plan.toml: sets: Field required: `compare PLAN --example` writes a whole plan"),
        ("rows", [], r"rows=\[\]: List should have at least 1 item after validation, not 0: `compare PLAN --example`"),
        ("colour", "red", "plan.toml: colour is unknown: known are sets, rows, seeds"),
        ("sets.0.images", "nowhere", r"sets\[0\].images='nowhere': no folder at .*nowhere: mend the path, or give --r"),
        ("sets.0.val_masks", None, r"sets\[0\].val_masks: Field required"),
        ("sets.0.masks", None, r"row 'supervised' on set 'scenes' learns from masks: give the set masks, or leave the"),
        ("sets.0.count", -1, r"sets\[0\].count=-1: Input should be greater than or equal to 0"),
        ("rows.1.name", "++", r"rows\[1\].name='\+\+': String should match pattern '\[a-zA-Z0-9\]'"),
        ("rows.1.method", "pice", r"rows\[1\].method='pice': Input should be 'frozen', 'picie', 'mdc', 'iic', 'sup"),
        ("rows.1.recipe", "papers", r"rows\[1\].recipe='papers': Input should be 'default', 'paper' or 'vit'"),
        ("rows.1.settings", {"temprature": 1}, r"rows\[1\].settings.temprature is unknown: known are k, overcluster, "),
        ("rows.1.settings", {"seed": 1}, r"settings.seed is unknown \(seeds and epochs stand in the row itself\)"),
        ("rows.1.settings", {"temperature": "warm"}, r"temperature='warm': Input should be a valid number"),
        ("rows.1.settings", {"temperature": 0}, r"row 'PiCIE \+ H' on set 'scenes': temperature=0.0 is too small"),
        ("rows.1.settings", {"labels": "never"}, "labels='never' is unknown: choose one of step, epoch"),
        ("rows.1.settings", {"weights": "no.pth"}, r"rows\[1\].settings.weights='no.pth': no file at .*no.pth: give i"),
        ("rows.0.epochs", 3, r"rows\[0\]: epochs has no meaning: method frozen is not trained, leave it out"),
        ("rows.1.name", "mdc", "rows has the names 'mdc' and 'MDC': give different ones"),
        ("rows.1.seeds", [1, 1], r"rows\[1\].seeds=\[1, 1\]: a number stands there twice: give different ones"),
        ("rows.1.seeds", [], r"rows\[1\].seeds=\[\]: List should have at least 1 item"),
        ("rows.1.seeds", [-1], r"rows\[1\].seeds\[0\]=-1: Input should be greater than or equal to 0"),
        ("ks", [700], r"row 'frozen start' on set 'scenes' samples 600 pixels, too few for ks with 700: lower it or"),
        ("centre_square", "no", r"centre_square='no': Input should be a valid boolean"),
        ("ks", [1], r"ks\[0\]=1: Input should be greater than or equal to 2"),
        (
            "weights",
            "resnet.pth",
            "weights='resnet.pth': no file at .*resnet.pth: give imagenet, none or a path, or gi",
        ),
    ],
)
def test_impossible_plans(scenes, say, tmp_path, where, value, message):
    """Refused with code 2 before anything starts, naming place, value and remedy."""
    plan = json.loads(json.dumps(make_plan(scenes)))
    change(plan, where, value)
    said = say("compare", write_plan(tmp_path / "plan.toml", plan), "--out", tmp_path / "out")
    assert said.code == 2
    assert re.search(message, said.err), said.err
    assert not (tmp_path / "out/sets").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"no plan at .*plan.toml \(No such file or directory\): `compare PLAN --example` writes one"),
        ("{", "plan.toml is not TOML"),
        ("rows = 3", "plan.toml: sets: Field required"),
        (b"\xff", "plan.toml is not TOML"),
    ],
)
def test_files_that_are_no_plan(say, tmp_path, text, message):
    """A missing file, one that is not TOML, one of another shape."""
    if text is not None:
        (tmp_path / "plan.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    said = say("compare", tmp_path / "plan.toml", "--out", tmp_path / "out")
    assert said.code == 2
    assert re.search(message, said.err)


def test_an_over_clustering_that_fits_no_set_is_refused_at_once(scenes, say, tmp_path):
    """Coarser than the number of classes shows before the first run."""
    rows = [{"name": "coarse", "method": "picie", "settings": {"overcluster": 3}}]
    plan = write_plan(tmp_path / "plan.toml", make_plan(scenes, rows=[*ROWS[:1], *rows]))
    said = say("compare", plan, "--out", tmp_path / "out")
    assert said.code == 2
    assert "overcluster=3 must exceed k=3" in said.err
    assert not (tmp_path / "out/rows").exists()


def test_the_example_is_a_plan(say, tmp_path):
    """--example writes a plan that can be read as it is from the repository; it overwrites nothing."""
    said = say("compare", tmp_path / "plan.toml", "--example")
    assert said.code == 0 and "overcluster" in said.out
    assert len(read_plan(tmp_path / "plan.toml", ROOT).runs()) == 10
    again = say("compare", tmp_path / "plan.toml", "--example")
    assert again.code == 2 and "exists: give the name of a new file" in again.err
    assert "out is missing: give --out DIR" in say("compare", tmp_path / "plan.toml").err


@pytest.mark.parametrize("name", ["compare", "ablation"])
def test_plans_of_the_benchmarks_are_valid(name, tmp_path):
    """Every row of the plans in benchmarks/ can be made, where the data are."""
    written = tomllib.loads((ROOT / f"benchmarks/{name}.toml").read_text())
    for one in written["sets"]:
        for folder in ("images", "val_images", "val_masks", "masks"):
            if folder in one:
                (tmp_path / one[folder]).mkdir(parents=True, exist_ok=True)
    (tmp_path / written["weights"]).parent.mkdir(exist_ok=True)
    (tmp_path / written["weights"]).touch()
    plan = read_plan(ROOT / f"benchmarks/{name}.toml", tmp_path)
    made = [run.settings(11) for run in plan.runs() if run.seed == 0 and run.data is plan.sets[0]]
    trained = [run for run in plan.runs() if run.seed == 0 and run.data is plan.sets[0]]
    assert len({repr((run.row.method, one)) for run, one in zip(trained, made, strict=True)}) == len(plan.rows)


def test_a_plan_is_refused_as_wrong_usage(scenes, tmp_path):
    """By SettingError; a run that is possible has files named after row, set and seed."""
    with pytest.raises(SettingError, match="no plan at"):
        read_plan(tmp_path / "none.toml", tmp_path)
    plan = read_plan(write_plan(tmp_path / "plan.toml", make_plan(scenes)), tmp_path)
    assert [run.key for run in plan.runs()][:2] == ["frozen-start-scenes-0", "picie-h-scenes-0"]
