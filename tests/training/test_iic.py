"""IIC: mutual information by hand, against scikit-learn and a slow loop; its two heads in alternation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from torch.nn import functional as F

from picie_core.training.losses.iic import InvariantInformation, mutual_information
from picie_core.training.losses.objective import Step
from picie_core.training.settings import TrainSettings
from tests.small_trainings import check_resume, start_training
from tests.two_processes import on_two_processes

CPU = torch.device("cpu")
DIM = 6


def one_hot_maps(labels: np.ndarray, k: int) -> torch.Tensor:
    """(B, h, w) labels as (B, K, h, w) classes without any doubt."""
    return F.one_hot(torch.from_numpy(labels), k).permute(0, 3, 1, 2).float()


def soft_maps(seed: int, k: int = 4, batch: int = 3, height: int = 6, width: int = 7) -> torch.Tensor:
    """(B, K, h, w) soft classes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(batch, k, height, width, generator=generator), 1)


def slow_information(first: torch.Tensor, second: torch.Tensor, displacement: int) -> float:
    """The mean over displacements of the mutual information, pixel by pixel and pair by pair."""
    batch, k, height, width = first.shape
    found = []
    for down in range(-displacement, displacement + 1):
        for right in range(-displacement, displacement + 1):
            joint = np.zeros((k, k))
            for b in range(batch):
                for y in range(height):
                    for x in range(width):
                        if 0 <= y + down < height and 0 <= x + right < width:
                            pair = np.outer(first[b, :, y + down, x + right], second[b, :, y, x])
                            joint += pair + pair.T
            joint /= joint.sum()
            margins = np.outer(joint.sum(1), joint.sum(0))
            found.append((joint * np.log(joint / margins)).sum())
    return float(np.mean(found))


# -- mutual information


@pytest.mark.parametrize("k", [2, 5, 27])
def test_equal_certain_classes_tell_everything(k):
    """Two views that agree on K classes of equal size share log K."""
    labels = np.arange(4 * k).reshape(1, 4, k) % k
    maps = one_hot_maps(labels, k)
    assert float(mutual_information(maps, maps)) == pytest.approx(math.log(k), rel=1e-5)


def test_independent_classes_tell_nothing():
    """Where each class of one view meets every class of the other equally often, and where all is one class: 0."""
    rows, columns = np.divmod(np.arange(16).reshape(1, 4, 4), 4)
    assert float(mutual_information(one_hot_maps(rows, 4), one_hot_maps(columns, 4))) == pytest.approx(0, abs=1e-6)
    flat = torch.full((1, 4, 4, 4), 0.25)
    assert float(mutual_information(flat, flat)) == pytest.approx(0, abs=1e-6)
    collapsed = one_hot_maps(np.zeros((1, 4, 4), int), 4)
    assert float(mutual_information(collapsed, collapsed)) == pytest.approx(0, abs=1e-6)


def test_by_hand():
    """Three of four pixels agree on two classes: joint 3/8, 1/8, 1/8, 3/8 over even margins."""
    first, second = np.array([[[0, 0, 1, 1, 0, 0, 1, 1]]]), np.array([[[0, 0, 1, 1, 0, 1, 1, 0]]])
    expected = 2 * 3 / 8 * math.log(3 / 8 * 4) + 2 * 1 / 8 * math.log(1 / 8 * 4)
    assert float(mutual_information(one_hot_maps(first, 2), one_hot_maps(second, 2))) == pytest.approx(expected)


