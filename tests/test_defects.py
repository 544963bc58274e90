"""The defects that the method must not have, each with the tests that guard it.

| defect | guarded here by | and in |
|---|---|---|
| a transform is switched on but never applied | both views of a training | test_views.py: each at its probability |
| three distances for clustering, training, evaluation | one label for a pixel in all three | test_picie_loss.py |
| stuff and thing tables on the wrong axis | rows of the ground truth, by hand | test_evaluate.py |
| evaluation breaks when K exceeds the classes | any K against any number of classes | test_evaluate.py |
| square images only, annotations needed | long images without any masks | test_batches.py, test_bad_input.py |
| a fixed GPU | the device is looked for when it is asked for | test_train.py |
| the root of a flat label array | maps that are not square keep their places | test_masks.py |
| unseeded workers | the same seed twice, and another seed | test_train.py |
| dead clusters stay dead | the next clustering gives them pixels again | test_kmeans.py |
| a collapse that nobody is told of | the figures, the log, the summary, the job | test_epoch.py, app/test_train.py |
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from picie_core.clustering.kmeans import assign, spherical_kmeans
from picie_core.evaluation.metrics import confusion, match_majority, match_one_to_one, score
from picie_core.models.inference import pick_device
from picie_core.segmentation.masks import channel_scores
from picie_core.settings import SampleSettings
from picie_core.training.losses.objective import Step
from picie_core.training.losses.picie import Picie
from picie_core.training.losses.pseudo_labels import ViewClusters, flatten
from picie_core.training.settings import TrainSettings
from picie_core.training.views.augmentations import FLIP_P, GREY_P
from picie_core.workspace.trainings.training_plan import TrainingPlan
from picie_core.workspace.trainings.training_run import train_workspace
from picie_core.workspace.workspace import Workspace
from tests.conftest import draw_scene
from tests.hand_made import clustering_of
from tests.small_trainings import all_in_one_cluster, changed_picie, figures, start_training

CPU = torch.device("cpu")


def unit_cells(count: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    """(N, D) unit rows."""
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def within_chance(count: int, draws: int, probability: float) -> bool:
    """Whether a count is what so many draws give, 4.5 standard deviations at most from the mean."""
    return abs(count - draws * probability) <= 4.5 * (draws * probability * (1 - probability)) ** 0.5


# -- transforms


def test_what_is_switched_on_is_applied_in_training(finished, monkeypatch):
    """Both views that the network sees are recoloured, grey at the probability of grey, each by its own draw."""
    work = start_training(finished, "picie", epochs=15, lr_decoder=0.0, lr_backbone=0.0, clustered="steps")
    seen: dict[int, list[torch.Tensor]] = {32: [], 64: []}
    work.network.register_forward_hook(lambda module, given, made: seen[given[0].shape[2]].append(given[0]))
    list(work.epochs())
    ours = {side: torch.cat(images) for side, images in seen.items()}
    for images in ours.values():
        assert len(images) >= 90
        grey = (images - images.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-4
        assert within_chance(int(grey.sum()), len(images), GREY_P)
        plain = (images * 255 - (images * 255).round()).abs().amax((1, 2, 3)) < 1e-3
        assert plain.float().mean() < 0.05  # recoloured or blurred: 0.06 % of the draws do nothing


def test_the_warp_of_training_flips_half_of_the_images(finished):
    """Over many epochs half of the views are mirrored, and every crop is smaller than the image."""
    work = start_training(finished, "picie")
    sides, flips = [], []
    for work.epoch in range(100):
        draw = work.start.views(work.image_ids, work.epoch).warp()
        sides.append(draw.side)
        flips.append(draw.flip)
    assert within_chance(int(torch.cat(flips).sum()), 600, FLIP_P)
    assert 0.5 <= torch.cat(sides).min() < 0.55 and 0.95 < torch.cat(sides).max() <= 1


# -- one distance


def test_clustering_training_and_evaluation_agree_on_every_pixel():
    """The label of a cell is the same in k-means, in the loss and in the scores that masks are made from."""
    rows = unit_cells(3 * 4 * 5)
    found = spherical_kmeans(rows, 4)
    clusters = ViewClusters(torch.from_numpy(found.centroids), torch.ones(4), torch.full((4,), 0.25))
    objective = Picie(TrainSettings(k=4), 0, CPU)
    objective.clusters.levels = [[clusters, clusters]]
    in_training = objective.label(torch.from_numpy(rows)).numpy()
    cells = rows.reshape(3, 4, 5, 6)
    in_masks = np.stack([channel_scores(one, clustering_of(found.centroids)).argmax(0) for one in cells]).ravel()
    np.testing.assert_array_equal(in_training, found.labels)
    np.testing.assert_array_equal(in_masks, found.labels)
    np.testing.assert_array_equal(assign(rows, found.centroids)[0], found.labels)


# -- evaluation


COUNTS = np.array([[50, 10, 0, 0], [0, 30, 10, 0], [5, 0, 40, 5], [0, 0, 10, 20]])
"""(clusters, classes): cluster i is class i; classes 0 and 1 are things, 2 and 3 stuff."""


@pytest.mark.parametrize(
    ("only", "accuracy", "iou"),
    [
        ([0, 1], 80 / 95, [50 / 65, 30 / 40]),  # 10 pixels of class 1 were called 0, 5 of class 0 stuff
        ([2, 3], 60 / 85, [40 / 65, 20 / 35]),
    ],
)
def test_things_and_stuff_are_rows_of_the_ground_truth(only, accuracy, iou):
    """A table counts the pixels that truly are things, or stuff, after a matching over all classes; others nowhere."""
    found = score(COUNTS, match_one_to_one(COUNTS), only=only)
    assert found.accuracy == pytest.approx(accuracy)
    np.testing.assert_allclose(found.class_iou[only], iou)
    assert found.mean_iou == pytest.approx(np.mean(iou))


@pytest.mark.parametrize("k", [2, 3, 7, 40])
@pytest.mark.parametrize("classes", [1, 3, 5])
def test_any_number_of_clusters_can_be_evaluated(k, classes):
    """Fewer, as many or more clusters than classes: one-to-one leaves some out, the majority leaves none."""
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, k, (30, 20)), rng.integers(0, classes, (30, 20)).astype(np.uint8)
    counts = confusion(labels, truth, k, classes)
    one, many = match_one_to_one(counts), match_majority(counts)
    assert sorted(set(one[one >= 0].tolist())) == sorted(one[one >= 0].tolist())
    assert (one >= 0).sum() == min(k, classes) and (many >= 0).all()
    assert 0 < score(counts, one).accuracy <= score(counts, many).accuracy <= 1


# -- any images, no annotations, any device, seeds


@pytest.fixture(scope="module")
def long_images(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of a folder that holds nothing but images, from six times as wide as high to the reverse."""
    root = tmp_path_factory.mktemp("long")
    (root / "images").mkdir()
    for i, (height, width) in enumerate([(64, 384), (384, 64), (64, 96), (96, 64), (80, 80)]):
        Image.fromarray(draw_scene(i, height, width)[0]).save(root / "images" / f"{i}.png")
    space = Workspace.create(root / "work", root / "images")
    space.scan()
    return space


