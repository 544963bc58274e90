"""Logistic regression on embeddings: the linear classifier with the least cross-entropy, found by L-BFGS.

The problem is convex, so there are no epochs, and no learning rate to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie_core.models.classifier_head import Head, without_classes

L2 = 1e-5
"""Weight of the squared length of the weights beside the mean cross-entropy; the inputs have unit variance."""
TOLERANCE = 1e-4
"""It has converged when no component of the gradient is larger."""
ITERATIONS = 200
FIRST_SHARE = 10
"""It starts with every 10th row, from whose solution all rows take a third of the iterations."""


@dataclass(frozen=True)
class Fit:
    """A fitted classifier and how the solver ended."""

    head: Head
    rows: int
    absent: tuple[str, ...]
    """The classes without a row, which are never predicted."""
    iterations: int
    """Of the solver over all rows."""
    largest_gradient: float

    @property
    def converged(self) -> bool:
        """Whether the solver found the minimum; otherwise it ran out of iterations."""
        return self.largest_gradient <= TOLERANCE

    @property
    def news(self) -> list[str]:
        """What a person should know of the fit, a line each."""
        lines = []
        if self.absent:
            lines.append(f"no labelled pixel shows {', '.join(self.absent)}: the classifier never predicts it")
        if not self.converged:
            lines.append(
                f"the logistic regression has not converged in {self.iterations} iterations (gradient "
                f"{self.largest_gradient:.1e}, wanted {TOLERANCE:.0e}): its classifier is near the best, not the best"
            )
        return lines


def fit_head(
    embeddings: np.ndarray,
    classes: np.ndarray,
    class_names: Sequence[str],
    *,
    weights: np.ndarray | None = None,
    l2: float = L2,
    iterations: int = ITERATIONS,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Fit:
    """Returns the linear classifier of unit embeddings (N, D) whose (N,) `classes` are indices of `class_names`.

    weights: (N,) how much each row counts, all the same by default. A class without a row is never predicted: its score
    is below that of every other class for any unit embedding. Embeddings are whitened for the solver, which then takes
    a third of the steps; what that does to them is folded into weight and bias.
    """
    shown, targets = np.unique(classes, return_inverse=True)
    assert len(shown) > 1, "a classifier needs rows of two classes"
    rows = torch.from_numpy(np.asarray(embeddings, np.float32)).to(device)
    share = torch.ones(len(rows)) if weights is None else torch.from_numpy(np.asarray(weights, np.float32))
    mean, whitening = _whitening(rows)
    z = F.pad((rows - mean) @ whitening, (0, 1), value=1.0)  # (N, D + 1): the last input is that of the bias
    y, share = torch.from_numpy(targets).to(device), share.to(device)
    solution = torch.zeros(len(shown), z.shape[1], device=device)
    first = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))[: len(z) // FIRST_SHARE].to(device)
    if len(first) >= 10 * z.shape[1]:
        solution, _, _ = _minimise(solution, z[first], y[first], share[first], l2, iterations)
    solution, taken, gradient = _minimise(solution, z, y, share, l2, iterations)
    weight = solution[:, :-1] @ whitening.T
    bias = solution[:, -1] - weight @ mean
    whole = Head(
        np.zeros((len(class_names), rows.shape[1]), np.float32),
        np.zeros(len(class_names), np.float32),
        tuple(class_names),
    )
    whole.weight[shown], whole.bias[shown] = weight.cpu().numpy(), bias.cpu().numpy()
    absent = np.setdiff1d(np.arange(len(class_names)), shown).tolist()
    names = tuple(class_names[one] for one in absent)
    return Fit(without_classes(whole, absent), len(rows), names, taken, gradient)


def _whitening(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean (D,) of the rows, and (D, D) that gives them unit variance in uncorrelated directions."""
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(rows.T))
    # A direction without variance must not be blown up: it tells nothing.
    return mean, vectors / values.clamp_min(1e-6 * float(values[-1])).sqrt()


def _minimise(
    start: Tensor, z: Tensor, y: Tensor, share: Tensor, l2: float, iterations: int
) -> tuple[Tensor, int, float]:
    """Returns the weights (K, D + 1) with the least weighted cross-entropy, iterations and the largest gradient."""
    weights, share = start.clone().requires_grad_(), share / share.sum()
    solver = torch.optim.LBFGS(
        [weights],
        max_iter=iterations,
        max_eval=3 * iterations,
        tolerance_grad=TOLERANCE,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def loss_and_gradient() -> Tensor:
        logs = torch.log_softmax(z @ weights.T, 1)  # (N, K)
        chosen = logs.gather(1, y[:, None])[:, 0]
        residual = logs.exp_()
        residual.scatter_add_(1, y[:, None], torch.full_like(chosen, -1)[:, None])
        weights.grad = (residual * share[:, None]).T @ z
        weights.grad[:, :-1] += 2 * l2 * weights[:, :-1]
        return -(chosen * share).sum() + l2 * weights[:, :-1].square().sum()

    solver.step(loss_and_gradient)
    loss_and_gradient()
    assert weights.grad is not None
    return weights.detach(), int(solver.state[weights]["n_iter"]), float(weights.grad.abs().max())
