"""Edits that change the clusters: another K, a split, and splitting off a selection."""

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
"""A cluster is split when it makes up at least this share of the selection, so that stray pixels split nothing."""
WHOLE = 0.9
"""A cluster is not split when at least this share of its pixels is selected: all of it gets the name."""


def use_k(
    run: Run, k: int, *, seed: int = 0, iterations: int = 20, device: str = "cpu"
) -> tuple[StoredClustering, LabelTransfer | None]:
    """Makes the clustering of `run` at K the one in use, computed if need be, and returns it with its label transfer.

    A clustering without names gets those of the clustering in use before; the label transfer is None when it has
    names already or there are none. Raises SettingError for an impossible K.
    """
    before = run.clustering() if run.clusterings() else None
    made = run.cluster(k, seed, iterations, device)
    label_map = run.workspace.label_map
    label_map.set_choice("clustering", made.name)
    return made, None if before is None else transfer_labels(label_map, before, made)


def split_cluster(clustering: StoredClustering, cluster: int, centroids: np.ndarray) -> SplitPreview[StoredClustering]:
    """Splits `cluster` by prototypes (m, D), one edit that can be undone, and returns the clustering with the split.

    Raises SettingError when the cluster changed since `clustering` was loaded.
    """
    cluster = check_cluster(clustering, cluster)
    parts = clustering.label_map.split_cluster(clustering.key, cluster, centroids, clustering.k)
    after = clustering.reload()
    counts = after.counts
    return SplitPreview(after, parts, [int(counts[part]) for part in parts])


@dataclass(frozen=True)
class SplitOff:
    """The result of splitting off a selection."""

    clustering: StoredClustering
    """With the new splits."""
    parts: list[int]
    """The new clusters, one for each cluster that was split."""
    whole: list[int]
    """Clusters that were selected whole and only got the name."""
    caught: float
    """Recall: share of the selection that these clusters hold, 0 to 1; a split is a plane, a selection need not be."""
    pure: float
    """Precision: share of these clusters that was selected, 0 to 1."""

    @property
    def edits(self) -> int:
        """Number of edits, each of which can be undone."""
        return len(self.parts) + 1


def split_off(clustering: StoredClustering, selected: np.ndarray, name: str) -> SplitOff:
    """Splits the selected pixels, (M,) rows of the sample, off their clusters and names them.

    Each cluster that makes up DOMINANT of the selection is split into its selected pixels and the others, which keep
    its id and name; a cluster that is selected whole is not split. The new parts get one name. No pixel of another
    cluster changes. Raises SettingError for an impossible name, when no cluster makes up DOMINANT of the selection, or
    when selected pixels and others have the same mean embedding.
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