@pytest.mark.parametrize("method", ["picie", "mdc", "iic"])
def test_images_of_any_shape_train_without_annotations(long_images, method):
    """No method but supervised and probe asks for masks, and none for square images."""
    records = list(start_training(long_images, method).epochs())
    assert [record.epoch for record in records] == [1, 2]
    assert all(np.isfinite(value) for record in records for value in record.line().values())


def test_the_device_is_looked_for(monkeypatch):
    """`auto` is a GPU where there is one and the processor where there is none."""
    for there, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device("auto").type == kind


def test_labels_keep_their_places_in_maps_that_are_not_square():
    """A pixel of a wide map is labelled by its own embedding: no side is guessed from the number of pixels."""
    maps = F.normalize(torch.randn(2, 6, 3, 11, generator=torch.Generator().manual_seed(0)), dim=1)
    objective = Picie(TrainSettings(k=4), 0, CPU)
    objective.start_epoch(0, [unit_cells(200), unit_cells(200, seed=1)])
    labels = objective.label(flatten(maps)).view(2, 3, 11)
    centroids = objective.clusters.levels[0][1].centroids
    for b, y, x in np.ndindex(2, 3, 11):
        assert labels[b, y, x] == (centroids @ maps[b, :, y, x]).argmax()
    assert int(objective.loss(Step([maps, maps])).label_counts.sum()) == 2 * 2 * 3 * 11


