"""Snapshots: all decisions of a label map, saved under a name and restored later."""

from __future__ import annotations

import sqlite3
import time
import unicodedata
from dataclasses import dataclass

from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import SettingError
from picie_core.labels.undo_log import append_event, read_rows, rows_from_json, rows_to_json, write_rows

MAX_NAME_LENGTH = 60


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: its name, its time (seconds since the epoch), and how much was named."""

    name: str
    at: float
    classes: int
    clusters: int
    """Named or ignored clusters of all clusterings together."""


def save(database: sqlite3.Connection, name: str) -> None:
    """Saves all decisions as `name`. Raises SettingError when the name is impossible or taken."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH or any(unicodedata.category(one).startswith("C") for one in name):
        raise SettingError(f"snapshot {name!r} must be one line of 1 to {MAX_NAME_LENGTH} characters: change it")
    if database.execute("SELECT 1 FROM snapshots WHERE name = ?", (name,)).fetchone():
        raise SettingError(f"snapshot {name!r} is there already: choose another name, or delete that one")
    rows = read_rows(database)
    classes = sum(key != (IGNORE_ID,) for key in rows["classes"])
    values = (name, time.time(), classes, len(rows["assignments"]), rows_to_json(rows))
    database.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)", values)
    append_event(database, "snapshot", {"name": name})


def listed(database: sqlite3.Connection) -> list[Snapshot]:
    """Returns the snapshots, newest first."""
    sql = "SELECT name, at, classes, clusters FROM snapshots ORDER BY at DESC, name"
    return [Snapshot(*row) for row in database.execute(sql)]


def restore(database: sqlite3.Connection, name: str) -> None:
    """Replaces all decisions by those of snapshot `name`. Raises SettingError with the known names if there is none."""
    row = database.execute("SELECT rows FROM snapshots WHERE name = ?", (_find(database, name),)).fetchone()
    write_rows(database, rows_from_json(row[0]))


def delete(database: sqlite3.Connection, name: str) -> None:
    """Deletes snapshot `name`, not the decisions in use. Raises SettingError as `restore`."""
    name = _find(database, name)
    database.execute("DELETE FROM snapshots WHERE name = ?", (name,))
    append_event(database, "forget", {"name": name})


def _find(database: sqlite3.Connection, name: str) -> str:
    known = [row[0] for row in database.execute("SELECT name FROM snapshots ORDER BY name")]
    if name.strip() not in known:
        raise SettingError(f"no snapshot {name!r}: there are {', '.join(known) or 'none'}")
    return name.strip()
