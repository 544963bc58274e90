"""Kills an editing process and a clustering job with SIGKILL, again and again: no edit that was told may be lost.

    python benchmarks/kill_edits.py [--rounds 50] [--seed 0] [--longest 4]

Each round starts a process that edits in a loop and prints every edit once it is committed, with a digest of all
decisions after it, and a `cluster` job beside it; both are killed at a random moment. Then the workspace has to open,
every printed edit has to be in the log, and the decisions have to be those after the last printed edit, or one edit
further: committed, but killed before it was told. A job that ends carries names over, which is an edit too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picie_core.errors import PicieError
from picie_core.labels.database import transaction
from picie_core.labels.label_map import LabelMap
from picie_core.labels.undo_log import read_rows, rows_to_json
from picie_core.workspace.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("road", "sky", "tree", "car", "ignore", "fence", "sign", "person")


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    after_s: float
    """When both were killed, seconds after the first edit."""
    told: int
    """Edits that were printed."""
    untold: int
    """Edits that were committed and not printed any more."""
    job: str
    """How far the job was: `done`, or `killed`."""


def state_of(label_map: LabelMap) -> str:
    """Returns a digest of everything that was decided."""
    with transaction(label_map.path) as database:
        rows = {table: dict(sorted(found.items())) for table, found in read_rows(database).items()}
    return hashlib.sha256(rows_to_json(rows).encode()).hexdigest()[:16]


# -- the process that edits


def edit_for_ever(path: Path, key: str, k: int, dim: int, seed: int) -> None:
    """Edits at random and prints each edit once it is committed: number, words, digest of the decisions."""
    label_map, rng = LabelMap(path), random.Random(seed)
    version = label_map.version()
    while True:
        try:
            edit_once(label_map, key, k, dim, rng)
        except PicieError:  # such as a name that is taken: no edit, the next one will do
            continue
        if label_map.version() != version:
            event = label_map.history(1)[0]
            version = event.id
            print(json.dumps([event.id, event.words, state_of(label_map)]), flush=True)


def edit_once(label_map: LabelMap, key: str, k: int, dim: int, rng: random.Random) -> None:
    """Makes one edit, of any kind."""
    splits, classes = label_map.splits_of(key), label_map.classes()
    now_k, name = splits[-1].end if splits else k, rng.choice(WORDS)
    chance = rng.random()
    if chance < 0.5 or not classes:
        label_map.name_clusters(key, rng.sample(range(now_k), 3), rng.choice((name, name, None)))
    elif chance < 0.6:
        label_map.undo()
    elif chance < 0.68:
        label_map.redo()
    elif chance < 0.78 and now_k < 3 * k:
        rows = np.random.default_rng(rng.randrange(10**6)).normal(size=(rng.randint(2, 4), dim))
        prototypes = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        label_map.split_cluster(key, rng.randrange(now_k), prototypes, now_k)
    elif chance < 0.84:
        label_map.rename_class(rng.randrange(len(classes)), f"{name} {rng.randrange(100)}")
    elif chance < 0.9:
        label_map.recolor_class(rng.randrange(len(classes)), f"#{rng.randrange(1 << 24):06x}")
    elif chance < 0.94:
        label_map.delete_class(rng.randrange(len(classes)))
    else:
        snapshots = label_map.snapshots()
        if len(snapshots) < 3:
            label_map.save_snapshot(f"at {label_map.version()}")
        elif chance < 0.98:
            label_map.restore_snapshot(rng.choice(snapshots).name)
        else:
            label_map.delete_snapshot(snapshots[-1].name)


# -- one round


def play(workspace: Workspace, number: int, seed: int, longest_s: float) -> Round:
    """Starts both processes, kills them at a random moment, and checks what they left. Raises AssertionError."""
    rng = random.Random(f"{seed} {number}")
    run = workspace.current_run()
    found = run.clustering()
    words = [str(workspace.label_map.path), found.key, str(found.base_k), str(found.centroids.shape[1])]
    editing = [sys.executable, str(Path(__file__)), "--edit", *words, str(rng.randrange(10**6))]
    k = rng.randrange(30, 300)
    job = [sys.executable, "-m", "picie_core", "cluster", "--workspace", str(workspace.root), "--k", str(k)]
    after_s = rng.uniform(0, longest_s)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen(job, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as worker,
        subprocess.Popen(editing, stdout=subprocess.PIPE, text=True, env=environment) as editor,
    ):
        assert editor.stdout is not None
        lines = [editor.stdout.readline()]
        time.sleep(after_s)
        os.kill(editor.pid, signal.SIGKILL)
        worker_state = "done" if worker.poll() is not None else "killed"
        worker.kill()
        lines += editor.stdout.readlines()
    told = [json.loads(line) for line in lines if line.endswith("\n")]
    return Round(after_s, len(told), check(workspace.root, told), worker_state)


def check(root: Path, told: list[list]) -> int:
    """Returns how many edits were committed and not told. Raises AssertionError when anything told was lost."""
    workspace = Workspace.open(root)
    label_map = workspace.label_map
    with closing(sqlite3.connect(label_map.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    events = {event.id: event for event in label_map.history(10**9)}
    for number, words, _ in told:
        assert events[number].words == words, f"edit {number} was told as {words!r}"
    last, _, state = told[-1]
    untold = [events[number] for number in sorted(events) if number > last]
    by_editor = [event.words for event in untold if event.kind != "carry"]  # names are carried over by the job
    assert len(by_editor) <= 1 and len(untold) <= len(by_editor) + 1, f"after the last one told: {by_editor}"
    for event in untold[::-1]:
        _take_back(label_map, event.kind)
    assert state_of(label_map) == state, "the decisions are not those after the last edit that was told"
    run = workspace.current_run()
    for name in run.clusterings():
        clustering = run.clustering(name)
        assert len(clustering.counts) == clustering.k
    run.clustering()
    label_map.set_choice("round", str(last))
    return len(by_editor)


def _take_back(label_map: LabelMap, kind: str) -> None:
    """Undoes an edit, redoes an undo; what changes no decision is left."""
    if kind == "undo":
        label_map.redo()
    elif kind not in ("snapshot", "forget"):
        label_map.undo()


def play_rounds(workspace: Workspace, rounds: int, seed: int = 0, longest_s: float = 4.0) -> list[Round]:
    """Returns the rounds; the edits of each go on where the one before was killed."""
    return [play(workspace, number, seed, longest_s) for number in range(rounds)]


def make_workspace(root: Path) -> Workspace:
    """Returns an embedded workspace of the sample images, with 27 clusters."""
    images = str(ROOT / "sample_data" / "images")
    for words in (["embed", images, "--weights", "none", "--size", "120"], ["cluster", "--k", "27"]):
        command = [sys.executable, "-m", "picie_core", *words, "--workspace", str(root)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Workspace.open(root)


def main() -> None:
    """Plays the rounds on a workspace of the sample images and prints a line for each."""
    if sys.argv[1:2] == ["--edit"]:
        path, key, k, dim, seed = sys.argv[2:]
        edit_for_ever(Path(path), key, int(k), int(dim), int(seed))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=4.0, help="latest moment of a kill, s after the first edit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-edits-") as folder:
        workspace = make_workspace(Path(folder) / "w")
        found = []
        for number in range(options.rounds):
            found.append(play(workspace, number, options.seed, options.longest))
            one = found[-1]
            print(f"{number + 1:3d}  killed after {one.after_s:4.2f} s  {one.told:4d} edits told, "
                  f"{one.untold} committed untold, job {one.job}", flush=True)  # fmt: skip
        told, untold = sum(one.told for one in found), sum(one.untold for one in found)
        jobs = sum(one.job == "killed" for one in found)
        print(f"{len(found)} rounds: {told} edits told, 0 lost; {untold} committed untold; {jobs} jobs killed; "
              f"{len(workspace.label_map.history(10**9))} events in the log")  # fmt: skip


if __name__ == "__main__":
    main()
