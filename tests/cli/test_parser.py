"""The command line: help with advice, exit codes, one JSON line, the same settings as in the library."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import fields
from typing import get_type_hints

import pytest

from picie_core.cli.commands import COMMANDS
from picie_core.cli.output import readable
from picie_core.cli.parser import Group, build_parser, call_arguments, run_command
from picie_core.errors import PicieError, SettingError, Stopped, WorkspaceBusy
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.recipes import recipe_settings
from picie_core.training.settings import TrainSettings

NEEDED = {
    "embed": ["--workspace", "w"],
    "train": ["--workspace", "w"],
}
"""The least that these commands can be called with."""
LABEL = COMMANDS["label"].commands
LEAVES = [name for name in COMMANDS if name != "label"] + [f"label {name}" for name in LABEL]


def parser_of(words: str) -> argparse.ArgumentParser:
    """The parser of one command, such as `label name`."""
    parser = build_parser(COMMANDS)
    for word in words.split():
        parser = parser._subparsers._group_actions[0].choices[word]
    return parser


# -- help


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_says_what_its_options_mean(command, say):
    """--help ends with code 0 and names every option with its meaning."""
    said = say(*command.split(), "--help")
    assert said.code == 0
    assert "--workspace" in said.out and "--json" in said.out
    assert all(action.help for action in parser_of(command)._actions)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_advice(command, say):
    """`info` alone needs none; that of `label` stands before its actions."""
    said = say(command, "--help")
    assert said.code == 0
    assert "Advice:" in said.out or command == "info"


def test_help_lists_the_commands(say):
    """The first help names every command with its one line, that of `label` every action."""
    for words, commands in (((), COMMANDS), (("label",), LABEL)):
        said = say(*words, "--help")
        assert said.code == 0
        for name, command in commands.items():
            text = command.meaning if isinstance(command, Group) else command.__doc__
            assert name in said.out
            assert text.split("\n", 1)[0][:40] in " ".join(said.out.split())


def test_every_setting_says_what_it_is():
    """Each field of the settings has a default of its type and a meaning; the default is in its range."""
    for kind in (EmbedderSettings, SampleSettings, TrainSettings, PostProcessing):
        kind()
        hints = get_type_hints(kind)
        for one in fields(kind):
            assert isinstance(one.default, hints[one.name]), one.name
            assert len(one.metadata["help"]) > 10, one.name


@pytest.mark.parametrize("command", NEEDED)
def test_defaults_are_those_of_the_library(command):
    """A command without options runs with what the dataclasses say; every field has its option."""
    arguments = build_parser(COMMANDS).parse_args([command, *NEEDED[command]])
    values = call_arguments(COMMANDS[command], arguments)
    help_text = parser_of(command).format_help()
    for name, kind in get_type_hints(COMMANDS[command]).items():
        if kind in (EmbedderSettings, SampleSettings, TrainSettings):
            assert values[name] == kind()
            assert all(f"--{one.name.removesuffix('_px').replace('_', '-')} " in help_text for one in fields(kind))


def test_a_recipe_changes_the_defaults_and_options_change_the_recipe():
    """--recipe paper sets what the paper sets, one option more is an ablation; `embed` has no recipes."""
    line = "train im --workspace w --recipe paper --temperature 0.2 --batch 16"
    values = call_arguments(COMMANDS["train"], build_parser(COMMANDS).parse_args(line.split()))
    assert values["training"] == recipe_settings("paper", temperature=0.2)[0]
    assert values["sampling"] == recipe_settings("paper", batch=16)[2]
    assert (values["training"].labels, values["training"].schedule) == ("epoch", "constant")
    assert values["embedder"] == recipe_settings("paper")[1] != EmbedderSettings()
    with pytest.raises(SystemExit):
        build_parser(COMMANDS).parse_args(["embed", "im", "--workspace", "w", "--recipe", "paper"])


def test_options_reach_their_setting():
    """Dashes for underscores, no unit in the name, numbers as numbers."""
    line = "train im --workspace w --size 64 --lr-decoder 0.5 --batch-norm train --stages 4 --dense-mb 7"
    arguments = build_parser(COMMANDS).parse_args(line.split())
    assert (arguments.size_px, arguments.lr_decoder, arguments.batch_norm) == (64, 0.5, "train")
    assert (arguments.stages, arguments.dense_mb, str(arguments.images)) == (4, 7, "im")


# -- exit codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (PicieError("disk full"), 1),
        (WorkspaceBusy("busy"), 1),
        (Stopped("stopped in epoch 2"), 1),
        (KeyboardInterrupt(), 1),
        (SettingError("k=0 is too small"), 2),
    ],
)
def test_exit_codes(error, code, capsys):
    """0 done, 1 failed or stopped, 2 wrong usage; the message is on stderr, behind the command's name."""

    def act() -> dict:
        """Does it."""
        if error:
            raise error
        return {"images": 3}

    assert run_command({"act": act}, ["act", "--json"]) == code
    out, err = capsys.readouterr()
    assert out == ("" if error else '{"images": 3}\n')
    assert not error or (err.startswith("act: ") and str(error) in err)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "required: COMMAND"),
        ("frobnicate", "invalid choice: 'frobnicate'"),
        ("info", "required: --workspace"),
        ("info --workspace w --unknown", "unrecognized arguments: --unknown"),
        ("cluster --workspace w --k many", "invalid int value: 'many'"),
        ("embed im --workspace w --backbone vgg", "invalid choice: 'vgg'"),
        ("export --workspace w --out o --format gif", "invalid choice: 'gif'"),
        ("embed im --workspace w --size 8", "size=8 is too small: give at least 32"),
        ("embed im --workspace w --pixels 1", "pixels=1 is too small: give at least 100"),
        ("embed im --workspace w --batch 0", "batch=0 is too small: give at least 1"),
        ("embed im --workspace w --seed -1", "seed=-1 is too small: give at least 0"),
        ("train im --workspace w --k 1", "k=1 is too small: give at least 2"),
        ("train im --workspace w --balance 2", "balance=2.0 is too large: give at most 1"),
        ("train im --workspace w --temperature nan", "temperature=nan is too small"),
        ("label", "required: ACTION"),
        ("label --workspace w", "argument ACTION: invalid choice: 'w' (choose from 'name', "),
        ("label import --workspace w", "required: FILE"),
        ("label undo --clusters 3 --workspace w", "unrecognized arguments: --clusters 3"),
        ("label paint --workspace w", "invalid choice: 'paint'"),
        ("label undo --last 0 --workspace w", "last=0 is too small: give at least 1"),
    ],
)
def test_wrong_usage_is_2_with_a_message(line, message, say, tmp_path, monkeypatch):
    """A wrong line is refused with what is wrong, no traceback, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "im").mkdir()
    said = say(*line.split())
    assert said.code == 2
    assert message in said.err
    assert (said.out, "Traceback" in said.err) == ("", False)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("k", [0, -1, 601, 70000])
def test_impossible_k(finished_copy, say, k):
    """K of 0, below it, above the pixels: wrong usage, no traceback, the clustering in use stays."""
    said = say("cluster", "--workspace", finished_copy.root, "--k", k)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"cluster: k={k} ")
    assert finished_copy.label_map.get_choice("clustering") == "k6-s0"


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("cluster --k 3 --seed -1", 2, "seed=-1 is too small: give at least 0"),
        ("cluster --k 3 --iterations 0", 2, "iterations=0 is too small: give at least 1"),
        ("cluster --k 3 --run nothing", 2, "no run 'nothing'"),
        ("project --points 0", 2, "points=0 is too small: give at least 3"),
        ("project --neighbors 0", 2, "neighbors=0 is too small: give at least 2"),
        ("label export x.json --clustering k9-s9", 2, "no clustering 'k9-s9' (there: k6-s0)"),
        ("label import absent.json", 1, "absent.json cannot be read (No such file or directory)"),
        ("evaluate --images absent --masks absent", 1, "absent is not a folder"),
        ("evaluate --images . --masks . --k 0", 2, "k=0 is too small"),
    ],
)
def test_impossible_wishes(finished_copy, say, tmp_path, monkeypatch, line, code, message):
    """Each names argument, value and remedy, without a traceback."""
    monkeypatch.chdir(tmp_path)
    said = say(*line.split(), "--workspace", finished_copy.root)
    assert (said.code, said.out) == (code, "")
    assert message in said.err


# -- what commands say


def test_json_is_one_line(finished_copy, say, tmp_path, scenes):
    """--json prints the result as the only line on stdout, whatever goes to stderr."""
    masks = ("--images", scenes / "images", "--masks", scenes / "masks")
    for words in (("cluster", "--k", 4), ("info",), ("evaluate", *masks), ("label", "export", tmp_path / "m.json")):
        said = say(*words, "--workspace", finished_copy.root, "--json")
        assert said.code == 0, said.err
        assert said.out.count("\n") == 1
        assert isinstance(json.loads(said.out), dict)


def test_evaluate_says_all_figures(finished_copy, say, scenes):
    """One-to-one and the oracle, per class, the confusion; with several seeds their mean and spread."""
    words = ("evaluate", "--images", scenes / "images", "--masks", scenes / "masks", "--json")
    result = json.loads(say(*words, "--workspace", finished_copy.root).out)
    assert result["accuracy_oracle"] >= result["accuracy"] > 33
    assert result["miou_oracle"] >= result["miou"]
    assert [len(row) for row in result["confusion"]] == [3] * 6
    assert sum(map(sum, result["confusion"])) == 6 * 64 * 96
    assert len(result["per_class"]) == 3
    assert say("cluster", "--workspace", finished_copy.root, "--k", 6, "--seed", 1).code == 0
    several = json.loads(say(*words, "--workspace", finished_copy.root, "--k", 6, "--centre-square").out)
    assert several["seeds"] == [0, 1]
    assert several["accuracy_std"] >= 0
    assert sum(map(sum, several["confusion"])) == 6 * 320 * 320


def test_names_go_in_and_come_out(finished_copy, say, tmp_path):
    """An imported map is exported equal; `info` shows its classes."""
    names = {
        "classes": [{"id": 0, "name": "sky", "color": "#4682b4"}, {"id": 1, "name": "road", "color": "#804080"}],
        "clusters": {"0": "sky", "2": "road", "3": "ignore", "5": "sky"},
    }
    (tmp_path / "in.json").write_text(json.dumps(names))
    said = say("label", "import", tmp_path / "in.json", "--workspace", finished_copy.root, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["named_clusters"] == 4
    assert say("label", "export", tmp_path / "out.json", "--workspace", finished_copy.root).code == 0
    assert json.loads((tmp_path / "out.json").read_text()) == names
    assert json.loads(say("info", "--workspace", finished_copy.root, "--json").out)["classes"] == ["sky", "road"]


def test_info_says_what_is_there(finished_copy, say):
    """Images, unreadable files with reasons, runs with their clusterings, sizes; readable without --json."""
    finished_copy.add_problem(2, "truncated: the file ends too early")
    result = json.loads(say("info", "--workspace", finished_copy.root, "--json").out)
    assert result["images"] == 5
    assert result["unreadable"] == [{"file": "scene-2.png", "reason": "truncated: the file ends too early"}]
    assert result["runs"][0]["clusterings"] == ["k6-s0"]
    assert result["runs"][0]["state"] == "done"
    said = say("info", "--workspace", finished_copy.root)
    assert "  file scene-2.png  reason truncated: the file ends too early" in said.out


def test_readable_by_hand():
    """Numbers are rounded, tables and nested results stand below their name."""
    result = {"k": 3, "inertia": 0.123456, "sizes": {"a": 1.0}, "rows": [{"class": "sky", "iou": 0.5}], "none": []}
    expected = "k: 3\ninertia: 0.1235\nsizes:\n  a: 1\nrows:\n  class sky  iou 0.5\nnone: []"
    assert readable(result) == expected


def test_as_a_process():
    """`python -m picie_core` works from anywhere, quick: help needs no network library."""
    done = subprocess.run([sys.executable, "-m", "picie_core", "cluster", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python -m picie_core cluster" in done.stdout
