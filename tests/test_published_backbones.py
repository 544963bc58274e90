"""What is said of published backbones is true of them: names, downloads, and one place for help, app and documents."""

from __future__ import annotations

import re

import pytest
import timm
import torch
import torchvision

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import build_parser
from picie_core.published_backbones import CONV_BACKBONES, PUBLISHED_BACKBONES, PublishedBackbone, published
from picie_core.settings import EmbedderSettings


@pytest.mark.parametrize("one", PUBLISHED_BACKBONES, ids=lambda one: one.name)
def test_downloads_are_as_large_as_said(one):
    """torchvision says how large its files are; a transformer's file is its tensors, within 1 MB."""
    if one.timm:
        with torch.device("meta"):
            network = timm.create_model(one.timm, num_classes=0)
        size = sum(value.numel() * 4 for value in network.state_dict().values()) / 2**20
    else:
        size = torchvision.models.get_model_weights(one.name).IMAGENET1K_V1.meta["_file_size"]
    assert one.download_mb == pytest.approx(size, abs=1)


def test_the_usual_backbone_is_the_measure():
    """Times are those of ResNet-18, the default; convolutional networks are torchvision's, all others timm's."""
    assert published(EmbedderSettings().backbone).cpu_time == 1.0
    assert all(name in torchvision.models.list_models() for name in CONV_BACKBONES)
    assert published("timm:test_vit") is None


@pytest.mark.parametrize(
    ("cpu_time", "ending"),
    [(1.0, "45 MB"), (0.5, "45 MB, 2.0 times faster on a CPU"), (8.1, "45 MB, 8 times slower on a CPU")],
)
def test_an_offer_is_one_line(cpu_time, ending):
    """What it is good for, network, download, and the time where it differs."""
    assert PublishedBackbone("x", "fast", "X-1", 45, cpu_time, "here").offer == f"fast: X-1, {ending}"


@pytest.mark.parametrize("command", ["embed", "train"])
def test_help_offers_each_by_what_it_means(command):
    """`--help` names every backbone with its meaning."""
    parsers = build_parser(COMMANDS)._subparsers._group_actions[0].choices
    text = re.sub(r"\s+", " ", parsers[command].format_help())
    for one in PUBLISHED_BACKBONES:
        assert f"{one.name} ({one.offer})" in re.sub(r"- (?=\w)", "-", text), one.name
