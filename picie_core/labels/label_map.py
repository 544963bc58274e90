"""What a person decided: the classes, which cluster is which class, what was split, and what is in use.

It is in one SQLite file. Each edit is one transaction that also appends to `events`: nothing that was shown
as done is lost, two browser tabs and a command line can edit at once, and `version()` tells each of changes.
Every edit can be undone, by anyone, also after a restart: there is one history over all tabs and processes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.clustering.splits import Split, clean_prototypes
from picie_core.colors import clean_color
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME, clean_name, name_key
from picie_core.errors import SettingError
from picie_core.labels import snapshots, tables, undo_log
from picie_core.labels.classes import Class, merge_classes, read_map
from picie_core.labels.database import one_connection, transaction
from picie_core.labels.snapshots import Snapshot
from picie_core.labels.undo_log import Event


class LabelMap:
    """The label map at `path`; touches no disk until it is asked, and makes the file at the first edit.

    Safe from any thread and process: every call has a connection of its own.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path).absolute()

    # -- reading

    def reading(self) -> AbstractContextManager[None]:
        """Makes many questions cheap: all that this thread reads in the block goes through one connection."""
        return one_connection(self.path)

    def classes(self) -> list[Class]:
        """Returns the classes in the order of their ids, 0 to C-1, without ignore."""
        with transaction(self.path) as database:
            return tables.classes(database)

    def classes_of(self, clustering_key: str) -> dict[int, int]:
        """Returns cluster -> class id of a clustering: 255 for ignored clusters, nothing for unnamed ones."""
        with transaction(self.path) as database:
            return tables.classes_of(database, clustering_key)

    def splits_of(self, clustering_key: str) -> list[Split]:
        """Returns the splits of a clustering in the order in which they apply."""
        with transaction(self.path) as database:
            return tables.splits_of(database, clustering_key)

    def version(self) -> int:
        """Returns a number that grows with every edit by anyone; 0 before the first."""
        with transaction(self.path) as database:
            return database.execute("SELECT ifnull(max(id), 0) FROM events").fetchone()[0]

    def get_choice(self, key: str) -> str | None:
        """Returns what is in use under `key` (such as `run`), None where nothing was chosen."""
        with transaction(self.path) as database:
            row = database.execute("SELECT value FROM choices WHERE key = ?", (key,)).fetchone()
            return row[0] if row else None

    def export_map(self, clustering_key: str) -> dict[str, Any]:
        """Returns the classes, names and splits of a clustering as the record that `import_map` reads."""
        with transaction(self.path) as database:
            return tables.exported(database, clustering_key)

    # -- edits

    def set_choice(self, key: str, value: str) -> None:
        """Stores what is in use under `key`; choices are no undo_log, so the version stays."""
        with transaction(self.path, write=True) as database:
            database.execute("INSERT OR REPLACE INTO choices VALUES (?, ?)", (key, value))

    def name_clusters(
        self, clustering_key: str, clusters: Sequence[int], name: str | None, instead_of: int | None = None
    ) -> None:
        """Gives clusters to the class `name`, made if it is new; "ignore" leaves them out, None unnames them.

        instead_of: number of the last edit, which is taken back in the same step.
        Raises SettingError for an impossible name or cluster, or when a 255th class would be needed.
        """
        numbers = [tables.cluster_number(cluster) for cluster in clusters]
        if name is not None:
            name = _given(name)
        with self._edit("name", instead_of, clustering=clustering_key) as (database, payload):
            names, old = tables.names(database), tables.classes_of(database, clustering_key)
            payload["before"] = {str(number): names[old[number]] if number in old else None for number in numbers}
            payload["name"] = name
            if name is None:
                tables.clear(database, clustering_key, numbers)
            else:
                owner = tables.find_or_add(database, name)
                tables.assign(database, clustering_key, dict.fromkeys(numbers, owner))

    def rename_class(self, class_id: int, name: str) -> None:
        """Gives class `class_id` another name. Raises SettingError when the name is impossible or taken."""
        name = clean_name(name)
        with self._edit("rename", name=name) as (database, payload):
            before = tables.find(database, class_id)
            other = tables.id_of(database, name)
            if other not in (None, before.id):
                remedy = "choose another, or give its clusters to that class"
                raise SettingError(f"class name {name!r} is taken by class {other}: {remedy}")
            payload |= {"id": before.id, "before": before.name}
            database.execute("UPDATE classes SET name = ? WHERE id = ?", (name, before.id))

    def recolor_class(self, class_id: int, color: str) -> None:
        """Gives class `class_id` another colour. Raises SettingError when it is no colour or taken."""
        color = clean_color(color)
        with self._edit("recolor", color=color) as (database, payload):
            before = tables.find(database, class_id)
            tables.refuse_taken_color(database, color, before.id)
            payload |= {"id": before.id, "name": before.name, "before": before.color}
            database.execute("UPDATE classes SET color = ? WHERE id = ?", (color, before.id))

    def delete_class(self, class_id: int) -> None:
        """Removes class `class_id`; its clusters become unnamed, and the ids above it move down by one."""
        with self._edit("delete") as (database, payload):
            before = tables.find(database, class_id)
            sql = "SELECT clustering, cluster FROM assignments WHERE class_id = ?"
            payload |= {"before": asdict(before), "clusters": database.execute(sql, (before.id,)).fetchall()}
            database.execute("DELETE FROM classes WHERE id = ?", (before.id,))
            tables.rewrite(database, [(item.id, item.name, item.color) for item in tables.classes(database)])

    def merge_class(self, class_id: int, into: int) -> None:
        """Gives all clusters of class `class_id` to class `into` and removes it; ids above it move down by one.

        Raises SettingError for a class that is not there, or for one and the same.
        """
        with self._edit("merge") as (database, payload):
            before, other = tables.find(database, class_id), tables.find(database, into)
            if before.id == other.id:
                raise SettingError(f"class {before.name!r} cannot be merged into itself: choose another one")
            sql = "SELECT clustering, cluster FROM assignments WHERE class_id = ?"
            clusters = database.execute(sql, (before.id,)).fetchall()
            payload |= {"before": asdict(before), "into": other.name, "clusters": clusters}
            database.execute("UPDATE assignments SET class_id = ? WHERE class_id = ?", (other.id, before.id))
            database.execute("DELETE FROM classes WHERE id = ?", (before.id,))
            tables.rewrite(database, [(item.id, item.name, item.color) for item in tables.classes(database)])

    def import_map(self, clustering_key: str, record: Any, k: int, dim: int | None = None) -> None:
        """Replaces names and splits of a clustering of `k` clusters by those of `record`, and adds its classes.

        The ids of the record are taken over when they are 0 to C-1 and there are no other classes; else known
        classes keep theirs and new ones follow. k: clusters without splits; dim: width of the embeddings, which splits
        have to fit. Raises SettingError, with nothing changed, if the record is wrong.
        """
        wanted = read_map(record, k, dim)
        with self._edit("import", clustering=clustering_key, record=record) as (database, payload):
            payload["before"] = tables.exported(database, clustering_key)
            tables.rewrite(database, merge_classes(tables.classes(database), wanted))
            for table in ("assignments", "splits"):
                database.execute(f"DELETE FROM {table} WHERE clustering = ?", (clustering_key,))
            ids = {item.name: item.id for item in tables.classes(database)}
            found = {number: IGNORE_ID if name is None else ids[name] for number, name in wanted.clusters.items()}
            tables.assign(database, clustering_key, found)
            if wanted.splits:
                tables.add_splits(database, clustering_key, k, wanted.splits)

    def split_cluster(
        self,
        clustering_key: str,
        cluster: int,
        centroids: np.ndarray,
        k: int,
        names: Sequence[str] = (),
        instead_of: int | None = None,
    ) -> list[int]:
        """Splits a cluster into parts with prototypes (m, D), unit norm, and returns the ids of the parts.

        The first part keeps the id, the others get ids from `k`, the number of clusters that the caller sees, or after
        splits that somebody else made meanwhile; all inherit the class, but for the last ones if `names` are given.
        instead_of: number of the last edit, which is taken back in the same step. Raises SettingError when the cluster
        is not any more what the caller saw, somebody edited since `instead_of`, a name is impossible, or the prototypes
        are not 2 to 8 unit vectors.
        """
        cluster, prototypes = tables.cluster_number(cluster), clean_prototypes(centroids)
        names = [_given(name) for name in names]
        with self._edit("split", instead_of, clustering=clustering_key, cluster=cluster) as (database, payload):
            base_k, split = tables.new_split(database, clustering_key, cluster, prototypes, k)
            tables.add_splits(database, clustering_key, base_k, [split])
            owner = tables.classes_of(database, clustering_key).get(cluster)
            if owner is not None:
                tables.assign(database, clustering_key, dict.fromkeys(split.parts, owner))
            if names:
                owners = [tables.find_or_add(database, name) for name in names]
                named = dict(zip(split.parts[-len(names) :], owners, strict=True))
                tables.assign(database, clustering_key, named)
                payload["names"] = names
            payload["parts"] = split.parts
        return split.parts

    def transfer_names(self, clustering_key: str, classes: Mapping[int, int], source: str) -> int:
        """Gives clusters without a name to the classes that they have elsewhere, in one edit; returns how many.

        classes: cluster -> class id, 255 for ignore; source: where from, as a person reads it, such as `K = 27`.
        """
        with self._edit("carry", clustering=clustering_key, source=source) as (database, payload):
            known, named = tables.names(database), tables.classes_of(database, clustering_key)
            found = {tables.cluster_number(k): owner for k, owner in classes.items() if k not in named}
            for owner in set(found.values()) - known.keys():
                tables.find(database, owner)  # which says what is wrong with it
            tables.assign(database, clustering_key, found)
            payload["classes"] = {str(cluster): known[owner] for cluster, owner in found.items()}
        return len(found)

    # -- history

    def history(self, limit: int = 50) -> list[Event]:
        """Returns the last `limit` undo_log, newest first."""
        with transaction(self.path) as database:
            return undo_log.last_events(database, limit)

    def can_undo(self) -> Event | None:
        """Returns the edit that `undo` would take back, None when there is none."""
        with transaction(self.path) as database:
            return undo_log.next_undo(database)

    def can_redo(self) -> Event | None:
        """Returns the edit that `redo` would make again, None when nothing was undone since the last edit."""
        with transaction(self.path) as database:
            return undo_log.next_redo(database)

    def undo(self, expected: int | None = None) -> Event | None:
        """Takes the last edit of anyone back, exactly, and returns it; None when there is none.

        expected: the number of the edit that is meant. Raises SettingError when somebody edited since.
        """
        with transaction(self.path, write=True) as database:
            event = undo_log.next_undo(database)
            undo_log.refuse_other(event, expected)
            if event is not None:
                undo_log.undo_event(database, event)
            return event

    def redo(self, expected: int | None = None) -> Event | None:
        """Makes the edit that was undone last again and returns it; None when there is none. `expected` as for undo."""
        with transaction(self.path, write=True) as database:
            event = undo_log.next_redo(database)
            undo_log.refuse_other(event, expected)
            if event is not None:
                undo_log.redo_event(database, event)
            return event

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
        """Returns to the decisions of snapshot `name`, one edit. Raises SettingError if it is unknown."""
        with self._edit("restore", name=name.strip()) as (database, _):
            snapshots.restore(database, name)

    def delete_snapshot(self, name: str) -> None:
        """Deletes snapshot `name`, not what is in use. Raises SettingError if it is unknown."""
        with transaction(self.path, write=True) as database:
            snapshots.delete(database, name)

    # -- the database

    @contextmanager
    def _edit(
        self, kind: str, instead_of: int | None = None, **payload: Any
    ) -> Iterator[tuple[sqlite3.Connection, dict[str, Any]]]:
        """Yields the connection of one transaction and the payload of its event, which the block fills in."""
        with transaction(self.path, write=True) as database:
            if instead_of is not None:
                before = undo_log.next_undo(database)
                undo_log.refuse_other(before, instead_of)
                if before is not None:
                    undo_log.undo_event(database, before)
            with undo_log.recorded(database, kind, payload):
                yield database, payload


def _given(name: str) -> str:
    """The name as it is stored; what means ignore is `ignore`. Raises SettingError when it is impossible."""
    return IGNORE_NAME if isinstance(name, str) and name_key(name) == IGNORE_NAME else clean_name(name)
