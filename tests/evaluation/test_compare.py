"""`compare`: figures that are right, runs that are made once, stops that cost nothing, plans that are refused whole."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.cli import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.errors import PicieError, SettingError
from picie_core.evaluation.comparison.curves import line_of, mean_line
from picie_core.evaluation.comparison.plan import PlannedRun, read_plan
from picie_core.evaluation.comparison.prepared_set import choose_images, prepare_set
from picie_core.evaluation.comparison.result import square_counts
from picie_core.evaluation.comparison.table import seconds_text, spread

compare_module = sys.modules["picie_core.cli.compare"]
ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {"name": "frozen start", "method": "frozen"},
    {"name": "PiCIE + H", "method": "picie", "settings": {"overcluster": 6}},
    {"name": "MDC", "method": "mdc", "epochs": 1},
    {"name": "supervised", "method": "supervised", "seeds": [0], "epochs": 2},
]


def make_plan(scenes: Path, **changes: object) -> dict:
    """A plan over the scenes whose runs take a second each."""
    folders = {"images": "images", "masks": "masks", "val_images": "images", "val_masks": "masks"}
    one = {"name": "scenes", **{name: str(scenes / path) for name, path in folders.items()}}
    return {
        "sets": [{**one, "count": 5, "size": 64, "batch": 4}],
        "rows": ROWS,
        "weights": "none",
        "seeds": [0, 1],
        "epochs": 6,
        "ks": [5],
        "cluster_seeds": 2,
        "settings": {"pixels": 600, "dim": 32, "cluster-images": 5, "precision": "32-true"},
        **changes,
    }


def write_plan(path: Path, plan: dict) -> Path:
    """A plan as a file."""
    path.write_text(json.dumps(plan))
    return path


def results(out: Path) -> dict[str, dict]:
    """The stored results of a comparison, by file name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((out / "rows").glob("*.json"))}


def without_times(out: Path) -> list[list[str]]:
    """The lines of the table, their cells up to the wall times."""
    return [line.split("|")[:8] for line in (out / "compare.md").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory) -> Path:
    """The folder of a finished comparison that nothing interrupted; nobody writes there."""
    folder = tmp_path_factory.mktemp("compare")
    plan = write_plan(folder / "plan.json", make_plan(scenes))
    assert run_command(COMMANDS, ["compare", str(plan), "--out", str(folder / "out"), "--device", "cpu"]) == 0
    return folder / "out"


# -- the figures


def test_every_row_set_and_seed_is_measured(whole):
    """A result for each run: at K = classes and each further K, of the classifier where one was learnt."""
    found = results(whole)
    assert sorted(found) == sorted(
        [f"{name}-scenes-{seed}" for name in ("frozen-start", "picie-h", "mdc") for seed in (0, 1)]
        + ["supervised-scenes-0"]
    )
    for name, one in found.items():
        assert set(one["figures"]) == {"k3", "k5"} | ({"head"} if name[:3] in ("mdc", "sup") else set())
        assert (one["images"], one["classes"]) == (5, 3)
    assert len(found["picie-h-scenes-1"]["history"]) == 6
    assert len(found["supervised-scenes-0"]["history"]) == 2
    assert found["frozen-start-scenes-0"]["history"] == []


def test_figures_are_those_of_evaluate(whole, scenes, say):
    """The same run, clusterings and masks through `evaluate` give the same means; so does the learnt classifier."""
    one = results(whole)["mdc-scenes-1"]
    words = ("--workspace", whole / "sets/scenes/workspace", "--run", one["run"], "--device", "cpu", "--json")
    words += ("--images", scenes / "images", "--masks", scenes / "masks")
    said = json.loads(say("evaluate", *words, "--k", 5).out)
    assert said["seeds"] == [0, 1]
    learnt = json.loads(say("evaluate", *words, "--head").out)
    for figure in ("accuracy", "miou", "accuracy_named", "miou_named"):
        assert one["figures"]["k5"][figure] == pytest.approx(said[figure])
        assert one["figures"]["head"][figure] == pytest.approx(learnt[figure])


def test_a_classifier_of_classes_is_not_matched(whole):
    """What supervised learnt names its classes itself, so both ways of matching say the same."""
    figures = results(whole)["supervised-scenes-0"]["figures"]["head"]
    assert figures["accuracy"] == figures["accuracy_named"] > 34  # better than always the same of three classes


