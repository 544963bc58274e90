"""`distil` on the command line: from sample scenes to a student, its progress for the app, and wrong options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from picie_core.distillation.student.student_folder import training_folder
from picie_core.progress import read_status
from tests.small_exports import write_export

QUICK = ("--weights", "none", "--size", "64", "--crop", "64", "--batch", "2", "--epochs", "1")


@pytest.mark.slow
def test_a_student_of_an_export(say, finished_copy, tmp_path):
    """Of masks of classes that this project exported itself: report, table, status for the app."""
    clustering = finished_copy.current_run().clustering()
    for name, clusters in {"ground": [0, 1, 2], "sky": [3, 4, 5]}.items():
        finished_copy.label_map.name_clusters(clustering.key, clusters, name)
    export, out = tmp_path / "export", tmp_path / "student"
    assert say("export", "--workspace", finished_copy.root, "--format", "png", "--out", export).code == 0
    done = say("distil", export, "--out", out, "--workspace", finished_copy.root, *QUICK, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["epochs"] == 1 and not result["stopped"]
    assert result["scores"][0]["compared with"] == "held-out labels"
    status = read_status(finished_copy.job_path("distil"))
    assert status is not None and status.state == "done" and status.result["out"] == str(out)
    assert (out / "model.onnx").stat().st_size > 1_000_000


def test_no_export_says_what_to_give(say, tmp_path):
    """A folder of anything else: one line, exit code 1, nothing begun."""
    (tmp_path / "empty").mkdir()
    done = say("distil", tmp_path / "empty", "--out", tmp_path / "net", *QUICK)
    assert done.code == 1
    assert "is no export, it has no export.json: give the folder that `export --format png` wrote" in done.err
    assert not (tmp_path / "net").exists() and not training_folder(tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--crop", "100"), "crop=100 must be a multiple of 32"),
        (("--batch", "1"), "batch=1 is too small: give at least 2"),
        (("--teacher", "X"), "teacher=X is measured on ground truth: give --truth DIR too"),
    ],
)
def test_wrong_options_are_refused(say, tmp_path, options, words):
    """Exit code 2, before anything is read."""
    done = say("distil", tmp_path, "--out", tmp_path / "net", *options)
    assert done.code == 2 and words in done.err


def test_ground_truth_that_is_none_is_refused(say, tmp_path):
    """A folder without masks of these images."""
    export = write_export(tmp_path / "export")
    (tmp_path / "truth").mkdir()
    done = say("distil", export, "--out", tmp_path / "net", "--truth", tmp_path / "truth", *QUICK)
    assert done.code == 1 and "no mask under" in done.err


def test_a_job_without_workspace_leaves_no_status(say, tmp_path):
    """Nothing but what was asked for, wherever the command is started."""
    before = {path for path in Path(tmp_path).rglob("*")}
    say("distil", tmp_path / "none", "--out", tmp_path / "net", *QUICK)
    assert {path for path in Path(tmp_path).rglob("*")} == before
