"""PiCIE's loss: by hand, against a slow loop, symmetric in the views, with the distance of the clustering; +H."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from picie_core.clustering.kmeans import assign, spherical_kmeans
from picie_core.training.losses.objective import Step
from picie_core.training.losses.picie import Picie, level_weights, picie_loss
from picie_core.training.losses.pseudo_labels import PriorMatching, ViewClusters, class_weights, label_entropy
from picie_core.training.settings import TrainSettings
from tests.small_trainings import check_resume, start_training


def some(n: int, k: int, dim: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, ViewClusters, ViewClusters]:
    """Unit embeddings of two views and random clusters with random weights for each."""
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (F.normalize(torch.randn(n, dim, generator=generator), dim=1) for _ in range(2))
    one, two = (
        ViewClusters(
            F.normalize(torch.randn(k, dim, generator=generator), dim=1),
            torch.rand(k, generator=generator) + 0.5,
            torch.full((k,), 1 / k),
        )
        for _ in range(2)
    )
    return z1, z2, one, two


def slow_agreement(z: torch.Tensor, label_z: torch.Tensor, clusters: ViewClusters, temperature: float) -> float:
    """C(a, b) pixel by pixel: the weighted mean of -log softmax at the label that view b gives the pixel."""
    total, weights = 0.0, 0.0
    for pixel, other in zip(z, label_z, strict=True):
        cosines = [float(pixel @ centroid) / temperature for centroid in clusters.centroids]
        label = max(range(len(cosines)), key=lambda c: float(other @ clusters.centroids[c]))
        weight = float(clusters.class_weights[label])
        total += weight * (math.log(sum(math.exp(c) for c in cosines)) - cosines[label])
        weights += weight
    return total / weights


def test_by_hand():
    """Both views on the axes with their clusters: within is log(1 + 1/e); swapped clusters cost one more in cross."""
    z = torch.eye(2)
    even = torch.ones(2)
    same = picie_loss(z, z, ViewClusters(z, even, even), ViewClusters(z, even, even), 1.0)
    assert float(same.within) == pytest.approx(math.log(1 + 1 / math.e))
    assert float(same.cross) == pytest.approx(math.log(1 + 1 / math.e))
    apart = picie_loss(z, z.flip(0), ViewClusters(z, even, even), ViewClusters(z, even, even), 1.0)
    assert float(apart.within) == pytest.approx(math.log(1 + 1 / math.e))
    assert float(apart.cross) == pytest.approx(math.log(1 + math.e))
    assert float(apart.total) == pytest.approx((math.log(1 + 1 / math.e) + math.log(1 + math.e)) / 2)
    assert [labels.tolist() for labels in apart.labels] == [[0, 1], [1, 0]]


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_slow_loop(temperature):
    """The loss is what a loop over pixels gives, weights and temperature included."""
    z1, z2, one, two = some(40, 5)
    found = picie_loss(z1, z2, one, two, temperature)
    within = (slow_agreement(z1, z1, one, temperature) + slow_agreement(z2, z2, two, temperature)) / 2
    cross = (slow_agreement(z1, z2, two, temperature) + slow_agreement(z2, z1, one, temperature)) / 2
    assert float(found.within) == pytest.approx(within, rel=1e-4)
    assert float(found.cross) == pytest.approx(cross, rel=1e-4)
    assert float(found.total) == pytest.approx((within + cross) / 2, rel=1e-4)


def test_views_may_be_swapped():
    """View 1 and view 2 play the same part: swapped, with their clusters, every term is the same."""
    z1, z2, one, two = some(50, 4)
    plain, swapped = picie_loss(z1, z2, one, two, 0.1), picie_loss(z2, z1, two, one, 0.1)
    for term in ("total", "within", "cross"):
        torch.testing.assert_close(getattr(plain, term), getattr(swapped, term))
    assert torch.equal(plain.labels[0], swapped.labels[1])


def test_order_of_pixels_and_clusters_does_not_matter():
    """The loss is a mean over pixels that knows clusters by their centroid, not by their id."""
    z1, z2, one, two = some(50, 4)
    plain = picie_loss(z1, z2, one, two, 0.1).total
    pixels = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(picie_loss(z1[pixels], z2[pixels], one, two, 0.1).total, plain)
    turn = torch.tensor([2, 0, 3, 1])
    turned = ViewClusters(one.centroids[turn], one.class_weights[turn], one.shares[turn])
    torch.testing.assert_close(picie_loss(z1, z2, turned, two, 0.1).total, plain)


def test_gradients_flow_through_both_views_and_not_into_the_clusters():
    """Each view is pulled towards the other's label; centroids are frozen numbers."""
    z1, z2, one, two = some(20, 3)
    z1.requires_grad_()
    z2.requires_grad_()
    found = picie_loss(z1, z2, one, two, 0.5)
    found.total.backward()
    assert z1.grad.abs().sum() > 0
    assert z2.grad.abs().sum() > 0
    assert not one.centroids.requires_grad
    assert not found.labels[0].requires_grad


