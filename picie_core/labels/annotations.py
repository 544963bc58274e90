"""Annotations: masks that a person corrected, kept for their images instead of the predicted ones.

The pixels of a mask never change: they lie in a table of their own under their digest, outside of the undo log. What
can be undone is small: which pixels an image has, and which class each of their values means. That is a reference, so
renaming, merging, deleting and renumbering classes change what annotated pixels are called at once.
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import open_image, png_bytes
from picie_core.errors import SettingError
from picie_core.labels import tables
from picie_core.labels.classes import given_name
from picie_core.labels.database import transaction
from picie_core.labels.edit_history import EditHistory
from picie_core.labels.undo_log import TABLES

STORED_AT_ONCE = 4 << 20
"""Bytes of packed masks that are written in one transaction, so that no other edit waits long for them."""


@dataclass(frozen=True)
class AnnotatedImages:
    """The annotations of a label map at one moment; pixels are read when they are asked for."""

    label_map: Path
    entries: Mapping[str, tuple[str, np.ndarray]]
    """Image path -> digest of its pixels, and (256,) uint8 the class id of each value then."""

    @property
    def digest(self) -> str:
        """A digest of all annotations, empty when there are none: equal ones give equal masks."""
        if not self.entries:
            return ""
        digest = hashlib.sha256()
        for path, (pixels, class_of_value) in sorted(self.entries.items()):
            digest.update(f"{path}\n{pixels}\n".encode() + class_of_value.tobytes())
        return digest.hexdigest()

    def mask(self, path: str) -> np.ndarray | None:
        """Returns the annotation of an image, None without one: (H, W) uint8 class ids, 255 where ignored."""
        if path not in self.entries:
            return None
        digest, class_of_value = self.entries[path]
        with transaction(self.label_map) as database:
            row = database.execute("SELECT png FROM mask_pixels WHERE digest = ?", (digest,)).fetchone()
        return class_of_value[_pixels(row[0])]


class Annotations(EditHistory):
    """The annotated images of a label map."""

    # -- reading

    def annotated_paths(self) -> set[str]:
        """Returns the paths of the images that have an annotation, relative to the folder of images."""
        with transaction(self.path) as database:
            return {path for (path,) in database.execute("SELECT path FROM annotations")}

    def annotation_mask(self, path: str) -> np.ndarray | None:
        """Returns the annotation of the image at `path`: (H, W) uint8 class ids as they are now, 255 where ignored.

        None for an image without one. The size is that of the upright image when it was annotated.
        """
        with transaction(self.path) as database:
            sql = "SELECT png, legend FROM annotations JOIN mask_pixels USING (digest) WHERE path = ?"
            row = database.execute(sql, (path,)).fetchone()
            table = _class_of_value(database, row[1]) if row else None
        return None if table is None else table[_pixels(row[0])]

    def annotated_images(self) -> AnnotatedImages:
        """Returns the annotations as they are now; edits that are made later have no effect on them."""
        with transaction(self.path) as database:
            rows = database.execute("SELECT path, digest, legend FROM annotations").fetchall()
            tables = {legend: _class_of_value(database, legend) for legend in {row[2] for row in rows}}
        return AnnotatedImages(self.path, {path: (digest, tables[legend]) for path, digest, legend in rows})

    # -- edits

    def annotate(self, masks: Iterable[tuple[str, np.ndarray]], names: Sequence[str], source: str) -> list[str]:
        """Keeps masks as the annotations of their images, in one edit; returns the names of the classes it added.

        masks: (path of the image, (H, W) uint8 ids), one in memory at a time; an image that has an annotation gets the
        new one instead. names: of each id; the name `ignore` and the id 255 are ignored pixels. source: where the masks
        come from, for the history. Classes are found in any spelling of their name, and added when a pixel has one that
        is unknown. Raises SettingError for an impossible name, an id without a name, or more classes than a mask holds;
        nothing is changed then, nor when a mask cannot be made.
        """
        names = [given_name(name) for name in names]
        digests: dict[str, str] = {}
        used: set[int] = set()
        for path, digest, values in self._store(masks):
            if unknown := sorted(values - set(range(len(names)))):
                raise SettingError(f"the mask of {path} has the ids {unknown}, {len(names)} have a name: name them all")
            digests[path] = digest
            used |= values
        with self._edit("annotate", tables=TABLES, images=len(digests), source=source) as (database, payload):
            before = {one.name for one in tables.classes(database)}
            owners = {value: tables.find_or_add(database, names[value]) for value in sorted(used)}
            legend = _legend_of(database, owners)
            sql = (
                "INSERT INTO annotations VALUES (?, ?, ?) "
                "ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, legend = excluded.legend"
            )
            database.executemany(sql, [(path, digest, legend) for path, digest in digests.items()])
            _drop_unused_legends(database)
            added = [one.name for one in tables.classes(database) if one.name not in before]
            payload["added"] = added
        return added

    def remove_annotations(self, paths: Iterable[str]) -> int:
        """Removes the annotations of these images, in one edit, and returns how many had one.

        Export writes the predicted masks of these images again.
        """
        with self._edit("unannotate", tables=TABLES) as (database, payload):
            known = {path for (path,) in database.execute("SELECT path FROM annotations")}
            gone = sorted(known & set(paths))
            database.executemany("DELETE FROM annotations WHERE path = ?", [(path,) for path in gone])
            _drop_unused_legends(database)
            payload["images"] = len(gone)
        return len(gone)

    def take_names(self, clustering_key: str, names: Mapping[int, str], source: str) -> None:
        """Gives clusters the names that corrected masks have for them, in one edit; names: cluster -> class name.

        Raises SettingError for an impossible name or cluster, or when a 255th class would be needed.
        """
        wanted = {tables.cluster_number(cluster): given_name(name) for cluster, name in names.items()}
        with self._edit("take", clustering=clustering_key, source=source) as (database, payload):
            owners = {cluster: tables.find_or_add(database, name) for cluster, name in wanted.items()}
            tables.assign(database, clustering_key, owners)
            payload["classes"] = {str(cluster): name for cluster, name in wanted.items()}

    # -- pixels

    def _store(self, masks: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[str, str, set[int]]]:
        """Stores the pixels of masks; yields path, digest and ids of each.

        They are there before the edit that names them: what a stop leaves behind belongs to no image.
        """
        waiting: list[tuple[str, bytes]] = []
        size = 0
        for path, mask in masks:
            pixels = np.ascontiguousarray(mask, np.uint8)
            digest = hashlib.sha256(np.array(pixels.shape, "<i8").tobytes() + pixels.tobytes()).hexdigest()
            waiting.append((digest, png_bytes(pixels)))
            size += len(waiting[-1][1])
            if size > STORED_AT_ONCE:
                self._insert(waiting)
                size = 0
            yield path, digest, set(np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)).tolist()) - {IGNORE_ID}
        self._insert(waiting)

    def _insert(self, waiting: list[tuple[str, bytes]]) -> None:
        """Writes the waiting pixels and empties the list."""
        if waiting:
            with transaction(self.path, write=True) as database:
                database.executemany("INSERT OR IGNORE INTO mask_pixels VALUES (?, ?)", waiting)
            waiting.clear()


# -- legends: which class each value of stored pixels is


def _owners(database: sqlite3.Connection, legend: int) -> dict[int, int]:
    """Value -> class id of a legend; a value whose class was deleted is absent."""
    sql = "SELECT value, class_id FROM annotation_classes WHERE legend = ?"
    return dict(database.execute(sql, (legend,)).fetchall())


def _class_of_value(database: sqlite3.Connection, legend: int) -> np.ndarray:
    """(256,) uint8: the class id of each value of a legend, 255 for none."""
    table = np.full(IGNORE_ID + 1, IGNORE_ID, np.uint8)
    for value, owner in _owners(database, legend).items():
        table[value] = owner
    return table


def _pixels(png: bytes) -> np.ndarray:
    """The values (H, W) uint8 of stored pixels."""
    with open_image(io.BytesIO(png)) as image:
        return np.asarray(image)


def _legend_of(database: sqlite3.Connection, owners: Mapping[int, int]) -> int:
    """The number of a legend in which these values are of these classes, added if there is none yet."""
    legends = "SELECT legend FROM annotation_classes UNION SELECT legend FROM annotations"
    known = [legend for (legend,) in database.execute(legends)]
    for legend in known:
        if owners.items() <= _owners(database, legend).items():
            return legend
    legend = max(known, default=-1) + 1
    values = [(legend, value, owner) for value, owner in owners.items()]
    database.executemany("INSERT INTO annotation_classes VALUES (?, ?, ?)", values)
    return legend


def _drop_unused_legends(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM annotation_classes WHERE legend NOT IN (SELECT legend FROM annotations)")
