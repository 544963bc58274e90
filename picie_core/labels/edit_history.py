"""The history of a label map: its file, and the edits that are undone, redone and returned to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from picie_core.labels import snapshots, undo_log
from picie_core.labels.database import one_connection, transaction
from picie_core.labels.snapshots import Snapshot
from picie_core.labels.undo_log import Event


class EditHistory:
    """The file at `path` with its edits; `LabelMap` adds what they decide."""

    def __init__(self, path: Path | str):
        self.path = Path(path).absolute()

    def reading(self) -> AbstractContextManager[None]:
        """Makes many reads cheap: in the block, all reads of this thread share one connection."""
        return one_connection(self.path)

    def version(self) -> int:
        """Returns the number of the last event, 0 before the first: it grows with every edit in any process."""
        with transaction(self.path) as database:
            return database.execute("SELECT ifnull(max(id), 0) FROM events").fetchone()[0]

    # -- history

    def history(self, limit: int = 50) -> list[Event]:
        """Returns the last `limit` events, newest first."""
        with transaction(self.path) as database:
            return undo_log.last_events(database, limit)

    def can_undo(self) -> Event | None:
        """Returns the edit that `undo` takes back, None when there is none."""
        with transaction(self.path) as database:
            return undo_log.next_undo(database)

    def can_redo(self) -> Event | None:
        """Returns the edit that `redo` makes again, None when nothing was undone since the last edit."""
        with transaction(self.path) as database:
            return undo_log.next_redo(database)

    def undo(self, expected: int | None = None) -> Event | None:
        """Undoes the last edit, whoever made it, and returns it; None when there is none.

        expected: the number of the edit that the caller means. Raises SettingError when it is not the last one.
        """
        with transaction(self.path, write=True) as database:
            return undo_log.undo(database, expected)

    def redo(self, expected: int | None = None) -> Event | None:
        """Makes the edit that was undone last again, and returns it; None when there is none. `expected` as `undo`."""
        with transaction(self.path, write=True) as database:
            return undo_log.redo(database, expected)

    # -- snapshots

    def snapshots(self) -> list[Snapshot]:
        """Returns the snapshots, newest first."""
        with transaction(self.path) as database:
            return snapshots.listed(database)

    def save_snapshot(self, name: str) -> None:
        """Saves all decisions under `name`. Raises SettingError when the name is impossible or taken."""
        with transaction(self.path, write=True) as database:
            snapshots.save(database, name)

    def restore_snapshot(self, name: str) -> None:
        """Restores the decisions of snapshot `name`, in one edit. Raises SettingError when it is unknown."""
        with self._edit("restore", tables=undo_log.TABLES, name=name.strip()) as (database, _):
            snapshots.restore(database, name)

    def delete_snapshot(self, name: str) -> None:
        """Deletes snapshot `name`; decisions stay. Raises SettingError when it is unknown."""
        with transaction(self.path, write=True) as database:
            snapshots.delete(database, name)

    # -- the database

    @contextmanager
    def _edit(
        self,
        kind: str,
        instead_of: int | None = None,
        *,
        tables: Mapping[str, int] = undo_log.DECISIONS,
        **payload: Any,
    ) -> Iterator[tuple[sqlite3.Connection, dict[str, Any]]]:
        """Yields the connection of one transaction, and the payload of its event for the block to complete.

        tables: those that the edit may change.
        """
        with transaction(self.path, write=True) as database:
            if instead_of is not None:
                undo_log.undo(database, instead_of)
            with undo_log.recorded(database, kind, payload, tables):
                yield database, payload
