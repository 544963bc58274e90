"""The undo log: every edit stores the rows that it changed, so it can be undone and redone exactly.

The log of events is append-only; an undo is an event too. `timeline` lists the edits that are in force, and after them
those that were undone and that no later edit replaced. All tabs and processes share it.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from picie_core.data.class_names import IGNORE_NAME
from picie_core.errors import PicieError, SettingError

DECISIONS = {"classes": 1, "assignments": 2, "splits": 2, "annotation_classes": 2}
"""Tables that any edit may change, referenced ones first, and how many leading columns are the key of a row."""
PER_IMAGE = {"annotations": 1}
"""Tables with a row an image, read only by the few edits that change them: an edit must not slow down with them."""
TABLES = {**DECISIONS, **PER_IMAGE}
"""All tables that hold what a person decided."""

Payload = dict[str, Any]
Row = tuple[Any, ...]
Rows = dict[str, dict[Row, Row]]
"""By table, each row by its key."""


@dataclass(frozen=True)
class Event:
    """One entry of the log: its number, its time (seconds since the epoch), its kind, and what changed."""

    id: int
    at: float
    kind: str
    """As stored: label transfers are of kind `carry`, deleted snapshots of kind `forget`."""
    payload: Payload

    @property
    def words(self) -> str:
        """What was done, in a person's words: `named 3 clusters road`; an unknown kind stays as it is."""
        return _WORDS[self.kind](self.payload) if self.kind in _WORDS else self.kind


def _named(payload: Payload) -> str:
    name, clusters = payload["name"], list(payload["before"])
    which = f"cluster {clusters[0]}" if len(clusters) == 1 else f"{len(clusters)} clusters"
    if name is None:
        return f"took the name of {which} away"
    return f"ignored {which}" if name == IGNORE_NAME else f"named {which} {name}"


def _split(payload: Payload) -> str:
    if "names" not in payload:
        return f"split cluster {payload['cluster']} into {len(payload['parts'])}"
    *first, last = payload["names"]
    return f"split {', '.join(first) + ' and ' if first else ''}{last} off cluster {payload['cluster']}"


def _names(count: int) -> str:
    return "1 name" if count == 1 else f"{count} names"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _annotations(count: int) -> str:
    return f"annotation{'' if count == 1 else 's'} of {_images(count)}"


_WORDS: dict[str, Callable[[Payload], str]] = {
    "name": _named,
    "rename": lambda payload: f"renamed {payload['before']} to {payload['name']}",
    "recolor": lambda payload: f"recoloured {payload.get('name', 'a class')}",
    "delete": lambda payload: f"deleted class {payload['before']['name']}",
    "merge": lambda payload: f"merged {payload['before']['name']} into {payload['into']}",
    "import": lambda payload: f"imported {_names(len(payload['record'].get('clusters', ())))}",
    "split": _split,
    "carry": lambda payload: f"transferred {_names(len(payload['classes']))} from {payload['source']}",
    "snapshot": lambda payload: f"saved snapshot “{payload['name']}”",
    "forget": lambda payload: f"deleted snapshot “{payload['name']}”",
    "annotate": lambda payload: f"annotated {_images(payload['images'])} from {payload['source']}",
    "unannotate": lambda payload: f"removed the {_annotations(payload['images'])}",
    "take": lambda payload: f"took {_names(len(payload['classes']))} from {payload['source']}",
    "restore": lambda payload: f"returned to snapshot “{payload['name']}”",
    "undo": lambda payload: f"undid: {payload['what']}",
    "redo": lambda payload: f"redid: {payload['what']}",
}


# -- the log


def append_event(database: sqlite3.Connection, kind: str, payload: Payload) -> int:
    """Appends to the log and returns the number of the event."""
    text = json.dumps(payload, ensure_ascii=False)
    done = database.execute("INSERT INTO events (at, kind, payload) VALUES (?, ?, ?)", (time.time(), kind, text))
    return int(done.lastrowid or 0)


def last_events(database: sqlite3.Connection, limit: int) -> list[Event]:
    """Returns the last `limit` events, newest first."""
    rows = database.execute("SELECT id, at, kind, payload FROM events ORDER BY id DESC LIMIT ?", (limit,))
    return [Event(number, at, kind, json.loads(payload)) for number, at, kind, payload in rows]


@contextmanager
def recorded(
    database: sqlite3.Connection, kind: str, payload: Payload, tables: Mapping[str, int] = DECISIONS
) -> Iterator[None]:
    """Logs what the block changes as one event, with `payload` as the block leaves it; no change, no event.

    tables: those that the block may change. The edit can be undone; edits that were undone before can no longer be
    redone.
    """
    before = read_rows(database, tables)
    yield
    after = read_rows(database, tables)
    changes: dict[str, list[tuple[Row | None, Row | None]]] = {}  # by table, each changed row before and after
    for table in tables:
        old, new = before[table], after[table]
        keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if keys:
            changes[table] = [(old.get(key), new.get(key)) for key in keys]
    if not changes:
        return
    event = append_event(database, kind, payload)
    database.execute("INSERT INTO changes VALUES (?, ?)", (event, _to_json(changes)))
    database.execute("DELETE FROM timeline WHERE undone = 1")
    database.execute("INSERT INTO timeline VALUES (?, 0)", (event,))


