"""The file of a label map: whole after a kill, shared by many, refused when it is damaged or newer."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from picie_core.errors import PicieError, SettingError
from picie_core.labels.label_map import LabelMap
from tests.factories import decisions, names_of, unit

KEY = "k27-digest"


@pytest.fixture
def road(label_map: LabelMap) -> LabelMap:
    """A label map in which cluster 0 is road."""
    label_map.name_clusters(KEY, [0], "road")
    return label_map


def test_newer_version_is_refused(road):
    """A file of a newer program is left alone."""
    with closing(sqlite3.connect(road.path)) as database, database:
        database.execute("UPDATE meta SET version = 4")
    for use in (road.classes, lambda: road.name_clusters(KEY, [0], "road")):
        with pytest.raises(PicieError, match="has version 4, this program reads up to 3: update"):
            use()


def test_one_connection_reads_the_latest_and_may_write(road, monkeypatch):
    """Reading in a block opens the file once; it sees what others, and the block itself, write meanwhile."""
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened.append(a) or connect(*a, **k))
    with road.reading(), road.reading():
        assert names_of(road, KEY) == {0: "road"} and len(opened) == 1
        threading.Thread(target=LabelMap(road.path).name_clusters, args=(KEY, [1], "sky")).start()
        road.name_clusters(KEY, [2], "tree")
        while road.version() < 3:  # the thread commits on a connection of its own
            pass
        assert names_of(road, KEY) == {0: "road", 1: "sky", 2: "tree"}
    assert len(opened) == 3
    road.classes()
    assert len(opened) == 4


def test_reading_what_is_not_there_or_damaged(tmp_path):
    """A block of reading makes no file, and says of a damaged one what every reading says."""
    label_map = LabelMap(tmp_path / "labels.sqlite")
    with label_map.reading():
        assert label_map.classes() == [] and not label_map.path.exists()
    label_map.path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(PicieError, match="is damaged"), label_map.reading():
        label_map.classes()


@pytest.mark.parametrize("content", [b"", b"rubbish" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_file_is_an_error_with_a_remedy(tmp_path, content):
    """A damaged file is never taken for an empty map, and never written to."""
    path = tmp_path / "labels.sqlite"
    path.write_bytes(content)
    for use in (LabelMap(path).classes, lambda: LabelMap(path).name_clusters(KEY, [0], "road")):
        with pytest.raises(PicieError, match=r"labels\.sqlite is damaged.*restore it from a copy"):
            use()
    assert path.read_bytes() == content


def test_edit_waits_for_another_and_says_when_it_takes_too_long(road, monkeypatch):
    """A locked file is an error that says so; readers are not held up meanwhile."""
    monkeypatch.setattr("picie_core.labels.database.BUSY_S", 0.05)
    with closing(sqlite3.connect(road.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert names_of(road, KEY) == {0: "road"}
        with pytest.raises(PicieError, match="being edited by another process"):
            road.name_clusters(KEY, [1], "sky")


def test_folder_that_cannot_be_written(tmp_path):
    """Where no file can be made, the error names the path and the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(PicieError, match=r"cannot write .*labels\.sqlite: .*; c"):
        LabelMap(tmp_path / "file" / "labels.sqlite").name_clusters(KEY, [0], "road")


def test_two_threads_that_edit_at_once_lose_nothing(tmp_path):
    """Two tabs that name clusters at the same moment, the first edits included, both find all their names."""
    label_map, barrier, failures = LabelMap(tmp_path / "new.sqlite"), threading.Barrier(2), []

    def work(offset: int) -> None:
        mine = LabelMap(label_map.path)
        barrier.wait()
        try:
            for index in range(20):
                mine.name_clusters(KEY, [offset + index], f"class {index % 7} of {offset}")
        except PicieError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and label_map.version() == 40
    expected = {offset + index: f"class {index % 7} of {offset}" for offset in (0, 100) for index in range(20)}
    assert names_of(label_map, KEY) == expected
    assert [item.id for item in label_map.classes()] == list(range(14))


