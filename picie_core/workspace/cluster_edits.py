"""Edits that change which clusters there are: another K, a split, a selection that becomes a cluster of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from picie_core.clustering.lasso import clusters_inside, tell_apart
from picie_core.clustering.split_proposals import SplitPreview, check_cluster
from picie_core.data.class_names import IGNORE_NAME, clean_name, name_key
from picie_core.errors import SettingError
from picie_core.labels.label_transfer import LabelTransfer, transfer_labels
from picie_core.workspace.workspace import Run, StoredClustering

DOMINANT = 0.05
"""A cluster is split for a selection when it makes up this share of it: stray pixels split nothing."""
WHOLE = 0.9
"""A cluster with this share of its pixels inside goes over whole."""


def use_k(
    run: Run, k: int, seed: int = 0, iterations: int = 20, device: str = "cpu"
) -> tuple[StoredClustering, LabelTransfer | None]:
    """Puts the clustering of `run` at K in use, made if it is not there, and returns it with its label transfer.

    Where it has no names, it gets those of the clustering in use before. Raises SettingError for an impossible K.
    """
    before = run.clustering() if run.clusterings() else None
    made = run.cluster(k, seed, iterations, device)
    label_map = run.workspace.label_map
    label_map.set_choice("clustering", made.name)
    return made, None if before is None else transfer_labels(label_map, before, made)


def split_cluster(clustering: StoredClustering, cluster: int, centroids: np.ndarray) -> SplitPreview[StoredClustering]:
    """Splits `cluster` by prototypes (m, D) for good, one edit that can be undone, and returns what there is now.

    Raises SettingError when the cluster is no longer what the caller saw.
    """
    cluster = check_cluster(clustering, cluster)
    parts = clustering.label_map.split_cluster(clustering.key, cluster, centroids, clustering.k)
    after = clustering.reload()
    counts = after.counts
    return SplitPreview(after, parts, [int(counts[part]) for part in parts])


@dataclass(frozen=True)
class SplitOff:
    """What became of a selection that was split off."""

    clustering: StoredClustering
    """As it is now."""
    parts: list[int]
    """The new clusters, one of each cluster that was split."""
    whole: list[int]
    """Clusters that lay inside and only got the name."""
    caught: float
    """Share of the selection that the new and the whole ones hold, 0 to 1: two prototypes part a cluster by a plane."""
    pure: float
    """Share of these clusters that was selected, 0 to 1."""

    @property
    def edits(self) -> int:
        """How many edits it took, each of which can be undone."""
        return len(self.parts) + 1


def split_off(clustering: StoredClustering, selected: np.ndarray, name: str) -> SplitOff:
    """Makes the selected pixels (M,) a cluster of their own with a name, and returns what became of them.

    Each cluster that makes up DOMINANT of the selection is split between its selected pixels and its others, which
    keep its id and its name; one that lies inside is taken whole. The new parts get one name. No pixel of another
    cluster changes. Raises SettingError for an impossible name, when nothing stands out, or when what is selected
    looks like the rest.
    """
    if name_key(name) != IGNORE_NAME:
        clean_name(name)  # an impossible name is refused before anything is split
    dominant = [one for one in clusters_inside(clustering.labels, clustering.k, selected) if one.share >= DOMINANT]
    if not dominant:
        share = f"{DOMINANT:.0%}"
        raise SettingError(f"no cluster makes up {share} of the selection: draw around fewer pixels, or lower K")
    embeddings, whole = clustering.sample().embeddings, [one.cluster for one in dominant if one.inside >= WHOLE]
    chosen = np.zeros(len(clustering.labels), bool)
    chosen[selected] = True
    between = {}
    for one in dominant:
        if one.cluster not in whole:
            members = clustering.labels == one.cluster
            rest, taken = (embeddings[np.flatnonzero(members & side)] for side in (~chosen, chosen))
            between[one.cluster] = tell_apart(rest, taken)
    parts, now = [], clustering
    for cluster, prototypes in between.items():
        made = split_cluster(now, cluster, prototypes)
        parts.append(made.parts[1])
        now = made.clustering
    clustering.label_map.name_clusters(clustering.key, [*parts, *whole], name)
    new = np.isin(now.labels, [*parts, *whole])
    return SplitOff(now, parts, whole, float(new[selected].mean()), float(chosen[new].mean()))
