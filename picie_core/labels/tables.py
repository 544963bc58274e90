"""The rows of a label map in SQLite: classes, assignments of clusters, splits."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from picie_core.clustering.splits import MAX_CLUSTERS, Split, splits_record
from picie_core.colors import next_color
from picie_core.data.class_names import IGNORE_ID, MAX_CLASSES, name_key
from picie_core.errors import SettingError
from picie_core.labels.classes import Class

# -- classes


def classes(database: sqlite3.Connection) -> list[Class]:
    """Returns the classes by id, without ignore."""
    rows = database.execute("SELECT id, name, color FROM classes WHERE id <> ? ORDER BY id", (IGNORE_ID,))
    return [Class(*row) for row in rows]


def names(database: sqlite3.Connection) -> dict[int, str]:
    """Returns the name of each class id, with ignore."""
    return dict(database.execute("SELECT id, name FROM classes").fetchall())


def id_of(database: sqlite3.Connection, name: str) -> int | None:
    """Returns the id of class `name`, whatever its case and composition; None for an unknown one."""
    keys = {name_key(known): class_id for class_id, known in names(database).items()}
    return keys.get(name_key(name))


def find(database: sqlite3.Connection, class_id: int) -> Class:
    """Returns class `class_id`. Raises SettingError when there is none."""
    known = classes(database)
    if isinstance(class_id, bool) or class_id not in range(len(known)):
        raise SettingError(f"no class {class_id!r}: there are {len(known)}, numbered from 0; reload the page")
    return known[int(class_id)]


def find_or_add(database: sqlite3.Connection, name: str) -> int:
    """Returns the id of class `name`, added with the next default colour if it is new.

    Raises SettingError when the masks hold no further class.
    """
    known = id_of(database, name)
    if known is not None:
        return known
    before = classes(database)
    if len(before) == MAX_CLASSES:
        raise SettingError(
            f"{name!r} would be class {MAX_CLASSES + 1}, a mask holds {MAX_CLASSES}: delete or merge some"
        )
    color = next_color({item.color for item in before})
    database.execute("INSERT INTO classes VALUES (?, ?, ?)", (len(before), name, color))
    return len(before)


def rewrite(database: sqlite3.Connection, rows: Sequence[tuple[int | None, str, str]]) -> None:
    """Renumbers and adds classes: `rows` of (present id or None, name, colour) get ids 0 to C-1.

    Assignments and annotations follow their class through ON UPDATE CASCADE.
    """
    aside = 1000  # out of the way first, so that two classes can swap names, colours or ids
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


def remove_class(database: sqlite3.Connection, class_id: int, into: int | None = None) -> list[tuple[str, int]]:
    """Removes a class and returns its clusters as (clustering key, cluster); the ids above it move down by one.

    into: the class that gets the clusters and the annotated pixels; without it these become unnamed and ignored.
    """
    sql = "SELECT clustering, cluster FROM assignments WHERE class_id = ?"
    clusters = database.execute(sql, (class_id,)).fetchall()
    if into is not None:
        for table in ("assignments", "annotation_classes"):
            database.execute(f"UPDATE {table} SET class_id = ? WHERE class_id = ?", (into, class_id))
    database.execute("DELETE FROM classes WHERE id = ?", (class_id,))
    rewrite(database, [(item.id, item.name, item.color) for item in classes(database)])
    return clusters


# -- clusters and their classes


def cluster_number(number: int) -> int:
    """Returns a cluster id as int. Raises SettingError when no 16-bit mask can hold it."""
    if isinstance(number, bool) or int(number) != number or not 0 <= number < MAX_CLUSTERS:
        raise SettingError(f"cluster {number!r} must be a whole number from 0 to {MAX_CLUSTERS - 1}: correct it")
    return int(number)


def classes_of(database: sqlite3.Connection, clustering_key: str) -> dict[int, int]:
    """Returns cluster -> class id of a clustering, without unnamed clusters."""
    sql = "SELECT cluster, class_id FROM assignments WHERE clustering = ? ORDER BY cluster"
    return dict(database.execute(sql, (clustering_key,)).fetchall())


def assign(database: sqlite3.Connection, clustering_key: str, owners: dict[int, int]) -> None:
    """Assigns clusters to classes; `owners` is cluster -> class id."""
    rows = [(clustering_key, number, class_id) for number, class_id in owners.items()]
    database.executemany("INSERT OR REPLACE INTO assignments VALUES (?, ?, ?)", rows)


def clear(database: sqlite3.Connection, clustering_key: str, clusters: Sequence[int]) -> None:
    """Removes the names of clusters."""
    rows = [(clustering_key, number) for number in clusters]
    database.executemany("DELETE FROM assignments WHERE clustering = ? AND cluster = ?", rows)


def map_record(database: sqlite3.Connection, clustering_key: str) -> dict[str, Any]:
    """Returns classes, names and splits of a clustering as the record that `classes.read_map` reads."""
    known = names(database)
    clusters = {str(number): known[owner] for number, owner in classes_of(database, clustering_key).items()}
    record = {"classes": [asdict(item) for item in classes(database)], "clusters": clusters}
    splits = splits_of(database, clustering_key)
    return record | {"splits": splits_record(splits)} if splits else record


# -- splits


def splits_of(database: sqlite3.Connection, clustering_key: str) -> list[Split]:
    """Returns the splits of a clustering in the order in which they apply."""
    sql = "SELECT cluster, first_new, parts, centroids FROM splits WHERE clustering = ? ORDER BY first_new"
    return [
        Split(cluster, first_new, np.frombuffer(block, "<f4").astype(np.float32).reshape(parts, -1))
        for cluster, first_new, parts, block in database.execute(sql, (clustering_key,))
    ]


def add_splits(database: sqlite3.Connection, clustering_key: str, base_k: int, splits: Sequence[Split]) -> None:
    """Appends splits to those of a clustering that had `base_k` clusters before any split."""
    database.execute("INSERT OR REPLACE INTO clusterings VALUES (?, ?)", (clustering_key, base_k))
    rows = [
        (clustering_key, one.first_new, one.cluster, len(one.centroids), one.centroids.astype("<f4").tobytes())
        for one in splits
    ]
    database.executemany("INSERT INTO splits VALUES (?, ?, ?, ?, ?)", rows)


def new_split(
    database: sqlite3.Connection, clustering_key: str, cluster: int, centroids: np.ndarray, *, k: int
) -> tuple[int, Split]:
    """Returns (clusters before any split, the split to store) for a caller that saw `k` clusters.

    After splits of other clusters that were made meanwhile, the new parts get ids above theirs. Raises SettingError
    when `cluster` itself changed meanwhile, or when no ids are left.
    """
    row = database.execute("SELECT base_k FROM clusterings WHERE key = ?", (clustering_key,)).fetchone()
    base_k, before = (row[0] if row else k), splits_of(database, clustering_key)
    now_k = before[-1].end if before else base_k
    unseen = [one for one in before if one.first_new >= k]
    if k > now_k or any(cluster == one.cluster for one in unseen):
        raise SettingError(f"cluster {cluster} was split, or a split undone, meanwhile: look at it and split it again")
    if not cluster < k:
        raise SettingError(f"no cluster {cluster}: ids run from 0 to {k - 1}")
    split = Split(cluster, now_k, centroids)
    if split.end > MAX_CLUSTERS:
        raise SettingError(f"the split would make {split.end} clusters, ids end at {MAX_CLUSTERS}: lower K")
    return base_k, split
