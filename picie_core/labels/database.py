"""The SQLite file of a label map: schema, connections, transactions, migration of older files."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from picie_core.atomic_files import disk_error
from picie_core.colors import IGNORE_COLOR
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME
from picie_core.errors import PicieError

VERSION = 3
BUSY_S = 5.0
"""How long an edit waits for another edit to end, in seconds."""

# Ignore is a row of `classes`, so the foreign key of `assignments` holds for ignored clusters too.
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
# The tables that each version added. `timeline` lists the edits that can be undone, or redone where `undone` is 1;
# `changes` holds the rows that each edit changed; `clusterings` holds K before any split. `annotations` names the
# pixels of each annotated image, which `mask_pixels` keeps under their digest for ever; `annotation_classes` says what
# the values of these pixels mean now.
_ADDED_IN_2 = (
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
_ADDED_IN_3 = (
    """CREATE {temporary} TABLE annotation_classes (
        legend INTEGER NOT NULL, value INTEGER NOT NULL,
        class_id INTEGER NOT NULL REFERENCES classes (id) ON UPDATE CASCADE ON DELETE CASCADE,
        PRIMARY KEY (legend, value))""",
    """CREATE {temporary} TABLE annotations (
        path TEXT PRIMARY KEY, digest TEXT NOT NULL, legend INTEGER NOT NULL)""",
    "CREATE {temporary} TABLE mask_pixels (digest TEXT PRIMARY KEY, png BLOB NOT NULL)",
)
_ADDED = {2: _ADDED_IN_2, 3: _ADDED_IN_3}

_held: ContextVar[dict[Path, sqlite3.Connection] | None] = ContextVar("held", default=None)


@contextmanager
def one_connection(path: Path) -> Iterator[None]:
    """Makes all reads of `path` by this thread in the block share one connection, so that many reads are cheap.

    Each read still sees the latest edits. A file that does not exist yet is opened by each read.
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

    A missing file reads as an empty label map; only a transaction that writes creates it.
    Raises PicieError when the file is damaged, locked, not writable or of a newer program.
    """
    try:
        if write and not path.exists():
            _create(path)
        with _connection(path, write) as database:
            database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            _migrate(path, database, write)
            yield database
            database.execute("COMMIT" if write else "ROLLBACK")  # a rollback also drops the temporary tables
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.ProgrammingError):
            raise
        raise _readable(path, error) from error


@contextmanager
def _connection(path: Path, write: bool) -> Iterator[sqlite3.Connection]:
    """Yields the shared connection of `one_connection` for reading, else a new one, closed at the end."""
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


def _migrate(path: Path, database: sqlite3.Connection, write: bool) -> None:
    """Adds the tables that an older file lacks. Raises PicieError for a file of a newer version.

    A transaction that writes adds them for good and stores the new version; all other tables stay as they are, and
    older programs then refuse the file. A transaction that reads adds temporary tables, so that reading never changes
    a file. Edits made in version 1 cannot be undone: it stored no changed rows.
    """
    row = database.execute("SELECT version FROM meta").fetchone()
    if row is None or not isinstance(row[0], int):
        raise sqlite3.DatabaseError("it has no version")
    if row[0] > VERSION:
        raise PicieError(f"{path} has version {row[0]}, this program reads up to {VERSION}: update the program")
    for version in range(row[0] + 1, VERSION + 1):
        for statement in _ADDED[version]:
            database.execute(statement.format(temporary="" if write else "TEMPORARY"))
    if row[0] < VERSION and write:
        database.execute("UPDATE meta SET version = ?", (VERSION,))


def _make_tables(database: sqlite3.Connection) -> None:
    for statement in (*_SCHEMA, *_ADDED_IN_2, *_ADDED_IN_3):
        database.execute(statement.format(temporary=""))


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        database = sqlite3.connect(":memory:", isolation_level=None)
        _make_tables(database)
        return database
    mode = "rw" if os.access(path.parent, os.W_OK) else "ro&immutable=1"  # WAL writes files beside the database
    uri = f"{path.as_uri()}?mode={mode}"
    database = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA synchronous = FULL")  # a committed edit survives a power cut
    except sqlite3.Error:
        database.close()
        raise
    return database


def _create(path: Path) -> None:
    """Creates the empty database under a temporary name and links it to `path`, unless another process was faster."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("BEGIN")
            _make_tables(database)
            database.execute("COMMIT")
        try:
            os.link(temporary, path)  # fails where the file exists, so it never replaces another process's file
        except FileExistsError:
            pass
        except OSError:  # a disk without hard links, such as exFAT
            if not path.exists():
                os.replace(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _readable(path: Path, error: sqlite3.DatabaseError) -> PicieError:
    """Returns the error to raise for an error of SQLite: the cause and the remedy."""
    text = str(error)
    if "locked" in text:
        return PicieError(f"{path} is being edited by another process for more than {BUSY_S:g} s: try again")
    if "full" in text:
        return PicieError(f"cannot write {path}: the disk is full; free some space")
    if "readonly" in text or "unable to open" in text:
        return PicieError(f"cannot write {path}: {text}; choose a folder that you may write to")
    remedy = "restore it from a copy, or move it away and name the clusters again (or import an exported map)"
    return PicieError(f"{path} is damaged or no label map ({text}): {remedy}")
