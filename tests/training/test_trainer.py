"""The training loop: complete figures, exact resumption, switches that do what they say, refusals."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from picie_core.data.images.image_cache import ImageCache
from picie_core.errors import PicieError
from picie_core.models.embedder import load_embedder
from picie_core.settings import SampleSettings
from picie_core.training.checkpoint import load_checkpoint, restore_training, save_checkpoint, training_state
from picie_core.training.distributed import make_fabric
from picie_core.training.epochs.epoch_metrics import EpochRecord
from picie_core.training.losses import MakeObjective, make_objective
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import Training
from picie_core.workspace.workspace import Workspace
from tests.small_trainings import all_in_one_cluster, changed_picie

SETTINGS = TrainSettings(k=4, epochs=2, cluster_images=6, precision="32-true")
SAMPLING = SampleSettings(size_px=64, pixels=600, batch=4)


def start(space: Workspace, make: MakeObjective = make_objective, **changes: object) -> Training:
    """A training of the scenes from the frozen embedder: 6 images, 2 steps an epoch."""
    network, _ = load_embedder(space.current_run().folder / "embedder")
    settings = dataclasses.replace(SETTINGS, **changes)
    ids = [record.id for record in space.image_list().readable]
    return Training(network, space.image_cache(64), ids, settings, SAMPLING, "cpu", make=make)


def weights(work: Training) -> dict[str, torch.Tensor]:
    """Copies of all tensors of the network, running statistics included."""
    return {name: value.clone() for name, value in work.embedder.state_dict().items()}


def figures(record: EpochRecord) -> dict:
    """An epoch's figures without those that depend on the clock."""
    clock = ("seconds", "images_per_s", "clustering_s")
    return {name: value for name, value in record.line().items() if name not in clock}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], word: str) -> bool:
    """Whether any tensor with `word` in its name changed."""
    return any(not torch.equal(before[name], after[name]) for name in before if word in name)


# -- what an epoch gives