# -- undo and redo


def next_undo(database: sqlite3.Connection) -> Event | None:
    """Returns the edit that `undo` takes back, None when there is none."""
    return _event(database, "SELECT max(event) FROM timeline WHERE undone = 0")


def next_redo(database: sqlite3.Connection) -> Event | None:
    """Returns the edit that `redo` makes again, None when there is none."""
    return _event(database, "SELECT min(event) FROM timeline WHERE undone = 1")


def undo(database: sqlite3.Connection, expected: int | None = None) -> Event | None:
    """Restores the rows from before the last edit and returns that edit, None when there is none.

    Raises SettingError when `expected` is given and is not the number of that edit.
    """
    return _step(database, next_undo(database), expected, forwards=False)


def redo(database: sqlite3.Connection, expected: int | None = None) -> Event | None:
    """Restores the rows from after the edit that was undone last; returns and raises as `undo`."""
    return _step(database, next_redo(database), expected, forwards=True)


def _event(database: sqlite3.Connection, sql: str) -> Event | None:
    row = database.execute(f"SELECT id, at, kind, payload FROM events WHERE id = ({sql})").fetchone()
    return Event(row[0], row[1], row[2], json.loads(row[3])) if row else None


def _step(database: sqlite3.Connection, event: Event | None, expected: int | None, forwards: bool) -> Event | None:
    """Undoes or redoes one edit. Raises PicieError where the rows are not as the log left them."""
    if expected is not None and (event is None or event.id != expected):
        found = f"the last edit is now “{event.words}”" if event else "nothing is left"
        raise SettingError(f"somebody edited meanwhile, {found}: look at it and try again")
    if event is None:
        return None
    stored = _from_json(database.execute("SELECT rows FROM changes WHERE event = ?", (event.id,)).fetchone()[0])
    rows = read_rows(database, {table: TABLES[table] for table in TABLES if table in DECISIONS or table in stored})
    for table, pairs in stored.items():
        for pair in pairs:
            old, new = (tuple(row) if row else None for row in pair)  # None: the row did not exist
            now, wanted = (old, new) if forwards else (new, old)
            key = (now or wanted or ())[: TABLES[table]]
            if rows[table].pop(key, None) != now:
                raise PicieError(
                    f"edit {event.id} ({event.words}) cannot be undone or redone: another program changed {table} "
                    "without a trace; return to a snapshot or edit by hand"
                )
            if wanted is not None:
                rows[table][key] = wanted
    write_rows(database, rows)
    database.execute("UPDATE timeline SET undone = ? WHERE event = ?", (int(not forwards), event.id))
    kind, of = ("redo", "redoes") if forwards else ("undo", "undoes")
    append_event(database, kind, {of: event.id, "what": event.words})
    return event


# -- rows


def read_rows(database: sqlite3.Connection, tables: Mapping[str, int] = TABLES) -> Rows:
    """Returns all decisions in these tables; those in DECISIONS are few, so this takes about a millisecond."""
    return {
        table: {row[:width]: row for row in database.execute(f"SELECT * FROM {table}")}
        for table, width in tables.items()
    }


def write_rows(database: sqlite3.Connection, rows: Rows) -> None:
    """Replaces all decisions in the tables of `rows`."""
    written = [table for table in TABLES if table in rows]
    for table in reversed(written):
        database.execute(f"DELETE FROM {table}")
    for table in written:
        values = list(rows[table].values())
        if values:
            marks = ", ".join("?" * len(values[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", values)


def rows_to_json(rows: Rows) -> str:
    """Returns all decisions as text, the inverse of `rows_from_json`."""
    return _to_json({table: list(found.values()) for table, found in rows.items()})


def rows_from_json(text: str) -> Rows:
    """Returns the decisions in a text of `rows_to_json`; tables that an older program did not know are empty."""
    stored = _from_json(text)
    return {table: {tuple(row)[:width]: tuple(row) for row in stored.get(table, ())} for table, width in TABLES.items()}


def _to_json(value: Any) -> str:
    """JSON in which a blob is {"base64": ...}."""
    return json.dumps(value, ensure_ascii=False, default=lambda blob: {"base64": base64.b64encode(blob).decode()})


def _from_json(text: str) -> Any:
    return json.loads(
        text, object_hook=lambda item: base64.b64decode(item["base64"]) if set(item) == {"base64"} else item
    )
