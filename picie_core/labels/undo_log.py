"""The log of edits and the one history over it: every edit knows the rows it changed, so it can be undone exactly.

The log is append-only; an undo is an event too. `timeline` is its index: the edits that stand, and behind them those
that were undone and not yet edited over. All tabs and processes share it.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from picie_core.errors import PicieError, SettingError
from picie_core.labels.edit_descriptions import edit_words

TABLES = {"classes": 1, "assignments": 2, "splits": 2}
"""The tables of decisions in the order in which rows refer to each other, and how many first columns name a row."""

Row = tuple[Any, ...]
Rows = dict[str, dict[Row, Row]]
Changes = dict[str, list[tuple[Row | None, Row | None]]]
"""By table, each changed row before and after; None where there was or is none."""


@dataclass(frozen=True)
class Event:
    """One edit: its number, when (seconds since the epoch), what kind, and what it changed from and to."""

    id: int
    at: float
    kind: str
    payload: dict[str, Any]

    @property
    def words(self) -> str:
        """What was done, as a person reads it: `named 3 clusters road`."""
        return edit_words(self.kind, self.payload)


# -- the log


def append_event(database: sqlite3.Connection, kind: str, payload: dict[str, Any]) -> int:
    """Appends to the log and returns the number of the event."""
    text = json.dumps(payload, ensure_ascii=False)
    done = database.execute("INSERT INTO events (at, kind, payload) VALUES (?, ?, ?)", (time.time(), kind, text))
    return int(done.lastrowid or 0)


def last_events(database: sqlite3.Connection, limit: int) -> list[Event]:
    """Returns the last events, newest first."""
    rows = database.execute("SELECT id, at, kind, payload FROM events ORDER BY id DESC LIMIT ?", (limit,))
    return [Event(number, at, kind, json.loads(payload)) for number, at, kind, payload in rows]


@contextmanager
def recorded(database: sqlite3.Connection, kind: str, payload: dict[str, Any]) -> Iterator[None]:
    """Makes one event of what the block changes, with `payload` as the block leaves it; no change, no event."""
    before = read_rows(database)
    yield
    changes = difference(before, read_rows(database))
    if not changes:
        return
    event = append_event(database, kind, payload)
    database.execute("INSERT INTO changes VALUES (?, ?)", (event, _to_json(changes)))
    database.execute("DELETE FROM timeline WHERE undone = 1")
    database.execute("INSERT INTO timeline VALUES (?, 0)", (event,))


# -- undo and redo


def next_undo(database: sqlite3.Connection) -> Event | None:
    """Returns the edit that an undo would take back, None when there is none."""
    return _event(database, "SELECT max(event) FROM timeline WHERE undone = 0")


def next_redo(database: sqlite3.Connection) -> Event | None:
    """Returns the edit that a redo would make again, None when there is none."""
    return _event(database, "SELECT min(event) FROM timeline WHERE undone = 1")


def undo_event(database: sqlite3.Connection, event: Event) -> None:
    """Takes an edit back: the rows that it changed are again what they were."""
    changes = [(table, new, old) for table, pairs in _changes(database, event).items() for old, new in pairs]
    _change_rows(database, changes, event)
    database.execute("UPDATE timeline SET undone = 1 WHERE event = ?", (event.id,))
    append_event(database, "undo", {"undoes": event.id, "what": event.words})


def redo_event(database: sqlite3.Connection, event: Event) -> None:
    """Makes an undone edit again."""
    changes = [(table, old, new) for table, pairs in _changes(database, event).items() for old, new in pairs]
    _change_rows(database, changes, event)
    database.execute("UPDATE timeline SET undone = 0 WHERE event = ?", (event.id,))
    append_event(database, "redo", {"redoes": event.id, "what": event.words})


def refuse_other(event: Event | None, expected: int | None) -> None:
    """Raises SettingError when somebody asked for another edit than the one whose turn it is."""
    if expected is not None and (event is None or event.id != expected):
        found = f"the last edit is now “{event.words}”" if event else "nothing is left"
        raise SettingError(f"somebody edited meanwhile, {found}: look at it and try again")


def _event(database: sqlite3.Connection, sql: str) -> Event | None:
    row = database.execute(f"SELECT id, at, kind, payload FROM events WHERE id = ({sql})").fetchone()
    return Event(row[0], row[1], row[2], json.loads(row[3])) if row else None


def _changes(database: sqlite3.Connection, event: Event) -> Changes:
    return _from_json(database.execute("SELECT rows FROM changes WHERE event = ?", (event.id,)).fetchone()[0])


def _change_rows(database: sqlite3.Connection, changes: list[tuple[str, Row | None, Row | None]], event: Event) -> None:
    rows = read_rows(database)
    for table, now, wanted in changes:
        key = (now or wanted or ())[: TABLES[table]]
        if rows[table].pop(key, None) != now:
            raise PicieError(
                f"edit {event.id} ({event.words}) cannot be undone or redone: another program changed {table} without "
                "a trace; return to a snapshot or edit by hand"
            )
        if wanted is not None:
            rows[table][key] = wanted
    write_rows(database, rows)


# -- rows


def read_rows(database: sqlite3.Connection) -> Rows:
    """Returns all decisions; they are few, so reading them costs about a millisecond."""
    return {
        table: {row[:width]: row for row in database.execute(f"SELECT * FROM {table}")}
        for table, width in TABLES.items()
    }


def write_rows(database: sqlite3.Connection, rows: Rows) -> None:
    """Makes `rows` all decisions that there are."""
    for table in reversed(TABLES):
        database.execute(f"DELETE FROM {table}")
    for table in TABLES:
        values = list(rows[table].values())
        if values:
            places = ", ".join("?" * len(values[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({places})", values)


def difference(before: Rows, after: Rows) -> Changes:
    """Returns what changed, by table; nothing for tables that are the same."""
    found: Changes = {}
    for table in TABLES:
        old, new = before[table], after[table]
        pairs = [(old.get(key), new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
        if pairs:
            found[table] = sorted(pairs, key=lambda pair: (pair[0] or pair[1] or ())[: TABLES[table]])
    return found


def rows_to_json(rows: Rows) -> str:
    """Returns all decisions as text that `rows_from_json` reads."""
    return json.dumps({table: list(found.values()) for table, found in rows.items()}, default=_blob)


def rows_from_json(text: str) -> Rows:
    """Returns what `rows_to_json` was given."""
    stored = json.loads(text, object_hook=_unblob)
    return {table: {tuple(row)[:width]: tuple(row) for row in stored[table]} for table, width in TABLES.items()}


def _to_json(changes: Changes) -> str:
    return json.dumps(changes, ensure_ascii=False, default=_blob)


def _from_json(text: str) -> Changes:
    stored = json.loads(text, object_hook=_unblob)
    return {
        table: [(tuple(old) if old else None, tuple(new) if new else None) for old, new in pairs]
        for table, pairs in stored.items()
    }


def _blob(value: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}


def _unblob(item: dict[str, Any]) -> Any:
    return base64.b64decode(item["base64"]) if set(item) == {"base64"} else item
