"""The paper's epoch: clustering, labels and batch norm, against slow versions written from the description."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from picie_core.models.embedder import Embedder
from picie_core.training.epochs.epoch_features import ALL_FEATURES_BYTES, EpochFeatures
from picie_core.training.losses.epoch_clusters import EpochClusters, RunningMeans
from picie_core.training.losses.picie import Picie
from picie_core.training.losses.pseudo_labels import ViewClusters, class_weights
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import Training
from picie_core.training.views.paired_views import AlignedViews
from picie_core.workspace.workspace import Workspace
from tests.small_trainings import check_resume, start_training
from tests.two_processes import on_two_processes

CPU = torch.device("cpu")
PAPER = {
    "labels": "epoch",
    "clustered": "pass",
    "kmeans": "mini-batch",
    "centroids": "anew",
    "cluster_images": 2,
    "batch_norm": "train",
    "views": "equal",
    "square": "centre",
    "prior_matching": 0.0,
    "balance": 1.0,
}
"""What the recipe changes in the epoch, for trainings of the six scenes, whose batches hold two."""


def unit_rows(count: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    """(N, D) unit rows."""
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_training_reads_squares_of_twice_the_size(finished):
    """At 64 px the images come as squares of 128 px, and every view that is embedded has 64."""
    work = start_training(finished, "picie", epochs=1, **PAPER)
    sides: set[int] = set()
    work.embedder.register_forward_hook(lambda module, given, made: sides.add(given[0].shape[2]))
    list(work.epochs())
    assert (work.square_px, sides) == (128, {64})


# -- the clustering


def slow_running_means(start: np.ndarray, counts: np.ndarray, batches: list[np.ndarray]) -> np.ndarray:
    """Mini-batch k-means as the description has it: N_k += n, c_k += n / N_k (mean - c_k), members by cosine."""
    centroids, counts = start.astype(np.float64).copy(), counts.astype(np.float64).copy()
    for batch in batches:
        unit = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
        labels = (batch @ unit.T).argmax(1)
        for k in range(len(centroids)):
            members = batch[labels == k]
            if len(members):
                counts[k] += len(members)
                centroids[k] += len(members) / counts[k] * (members.mean(0) - centroids[k])
    return centroids


def first_clusters(rows: np.ndarray, k: int) -> ViewClusters:
    """The first k rows as centroids."""
    return ViewClusters(torch.from_numpy(rows[:k].copy()), torch.ones(k), torch.full((k,), 1 / k))


def test_running_means_equal_a_slow_version():
    """Batch by batch the centroids are those of the description, which start at the plain means of the first rows."""
    first, batches = unit_rows(200), [unit_rows(70, seed=seed) for seed in (1, 2, 3)]
    clusters = first_clusters(first, 5)
    labels = (first @ clusters.centroids.numpy().T).argmax(1)
    lengths = [(first[labels == k] @ first[k]).mean() for k in range(5)]
    start = clusters.centroids.numpy() * np.array(lengths)[:, None]
    means = RunningMeans(clusters, first)
    np.testing.assert_allclose(means.means, start, atol=1e-6)
    for batch in batches:
        means.update(torch.from_numpy(batch))
    expected = slow_running_means(start, np.bincount(labels, minlength=5), batches)
    np.testing.assert_allclose(means.means, expected, atol=1e-5)
    assert float(means.counts.sum()) == 200 + 3 * 70
    found = means.clusters(balance=1.0)
    torch.testing.assert_close(found.centroids.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(found.shares, (means.counts / means.counts.sum()).float())


def test_running_means_of_two_workers_are_those_of_one():
    """Each takes in the rows of both, one of them has none, and the centroids agree with one worker's."""
    first, batch = unit_rows(100), unit_rows(60, seed=1)
    whole = RunningMeans(first_clusters(first, 4), first)
    whole.update(torch.from_numpy(batch))

    def part(workers):
        means = RunningMeans(first_clusters(first, 4), first)
        means.update(torch.from_numpy(batch if workers.rank == 0 else batch[:0]), workers)
        return means.means

    for means in on_two_processes(part):
        torch.testing.assert_close(means, whole.means)


def test_each_view_has_a_start_of_its_own_in_every_epoch():
    """The same features give other centroids in the other view and in the next epoch, and the same ones again."""
    rows, settings = unit_rows(400), TrainSettings(k=9, centroids="anew")
    made = []
    for epoch in (0, 0, 1):
        clusters = EpochClusters(settings, 2, 0, CPU)
        clusters.fit(epoch, [rows, rows])
        made.append([one.centroids for one in clusters.levels[0]])
    assert torch.equal(made[0][0], made[1][0])
    assert not torch.allclose(made[0][0], made[0][1], atol=0.05)
    assert not torch.allclose(made[0][0], made[2][0], atol=0.05)


def test_all_positions_are_clustered_within_the_memory():
    """Mini-batch k-means begins with every position of its first images; beyond 4 GB of features with a sample."""

    class Alone:
        world_size, rank, device = 1, 0, CPU

    features = EpochFeatures(2, 128, 0, Alone(), "mini-batch")
    assert features.limit == ALL_FEATURES_BYTES // (2 * 128 * 4)
    assert features.limit > 600 * 80 * 80  # 600 images of 320 px; all 5,120 of the paper would be 31 GB
    assert EpochFeatures(2, 128, 0, Alone()).limit == 40_000


