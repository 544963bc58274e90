"""Modified DeepCluster: labels are the clusters of one view, its classifier is new every epoch, and both learn."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from picie_core.clustering.kmeans import assign
from picie_core.training.losses.mdc import ModifiedDeepCluster
from picie_core.training.losses.objective import Step, new_head
from picie_core.training.settings import TrainSettings
from tests.small_trainings import STEPS, check_resume, start_training

CPU = torch.device("cpu")
DIM = 6
SETTINGS = TrainSettings(k=4, prior_matching=0.0, balance=-0.5, temperature=0.5)


def unit_maps(seed: int, batch: int = 2, side: int = 5) -> torch.Tensor:
    """(B, D, h, w) unit embeddings."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(batch, DIM, side, side, generator=generator), dim=1)


def some_cells(seed: int = 0, count: int = 300) -> np.ndarray:
    """(N, D) unit cells to cluster."""
    return unit_maps(seed, 1, count)[0].flatten(1).T.numpy()[:count]


def started(seed: int = 3, **changes: object) -> ModifiedDeepCluster:
    """The objective in its first epoch."""
    settings = TrainSettings(**{**SETTINGS.__dict__, **changes})
    made = ModifiedDeepCluster(settings, DIM, seed, CPU)
    made.start_epoch(0, [some_cells()])
    return made


def step_of(maps: torch.Tensor) -> Step:
    """A step whose embeddings label themselves."""
    return Step([maps])


# -- labels and loss


def test_labels_are_the_nearest_clusters():
    """Every pixel gets the centroid that k-means would give it; the counts are those of the labels."""
    objective, maps = started(), unit_maps(1)
    rows = maps.permute(0, 2, 3, 1).reshape(-1, DIM)
    nearest, _ = assign(rows.numpy(), objective.clusters.levels[0][0].centroids.numpy())
    np.testing.assert_array_equal(objective.label(rows).numpy(), nearest)
    np.testing.assert_array_equal(objective.loss(step_of(maps)).label_counts.numpy(), np.bincount(nearest, minlength=4))


def test_loss_by_hand():
    """The loss is the class-weighted cross-entropy of the classifier against those labels, pixel by pixel."""
    objective, maps = started(), unit_maps(1)
    ((clusters,),), rows, biases = objective.clusters.levels, *(one.detach() for one in objective.heads[0].parameters())
    total, weights = 0.0, 0.0
    for pixel in maps.permute(0, 2, 3, 1).reshape(-1, DIM):
        scores = [float(row @ pixel / 0.5 + bias) for row, bias in zip(rows, biases, strict=True)]
        label = int((clusters.centroids @ pixel).argmax())
        weight = float(clusters.class_weights[label])
        total += weight * (math.log(sum(map(math.exp, scores))) - scores[label])
        weights += weight
    found = objective.loss(step_of(maps))
    assert float(found.total.detach()) == pytest.approx(total / weights, rel=1e-5)
    assert found.parts == {}


def test_gradients_reach_the_embeddings_and_the_classifier():
    """Network and classifier learn; labels and centroids are frozen numbers."""
    objective, maps = started(), unit_maps(1).requires_grad_()
    objective.loss(step_of(maps)).total.backward()
    assert maps.grad is not None and maps.grad.abs().sum() > 0
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in objective.parameters())
    assert not objective.clusters.levels[0][0].centroids.requires_grad


def test_given_labels_are_learnt():
    """Labels that were made for the epoch replace those of the step; the loss is the cross-entropy against them."""
    objective, maps = started(), unit_maps(1).requires_grad_()
    given = torch.randint(0, 4, (2, 1, 1, 5, 5), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    found = objective.loss(Step([maps], given))
    assert torch.equal(found.label_counts, torch.bincount(given.flatten().long(), minlength=4))
    ((clusters,),) = objective.clusters.levels
    logits = objective.heads[0](maps.permute(0, 2, 3, 1).reshape(-1, DIM) / 0.5)
    torch.testing.assert_close(found.total, F.cross_entropy(logits, given.flatten().long(), clusters.class_weights))


# -- over-clustering


def test_overclustering_adds_a_level_of_its_own():
    """100 clusters beside 4: a classifier each, and the terms weigh log K2 and log K1 over their sum."""
    both, maps = started(overcluster=100), unit_maps(1)
    assert [len(one.centroids) for (one,) in both.clusters.levels] == [4, 100]
    assert [tuple(head.weight.shape) for head in both.heads] == [(4, DIM), (100, DIM)]
    found, alone = both.loss(step_of(maps)), started().loss(step_of(maps))
    weight = math.log(100) / (math.log(4) + math.log(100))
    expected = weight * float(alone.total.detach()) + (1 - weight) * float(found.parts["overcluster"].detach())
    assert float(found.total.detach()) == pytest.approx(expected, rel=1e-5)
    assert len(found.label_counts) == 4


# -- epochs


def test_a_fresh_classifier_every_epoch():
    """Each epoch starts from the weights that belong to seed + epoch, whatever was learnt before."""
    objective = started(seed=3)
    for epoch in range(3):
        objective.start_epoch(epoch, [some_cells()])
        fresh = new_head(DIM, 4, 3 + epoch, CPU)
        assert torch.equal(objective.heads[0].weight, fresh.weight)
        with torch.no_grad():
            objective.heads[0].weight.add_(1)


@pytest.mark.parametrize(("centroids", "agree"), [("kept", True), ("anew", False)])
def test_kept_centroids_keep_their_ids(centroids, agree):
    """An epoch that starts from the centroids before gives the same cells the same ids; anew they are shuffled."""
    objective = started(centroids=centroids)
    ((one,),) = objective.clusters.levels
    objective.clusters.levels = [[dataclasses.replace(one, centroids=one.centroids.flip(0))]]
    rows = torch.from_numpy(some_cells())
    before = objective.label(rows)
    objective.start_epoch(1, [some_cells()])
    assert ((objective.label(rows) == before).float().mean() > 0.9) == agree


def test_the_classifier_has_an_optimiser_of_its_own(finished):
    """It starts anew with the classifier, and its rate stays full while the network's falls."""
    work = start_training(finished, "mdc", epochs=3)
    steps, rates = [], []

    def look() -> None:
        (state,) = {int(one["step"]) for one in work.head_optimizer.state.values()}
        steps.append(state)
        rates.append((work.head_optimizer.param_groups[0]["lr"], work.optimizer.param_groups[0]["lr"]))

    list(work.epochs(after_step=look))
    assert steps == [1, 2, 3] * 3
    assert {rate for rate, _ in rates} == {work.settings.lr_head}
    assert rates[-1][1] < 0.1 * work.settings.lr_decoder


def test_one_pass_over_one_view_a_step(finished):
    """A step embeds its images once; the labels come from the same pass."""
    work = start_training(finished, "mdc", epochs=1)
    seen = []
    work.network.register_forward_hook(lambda module, given, made: seen.append(tuple(given[0].shape)))
    list(work.epochs())
    training = [shape for shape in seen if shape[2] == 32]
    assert training == [(2, 3, 32, 32)] * STEPS


@pytest.mark.parametrize("overcluster", [0, 100])
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_resumed_equals_uninterrupted(finished, tmp_path, stop_after, overcluster):
    """Stopped inside an epoch, at its end and after its first step: the same weights and figures."""
    check_resume(finished, tmp_path, "mdc", stop_after, overcluster=overcluster)
