"""Pseudo-labels: the weighted loss and the running shares, in one process and in two, and clusters that all share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from picie_core.training.losses.pseudo_labels import (
    PriorMatching,
    ViewClusters,
    cluster_features,
    weighted_cross_entropy,
)
from tests.two_processes import on_two_processes

CPU = torch.device("cpu")


def scores(count: int = 30, k: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (N, K), labels (N,) of which some are 255, and weights (K,)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, k, (count,), generator=generator)
    labels[::7] = 255
    return torch.randn(count, k, generator=generator), labels, torch.rand(k, generator=generator) + 0.2


def unit_cells(count: int = 400, dim: int = 6) -> np.ndarray:
    """(N, D) unit rows."""
    rows = np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# -- the loss


def test_weighted_cross_entropy_equals_slow_loop():
    """Each pixel's -log softmax counts by the weight of its label; ignored ones count nowhere."""
    logits, labels, weights = scores()
    total, sum_of_weights = 0.0, 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label != 255:
            loss = math.log(sum(map(math.exp, row))) - row[label]
            total, sum_of_weights = total + float(weights[label]) * loss, sum_of_weights + float(weights[label])
    found = weighted_cross_entropy(logits, labels, weights, ignore=255)
    assert float(found) == pytest.approx(total / sum_of_weights, rel=1e-5)
    torch.testing.assert_close(found, F.cross_entropy(logits, labels, weights, ignore_index=255))


@pytest.mark.parametrize("shares", [15, 3, 0])
def test_two_processes_have_the_loss_and_gradient_of_one(shares):
    """However unevenly the pixels are shared out, the mean of both is the whole batch's loss, and so its gradient."""
    logits, labels, weights = scores()
    logits.requires_grad_()
    whole = weighted_cross_entropy(logits, labels, weights, ignore=255)
    (expected,) = torch.autograd.grad(whole, logits)

    def part(workers):
        mine = slice(shares) if workers.rank == 0 else slice(shares, None)
        found = weighted_cross_entropy(logits[mine], labels[mine], weights, workers, ignore=255)
        return found.detach(), torch.autograd.grad(found, logits)[0]

    (one, one_gradient), (two, two_gradient) = on_two_processes(part)
    torch.testing.assert_close((one + two) / 2, whole.detach())
    torch.testing.assert_close((one_gradient + two_gradient) / 2, expected)


# -- clusters


def test_clusters_describe_the_cells():
    """Unit centroids, shares that sum to 1, and weights with mean 1 over the cells."""
    found = cluster_features(unit_cells(), 5, -0.5, 0, None, CPU)
    torch.testing.assert_close(found.centroids.norm(dim=1), torch.ones(5))
    assert float(found.shares.sum()) == pytest.approx(1)
    assert float((found.shares * found.class_weights).sum()) == pytest.approx(1, rel=1e-5)
    cells = torch.from_numpy(unit_cells())
    counts = torch.bincount((cells @ found.centroids.T).argmax(1), minlength=5)
    torch.testing.assert_close(found.shares, counts / 400)


def test_both_processes_get_the_clusters_of_the_first(monkeypatch):
    """Only the first process clusters; the second has the same centroids, bit by bit, whatever its own cells are."""
    alone = cluster_features(unit_cells(), 5, -0.5, 0, None, CPU)

    def part(workers):
        cells = unit_cells() if workers.rank == 0 else np.zeros((1, 6), np.float32)
        return cluster_features(cells, 5, -0.5, 0, None, CPU, workers)

    for found in on_two_processes(part):
        assert torch.equal(found.centroids, alone.centroids)
        assert torch.equal(found.class_weights, alone.class_weights)
        assert torch.equal(found.shares, alone.shares)


def test_a_start_keeps_ids():
    """Cells clustered again from their own centroids get the same ids."""
    first = cluster_features(unit_cells(), 5, 0, 0, None, CPU)
    turned = first.centroids.flip(0)
    again = cluster_features(unit_cells(), 5, 0, 0, turned, CPU)
    assert ((again.centroids * turned).sum(1) > 0.95).all()


# -- running shares


def half_and_half() -> PriorMatching:
    """Two clusters with half of the pixels each."""
    return PriorMatching(ViewClusters(torch.eye(2), torch.ones(2), torch.tensor([0.5, 0.5])), 1.0)


def test_two_processes_run_the_same_shares():
    """Both take in the labels of both, so that the same pixels get the same handicap."""
    labels = torch.tensor([0, 0, 0, 0, 1])
    whole = half_and_half()
    whole.update(labels)

    def part(workers):
        shares = half_and_half()
        shares.update(labels[:2] if workers.rank == 0 else labels[2:], workers)
        return shares.running

    for running in on_two_processes(part):
        torch.testing.assert_close(running, whole.running)


def test_a_step_without_pixels_changes_no_share():
    """A step in which no image could be read is as if it had not been."""
    shares = half_and_half()
    shares.update(torch.zeros(0, dtype=torch.int64))
    torch.testing.assert_close(shares.running, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(shares.offset(), torch.zeros(2))
