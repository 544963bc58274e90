"""The label map: classes, the class of each cluster, splits, annotations, and the run and clustering in use.

It is one SQLite file. Each edit is one transaction that also appends to the log of events, so no edit that was
reported as done is lost, two browser tabs and a command line can edit at once, and `version()` grows with each edit.
All tabs and processes share one history: anyone can undo the last edit, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from picie_core.clustering.splits import Split, clean_prototypes
from picie_core.colors import clean_color
from picie_core.data.class_names import IGNORE_ID, clean_name
from picie_core.errors import SettingError
from picie_core.labels import tables
from picie_core.labels.annotations import Annotations
from picie_core.labels.classes import Class, given_name, merge_classes, read_map
from picie_core.labels.database import transaction


class LabelMap(Annotations):
    """The label map at `path`; the first edit makes the file, and reading a missing file gives an empty map.

    Safe from any thread and process: every call opens its own connection.
    """

    # -- reading

    def classes(self) -> list[Class]:
        """Returns the classes in the order of their ids, 0 to C-1, without ignore."""
        with transaction(self.path) as database:
            return tables.classes(database)

    def classes_of(self, clustering_key: str) -> dict[int, int]:
        """Returns cluster -> class id of a clustering: 255 for ignored clusters; unnamed ones are absent."""
        with transaction(self.path) as database:
            return tables.classes_of(database, clustering_key)

    def splits_of(self, clustering_key: str) -> list[Split]:
        """Returns the splits of a clustering in the order in which they apply."""
        with transaction(self.path) as database:
            return tables.splits_of(database, clustering_key)

    def get_choice(self, key: str) -> str | None:
        """Returns the choice stored under `key` (such as `run`), None where nothing was chosen."""
        with transaction(self.path) as database:
            row = database.execute("SELECT value FROM choices WHERE key = ?", (key,)).fetchone()
            return row[0] if row else None

    def export_map(self, clustering_key: str) -> dict[str, Any]:
        """Returns the classes, names and splits of a clustering as the record that `import_map` reads."""
        with transaction(self.path) as database:
            return tables.map_record(database, clustering_key)

    # -- edits

    def set_choice(self, key: str, value: str) -> None:
        """Stores the choice under `key`; choices are not edits: they cannot be undone and the version stays."""
        with transaction(self.path, write=True) as database:
            database.execute("INSERT OR REPLACE INTO choices VALUES (?, ?)", (key, value))

    def name_clusters(
        self, clustering_key: str, clusters: Sequence[int], name: str | None, instead_of: int | None = None
    ) -> None:
        """Assigns clusters to the class `name`, added if it is new; "ignore" ignores them, None removes their names.

        instead_of: number of the last edit, which is undone in the same transaction.
        Raises SettingError for an impossible name or cluster, or when a 255th class would be needed.
        """
        numbers = [tables.cluster_number(cluster) for cluster in clusters]
        if name is not None:
            name = given_name(name)
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
        """Renames class `class_id`. Raises SettingError when the name is impossible or taken."""
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
        """Recolours class `class_id`. Raises SettingError when `color` is no colour or taken."""
        color = clean_color(color)
        with self._edit("recolor", color=color) as (database, payload):
            before = tables.find(database, class_id)
            sql = "SELECT name FROM classes WHERE color = ? AND id IS NOT ?"
            if other := database.execute(sql, (color, before.id)).fetchone():
                raise SettingError(f"colour {color} is the one of {other[0]!r}, choose another")
            payload |= {"id": before.id, "name": before.name, "before": before.color}
            database.execute("UPDATE classes SET color = ? WHERE id = ?", (color, before.id))

    def delete_class(self, class_id: int) -> None:
        """Removes class `class_id`; its clusters become unnamed, and the ids above it move down by one."""
        with self._edit("delete") as (database, payload):
            before = tables.find(database, class_id)
            payload |= {"before": asdict(before), "clusters": tables.remove_class(database, before.id)}

    def merge_class(self, class_id: int, into: int) -> None:
        """Assigns all clusters of class `class_id` to class `into` and removes it; ids above it move down by one.

        Raises SettingError when one of them does not exist, or when both are the same.
        """
        with self._edit("merge") as (database, payload):
            before, other = tables.find(database, class_id), tables.find(database, into)
            if before.id == other.id:
                raise SettingError(f"class {before.name!r} cannot be merged into itself: choose another one")
            clusters = tables.remove_class(database, before.id, other.id)
            payload |= {"before": asdict(before), "into": other.name, "clusters": clusters}

    def import_map(self, clustering_key: str, record: Any, k: int, dim: int | None = None) -> None:
        """Replaces names and splits of a clustering by those of `record`, and adds its classes.

        The classes get the ids of the record when these are 0 to C-1 and there are no other classes; else known
        classes keep their ids and new ones get the next ones. k: clusters before any split; dim: width of the
        embeddings, which the splits have to fit. Raises SettingError for a wrong record, and changes nothing then.
        """
        wanted = read_map(record, k, dim)
        with self._edit("import", clustering=clustering_key, record=record) as (database, payload):
            payload["before"] = tables.map_record(database, clustering_key)
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
        *,
        names: Sequence[str] = (),
        instead_of: int | None = None,
    ) -> list[int]:
        """Splits a cluster into parts with prototypes (m, D), unit norm, and returns the ids of the parts.

        The first part keeps the id; the others get new ids from `k`, the number of clusters that the caller sees, or
        above those of splits that were made meanwhile. All parts keep the class, but the last ones get `names`.
        instead_of: number of the last edit, which is undone in the same transaction. Raises SettingError when the
        cluster changed meanwhile, `instead_of` is not the last edit, a name is impossible, or the prototypes are not
        2 to 8 unit vectors.
        """
        cluster, prototypes = tables.cluster_number(cluster), clean_prototypes(centroids)
        names = [given_name(name) for name in names]
        with self._edit("split", instead_of, clustering=clustering_key, cluster=cluster) as (database, payload):
            base_k, split = tables.new_split(database, clustering_key, cluster, prototypes, k=k)
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
        """Assigns clusters that have no name to classes, in one edit, and returns how many: a label transfer.

        classes: cluster -> class id, 255 for ignore; source: the clustering of the names, shown as `K = 27`.
        """
        with self._edit("carry", clustering=clustering_key, source=source) as (database, payload):
            known, named = tables.names(database), tables.classes_of(database, clustering_key)
            found = {tables.cluster_number(k): owner for k, owner in classes.items() if k not in named}
            for owner in set(found.values()) - known.keys():
                tables.find(database, owner)  # which says what is wrong with it
            tables.assign(database, clustering_key, found)
            payload["classes"] = {str(cluster): known[owner] for cluster, owner in found.items()}
        return len(found)
