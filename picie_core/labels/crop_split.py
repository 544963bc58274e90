"""Sorting out a cluster: crops that show something else are picked, named and split off."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.exemplars import exemplars
from picie_core.clustering.split_proposals import split_among
from picie_core.errors import SettingError

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.data.embedding_sample import EmbeddingSample
    from picie_core.labels.label_map import LabelMap

CROPS = 60
"""Crops of a cluster to review: one page."""


def crops_to_review(
    sample: EmbeddingSample, clustering: Clustering, cluster: int, stored_ids: Collection[int] | np.ndarray = ()
) -> np.ndarray:
    """Returns the crops to review, drawn evenly from the cluster: (m,) int64 rows of the sample, m at most CROPS.

    stored_ids: as for `exemplars`.
    """
    return exemplars(sample, clustering, cluster, "random", stored_ids)[:CROPS]


def split_crops(
    label_map: LabelMap,
    sample: EmbeddingSample,
    clustering: Clustering,
    cluster: int,
    *,
    crops: np.ndarray,
    sets: Mapping[str, Collection[int]],
    instead_of: int | None = None,
) -> list[int]:
    """Splits a cluster between its picked crops and the others, names the new parts, and returns their ids: one edit.

    crops: from `crops_to_review`; sets: by name, the positions of the picked crops in `crops`. The other crops stand
    for the cluster, which keeps its id and name; no pixel of another cluster changes. When all crops are picked under
    one name, the cluster gets that name instead. instead_of: number of the last edit, when it was the same split with
    fewer sets; it is undone in the same transaction. Raises SettingError when no crop is picked, one does not exist or
    is picked twice, all are picked under several names, or two sets have the same mean embedding.
    """
    owner = np.full(len(crops), -1)
    for number, picked in enumerate(sets.values()):
        for crop in picked:
            if not 0 <= crop < len(crops):
                raise SettingError(f"no crop {crop}: there are {len(crops)}, counted from 0")
            if owner[crop] >= 0:
                raise SettingError(f"crop {crop} is picked twice: give it one name")
            owner[crop] = number
    if not sets or not all(len(picked) for picked in sets.values()):
        raise SettingError("no crop is picked: pick those that show something else")
    if (owner == 0).all():
        label_map.name_clusters(clustering.key, [cluster], next(iter(sets)), instead_of)
        return [cluster]
    if (owner >= 0).all():
        raise SettingError("every crop is picked: leave those that show what the cluster is called")
    rows = np.asarray(sample.embeddings[crops], np.float32)
    prototypes = split_among([rows[owner == number] for number in range(-1, len(sets))])
    key, names = clustering.key, list(sets)
    return label_map.split_cluster(key, cluster, prototypes, clustering.k, names=names, instead_of=instead_of)[1:]
