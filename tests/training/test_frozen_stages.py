"""Frozen stages: what trains changes, what is frozen does not, and a resumed training is the same."""

from __future__ import annotations

import pytest

from picie_core.settings import EmbedderSettings
from tests.small_trainings import check_resume, start_training

VIT = EmbedderSettings(backbone="timm:test_vit", stages=3, dim=8)
RESNET = EmbedderSettings(weights="none", stages=3, dim=8, context=0)


def changed_stages(finished, network: EmbedderSettings, **settings: object) -> tuple[list[list[bool]], bool]:
    """Whether each parameter of each stage, and any of the decoder, has changed in two epochs."""
    training = start_training(finished, "picie", network=network, lr_backbone=1e-4, **settings)
    before = {id(one): one.detach().clone() for one in training.embedder.parameters()}
    assert len(list(training.epochs())) == 2
    stages = [[bool((before[id(one)] != one).any()) for one in stage] for stage in training.embedder.stage_parameters()]
    return stages, any(bool((before[id(one)] != one).any()) for one in training.embedder.decoder.parameters())


@pytest.mark.parametrize("network", [VIT, RESNET], ids=["vit", "resnet18"])
@pytest.mark.parametrize("trained", [0, 1, 2, 4])
def test_only_the_last_stages_train(finished, network, trained):
    """train_stages=2 leaves the third stage from the end, and all before it, bit by bit; 0 and too many train all."""
    stages, decoder = changed_stages(finished, network, train_stages=trained)
    frozen = stages[: -min(trained, 3)] if trained else []
    assert not any(one for stage in frozen for one in stage)
    assert all(sum(stage) > 0.9 * len(stage) for stage in stages[len(frozen) :])
    assert decoder


def test_a_rate_of_zero_freezes_all_stages(finished):
    """lr_backbone=0 goes before train_stages."""
    training = start_training(finished, "picie", network=VIT, lr_backbone=0.0, train_stages=2)
    assert not any(one.requires_grad for one in training.embedder.backbone.parameters())
    assert all(one.requires_grad for one in training.embedder.decoder.parameters())


@pytest.mark.parametrize("stop_after", [2, 3])
def test_a_resumed_training_of_a_transformer_is_the_same(finished, tmp_path, stop_after):
    """In the middle of an epoch and between two: weights, optimiser and figures are those of one that never stopped."""
    check_resume(finished, tmp_path, "picie", stop_after, network=VIT, train_stages=2)