def test_one_distance_for_clustering_and_training():
    """The labels of the loss are those of k-means on the same embeddings, every one of them."""
    z1, z2, _, _ = some(500, 3, dim=8)
    made = [spherical_kmeans(z.numpy(), 7) for z in (z1, z2)]
    clusters = [
        ViewClusters(torch.from_numpy(found.centroids), torch.ones(7), torch.full((7,), 1 / 7)) for found in made
    ]
    found = picie_loss(z1, z2, *clusters, temperature=0.1)
    for labels, z, clustered in zip(found.labels, (z1, z2), made, strict=True):
        np.testing.assert_array_equal(labels.numpy(), clustered.labels)
        np.testing.assert_array_equal(labels.numpy(), assign(z.numpy(), clustered.centroids)[0])


# -- over-clustering (PiCIE+H)


def unit_maps(seed: int, side: int) -> torch.Tensor:
    """(2, 6, side, side) unit embeddings."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(2, 6, side, side, generator=generator), dim=1)


def started(overcluster: int) -> Picie:
    """The objective at the start of an epoch, with 4 clusters."""
    objective = Picie(TrainSettings(k=4, overcluster=overcluster), 0, torch.device("cpu"))
    objective.start_epoch(0, [unit_maps(seed, 12).permute(0, 2, 3, 1).reshape(-1, 6).numpy() for seed in (0, 1)])
    return objective


def test_level_weights_by_hand():
    """27 and 100 clusters: log 100 over log 2700 for the coarse ones, the rest for the fine ones; alone all of it."""
    coarse, fine = level_weights([27, 100])
    assert coarse == pytest.approx(math.log(100) / math.log(2700))
    assert fine == pytest.approx(math.log(27) / math.log(2700))
    assert level_weights([27]) == [1.0]
    assert coarse * math.log(27) == pytest.approx(fine * math.log(100))  # of no use yet, both cost the same


def test_overclustering_adds_the_same_loss_on_finer_clusters():
    """The total is both losses, weighted; what is told of labels and views stays that of the coarse clusters."""
    maps = [unit_maps(seed, 5) for seed in (2, 3)]
    step = Step(maps)
    both, alone = started(100).loss(step), started(0).loss(step)
    assert [len(one.centroids) for level in started(100).clusters.levels for one in level] == [4, 4, 100, 100]
    weight = math.log(100) / math.log(400)
    torch.testing.assert_close(both.total, weight * alone.total + (1 - weight) * both.parts["overcluster"])
    torch.testing.assert_close(both.parts["within"], alone.parts["within"])
    assert torch.equal(both.label_counts, alone.label_counts)


@pytest.mark.parametrize("more", [{"overcluster": 100}, {"overcluster": 100, "labels": "epoch", "clustered": "pass"}])
def test_overclustering_resumes_exactly(finished, tmp_path, more):
    """Stopped inside the second epoch, in either recipe's way of labelling: the same weights and figures."""
    check_resume(finished, tmp_path, "picie", 4, **more)