@pytest.fixture(scope="module")
def trained(finished) -> tuple[list[EpochRecord], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The records of an uninterrupted training of 2 epochs, and the weights before and after it."""
    work = start(finished)
    before = weights(work)
    return list(work.epochs()), before, weights(work)


def test_every_epoch_is_recorded_in_full(trained):
    """One record an epoch: numbered from 1, finite, total the mean of within and cross, entropy a share."""
    records, _, _ = trained
    assert [record.epoch for record in records] == [1, 2]
    for record in records:
        assert all(math.isfinite(value) for value in record.line().values())
        assert record.loss == pytest.approx((record.parts["within"] + record.parts["cross"]) / 2)
        assert 0 < record.label_entropy <= 1
        assert 0 <= record.dead_clusters < 4
        assert record.images_per_s == pytest.approx(6 / record.seconds)
    assert records[0].changed_labels == 1
    assert 0 <= records[1].changed_labels < 1


def test_training_moves_the_whole_network(trained):
    """Decoder and backbone move; the running statistics of a frozen batch norm do not."""
    _, before, after = trained
    assert moved(before, after, "decoder")
    assert moved(before, after, "layers.0")
    assert moved(before, after, "stem.0")
    assert not moved(before, after, "running_")


def test_loss_falls(finished):
    """Over six epochs the views come to agree: the loss, and its cross-view half, fall."""
    records = list(start(finished, epochs=6, lr_backbone=1e-3).epochs())
    assert records[-1].loss < 0.9 * records[0].loss
    assert records[-1].parts["cross"] < records[0].parts["cross"]


def test_the_same_training_twice(finished, trained):
    """Same images, settings and seed: the same weights, bit by bit."""
    work = start(finished)
    assert [figures(record) for record in work.epochs()] == [figures(record) for record in trained[0]]
    assert all(torch.equal(value, trained[2][name]) for name, value in weights(work).items())


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_stopped_and_resumed_equals_uninterrupted(finished, trained, tmp_path, steps):
    """Stopped after any step, stored, loaded and continued, a training ends with the very same weights and figures."""
    first = start(finished)
    left = iter(range(steps - 1))
    records = list(first.epochs(stop=lambda: next(left, None) is None))
    assert len(records) == (steps - 1) // 2
    save_checkpoint(tmp_path / "checkpoint.pt", training_state(first))
    second = start(finished)
    restore_training(second, load_checkpoint(tmp_path / "checkpoint.pt"))
    records += list(second.epochs())
    assert [figures(record) for record in records] == [figures(record) for record in trained[0]]
    assert all(torch.equal(value, trained[2][name]) for name, value in weights(second).items())


def test_an_epoch_counts_the_time_before_a_stop(finished):
    """Seconds of an epoch that was stopped in its middle include those before the stop, not those of the pause."""
    first = start(finished, epochs=1)
    assert list(first.epochs(stop=lambda: True)) == []
    state = training_state(first)
    assert 0 < state["clustering_s"] < state["spent_s"]
    second = start(finished, epochs=1)
    restore_training(second, {**state, "spent_s": 1000.0})  # as if the first step had taken so long
    (record,) = second.epochs()
    assert 1000 < record.seconds < 1900
    assert record.images_per_s == pytest.approx(6 / record.seconds)
    assert training_state(second)["spent_s"] == 0


# -- switches


def test_a_rate_of_zero_freezes_the_backbone(finished):
    """lr_backbone=0 trains the decoder only."""
    work = start(finished, lr_backbone=0.0, epochs=1)
    before = weights(work)
    list(work.epochs())
    after = weights(work)
    assert moved(before, after, "decoder")
    assert not moved(before, after, "layers") and not moved(before, after, "stem")


def test_batch_norm_may_train(finished):
    """batch_norm=train updates the running statistics, as in the paper."""
    work = start(finished, batch_norm="train", epochs=1)
    before = weights(work)
    list(work.epochs())
    assert moved(before, weights(work), "running_mean")


def test_learning_rate_by_hand(finished):
    """A warm-up over half an epoch, then a cosine that would reach zero after the last step; both groups alike."""
    work = start(finished)
    work.sampling, work.batches.batch = dataclasses.replace(SAMPLING, batch=2), 2  # 3 steps an epoch, 6 in all
    seen = []
    rates = lambda: seen.append([group["lr"] for group in work.optimizer.param_groups])  # noqa: E731
    assert len(list(work.epochs(after_step=rates))) == 2
    factors = [0.5 * (1 + math.cos(math.pi * done / 6)) for done in range(6)]
    factors[0] *= 1 / 1.5
    for rates, factor in zip(seen, factors, strict=True):
        assert rates == pytest.approx([3e-4 * factor, 3e-5 * factor])


def test_mixed_precision_trains(finished):
    """bf16-mixed gives finite figures near those of float32."""
    records = [next(start(finished, epochs=1, precision=name).epochs()) for name in ("32-true", "bf16-mixed")]
    assert records[1].loss == pytest.approx(records[0].loss, rel=0.25)


# -- what may go wrong


def test_a_collapse_is_reported(finished):
    """Where all pixels get one label, the record says so: no entropy, all other clusters dead."""
    record = next(start(finished, changed_picie(all_in_one_cluster), epochs=1).epochs())
    assert record.label_entropy == pytest.approx(0, abs=1e-9)
    assert record.dead_clusters == 3


def test_a_loss_that_is_not_finite_stops_before_it_does_harm(finished):
    """The message says where and what to lower; the weights are those before the step."""
    work = start(finished, changed_picie(lambda step: dataclasses.replace(step, total=step.total * math.nan)))
    before = weights(work)
    with pytest.raises(PicieError, match=r"not finite at epoch 1, step 1: .* lower --lr-decoder and --lr-backbone"):
        list(work.epochs())
    assert not moved(before, weights(work), "")


def test_an_unreadable_image_is_left_out(finished, tmp_path):
    """An image that cannot be decoded any more makes its batch smaller, not the training fail."""
    work = start(finished, epochs=1)
    listed = finished.image_list()
    for record in listed.readable[1:]:
        (tmp_path / record.path).write_bytes((finished.images_root / record.path).read_bytes())
    work.batches.cache = ImageCache(tmp_path / "cache", 64, tmp_path, listed)
    assert math.isfinite(next(work.epochs()).loss)


def test_no_cuda_device(monkeypatch):
    """--device cuda without one is refused before anything starts."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PicieError, match="device=cuda but torch finds no CUDA device here"):
        make_fabric("32-true", "cuda")


# -- checkpoints


def test_checkpoints_that_cannot_be_used(finished, tmp_path):
    """Missing, damaged, newer, of another network: each says so and what to do."""
    path: Path = tmp_path / "checkpoint.pt"
    with pytest.raises(PicieError, match=r"no checkpoint at .*: start the training anew, without --resume"):
        load_checkpoint(path)
    path.write_bytes(b"half a checkpoint")
    with pytest.raises(PicieError, match=r"cannot be read .*: start the training anew"):
        load_checkpoint(path)
    torch.save({"version": 5}, path)
    with pytest.raises(PicieError, match=r"has version 5, .* from version 4: update the program"):
        load_checkpoint(path)
    torch.save({"version": 1}, path)
    with pytest.raises(PicieError, match=r"has version 1, .* from version 4: start the training anew"):
        load_checkpoint(path)
    work = start(finished)
    state = training_state(work)
    state["embedder"] = {name: value for name, value in state["embedder"].items() if "decoder" not in name}
    with pytest.raises(PicieError, match=r"the checkpoint is of another network .*: start anew"):
        restore_training(work, state)
