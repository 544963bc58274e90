"""`compare`: metrics that are right, runs that are made once, stops that cost nothing."""

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
from filelock import FileLock
from PIL import Image

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.progress import read_status
from picie_core.workspace.workspace import Workspace
from tests.small_plans import ROWS, make_plan, results, write_plan

ROOT = Path(__file__).resolve().parents[2]


def without_times(out: Path) -> list[str]:
    """The lines of the page up to the wall times of its one set."""
    return (out / "compare.md").read_text().split("Wall time:")[0].splitlines()


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory) -> Path:
    """The folder of a finished comparison that nothing interrupted; only to read."""
    folder = tmp_path_factory.mktemp("compare")
    plan = write_plan(folder / "plan.toml", make_plan(scenes))
    assert run_command(COMMANDS, ["compare", str(plan), "--out", str(folder / "out"), "--device", "cpu"]) == 0
    return folder / "out"


# -- the metrics


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


def test_metrics_are_those_of_evaluate(whole, scenes, say):
    """The same run, clusterings and masks through `evaluate` give the same means; so does the learnt classifier."""
    one = results(whole)["mdc-scenes-1"]
    words = ("--workspace", whole / "sets/scenes/workspace", "--run", one["run"], "--device", "cpu", "--json")
    words += ("--images", scenes / "images", "--masks", scenes / "masks")
    said = json.loads(say("evaluate", *words, "--k", 5).out)
    assert said["seeds"] == [0, 1]
    learnt = json.loads(say("evaluate", *words, "--head").out)
    for figure in ("accuracy", "miou", "accuracy_own", "miou_own", "accuracy_named", "miou_oracle"):
        assert one["figures"]["k5"][figure] == pytest.approx(said[figure])
        assert one["figures"]["head"][figure] == pytest.approx(learnt[figure])


def test_a_classifier_of_classes_is_not_matched(whole):
    """What supervised learnt names its classes itself, so nothing is matched or named."""
    figures = results(whole)["supervised-scenes-0"]["figures"]["head"]
    assert figures["accuracy"] == figures["accuracy_named"] > 34  # better than always the same of three classes


def test_the_table_shows_mean_and_deviation(whole):
    """A cell is the mean and the standard deviation over seeds, by numpy; a single seed has no deviation."""
    text, found = (whole / "compare.md").read_text(), results(whole)
    lines = text[text.index("K = 5 clusters, named:") :].splitlines()
    line = next(line for line in lines if line.startswith("| PiCIE + H"))
    for column, way in ((2, "own"), (3, "named"), (4, "oracle")):
        cells = []
        for figure in ("accuracy", "miou"):
            values = [found[f"picie-h-scenes-{seed}"]["figures"]["k5"][f"{figure}_{way}"] for seed in (0, 1)]
            cells.append(f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}")
        assert line.strip("| ").split(" | ")[column] == " / ".join(cells)
    single = next(line for line in lines if line.startswith("| supervised"))
    assert "±" not in single and "| 1 |" in single
    assert "5 own images at 64 px to train on, 6 (the own ones among them) to measure on, 3 classes" in text
    assert text.index("## Masks from 5 named clusters") < text.index("## scenes")


def test_wall_time_is_that_of_the_epochs(whole):
    """Training time is the sum over the epochs; the whole run took longer; a frozen start has no training."""
    for one in results(whole).values():
        assert one["train_s"] == pytest.approx(sum(line["seconds"] for line in one["history"]))
        assert one["total_s"] > one["train_s"]


