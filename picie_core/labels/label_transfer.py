"""Label transfer to another K: a class goes over to the new clusters that hold its pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.errors import PicieError
from picie_core.labels.label_map import LabelMap
from picie_core.labels.undo_log import Event

OWNING_SHARE = 0.5
"""A new cluster gets the class of at least this share of its sampled pixels."""


@dataclass(frozen=True)
class LabelTransfer:
    """Names that were transferred to another clustering."""

    names: int
    """How many clusters got one."""
    source: str
    """Where from, as a person reads it: `K = 27`."""
    event: Event
    """The edit, to be undone with `LabelMap.undo(event.id)`."""


def transferred_classes(old: Clustering, classes_of: Mapping[int, int], new: Clustering) -> dict[int, int]:
    """Returns new cluster -> class id where one class owns at least half of the cluster's sampled pixels.

    Both clusterings are of one sample; classes_of: old cluster -> class id, ignore included, unnamed ones absent.
    Of two classes with exactly half each the one with the lower id counts. Raises PicieError for two samples.
    """
    if len(old.labels) != len(new.labels):
        raise PicieError(
            f"{old.name} has {len(old.labels)} sampled pixels, {new.name} {len(new.labels)}: names are transferred "
            "between clusterings of one sample only"
        )
    owners = np.array([classes_of.get(cluster, -1) for cluster in range(old.k)], np.int64)
    ids, columns = np.unique(owners, return_inverse=True)
    pairs = new.labels.astype(np.int64) * len(ids) + columns[old.labels]
    shared = np.bincount(pairs, minlength=new.k * len(ids)).reshape(new.k, len(ids))  # pixels of cluster and class
    counts = shared.sum(axis=1)
    shared[:, ids < 0] = 0
    best = shared.argmax(axis=1)
    most = shared[np.arange(new.k), best]
    return {int(k): int(ids[best[k]]) for k in np.flatnonzero((most > 0) & (most >= OWNING_SHARE * counts))}


def transfer_labels(label_map: LabelMap, old: Clustering, new: Clustering) -> LabelTransfer | None:
    """Transfers the names of one clustering to another, in one edit.

    Returns None when `new` has names or `old` has none, and when a transfer to `new` was undone before: who took the
    names away wants that clustering without them.
    """
    named = label_map.classes_of(old.key)
    if old.key == new.key or not named or label_map.classes_of(new.key):
        return None
    events = label_map.history(label_map.version())  # all of them
    undone = {event.payload["undoes"] for event in events if event.kind == "undo"}
    if any(event.id in undone for event in _transfers(events, new)):
        return None
    source = f"K = {old.base_k}"
    if not label_map.transfer_names(new.key, transferred_classes(old, named, new), source):
        return None
    event = next(_transfers(label_map.history(), new), None)
    return None if event is None else LabelTransfer(len(event.payload["classes"]), source, event)


def _transfers(events: list[Event], clustering: Clustering) -> Iterator[Event]:
    return (event for event in events if event.kind == "carry" and event.payload["clustering"] == clustering.key)