def test_the_table_shows_mean_and_deviation(whole):
    """A cell is the mean and the standard deviation over seeds, by numpy; a single seed has no deviation."""
    text, found = (whole / "compare.md").read_text(), results(whole)
    line = next(line for line in text.splitlines() if line.startswith("| PiCIE + H"))
    cells = []
    for figure in ("accuracy", "miou"):
        values = [found[f"picie-h-scenes-{seed}"]["figures"]["k5"][f"{figure}_named"] for seed in (0, 1)]
        cells.append(f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}")
    assert line.split(" | ")[5] == " / ".join(cells)
    single = next(line for line in text.splitlines() if line.startswith("| supervised"))
    assert "±" not in single and "| 1 |" in single
    assert "5 images at 64 px to train on, 6 measured, 3 classes" in text


def test_wall_time_is_that_of_the_epochs(whole):
    """Training time is the sum over the epochs; the whole run took longer; a frozen start has no training."""
    for one in results(whole).values():
        assert one["train_s"] == pytest.approx(sum(line["seconds"] for line in one["history"]))
        assert one["total_s"] > one["train_s"]


def test_the_result_lists_the_table(whole, scenes, say, tmp_path):
    """--json has a record for each row and data set, with the means that the table rounds."""
    plan = write_plan(tmp_path / "plan.json", make_plan(scenes))
    said = json.loads(say("compare", plan, "--out", whole, "--device", "cpu", "--json").out)
    row = next(row for row in said["rows"] if row["row"] == "MDC")
    values = [results(whole)[f"mdc-scenes-{seed}"]["figures"]["k3"]["miou"] for seed in (0, 1)]
    assert row["k3_miou"] == pytest.approx(np.mean(values), abs=1e-3)
    assert row["k3_miou_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-3)
    assert (row["seeds"], said["runs"], said["made_now"]) == (2, 7, 0)


def test_spread_and_times_by_hand():
    """2, 4 and 9: mean 5, squares 9 + 1 + 16 over 2 is 13; times read as people say them."""
    assert spread([2, 4, 9]) == (5, pytest.approx(13**0.5))
    assert spread([7.5]) == (7.5, None)
    assert [seconds_text(s) for s in (4.23, 59.96, 65, 3599, 7380)] == [
        "4.2 s", "1 min 0 s", "1 min 5 s", "59 min 59 s", "2 h 3 min"
    ]  # fmt: skip


def test_classes_that_only_one_side_knows():
    """Fewer learnt than measured: a row of zeros; more: a column of zeros; other names: refused."""
    counts = np.array([[5, 1, 2], [0, 3, 1]])
    assert square_counts(counts, ["a", "b"], ["a", "b", "c"]).tolist() == [[5, 1, 2], [0, 3, 1], [0, 0, 0]]
    assert square_counts(counts.T, ["a", "b", "c"], ["a", "b"]).tolist() == [[5, 0, 0], [1, 3, 0], [2, 1, 0]]
    with pytest.raises(PicieError, match="learnt a, x, the ground truth has a, b, c: give masks of the same classes"):
        square_counts(counts, ["a", "x"], ["a", "b", "c"])


# -- the curves


def test_curves_by_hand():
    """Missing figures leave no point, the first epoch changes no labels, trainings that end early count until then."""
    history = [{"epoch": 1, "loss": 3.0, "changed_labels": 1.0}, {"epoch": 2, "loss": 1.0, "changed_labels": 0.5}]
    assert line_of(history, "loss") == {1: 3.0, 2: 1.0}
    assert line_of(history, "changed_labels") == {2: 0.5}
    assert line_of(history, "measured_miou") == {}
    assert mean_line([{1: 3.0, 2: 1.0}, {1: 1.0}]) == {1: 2.0, 2: 1.0}


def test_the_picture_is_there(whole):
    """curves.png has four panels in two columns; without them it would be half as wide."""
    with Image.open(whole / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000 and picture.height > 500
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
    assert {(0x44, 0x77, 0xAA), (0xEE, 0x66, 0x77), (0x22, 0x88, 0x33)} <= colours  # a line for each trained row


def test_the_network_of_every_epoch_is_measured(scenes, say, tmp_path):
    """curves: true adds figures to each epoch; the last one's are those of the run; its networks are cleared away."""
    row = {"name": "MDC", "method": "mdc", "epochs": 2, "seeds": [0]}
    plan = write_plan(tmp_path / "plan.json", make_plan(scenes, curves=True, rows=[row], ks=[], cluster_seeds=1))
    assert say("compare", plan, "--out", tmp_path / "out", "--device", "cpu").code == 0
    (one,) = results(tmp_path / "out").values()
    first, last = one["history"]
    for figure in ("accuracy", "miou", "miou_named"):
        assert last[f"measured_{figure}"] == pytest.approx(one["figures"]["k3"][figure])
    assert first["measured_miou"] != last["measured_miou"]
    run = tmp_path / "out/sets/scenes/workspace/runs" / one["run"]
    assert not (run / "epochs").exists() and not (run / "checkpoint.pt").exists()
    assert (run / "embedder/embedder.safetensors").exists()


# -- stopping and going on


def test_a_killed_comparison_goes_on_to_the_same_table(whole, scenes, say, tmp_path):
    """kill -9 in the middle of a training: the same command ends with the same figures and loses no time."""
    plan = write_plan(tmp_path / "plan.json", make_plan(scenes))
    words = ["compare", str(plan), "--out", str(tmp_path / "out"), "--device", "cpu"]
    command = [sys.executable, "-m", "picie_core", *words]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, text=True, stderr=subprocess.PIPE, env=surroundings, cwd=ROOT) as process:
        assert process.stderr is not None
        for line in iter(lambda: process.stderr.readline(200), ""):
            if "epoch 3/6:" in line:
                break
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert sorted(results(tmp_path / "out")) == ["frozen-start-scenes-0"]
    assert "**1 of 7 runs are done.**" in (tmp_path / "out/compare.md").read_text()

    assert say(*words).code == 0
    assert without_times(tmp_path / "out") == without_times(whole)
    mine, theirs = results(tmp_path / "out"), results(whole)
    for name, one in mine.items():
        assert one["figures"] == theirs[name]["figures"]
        assert [line["loss"] for line in one["history"]] == [line["loss"] for line in theirs[name]["history"]]
    run = tmp_path / "out/sets/scenes/workspace/runs" / mine["picie-h-scenes-0"]["run"]
    sessions = json.loads((run / "sessions.json").read_text())
    assert len(sessions) == 2
    assert mine["picie-h-scenes-0"]["total_s"] > sum(sessions.values()) > mine["picie-h-scenes-0"]["train_s"]


def test_only_what_is_missing_is_made(whole, scenes, say, tmp_path, monkeypatch):
    """Finished runs are not trained again; an added seed is; another K is measured on the runs that are there."""
    made = []
    for name in ("train", "embed"):
        work = getattr(compare_module, name)
        monkeypatch.setattr(
            compare_module, name, lambda *args, name=name, work=work, **more: made.append(name) or work(*args, **more)
        )
    rows = [{"name": "MDC", "method": "mdc", "epochs": 1, "seeds": [0]}]
    plan, out = tmp_path / "plan.json", tmp_path / "out"
    expected = [
        ({}, ["train"]),
        ({}, []),
        ({"rows": [*rows, {**rows[0], "name": "the same again"}]}, []),
        ({"ks": [7]}, []),
        ({"rows": [{**rows[0], "seeds": [0, 1]}]}, ["train"]),
        ({"rows": [{**rows[0], "settings": {"temperature": 1}}]}, ["train"]),
    ]
    for changes, wanted in expected:
        made.clear()
        write_plan(plan, make_plan(scenes, **{"rows": rows, **changes}))
        assert say("compare", plan, "--out", out, "--device", "cpu").code == 0
        assert made == wanted, changes
    assert "K = 5 named" in (out / "compare.md").read_text()


def test_a_run_that_fails_does_not_stop_the_others(scenes, say, tmp_path):
    """Its reason stands in the table and in the message, the exit code is 1, and the rest is there."""
    rows = [
        {"name": "too fine", "method": "mdc", "settings": {"k": 1000, "pixels": 500}, "epochs": 1},
        {"name": "MDC", "method": "mdc", "epochs": 1},
    ]
    plan = write_plan(tmp_path / "plan.json", make_plan(scenes, rows=rows, seeds=[0]))
    plan.write_text(plan.read_text().replace('"size": 64', '"size": 32'))
    said = say("compare", plan, "--out", tmp_path / "out", "--device", "cpu")
    assert said.code == 1
    assert re.search(r"1 of 2 runs failed, such as scenes, too fine, seed 0: k=1000 needs at least 1000", said.err)
    text = (tmp_path / "out/compare.md").read_text()
    assert "- scenes, too fine, seed 0: failed: k=1000 needs" in text
    assert "| too fine | 0 of 1 | – |" in text and "| MDC | 1 | " in text


def test_two_comparisons_do_not_share_a_folder(scenes, say, tmp_path):
    """The second one is told so."""
    plan = write_plan(tmp_path / "plan.json", make_plan(scenes))
    with compare_module._alone(tmp_path / "out"):
        said = say("compare", plan, "--out", tmp_path / "out")
    assert said.code == 1
    assert "in use by another comparison: wait for it, or give another --out" in said.err


# -- data sets


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
    plan["sets"][0] |= {"images": str(tmp_path / "images"), "count": 3, "masks": None}
    plan["rows"] = ROWS[:1]
    read = read_plan(write_plan(tmp_path / "plan.json", plan))
    prepared = prepare_set(read.sets[0], tmp_path / "set")
    linked = {path.relative_to(tmp_path / "set/images") for path in (tmp_path / "set/images").rglob("*.png")}
    assert {str(path) for path in linked} < {"a/0.png", "b/1.png", "a/2.png", "b/3.png"} and len(linked) == 3
    assert (prepared.images, prepared.classes) == (3, 3)
    plan["sets"][0]["count"] = 2
    other = read_plan(write_plan(tmp_path / "plan.json", plan))
    with pytest.raises(PicieError, match="made from other images: give the set another name, or another --out"):
        prepare_set(other.sets[0], tmp_path / "set")


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
    write_plan(tmp_path / "plan.json", plan)
    assert say("compare", tmp_path / "plan.json", "--out", tmp_path / "out", "--device", "cpu").code == 0
    text = (tmp_path / "out/compare.md").read_text()
    assert "Things and stuff, K = 3:" in text
    figures = results(tmp_path / "out")["frozen-start-scenes-0"]["figures"]["k3"]
    assert f"{figures['accuracy_named_stuff']:.1f} / {figures['miou_named_stuff']:.1f} |" in text


# -- plans


def test_settings_come_from_recipe_set_and_row(scenes, tmp_path):
    """Recipe, then plan, then data set, then row; K is the number of classes unless the row says it."""
    rows = [
        {"name": "a", "method": "picie", "recipe": "paper", "settings": {"temperature": 2, "size": 128}},
        {"name": "b", "method": "mdc", "settings": {"k": 9}, "epochs": 3, "seeds": [4]},
    ]
    plan = read_plan(write_plan(tmp_path / "plan.json", make_plan(scenes, rows=rows)))
    assert [(run.row.name, run.seed) for run in plan.runs()] == [("a", 0), ("a", 1), ("b", 4)]
    training, embedder, sampling = plan.runs()[1].settings(3)
    assert (training.k, training.epochs, training.temperature, training.labels) == (3, 6, 2.0, "epoch")
    assert (embedder.stages, embedder.dim, sampling.size_px, sampling.batch, sampling.seed) == (4, 32, 128, 4, 1)
    training, _, sampling = plan.runs()[2].settings(3)
    assert (training.k, training.epochs, sampling.seed, sampling.size_px) == (9, 3, 4, 64)
    assert plan.ks_of(5) == [5] and plan.ks_of(3) == [3, 5]


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
        ("sets", None, "sets is missing: `compare PLAN --example` writes a whole plan"),
        ("rows", [], r"rows=\[\] is no list: give at least one object"),
        ("colour", "red", "plan.json: colour is unknown: known are sets, rows, seeds"),
        ("sets.0.images", "nowhere", r'sets\[0\].images="nowhere" is no folder \(.*nowhere is not there\): mend the'),
        ("sets.0.val_masks", None, r"sets\[0\].val_masks is missing"),
        ("sets.0.masks", None, r"rows\[3\] 'supervised' learns from masks, set 'scenes' has none"),
        ("sets.0.count", -1, r"sets\[0\].count=-1 is no such number: give a whole one, at least 0"),
        ("rows.1.method", "pice", r'rows\[1\].method="pice" is unknown: choose one of frozen, picie, mdc, iic, sup'),
        ("rows.1.recipe", "papers", r'rows\[1\].recipe="papers" is unknown: choose one of default, paper'),
        ("rows.1.settings", {"temprature": 1}, r"rows\[1\].settings.temprature is unknown: known are backbone, bal"),
        ("rows.1.settings", {"seed": 1}, r"settings.seed is unknown \(seeds and epochs stand in the row itself\)"),
        ("rows.1.settings", {"temperature": "warm"}, r'temperature="warm" is of another kind: give a number, such as'),
        ("rows.1.settings", {"temperature": 0}, r"rows\[1\] 'PiCIE \+ H' on set 'scenes': temperature=0.0 is too sm"),
        ("rows.1.settings", {"labels": "never"}, "labels='never' is unknown: choose one of step, epoch, teacher"),
        ("rows.0.epochs", 3, r"rows\[0\].epochs has no meaning: method frozen is not trained, leave it out"),
        ("rows.1.name", "MDC", "rows has the names 'MDC' and 'MDC': give different ones"),
        ("rows.1.seeds", [1, 1], r"rows\[1\].seeds=\[1, 1\] is no such list: give different whole numbers, at least 0"),
        ("rows.1.seeds", [], r"rows\[1\].seeds=\[\] is empty: give at least one"),
        ("ks", [1], r"ks=\[1\] is no such list: give different whole numbers, at least 2"),
        ("weights", "resnet.pth", r'weights="resnet.pth" is no file \(.*resnet.pth is not there\): mend it, or give'),
        ("curves", "yes", 'curves="yes" is neither: give true or false'),
    ],
)
def test_impossible_plans(scenes, say, tmp_path, where, value, message):
    """Refused with code 2 before anything starts, naming place, value and remedy."""
    plan = json.loads(json.dumps(make_plan(scenes)))
    change(plan, where, value)
    said = say("compare", write_plan(tmp_path / "plan.json", plan), "--out", tmp_path / "out")
    assert said.code == 2
    assert re.search(message, said.err), said.err
    assert not (tmp_path / "out/sets").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no plan at .*plan.json: `compare .* --example` writes one"),
        ("{", "plan.json is not JSON"),
        ("[]", "the plan is"),
    ],
)
def test_files_that_are_no_plan(say, tmp_path, text, message):
    """A missing file, one that is not JSON, one of another shape."""
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    said = say("compare", tmp_path / "plan.json", "--out", tmp_path / "out")
    assert said.code == 2
    assert re.search(message, said.err)


