"""Sorting out a cluster: of its crops those that show something else are picked and named, and come off it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from picie_core.errors import SettingError
from picie_core.exemplars import exemplars
from picie_core.splitting import split_among

if TYPE_CHECKING:
    from picie_core.clusters import Clustering
    from picie_core.sample import EmbeddingSample
    from picie_core.workspace import Workspace

CROPS = 60
"""Crops that are looked over: one page, drawn evenly from the cluster."""


def crops_to_sort(
    sample: EmbeddingSample, clustering: Clustering, cluster: int, stored_ids: Collection[int] | np.ndarray = ()
) -> np.ndarray:
    """Returns the crops that are looked over, as (m,) int64 rows of the sample, m at most CROPS; see `exemplars`."""
    return exemplars(sample, clustering, cluster, "random", stored_ids)[:CROPS]


def sort_out(
    workspace: Workspace,
    sample: EmbeddingSample,
    clustering: Clustering,
    cluster: int,
    crops: np.ndarray,
    picked: Sequence[int],
    name: str,
) -> int:
    """Takes what looks like the picked crops off a cluster, calls it `name`, and returns its id: one edit.

    crops: of `crops_to_sort`; picked: places among them, from 0. The cluster keeps id and name, no pixel of another
    cluster changes. When all crops are picked there is nothing to take off, and the cluster itself gets the name.
    Raises SettingError when none is picked, one is not there, or the two look the same to the embedder.
    """
    chosen = np.zeros(len(crops), bool)
    for number in picked:
        if not 0 <= number < len(crops):
            raise SettingError(f"no crop {number}: there are {len(crops)}, counted from 0")
        chosen[number] = True
    if not chosen.any():
        raise SettingError("no crop is picked: pick those that show something else")
    if chosen.all():
        workspace.label_map.name_clusters(clustering.key, [cluster], name)
        return cluster
    rows = np.asarray(sample.embeddings[crops], np.float32)
    prototypes = split_among([rows[~chosen], rows[chosen]])
    return workspace.label_map.split_cluster(clustering.key, cluster, prototypes, clustering.k, name)[1]