def test_overclustering_is_recorded(finished):
    """An epoch tells the finer loss beside the two views' and the total that they make."""
    (record,) = start_training(finished, "picie", epochs=1, overcluster=100).epochs()
    weight = math.log(100) / math.log(300)
    coarse = (record.parts["within"] + record.parts["cross"]) / 2
    assert record.loss == pytest.approx(weight * coarse + (1 - weight) * record.parts["overcluster"], rel=1e-5)


# -- class weights and entropy


def test_class_weights_by_hand():
    """6, 3 and 1 pixels: power 0 is 1 each, power -1 gives each cluster a third of the say, power 1 is by size."""
    counts = torch.tensor([6, 3, 1])
    torch.testing.assert_close(class_weights(counts, 0), torch.ones(3))
    torch.testing.assert_close(class_weights(counts, -1), torch.tensor([10 / 18, 10 / 9, 10 / 3]))
    torch.testing.assert_close(class_weights(counts, 1), torch.tensor([0.6, 0.3, 0.1]) / 0.46)


@pytest.mark.parametrize("power", [-1, -0.5, 0, 0.3, 1])
def test_class_weights_have_mean_one_over_the_pixels(power):
    """Whatever the power, the loss keeps its scale; an empty cluster gets a finite weight."""
    counts = torch.tensor([500, 20, 0, 3])
    weights = class_weights(counts, power)
    filled = counts.clamp_min(1)
    assert float((weights * filled).sum() / filled.sum()) == pytest.approx(1, rel=1e-5)
    assert torch.isfinite(weights).all()


def test_label_entropy():
    """1 for even clusters, 0 for one cluster with everything, by hand between; never NaN."""
    assert label_entropy(torch.tensor([5, 5, 5])) == pytest.approx(1)
    assert label_entropy(torch.tensor([7, 0, 0])) == pytest.approx(0, abs=1e-9)
    assert label_entropy(torch.tensor([1, 1, 0, 0])) == pytest.approx(0.5)
    assert label_entropy(torch.tensor([0, 0])) == 0
    assert label_entropy(torch.tensor([4])) == 0


def test_a_cluster_above_its_share_gets_a_handicap():
    """Equal shares change no label; a cluster that swallowed the others loses the pixels that lie between."""
    centroids = torch.eye(2)
    clusters = ViewClusters(centroids, torch.ones(2), torch.tensor([0.5, 0.5]))
    shares = PriorMatching(clusters, strength=1.0, momentum=0.5)
    torch.testing.assert_close(shares.offset(), torch.zeros(2))
    z = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.98], [0.0, 1.0]]), dim=1)
    before = picie_loss(z, z, clusters, clusters, 0.1, (shares.offset(), shares.offset()))
    assert before.labels[0].tolist() == [0, 0, 1]
    for _ in range(6):
        shares.update(torch.zeros(100, dtype=torch.int64))
    assert shares.offset()[0] > 0 > shares.offset()[1]
    after = picie_loss(z, z, clusters, clusters, 0.1, (shares.offset(), 0.0))
    assert after.labels[0].tolist() == [0, 1, 1] and after.labels[1].tolist() == [0, 0, 1]


def test_no_strength_gives_no_handicap():
    """Strength 0 is the loss without shares."""
    clusters = ViewClusters(torch.eye(3), torch.ones(3), torch.full((3,), 1 / 3))
    shares = PriorMatching(clusters, strength=0.0)
    shares.update(torch.zeros(10, dtype=torch.int64))
    torch.testing.assert_close(shares.offset(), torch.zeros(3))


def test_running_shares_by_hand():
    """The running mean moves by 1 - momentum towards the step's shares."""
    shares = PriorMatching(ViewClusters(torch.eye(2), torch.ones(2), torch.tensor([0.25, 0.75])), 1.0, momentum=0.9)
    shares.update(torch.tensor([0, 0, 0, 1]))
    torch.testing.assert_close(shares.running, torch.tensor([0.3, 0.7]))