def test_an_over_clustering_that_fits_no_set_is_refused_at_once(scenes, say, tmp_path):
    """Coarser than the number of classes shows before the first run."""
    rows = [{"name": "coarse", "method": "picie", "settings": {"overcluster": 3}}]
    plan = write_plan(tmp_path / "plan.json", make_plan(scenes, rows=[*ROWS[:1], *rows]))
    said = say("compare", plan, "--out", tmp_path / "out")
    assert said.code == 2
    assert "overcluster=3 is not finer than k=3" in said.err
    assert not results(tmp_path / "out")


def test_the_example_is_a_plan(say, tmp_path):
    """--example writes a plan that can be read as it is from the repository; it overwrites nothing."""
    said = say("compare", tmp_path / "plan.json", "--example")
    assert said.code == 0 and "overcluster" in said.out
    assert len(read_plan(tmp_path / "plan.json", ROOT).runs()) == 10
    again = say("compare", tmp_path / "plan.json", "--example")
    assert again.code == 2 and "exists: give the name of a new file" in again.err
    assert "out is missing: give --out DIR" in say("compare", tmp_path / "plan.json").err


@pytest.mark.parametrize("name", ["compare_camvid", "compare_dubai_aerial", "ablation"])
def test_plans_of_the_benchmarks_are_valid(name, tmp_path):
    """Every row of the plans in benchmarks/ can be made, where the data are."""
    written = json.loads((ROOT / f"benchmarks/{name}.json").read_text())
    for one in written["sets"]:
        for folder in ("images", "val_images", "val_masks", "masks"):
            if folder in one:
                (tmp_path / one[folder]).mkdir(parents=True, exist_ok=True)
    (tmp_path / written["weights"]).parent.mkdir(exist_ok=True)
    (tmp_path / written["weights"]).touch()
    plan = read_plan(ROOT / f"benchmarks/{name}.json", tmp_path)
    made = [run.settings(11) for run in plan.runs() if run.seed == 0 and run.data is plan.sets[0]]
    trained = [run for run in plan.runs() if run.seed == 0 and run.data is plan.sets[0]]
    assert len({repr((run.row.method, one)) for run, one in zip(trained, made, strict=True)}) == len(plan.rows)


def test_a_setting_error_is_told_apart(scenes, tmp_path):
    """A plan is refused by SettingError, as wrong usage is."""
    with pytest.raises(SettingError, match="no plan at"):
        read_plan(tmp_path / "none.json")
    plan = read_plan(write_plan(tmp_path / "plan.json", make_plan(scenes)))
    assert PlannedRun(plan.rows[1], plan.sets[0], 0).key == "picie-h-scenes-0"
