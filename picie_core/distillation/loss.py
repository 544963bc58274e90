"""The loss of a distillation: cross-entropy with the labels, each pixel by its weight, ignored pixels left out.

[1] Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR workshop 2015.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie_core.data.class_names import IGNORE_ID


def weighted_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    class_weights: Tensor | None = None,
    *,
    own: Tensor | None = None,
    bootstrap: float = 0.0,
) -> Tensor:
    """Returns the mean cross-entropy over the pixels that are not ignored, each by its weight; 0 where none counts.

    scores: (B, C, H, W) before the softmax; labels: (B, H, W) int64, 255 = ignored; weights: (B, H, W) float;
    class_weights: (C,). own: (B, C, H, W) probabilities of the averaged student, which make up the share `bootstrap`
    of the targets [1].
    """
    log_p = F.log_softmax(scores.float(), 1)
    counted = labels != IGNORE_ID
    safe = torch.where(counted, labels, 0)
    weights = torch.where(counted, weights, 0.0)
    if class_weights is not None:
        weights = weights * class_weights[safe]
    loss = -log_p.gather(1, safe[:, None])[:, 0]  # (B, H, W)
    if own is not None and bootstrap > 0:
        loss = (1 - bootstrap) * loss - bootstrap * (own * log_p).sum(1)
    return (weights * loss).sum() / weights.sum().clamp_min(1e-6)


def class_weights(counts: np.ndarray, mass: np.ndarray, power: float) -> np.ndarray:
    """Returns (C,) weights of the classes, of mean 1 over the weighted pixels; a class without any weighs 0.

    counts: (C,) labelled pixels; mass: (C,) sums of their weights. A class counts as its frequency to `power` + 1,
    however sure its pixels are on average: rare classes are seldom sure, and would not be learnt at all.
    """
    shown = (counts > 0) & (mass > 0)
    frequency = np.where(shown, counts / max(counts[shown].sum(), 1), 1.0)
    weights = np.where(shown, frequency**power * counts / np.where(shown, mass, 1), 0.0)
    return (weights * mass.sum() / max((weights * mass).sum(), 1e-12)).astype(np.float32)
