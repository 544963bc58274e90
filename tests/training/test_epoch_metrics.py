"""The figures of an epoch: means by hand, sums of processes, a collapse, a loss that is not finite, changed labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from picie_core.errors import PicieError
from picie_core.training.epochs.epoch_metrics import COLLAPSED_SHARE, EpochRecord, EpochTotals, changed_share
from picie_core.training.losses.objective import StepLoss
from tests.two_processes import on_two_processes

CPU = torch.device("cpu")
REST = {"epoch": 1, "changed_labels": 0.5, "images_per_s": 3.0, "seconds": 2.0, "clustering_s": 0.1}


def step(total: float, counts: list[int], **parts: float) -> StepLoss:
    """What one step has to say."""
    return StepLoss(
        torch.tensor(total), {name: torch.tensor(value) for name, value in parts.items()}, torch.tensor(counts)
    )


def totals_of(*steps: StepLoss, k: int = 3) -> EpochTotals:
    """The sums over some steps."""
    totals = EpochTotals(k, CPU)
    for one in steps:
        totals.add(one)
    return totals


# -- means


def test_a_record_by_hand():
    """Means of the loss and its terms; entropy, dead clusters and the largest share of all labels together."""
    record = totals_of(step(1.0, [6, 2, 0], within=0.5), step(3.0, [2, 6, 0], within=1.5)).record(**REST)
    assert (record.loss, record.parts) == (2.0, {"within": 1.0})
    assert record.label_entropy == pytest.approx(math.log(2) / math.log(3))
    assert (record.dead_clusters, record.largest_share) == (1, 0.5)
    assert record.line() == {
        **REST,
        "spread": 1.0,
        "loss": 2.0,
        "within": 1.0,
        "label_entropy": record.label_entropy,
        "dead_clusters": 1,
        "largest_share": 0.5,
        "collapsed": False,
    }


def test_the_view_that_is_worse_off_speaks():
    """Each view in one cluster of its own is a collapse, though the two together look like an even half."""
    views = StepLoss(torch.tensor(1.0), {}, torch.tensor([[8, 0, 0], [0, 8, 0]]))
    record = totals_of(views, views).record(**REST)
    assert (record.label_entropy, record.dead_clusters, record.largest_share) == (0.0, 2, 1.0)
    sound = StepLoss(torch.tensor(1.0), {}, torch.tensor([[4, 3, 1], [6, 2, 0]]))
    record = totals_of(sound).record(**REST)
    assert (record.dead_clusters, record.largest_share, record.collapsed) == (1, 0.75, False)
    assert record.label_entropy == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(3))


def test_terms_that_come_and_go_are_means_over_their_steps():
    """IIC's heads take turns: a term that two of three steps had is the mean of these two."""
    totals = totals_of(step(-1.0, [1, 0, 0], a=1.0), step(-4.0, [1, 0, 0], b=4.0), step(-3.0, [1, 0, 0], a=3.0))
    assert totals.means() == pytest.approx({"loss": -8 / 3, "a": 2.0, "b": 4.0})


def test_sums_survive_a_checkpoint():
    """Half of the steps, stored and loaded, and the other half give the figures of all."""
    steps = [step(float(i), [i, 1, 0], **{"a" if i % 2 else "b": float(i)}) for i in range(5)]
    half, loaded = totals_of(*steps[:3]), EpochTotals(3, CPU)
    loaded.load_state(half.state())
    for one in steps[3:]:
        loaded.add(one)
    assert loaded.record(**REST) == totals_of(*steps).record(**REST)
    assert half.steps == 3  # what was stored is not changed by what came after


def test_two_processes_are_gathered():
    """The labels of both count; the loss of the whole batch is the mean of both."""

    def part(workers):
        totals = EpochTotals(3, CPU)
        totals.add(step(1.0 + workers.rank, [4, 0, 0] if workers.rank else [0, 2, 2], a=3.0), workers)
        return totals.record(**REST)

    for record in on_two_processes(part):
        assert (record.loss, record.parts, record.dead_clusters, record.largest_share) == (1.5, {"a": 3.0}, 0, 0.5)


# -- what may go wrong


@pytest.mark.parametrize(("largest", "collapsed"), [(95, False), (96, True), (100, True)])
def test_a_collapse_is_named(largest, collapsed):
    """More than 95 % of the pixels in one cluster is a collapse, in the record and in its line."""
    assert COLLAPSED_SHARE == 0.95
    record = totals_of(step(1.0, [largest, 100 - largest, 0])).record(**REST)
    assert isinstance(record, EpochRecord)
    assert record.collapsed == record.line()["collapsed"] == collapsed
    assert record.line().get("collapse", "") == (f"{largest} % of the pixels are in one cluster" if collapsed else "")


@pytest.mark.parametrize(("spread", "collapsed"), [(0.0, True), (0.004, True), (0.006, False), (0.7, False)])
def test_embeddings_that_are_all_alike_are_a_collapse(spread, collapsed):
    """Clusters of noise may be even: that the embeddings do not spread any more is told by itself."""
    record = totals_of(step(1.0, [4, 4, 4])).record(**REST, spread=spread)
    assert record.collapsed == collapsed
    assert record.collapse == ("the embeddings of all pixels are alike" if collapsed else "")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_step_that_is_not_finite_is_named(bad):
    """Of several bad steps the first one is told, with what to lower; finite ones pass."""
    good = totals_of(step(1.0, [1, 0, 0]))
    good.check_finite(0)
    totals = totals_of(step(1.0, [1, 0, 0]), step(bad, [1, 0, 0]), step(bad, [1, 0, 0]))
    with pytest.raises(PicieError, match=r"not finite at epoch 5, step 2: the last checkpoint is good; lower --lr"):
        totals.check_finite(4)


def test_all_processes_stop_at_a_bad_step_of_one():
    """Also the process whose own loss is good is told, so that none waits for the other."""

    def part(workers):
        totals = EpochTotals(3, CPU)
        totals.add(step(math.nan if workers.rank else 1.0, [1, 0, 0]), workers)
        with pytest.raises(PicieError, match="not finite at epoch 1, step 1"):
            totals.check_finite(0)
        return True

    assert on_two_processes(part) == [True, True]


# -- changed labels


def test_changed_share_by_hand():
    """Two of eight places changed; clusters that only swapped their numbers did not change."""
    before = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    assert changed_share(before, before, 3) == 0
    assert changed_share(before, torch.tensor([2, 2, 2, 0, 0, 0, 1, 1]), 3) == 0
    assert changed_share(before, torch.tensor([0, 0, 1, 1, 1, 1, 2, 0]), 3) == pytest.approx(2 / 8)


def test_changed_share_does_not_depend_on_numbers():
    """Any renumbering of either side gives the same share; it is symmetric."""
    rng = np.random.default_rng(0)
    before, after = (torch.from_numpy(rng.integers(0, 6, 500)) for _ in range(2))
    after = torch.where(torch.from_numpy(rng.random(500) < 0.7), before, after)
    share = changed_share(before, after, 6)
    assert 0 < share < 0.3
    assert changed_share(after, before, 6) == pytest.approx(share)
    assert changed_share(before, torch.from_numpy(rng.permutation(6))[after], 6) == pytest.approx(share)