def test_seeds_decide_everything(finished):
    """The same seed gives the same weights and figures, though threads read the images; another seed does not."""

    def run(seed: int) -> tuple[list, dict]:
        work = start_training(finished, "picie", epochs=1)
        for part in (work, work.batches, work.objective):
            part.seed = seed
        work.sampling = dataclasses.replace(work.sampling, seed=seed)
        return [figures(record) for record in work.epochs()], dict(work.embedder.state_dict())

    first, again, other = run(0), run(0), run(1)
    assert first[0] == again[0] != other[0]
    assert all(torch.equal(value, again[1][name]) for name, value in first[1].items())
    assert not all(torch.equal(value, other[1][name]) for name, value in first[1].items())


# -- dead clusters and collapse


def test_dead_clusters_come_back():
    """Two of five clusters that own no pixel any more own some after the next clustering, in both views."""
    cells = [unit_cells(400, seed=seed) for seed in (0, 1)]
    for one in cells:
        one[:, 0] = np.abs(one[:, 0]) + 0.5  # all to one side
        one /= np.linalg.norm(one, axis=1, keepdims=True)
    objective = Picie(TrainSettings(k=5), 0, CPU)
    objective.start_epoch(0, cells)
    away = torch.zeros(6)
    away[0] = -1
    for view, clusters in enumerate(objective.clusters.levels[0]):
        clusters.centroids[[1, 3]] = away
        assert len(np.unique(assign(cells[view], clusters.centroids.numpy())[0])) == 3
    objective.start_epoch(1, cells)
    assert all((clusters.shares > 0).all() for clusters in objective.clusters.levels[0])


def test_a_collapse_is_told_everywhere(finished_copy):
    """All pixels in one cluster: the history, the log and the run's record say so, with what to change."""
    plan = TrainingPlan(
        training=TrainSettings(k=4, epochs=1, cluster_images=6, precision="32-true"),
        sampling=SampleSettings(size_px=64, pixels=600, batch=4),
        start=finished_copy.current_run().name,
    )
    notes: list[str] = []
    make = changed_picie(all_in_one_cluster)
    run = train_workspace(finished_copy, plan, device="cpu", note=notes.append, make=make)
    told = "epoch 1: the training has collapsed, 100 % of the pixels are in one cluster: lower --lr-decoder"
    assert notes == [run.info.sample["collapse"]] and notes[0].startswith(told)
    folder: Path = run.folder
    (line,) = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert (line["collapsed"], line["largest_share"], line["dead_clusters"]) == (True, 1.0, 3)
    assert line["label_entropy"] == pytest.approx(0, abs=1e-9)
    assert told in json.loads((folder / "run.json").read_text())["sample"]["collapse"]


def test_a_collapse_of_the_embeddings_is_told(finished):
    """Rates that are far too high bring all embeddings to one point: however even its clusters, it is called so."""
    work = start_training(finished, "picie", lr_decoder=0.3, lr_backbone=0.03, prior_matching=0.0, temperature=1.0)
    records = list(work.epochs())
    assert records[-1].spread < 0.005 and records[-1].collapsed
    sound = list(start_training(finished, "picie").epochs())
    assert sound[-1].spread > 0.1 and not sound[-1].collapsed


def test_a_sound_training_says_nothing_of_a_collapse(finished_copy, tiny, say):
    """The words appear only when there is a reason."""
    options = ("--k", 4, "--epochs", 1, "--cluster-images", 6, "--precision", "32-true", "--device", "cpu", "--json")
    said = say("train", "--workspace", finished_copy.root, *tiny, *options)
    assert said.code == 0 and "collapse" not in said.err and "collapse" not in json.loads(said.out)
