"""Sorting out a cluster: of its crops those that show something else are picked and named, and come off it."""

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
"""Crops that are looked over: one page, drawn evenly from the cluster."""


def crops_to_review(
    sample: EmbeddingSample, clustering: Clustering, cluster: int, stored_ids: Collection[int] | np.ndarray = ()
) -> np.ndarray:
    """Returns the crops that are looked over, as (m,) int64 rows of the sample, m at most CROPS; see `exemplars`."""
    return exemplars(sample, clustering, cluster, "random", stored_ids)[:CROPS]


def split_crops(
    label_map: LabelMap,
    sample: EmbeddingSample,
    clustering: Clustering,
    cluster: int,
    crops: np.ndarray,
    sets: Mapping[str, Collection[int]],
    instead_of: int | None = None,
) -> list[int]:
    """Takes what looks like the picked crops off a cluster, under their names, and returns the ids: one edit.

    crops: of `crops_to_sort`; sets: by name, the places of the picked ones among them, from 0. instead_of: number of
    the edit before, when it was the same with fewer sets: it is taken back. The cluster keeps id and name, which the
    crops stand for that nobody picked; no pixel of another cluster changes. When all are picked under one name, the
    cluster gets it. Raises SettingError when none is picked, one is not there or picked twice, all are under several
    names, or two sets look the same to the embedder.
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
    return label_map.split_cluster(clustering.key, cluster, prototypes, clustering.k, list(sets), instead_of)[1:]
