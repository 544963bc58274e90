"""What a person decided: the classes, which cluster is which class, and what is in use.

It is in one SQLite file. Each edit is one transaction that also appends to `events`: nothing that was shown
as done is lost, two browser tabs and a command line can edit at once, and `version()` tells each of changes.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from picie_core.classes import (
    IGNORE_ID,
    IGNORE_NAME,
    MAX_CLASSES,
    Class,
    clean_name,
    merge_classes,
    name_key,
    read_map,
)
from picie_core.errors import SettingError
from picie_core.labelfile import transaction
from picie_core.palette import IGNORE_COLOR, clean_color, next_color

__all__ = ["IGNORE_COLOR", "IGNORE_ID", "MAX_CLASSES", "Class", "Event", "LabelMap"]

MAX_CLUSTERS = 1 << 16


@dataclass(frozen=True)
class Event:
    """One edit: its number, when (seconds since the epoch), what kind, and what it changed from and to."""

    id: int
    at: float
    kind: str
    payload: dict[str, Any]


class LabelMap:
    """The label map at `path`; touches no disk until it is asked, and makes the file at the first edit.

    Safe from any thread and process: every call has a connection of its own.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path).absolute()

    # -- reading

    def classes(self) -> list[Class]:
        """Returns the classes in the order of their ids, 0 to C-1, without ignore."""
        with transaction(self.path) as database:
            return _classes(database)

    def classes_of(self, clustering_key: str) -> dict[int, int]:
        """Returns cluster -> class id of a clustering: 255 for ignored clusters, nothing for unnamed ones."""
        with transaction(self.path) as database:
            return _classes_of(database, clustering_key)

    def version(self) -> int:
        """Returns a number that grows with every edit by anyone; 0 before the first."""
        with transaction(self.path) as database:
            return database.execute("SELECT ifnull(max(id), 0) FROM events").fetchone()[0]

    def history(self, limit: int = 50) -> list[Event]:
        """Returns the last `limit` edits, newest first."""
        with transaction(self.path) as database:
            rows = database.execute("SELECT id, at, kind, payload FROM events ORDER BY id DESC LIMIT ?", (limit,))
            return [Event(number, at, kind, json.loads(payload)) for number, at, kind, payload in rows]

    def get_choice(self, key: str) -> str | None:
        """Returns what is in use under `key` (such as `run`), None where nothing was chosen."""
        with transaction(self.path) as database:
            row = database.execute("SELECT value FROM choices WHERE key = ?", (key,)).fetchone()
            return row[0] if row else None

    def export_map(self, clustering_key: str) -> dict[str, Any]:
        """Returns the classes and the names of a clustering as the record that `import_map` reads."""
        with transaction(self.path) as database:
            return _export(database, clustering_key)

    # -- edits

    def set_choice(self, key: str, value: str) -> None:
        """Stores what is in use under `key`; choices are no edits, so the version stays."""
        with transaction(self.path, write=True) as database:
            database.execute("INSERT OR REPLACE INTO choices VALUES (?, ?)", (key, value))

    def name_clusters(self, clustering_key: str, clusters: Sequence[int], name: str | None) -> None:
        """Gives clusters to the class `name`, made if it is new; "ignore" leaves them out, None unnames them.

        Raises SettingError for an impossible name or cluster, or when a 255th class would be needed.
        """
        numbers = [_cluster(cluster) for cluster in clusters]
        if name is not None:
            name = IGNORE_NAME if isinstance(name, str) and name_key(name) == IGNORE_NAME else clean_name(name)
        with self._edit("name", clustering=clustering_key) as (database, payload):
            names, old = _names(database), _classes_of(database, clustering_key)
            payload["before"] = {str(number): names[old[number]] if number in old else None for number in numbers}
            payload["name"] = name
            if name is None:
                rows = [(clustering_key, number) for number in numbers]
                database.executemany("DELETE FROM assignments WHERE clustering = ? AND cluster = ?", rows)
            else:
                _assign(database, clustering_key, dict.fromkeys(numbers, _find_or_add(database, name)))

    def rename_class(self, class_id: int, name: str) -> None:
        """Gives class `class_id` another name. Raises SettingError when the name is impossible or taken."""
        name = clean_name(name)
        with self._edit("rename", name=name) as (database, payload):
            before = _find(database, class_id)
            other = _id_of(database, name)
            if other not in (None, before.id):
                remedy = "choose another, or give its clusters to that class"
                raise SettingError(f"class name {name!r} is taken by class {other}: {remedy}")
            payload |= {"id": before.id, "before": before.name}
            database.execute("UPDATE classes SET name = ? WHERE id = ?", (name, before.id))

    def recolor_class(self, class_id: int, color: str) -> None:
        """Gives class `class_id` another colour. Raises SettingError when it is no colour or taken."""
        color = clean_color(color)
        with self._edit("recolor", color=color) as (database, payload):
            before = _find(database, class_id)
            _refuse_taken_color(database, color, before.id)
            payload |= {"id": before.id, "before": before.color}
            database.execute("UPDATE classes SET color = ? WHERE id = ?", (color, before.id))

    def delete_class(self, class_id: int) -> None:
        """Removes class `class_id`; its clusters become unnamed, and the ids above it move down by one."""
        with self._edit("delete") as (database, payload):
            before = _find(database, class_id)
            sql = "SELECT clustering, cluster FROM assignments WHERE class_id = ?"
            payload |= {"before": asdict(before), "clusters": database.execute(sql, (before.id,)).fetchall()}
            database.execute("DELETE FROM classes WHERE id = ?", (before.id,))
            _rewrite(database, [(item.id, item.name, item.color) for item in _classes(database)])

    def import_map(self, clustering_key: str, record: Any, k: int) -> None:
        """Replaces the names of a clustering of `k` clusters by those of `record`, and adds its classes.

        The ids of the record are taken over when they are 0 to C-1 and there are no other classes; else known
        classes keep theirs and new ones follow. Raises SettingError, with nothing changed, if it is wrong.
        """
        wanted = read_map(record, k)
        with self._edit("import", clustering=clustering_key, record=record) as (database, payload):
            payload["before"] = _export(database, clustering_key)
            _rewrite(database, merge_classes(_classes(database), wanted))
            database.execute("DELETE FROM assignments WHERE clustering = ?", (clustering_key,))
            ids = {item.name: item.id for item in _classes(database)}
            found = {number: IGNORE_ID if name is None else ids[name] for number, name in wanted.clusters.items()}
            _assign(database, clustering_key, found)

    # -- the database

    @contextmanager
    def _edit(self, kind: str, **payload: Any) -> Iterator[tuple[sqlite3.Connection, dict[str, Any]]]:
        """Yields the connection of one transaction and the payload of its event, which the block fills in."""
        with transaction(self.path, write=True) as database:
            yield database, payload
            text = json.dumps(payload, ensure_ascii=False)
            database.execute("INSERT INTO events (at, kind, payload) VALUES (?, ?, ?)", (time.time(), kind, text))