def test_equals_scikit_learn():
    """Of certain classes it is scikit-learn's score over the pairs taken both ways round."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, (2, 8, 8))
    second = np.where(rng.random(first.shape) < 0.5, first, rng.integers(0, 4, first.shape))
    both = np.concatenate([first.ravel(), second.ravel()]), np.concatenate([second.ravel(), first.ravel()])
    found = mutual_information(one_hot_maps(first, 4), one_hot_maps(second, 4))
    assert float(found) == pytest.approx(mutual_info_score(*both), rel=1e-5)


@pytest.mark.parametrize("displacement", [0, 1, 3])
def test_equals_slow_loop(displacement):
    """With every displacement it is what a loop over places, pixels and pairs gives."""
    first, second = soft_maps(0), soft_maps(1)
    found = float(mutual_information(first, second, displacement))
    assert found == pytest.approx(slow_information(first, second, displacement), rel=1e-4)


@pytest.mark.parametrize("displacement", [0, 2])
def test_views_and_classes_may_be_swapped(displacement):
    """Which view is the first one, and which class has which number, says nothing."""
    first, second = soft_maps(0), soft_maps(1)
    plain = mutual_information(first, second, displacement)
    torch.testing.assert_close(mutual_information(second, first, displacement), plain)
    turn = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(mutual_information(first[:, turn], second[:, turn], displacement), plain)


def test_displacements_end_at_the_edge():
    """Maps smaller than the displacement give what they can; a batch without images gives 0, not nan."""
    first, second = soft_maps(0, height=2, width=3), soft_maps(1, height=2, width=3)
    torch.testing.assert_close(mutual_information(first, second, 10), mutual_information(first, second, 1))
    assert float(mutual_information(first[:0], second[:0], 1)) == 0


def test_two_processes_equal_one():
    """Both processes see the information of the whole batch, and the mean of their gradients is its gradient."""
    first, second = soft_maps(0, batch=5).requires_grad_(), soft_maps(1, batch=5)
    whole = mutual_information(first, second, 1)
    (expected,) = torch.autograd.grad(whole, first)

    def part(workers):
        mine = slice(2) if workers.rank == 0 else slice(2, 5)
        found = mutual_information(first[mine], second[mine], 1, workers=workers)
        return found, torch.autograd.grad(found, first)[0]

    (one, one_gradient), (two, two_gradient) = on_two_processes(part)
    torch.testing.assert_close(one, whole)
    torch.testing.assert_close(two, whole)
    torch.testing.assert_close((one_gradient + two_gradient) / 2, expected)


# -- the heads


def objective_of(overcluster: int = 0, temperature: float = 0.1) -> InvariantInformation:
    """The objective with 3 classes."""
    settings = TrainSettings(k=3, overcluster=overcluster, temperature=temperature)
    return InvariantInformation(settings, DIM, 0, CPU)


def step_of(number: int = 0) -> Step:
    """A step of two views that are nearly alike, in patches of 4 x 4 cells."""
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(2, DIM, 4, 4, generator=generator)
    first = patches.repeat_interleave(4, 2).repeat_interleave(4, 3)
    second = first + 0.3 * torch.randn(2, DIM, 16, 16, generator=generator)
    maps = [F.normalize(one, dim=1).requires_grad_() for one in (first, second)]
    return Step(maps, number=number)


def test_loss_is_less_the_information():
    """The loss is minus the information of the soft classes; both views and the head are pulled."""
    objective, step = objective_of(), step_of()
    found = objective.loss(step)
    soft = [F.softmax(objective.heads[0](one.permute(0, 2, 3, 1) / 0.1), 3).permute(0, 3, 1, 2) for one in step.maps]
    torch.testing.assert_close(found.total, -mutual_information(*soft, displacement=1))
    torch.testing.assert_close(found.parts["information"], -found.total)
    found.total.backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in [*step.maps, *objective.parameters()])


def test_heads_learn_in_alternation():
    """Even steps teach the main head, odd ones the finer one; labels and their counts are always the main one's."""
    objective = objective_of(overcluster=100)
    for number, name in ((0, "information"), (1, "overcluster"), (2, "information"), (3, "overcluster")):
        found = objective.loss(step_of(number))
        assert list(found.parts) == [name]
        assert len(found.label_counts) == 3
        objective.heads.zero_grad()
        found.total.backward()
        learns = [head.weight.grad is not None and bool(head.weight.grad.any()) for head in objective.heads]
        assert learns == [number % 2 == 0, number % 2 == 1]
    z = step_of().maps[0].detach().permute(0, 2, 3, 1).reshape(-1, DIM)
    assert torch.equal(objective.loss(step_of(1)).label_counts, torch.bincount(objective.label(z), minlength=3))


def test_classes_start_apart_at_any_temperature():
    """A new head has opinions, the same at every temperature: from flat classes hardly a gradient comes."""
    said = [objective_of(temperature=temperature).loss(step_of()) for temperature in (0.1, 1.0)]
    one, two = (float(found.parts["information"].detach()) for found in said)
    assert one == pytest.approx(two, rel=1e-4)
    assert one > 0.02 and (said[0].label_counts > 0).all()


def test_information_rises():
    """The heads alone, trained on one batch, come to say more of one view by the other."""
    objective, step = objective_of(), step_of()
    optimizer = torch.optim.Adam(objective.parameters(), 0.03)
    said = []
    for _ in range(40):
        found = objective.loss(step)
        optimizer.zero_grad()
        found.total.backward()
        optimizer.step()
        said.append(float(found.parts["information"].detach()))
    assert said[-1] > said[0] + 0.15


# -- trainings


def test_both_parts_are_means_over_their_own_steps(finished):
    """In an epoch of three steps, two are the main head's; each mean is over the steps that had the term."""
    work = start_training(finished, "iic", epochs=1, overcluster=100)
    said: dict[str, list[float]] = {"information": [], "overcluster": []}
    loss = work.objective.loss

    def listen(step: Step):
        found = loss(step)
        for name, value in found.parts.items():
            said[name].append(float(value.detach()))
        return found

    work.objective.loss = listen
    (record,) = work.epochs()
    assert [len(values) for values in said.values()] == [2, 1]
    assert record.parts == pytest.approx({name: float(np.mean(values)) for name, values in said.items()})
    assert record.loss == pytest.approx(-np.mean([*said["information"], *said["overcluster"]]))


@pytest.mark.parametrize("overcluster", [0, 100])
@pytest.mark.parametrize("stop_after", [2, 3])
def test_resumed_equals_uninterrupted(finished, tmp_path, stop_after, overcluster):
    """Stopped inside an epoch and at its end: the same weights, heads and figures."""
    check_resume(finished, tmp_path, "iic", stop_after, overcluster=overcluster)
