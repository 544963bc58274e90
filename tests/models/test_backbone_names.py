"""Names of backbones: what settings take, what timm knows, and a wrong name that lists the right ones."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from picie_core.errors import PicieError, SettingError
from picie_core.models import backbones
from picie_core.models.embedder import Embedder
from picie_core.models.vision_transformer import VitBackbone
from picie_core.published_backbones import BACKBONES, CONV_BACKBONES, VIT_BACKBONES
from picie_core.settings import EmbedderSettings

TINY_VIT = "timm:test_vit"
"""timm's own network for tests: 6 blocks of width 64, patches of 16 px."""


def embedder(backbone: str, **settings: object) -> Embedder:
    """A network with random weights, in evaluation mode."""
    return Embedder(EmbedderSettings(backbone=backbone, dim=16, **settings)).eval()


def test_names_that_settings_take():
    """The listed names and timm:NAME are taken; a wrong one lists the right ones."""
    for name in (*BACKBONES, "timm:vit_base_patch16_224", "timm:vit_small_patch16_224.dino"):
        assert EmbedderSettings(backbone=name).backbone == name
    for wrong in ("vgg", "timm:", "timm:../x", "dinov2", ""):
        with pytest.raises(SettingError, match=r"is unknown: choose one of resnet18, .*mobilenet_v2, dinov2_s14,"):
            EmbedderSettings(backbone=wrong)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("timm:resnet50", r"is no vision transformer of timm .*: choose one of dinov2_s14, .*, timm:vit_"),
        ("timm:vit_small_patch14_dinov1", "choose one of dinov2_s14, .*timm:vit_small_patch14_dinov2"),
        ("timm:vit_small_patch16_224.dinn", r"choose one of timm:vit_small_patch16_224, .*timm:.*_224\.dino"),
    ],
)
def test_unknown_networks_of_timm_are_refused(backbone, message):
    """A typing error lists what is near; other weights list those that there are."""
    with pytest.raises(SettingError, match=message):
        Embedder(EmbedderSettings(backbone=backbone))


def test_random_transformers_are_refused():
    """weights=none goes with convolutional networks only, and the message says what to give."""
    for name in CONV_BACKBONES:
        assert EmbedderSettings(backbone=name, weights="none").weights == "none"
    for name in (*VIT_BACKBONES, TINY_VIT):
        with pytest.raises(SettingError, match=r"weights=none does not go with backbone=.* give --weights PATH"):
            EmbedderSettings(backbone=name, weights="none")


def test_timm_that_is_missing_is_named(monkeypatch):
    """Without timm its backbones say how to get it, and the others work."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PicieError, match=r"backbone=dinov2_s14 needs timm .*pip install 'timm>=1.0.20', or give"):
        Embedder(EmbedderSettings(backbone="dinov2_s14"))
    assert not isinstance(embedder("resnet18").backbone, VitBackbone)


def test_timm_loads_for_its_backbones_only():
    """No file imports timm when it is loaded: only the backbones that need it do."""
    for path in Path(backbones.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not any(name.split(".")[0] == "timm" for name in (*names, module)), path
