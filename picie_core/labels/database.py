"""The SQLite file of a label map: its tables, how it is made, opened and kept whole."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from pathlib import Path

from picie_core.atomic_files import disk_error
from picie_core.colors import IGNORE_COLOR
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME
from picie_core.errors import PicieError

VERSION = 2
BUSY_S = 5.0
"""How long an edit waits for another one to end."""

# Ignore is a row like the classes: so every assignment has a class, and the database itself sees to that.
_SCHEMA = (
    "CREATE TABLE meta (version INTEGER NOT NULL)",
    "CREATE TABLE classes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, color TEXT NOT NULL UNIQUE)",
    """CREATE TABLE assignments (
        clustering TEXT NOT NULL, cluster INTEGER NOT NULL,
        class_id INTEGER NOT NULL REFERENCES classes (id) ON UPDATE CASCADE ON DELETE CASCADE,
        PRIMARY KEY (clustering, cluster))""",
    "CREATE TABLE choices (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL)""",
    f"INSERT INTO meta VALUES ({VERSION})",
    f"INSERT INTO classes VALUES ({IGNORE_ID}, '{IGNORE_NAME}', '{IGNORE_COLOR}')",
)
# What version 2 added, so that a file of version 1 can be completed. `timeline` lists the edits that can be undone,
# or redone where `undone` is 1; `changes` has the rows of each; `clusterings` how many clusters there are unsplit.
_SINCE_2 = (
    """CREATE {temporary} TABLE splits (
        clustering TEXT NOT NULL, first_new INTEGER NOT NULL, cluster INTEGER NOT NULL, parts INTEGER NOT NULL,
        centroids BLOB NOT NULL, PRIMARY KEY (clustering, first_new))""",
    "CREATE {temporary} TABLE clusterings (key TEXT PRIMARY KEY, base_k INTEGER NOT NULL)",
    "CREATE {temporary} TABLE changes (event INTEGER PRIMARY KEY, rows TEXT NOT NULL)",
    "CREATE {temporary} TABLE timeline (event INTEGER PRIMARY KEY, undone INTEGER NOT NULL)",
    """CREATE {temporary} TABLE snapshots (
        name TEXT PRIMARY KEY, at REAL NOT NULL, classes INTEGER NOT NULL, clusters INTEGER NOT NULL,
        rows TEXT NOT NULL)""",
)


_held: ContextVar[dict[Path, sqlite3.Connection] | None] = ContextVar("held", default=None)


@contextmanager
def one_connection(path: Path) -> Iterator[None]:
    """Lets all reading of `path` in the block, by this thread, go through one connection: many questions cost little.

    Each still sees the latest edits. Files that are not there yet are opened one by one.
    """
    if _held.get() is not None or not path.exists():
        yield
        return
    try:
        database = _connect(path)
    except sqlite3.DatabaseError as error:
        raise _readable(path, error) from error
    with closing(database):
        before = _held.set({path: database})
        try:
            yield
        finally:
            _held.reset(before)


@contextmanager
def transaction(path: Path, write: bool = False) -> Iterator[sqlite3.Connection]:
    """Yields a connection inside a transaction on `path`, committed when the block ends without an error.

    A file that is not there is read as an empty label map, and made only to be written.
    Raises PicieError when the file is damaged, busy, not writable or of a newer program.
    """
    try:
        if write and not path.exists():
            _create(path)
        with _connection(path, write) as database:
            database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            _bring_up(path, database, write)
            yield database
            database.execute("COMMIT" if write else "ROLLBACK")  # what was completed for reading only goes again
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.ProgrammingError):
            raise
        raise _readable(path, error) from error


@contextmanager
def _connection(path: Path, write: bool) -> Iterator[sqlite3.Connection]:
    """Yields the connection that is held for reading, else one of its own, closed at the end."""
    held = (_held.get() or {}).get(path)
    if held is None or write or held.in_transaction:
        with closing(_connect(path)) as database:
            yield database
        return
    try:
        yield held
    finally:
        if held.in_transaction:
            held.execute("ROLLBACK")


def _bring_up(path: Path, database: sqlite3.Connection, write: bool) -> None:
    """Completes a file of version 1: for good when it is written, else only for the eyes of this connection.

    Its classes and names stay as they are; edits made before cannot be undone. Programs that know version 1 only
    refuse the file from then on, at their next look, so nobody edits past the history.
    """
    row = database.execute("SELECT version FROM meta").fetchone()
    if row is None or not isinstance(row[0], int):
        raise sqlite3.DatabaseError("it has no version")
    if row[0] > VERSION:
        raise PicieError(f"{path} has version {row[0]}, this program reads up to {VERSION}: update the program")
    if row[0] < VERSION:
        _complete(database, "" if write else "TEMPORARY")
    if row[0] < VERSION and write:
        database.execute("UPDATE meta SET version = ?", (VERSION,))


def _complete(database: sqlite3.Connection, temporary: str = "") -> None:
    for statement in _SINCE_2:
        database.execute(statement.format(temporary=temporary))


def _make_tables(database: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        database.execute(statement)
    _complete(database)


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        database = sqlite3.connect(":memory:", isolation_level=None)
        _make_tables(database)
        return database
    mode = "rw" if os.access(path.parent, os.W_OK) else "ro&immutable=1"  # WAL needs to make files beside it
    uri = f"{path.as_uri()}?mode={mode}"
    database = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA synchronous = FULL")  # an edit that was shown as done survives a power cut
    except sqlite3.Error:
        database.close()
        raise
    return database


def _create(path: Path) -> None:
    """Makes the empty database in one step: whole or absent, whoever else is doing the same."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("BEGIN")
            _make_tables(database)
            database.execute("COMMIT")
        _publish(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path) -> None:
    """Gives the new database its name unless another process was faster."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a disk without hard links, such as exFAT
        if not path.exists():
            os.replace(temporary, path)


def _readable(path: Path, error: sqlite3.DatabaseError) -> PicieError:
    """Returns the error to raise for one of SQLite: what is the matter, and the remedy."""
    text = str(error)
    if "locked" in text:
        return PicieError(f"{path} is being edited by another process for more than {BUSY_S:g} s: try again")
    if "full" in text:
        return PicieError(f"cannot write {path}: the disk is full; free some space")
    if "readonly" in text or "unable to open" in text:
        return PicieError(f"cannot write {path}: {text}; choose a folder that you may write to")
    remedy = "restore it from a copy, or move it away and name the clusters again (or import an exported map)"
    return PicieError(f"{path} is damaged or no label map ({text}): {remedy}")