# -- inside a transaction


def _classes(database: sqlite3.Connection) -> list[Class]:
    rows = database.execute("SELECT id, name, color FROM classes WHERE id <> ? ORDER BY id", (IGNORE_ID,))
    return [Class(*row) for row in rows]


def _names(database: sqlite3.Connection) -> dict[int, str]:
    return dict(database.execute("SELECT id, name FROM classes").fetchall())


def _classes_of(database: sqlite3.Connection, clustering_key: str) -> dict[int, int]:
    sql = "SELECT cluster, class_id FROM assignments WHERE clustering = ? ORDER BY cluster"
    return dict(database.execute(sql, (clustering_key,)).fetchall())


def _export(database: sqlite3.Connection, clustering_key: str) -> dict[str, Any]:
    names = _names(database)
    clusters = {str(number): names[class_id] for number, class_id in _classes_of(database, clustering_key).items()}
    return {"classes": [asdict(item) for item in _classes(database)], "clusters": clusters}


def _id_of(database: sqlite3.Connection, name: str) -> int | None:
    keys = {name_key(known): class_id for class_id, known in _names(database).items()}
    return keys.get(name_key(name))


def _find(database: sqlite3.Connection, class_id: int) -> Class:
    classes = _classes(database)
    if isinstance(class_id, bool) or class_id not in range(len(classes)):
        raise SettingError(f"no class {class_id!r}: there are {len(classes)}, numbered from 0; reload the page")
    return classes[int(class_id)]


def _find_or_add(database: sqlite3.Connection, name: str) -> int:
    """Returns the id of class `name`, made with the next default colour if it is new."""
    known = _id_of(database, name)
    if known is not None:
        return known
    classes = _classes(database)
    if len(classes) == MAX_CLASSES:
        raise SettingError(
            f"{name!r} would be class {MAX_CLASSES + 1}, a mask holds {MAX_CLASSES}: delete or merge some"
        )
    color = next_color({item.color for item in classes})
    database.execute("INSERT INTO classes VALUES (?, ?, ?)", (len(classes), name, color))
    return len(classes)


def _assign(database: sqlite3.Connection, clustering_key: str, classes_of: dict[int, int]) -> None:
    rows = [(clustering_key, number, class_id) for number, class_id in classes_of.items()]
    database.executemany("INSERT OR REPLACE INTO assignments VALUES (?, ?, ?)", rows)


def _cluster(number: int) -> int:
    if isinstance(number, bool) or int(number) != number or not 0 <= number < MAX_CLUSTERS:
        raise SettingError(f"cluster {number!r} must be a whole number from 0 to {MAX_CLUSTERS - 1}: correct it")
    return int(number)


def _refuse_taken_color(database: sqlite3.Connection, color: str, class_id: int | None) -> None:
    row = database.execute("SELECT name FROM classes WHERE color = ? AND id IS NOT ?", (color, class_id)).fetchone()
    if row:
        raise SettingError(f"colour {color} is the one of {row[0]!r}, choose another")


def _rewrite(database: sqlite3.Connection, rows: Sequence[tuple[int | None, str, str]]) -> None:
    """Makes `rows` (id now or None, name, colour) classes 0 to C-1; every assignment follows its class."""
    aside = 1000  # first out of the way, so that names, colours and ids may change places
    for class_id, _, _ in rows:
        if class_id is not None:
            values = (class_id + aside, f"\0{class_id}", f"\0{class_id}", class_id)
            database.execute("UPDATE classes SET id = ?, name = ?, color = ? WHERE id = ?", values)
    for index, (class_id, name, color) in enumerate(rows):
        if class_id is None:
            database.execute("INSERT INTO classes VALUES (?, ?, ?)", (index, name, color))
        else:
            values = (index, name, color, class_id + aside)
            database.execute("UPDATE classes SET id = ?, name = ?, color = ? WHERE id = ?", values)
