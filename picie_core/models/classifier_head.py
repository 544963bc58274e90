"""A linear classifier on unit pixel embeddings: what mdc, iic, supervised and probe learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from picie_core.atomic_files import open_atomic
from picie_core.errors import PicieError


@dataclass(frozen=True)
class Head:
    """Scores of K labels: embeddings (N, D) @ weight.T + bias."""

    weight: np.ndarray
    """(K, D) float32."""
    bias: np.ndarray
    """(K,) float32."""
    class_names: tuple[str, ...] = ()
    """Names of the rows where they are classes of a ground truth; empty where they are clusters."""

    @property
    def k(self) -> int:
        """How many labels there are."""
        return len(self.bias)

    def scores(self, feature_map: np.ndarray) -> np.ndarray:
        """Returns the scores (K, h, w) float32 of a feature map (h, w, D), which is brought to unit length first."""
        height, width, dim = feature_map.shape
        flat = feature_map.reshape(-1, dim).astype(np.float32)
        scores = self.weight.astype(np.float32) @ flat.T  # (K, h * w)
        scores /= np.maximum(np.sqrt(np.einsum("nd,nd->n", flat, flat)), np.finfo(np.float32).tiny)
        return scores.reshape(-1, height, width) + self.bias[:, None, None]


ABSENT = 30.0
"""How far the score of a class that was never seen lies below the lowest that any other can have."""


def without_classes(head: Head, absent: Sequence[int]) -> Head:
    """Returns the head with rows for the `absent` classes by which they are never predicted, whatever the embedding."""
    others = np.setdiff1d(np.arange(head.k), absent)
    if len(others) == head.k:
        return head
    weight, bias = head.weight.copy(), head.bias.copy()
    lowest = (bias[others] - np.linalg.norm(weight[others], axis=1)).min()  # embeddings have unit length
    weight[absent], bias[absent] = 0, lowest - ABSENT
    return replace(head, weight=weight, bias=bias)


def save_head(head: Head, path: Path) -> None:
    """Writes `head` to an npz file, in one step."""
    with open_atomic(path) as file:
        np.savez(file, weight=head.weight, bias=head.bias, class_names=np.array(head.class_names, dtype=str))


def load_head(path: Path) -> Head:
    """Returns what `save_head` wrote. Raises PicieError when there is none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Head(stored["weight"], stored["bias"], tuple(stored["class_names"].tolist()))
    except FileNotFoundError:
        raise PicieError(
            f"no classifier at {path}: only trainings with mdc, iic, supervised or probe have one"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise PicieError(f"{path} cannot be read as a classifier ({error}): train again") from error
