"""Clusters as a classifier: the scores of a clustering, splits included, where evaluation expects a `Head`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from picie_core.clustering.splits import Split, cosine_scores
from picie_core.models.classifier_head import Head


@dataclass(frozen=True)
class ClusterHead(Head):
    """Scores of K clusters: cosines to unit centroids, as masks have them."""

    splits: Sequence[Split] = ()
    """In the order in which they apply; `bias` has a zero for each part too."""

    @classmethod
    def of_centroids(cls, centroids: np.ndarray, splits: Sequence[Split] = ()) -> ClusterHead:
        """Returns the classifier of unit `centroids` (K, D) and the splits of their clusters."""
        return cls(centroids, np.zeros(splits[-1].end if splits else len(centroids), np.float32), splits=splits)

    def scores(self, feature_map: np.ndarray) -> np.ndarray:
        """Returns the scores (K, h, w) float32 of a feature map (h, w, D), which is brought to unit length first."""
        height, width, dim = feature_map.shape
        return cosine_scores(feature_map.reshape(-1, dim), self.weight, self.splits).reshape(-1, height, width)