def clustered(work: Training) -> Picie:
    """The objective as it stands when the first epoch has been clustered and labelled."""
    list(work.epochs(stop=lambda: True))
    assert isinstance(work.objective, Picie)
    return work.objective


def embedded_views(work: Training, network: Embedder, ids: list[int]) -> list[torch.Tensor]:
    """(B, D, h, w) of both views of the images in the first epoch, as the description has them."""
    (batch,) = work.batches.read(ids, 0)
    views = AlignedViews((1, 2), work.sampling.seed, 0, ids, "equal")
    with torch.no_grad():
        return views.maps(network, views.images(batch.images))


def test_the_clustering_pass_takes_in_all_images(finished):
    """Two images begin, the other four move the centroids as running means, batch after batch."""
    work = start_training(finished, "picie", **{**PAPER, "batch_norm": "frozen"})
    network = start_training(finished, "picie").embedder.eval()
    order = np.random.default_rng((0, 0, 1)).choice(work.image_ids, 6, replace=False).tolist()
    rows = [
        [one.permute(0, 2, 3, 1).reshape(-1, 8).numpy() for one in embedded_views(work, network, order[i : i + 2])]
        for i in (0, 2, 4)
    ]
    start = EpochClusters(TrainSettings(**{**PAPER, "k": 3, "kmeans": "sample"}), 2, 0, CPU)
    start.fit(0, rows[0])
    found = clustered(work).clusters.levels[0]
    for view in (0, 1):
        first = start.levels[0][view].centroids.numpy()
        labels = (rows[0][view] @ first.T).argmax(1)
        lengths = [(rows[0][view][labels == k] @ first[k]).mean() for k in range(3)]
        counts = np.bincount(labels, minlength=3)
        means = slow_running_means(first * np.array(lengths)[:, None], counts, [rows[1][view], rows[2][view]])
        np.testing.assert_allclose(
            found[view].centroids, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-4
        )
        assert not np.allclose(found[view].centroids, first, atol=1e-4)


def test_labels_and_class_weights_are_those_of_all_images(finished):
    """Every image keeps the labels of the network as it was clustered; weights are the labels' frequencies."""
    work = start_training(finished, "picie", **{**PAPER, "batch_norm": "frozen"})
    network = start_training(finished, "picie").embedder.eval()
    objective, counts = clustered(work), torch.zeros(2, 3, dtype=torch.int64)
    assert work.labels is not None and sorted(work.labels) == work.image_ids
    for one in work.image_ids:
        for view, maps in enumerate(embedded_views(work, network, [one])):
            expected = torch.einsum("dhw,kd->khw", maps[0], objective.clusters.levels[0][view].centroids).argmax(0)
            assert float((work.labels[one][0, view] == expected).float().mean()) > 0.99  # ties of rounding
            counts[view] += torch.bincount(work.labels[one][0, view].flatten().long(), minlength=3)
    for view, clusters in enumerate(objective.clusters.levels[0]):
        torch.testing.assert_close(clusters.class_weights, class_weights(counts[view], 1.0))


def test_batch_norm_takes_in_the_clustering_pass(finished):
    """In training mode its statistics move with each batch of each view, and the labels are made with the result."""
    work, network = (start_training(finished, "picie", **{**PAPER, "lr_backbone": 0.0}) for _ in range(2))
    before = work.embedder.backbone.stem[1].running_mean.clone()
    order = np.random.default_rng((0, 0, 1)).choice(work.image_ids, 6, replace=False).tolist()
    network.embedder.train()
    for i in (0, 2, 4):
        embedded_views(work, network.embedder, order[i : i + 2])
    work.start.cluster(work.embedder, 0, work.image_ids, lambda *_, **__: None, "")
    moved = work.embedder.backbone.stem[1].running_mean
    torch.testing.assert_close(moved, network.embedder.backbone.stem[1].running_mean)
    assert not torch.allclose(moved, before)
    labels = work.start.label(work.embedder, 0, work.image_ids, lambda *_, **__: None, "")
    network.embedder.eval()
    maps = embedded_views(work, network.embedder, [0])
    centroids = work.objective.clusters.levels[0][0].centroids
    expected = torch.einsum("dhw,kd->khw", maps[0][0], centroids).argmax(0)
    assert float((labels[0][0, 0] == expected).float().mean()) > 0.99


@pytest.mark.parametrize("method", ["picie", "mdc"])
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_the_paper_recipe_resumes_exactly(finished, tmp_path: Path, method, stop_after):
    """Stopped in or after an epoch: labels, clusters and batch norm are those of a training that went on."""
    check_resume(finished, tmp_path, method, stop_after, **PAPER)


def test_an_image_that_could_not_be_labelled_is_left_out(finished: Workspace):
    """Its step goes on without it, whether it can be read again or not."""
    work = start_training(finished, "picie", epochs=1, **PAPER)
    left_out = []

    def drop() -> None:
        if not left_out and work.labels:
            left_out.append(work.labels.popitem())

    (record,) = work.epochs(after_step=drop)
    assert left_out and np.isfinite(record.loss)


def test_images_that_failed_before_stop_no_clustering(finished):
    """However many files could not be read in earlier epochs, a pass over others that can be read goes on."""
    work = start_training(finished, "picie", clustered="pass", cluster_images=2, epochs=2)
    work.batches.unreadable = {100 + one: "gone" for one in range(5)}
    assert len(list(work.epochs())) == 2