def test_the_result_lists_the_table(whole, scenes, say, tmp_path):
    """--json has a record for each row and data set, with the means that the table rounds."""
    plan = write_plan(tmp_path / "plan.toml", make_plan(scenes))
    said = json.loads(say("compare", plan, "--out", whole, "--device", "cpu", "--json").out)
    row = next(row for row in said["rows"] if row["row"] == "MDC")
    values = [results(whole)[f"mdc-scenes-{seed}"]["figures"]["k3"]["miou"] for seed in (0, 1)]
    assert row["k3_miou"] == pytest.approx(np.mean(values), abs=1e-3)
    assert row["k3_miou_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-3)
    assert (row["seeds"], said["runs"], said["made_now"]) == (2, 7, 0)


def test_the_picture_is_there(whole):
    """curves.png has four panels in two columns; without them it would be half as wide."""
    with Image.open(whole / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000 and picture.height > 500
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
    assert {(0x44, 0x77, 0xAA), (0xEE, 0x66, 0x77), (0x22, 0x88, 0x33)} <= colours  # a line for each trained row


# -- stopping and going on


def test_a_killed_comparison_goes_on_to_the_same_table(whole, scenes, say, tmp_path):
    """kill -9 in the middle of a training: the same command ends with the same metrics and counts all epochs."""
    plan = write_plan(tmp_path / "plan.toml", make_plan(scenes))
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
    killed = mine["picie-h-scenes-0"]
    assert killed["total_s"] > killed["train_s"] == sum(line["seconds"] for line in killed["history"])


def test_only_what_is_missing_is_made(scenes, say, tmp_path):
    """Finished runs are not trained again; an added seed is; another K is measured on the runs that are there."""
    rows = [{"name": "MDC", "method": "mdc", "epochs": 1, "seeds": [0]}]
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    expected = [
        ({}, True),
        ({}, False),
        ({"rows": [*rows, {**rows[0], "name": "the same again"}]}, False),
        ({"ks": [7]}, False),
        ({"rows": [{**rows[0], "seeds": [0, 1]}]}, True),
        ({"rows": [{**rows[0], "settings": {"temperature": 1}}]}, True),
    ]
    job, before = Workspace(out / "sets/scenes/workspace", {}).job_path("train"), None
    for changes, trains in expected:
        write_plan(plan, make_plan(scenes, **{"rows": rows, **changes}))
        assert say("compare", plan, "--out", out, "--device", "cpu").code == 0
        last = read_status(job)
        assert (last.started != before) == trains, changes
        before = last.started
    assert "K = 5 clusters, named:" in (out / "compare.md").read_text()


def test_a_run_that_fails_does_not_stop_the_others(scenes, say, tmp_path):
    """Its reason stands in the table and in the message, the exit code is 1, and the rest is there."""
    rows = [
        {"name": "too fine", "method": "mdc", "settings": {"k": 1000, "pixels": 500}, "epochs": 1},
        {"name": "MDC", "method": "mdc", "epochs": 1},
    ]
    plan = write_plan(tmp_path / "plan.toml", make_plan(scenes, rows=rows, seeds=[0]))
    plan.write_text(plan.read_text().replace("size = 64", "size = 32"))
    said = say("compare", plan, "--out", tmp_path / "out", "--device", "cpu")
    assert said.code == 1
    assert re.search(r"1 of 2 runs failed, such as scenes, too fine, seed 0: k=1000 needs at least 1000", said.err)
    text = (tmp_path / "out/compare.md").read_text()
    assert "- scenes, too fine, seed 0: failed: k=1000 needs" in text
    assert "| too fine | 0 of 1 | – | – | – |" in text and "| MDC | 1 | " in text


def test_more_clusters_than_the_images_have_positions(scenes, say, tmp_path):
    """Seen before anything is trained: five images of 32 x 48 px have 96 positions each."""
    plan = write_plan(tmp_path / "plan.toml", make_plan(scenes, rows=ROWS[1:2], seeds=[0], ks=[481]))
    plan.write_text(plan.read_text().replace("size = 64", "size = 32"))
    said = say("compare", plan, "--out", tmp_path / "out", "--device", "cpu")
    assert said.code == 1
    assert "k=481 needs at least 481 sampled pixels, the images have 480 at 32 px: lower ks, or raise size" in said.err
    assert not list((tmp_path / "out").glob("sets/*/workspace/runs/*"))


def test_two_comparisons_do_not_share_a_folder(scenes, say, tmp_path):
    """The second one is refused."""
    plan = write_plan(tmp_path / "plan.toml", make_plan(scenes))
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out/compare.lock"):
        said = say("compare", plan, "--out", tmp_path / "out")
    assert said.code == 1
    assert "in use by another comparison: wait for it, or give another --out" in said.err