@pytest.mark.slow
def test_kill_loses_no_edit_that_was_done(tmp_path):
    """After kill -9 in the middle of edits the file opens and holds every edit that was reported as done."""
    label_map = LabelMap(tmp_path / "new.sqlite")
    program = (
        "import sys; from picie_core.labels.label_map import LabelMap\n"
        "label_map = LabelMap(sys.argv[1])\n"
        "for index in range(10**6):\n"
        f"    label_map.name_clusters({KEY!r}, [index % 60000], f'class {{index % 9}}')\n"
        "    print(index, flush=True)\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(label_map.path)]
    for wanted in (1, 13, 40):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
            assert process.stdout is not None
            done = [int(process.stdout.readline()) for _ in range(wanted)]
            os.kill(process.pid, signal.SIGKILL)
            done += [int(line) for line in process.stdout if line.endswith("\n")]
        names = names_of(label_map, KEY)
        assert all(names[index] == f"class {index % 9}" for index in done)
        assert label_map.version() >= len(done)
        label_map.name_clusters(KEY, [0], "class 0")


def test_disk_without_hard_links(tmp_path, monkeypatch):
    """On a disk that knows no hard links the file is made all the same, and nothing is left beside it."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    label_map = LabelMap(tmp_path / "labels.sqlite")
    label_map.name_clusters(KEY, [0], "road")
    assert names_of(label_map, KEY) == {0: "road"} and [path.name for path in tmp_path.iterdir()] == ["labels.sqlite"]


# -- files of version 1

VERSION_1 = """
CREATE TABLE meta (version INTEGER NOT NULL);
CREATE TABLE classes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, color TEXT NOT NULL UNIQUE);
CREATE TABLE assignments (
    clustering TEXT NOT NULL, cluster INTEGER NOT NULL,
    class_id INTEGER NOT NULL REFERENCES classes (id) ON UPDATE CASCADE ON DELETE CASCADE,
    PRIMARY KEY (clustering, cluster)
);
CREATE TABLE choices (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL
);
INSERT INTO meta VALUES (1);
INSERT INTO classes VALUES (255, 'ignore', '#4d4d4d'), (0, 'road', '#e69f00'), (1, 'sky', '#56b4e9');
INSERT INTO assignments VALUES ('k27-digest', 0, 0), ('k27-digest', 1, 1), ('k27-digest', 2, 255);
INSERT INTO choices VALUES ('clustering', 'k27-s0');
INSERT INTO events (at, kind, payload) VALUES
    (1.0, 'name', '{"clustering": "k27-digest", "before": {"0": null}, "name": "road"}'),
    (2.0, 'recolor', '{"color": "#56b4e9", "id": 1, "before": "#000001"}');
"""


@pytest.fixture
def old(tmp_path: Path) -> LabelMap:
    """A label map as the first version wrote it."""
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(VERSION_1)
    return LabelMap(path)


def version_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT version FROM meta").fetchone()[0]


def test_an_old_file_is_read_as_it_is(old):
    """Reading changes nothing, and finds everything; what came before cannot be undone."""
    assert names_of(old, KEY) == {0: "road", 1: "sky", 2: "ignore"} and old.version() == 2
    assert old.splits_of(KEY) == [] and old.snapshots() == [] and old.can_undo() is None and old.can_redo() is None
    assert [event.words for event in old.history()] == ["recoloured a class", "named cluster 0 road"]
    with old.reading():
        for _ in range(2):
            assert names_of(old, KEY) == {0: "road", 1: "sky", 2: "ignore"} and old.splits_of(KEY) == []
    assert version_in(old.path) == 1
    old.path.parent.chmod(0o500)
    try:
        assert names_of(old, KEY) == {0: "road", 1: "sky", 2: "ignore"} and old.splits_of(KEY) == []
    finally:
        old.path.parent.chmod(0o700)


def test_an_old_file_is_brought_up_at_the_first_edit(old):
    """Names, choices and log stay; from then on edits can be undone, down to what the old program left."""
    before = decisions(old)
    old.name_clusters(KEY, [3], "tree")
    assert version_in(old.path) == 3 and old.get_choice("clustering") == "k27-s0"
    assert [event.id for event in old.history()] == [3, 2, 1]
    old.split_cluster(KEY, 3, unit(np.eye(3, 8)), 27)
    old.save_snapshot("new")
    assert old.undo().kind == "split" and old.undo().kind == "name" and old.undo() is None
    assert decisions(old) == before


def test_an_edit_that_fails_leaves_an_old_file_old(old):
    """A refused edit is no reason to change the file."""
    with pytest.raises(SettingError):
        old.rename_class(9, "x")
    assert version_in(old.path) == 1 and names_of(old, KEY)[0] == "road"
