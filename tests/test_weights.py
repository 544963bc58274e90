"""Backbone weights: from a seed, a file or a download; what does not fit is refused, and no file runs code."""

from __future__ import annotations

import urllib.error

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from picie_core.embedder import new_embedder
from picie_core.errors import PicieError
from picie_core.settings import EmbedderSettings

SETTINGS = EmbedderSettings(weights="none", dim=16)


def test_random_weights_belong_to_the_seed():
    """weights=none repeats with the seed and leaves torch's own random state alone."""
    state = torch.random.get_rng_state()
    one, again, other = (new_embedder(SETTINGS, seed).backbone.stem[0].weight for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("kind", ["pth", "safetensors", "nested", "data-parallel"])
def test_weights_from_a_file(tmp_path, kind):
    """A torchvision state dict fills the backbone: plain, as safetensors, below `state_dict`, with `module.` names."""
    state = torchvision.models.resnet18().state_dict()
    path = tmp_path / f"w.{'safetensors' if kind == 'safetensors' else 'pth'}"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "nested":
        torch.save({"state_dict": state}, path)
    else:
        torch.save({("module." if kind == "data-parallel" else "") + name: v for name, v in state.items()}, path)
    made = new_embedder(EmbedderSettings(weights=str(path), dim=4))
    assert torch.equal(made.backbone.stem[0].weight, state["conv1.weight"])
    assert torch.equal(made.backbone.layers[2][1].bn2.running_var, state["layer3.1.bn2.running_var"])


def test_imagenet_without_internet(monkeypatch, tmp_path):
    """A download that fails says what to give instead."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args: object, **options: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(PicieError, match=r"resnet18 cannot be downloaded.*give --weights PATH.*or --weights none"):
        new_embedder(EmbedderSettings(weights="imagenet"))


class Bomb:
    """What a pickle could do when it is opened."""

    def __reduce__(self) -> tuple:
        return (open, ("bomb-went-off", "w"))


def test_weights_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    """Another backbone, missing tensors, a text file, a pickle with code, no file: each message says what to give."""
    monkeypatch.chdir(tmp_path)
    torch.save(torchvision.models.resnet34().state_dict(), "deeper.pth")
    narrow = {**torchvision.models.resnet18().state_dict(), "conv1.weight": torch.zeros(32, 3, 7, 7)}
    torch.save(narrow, "narrow.pth")
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "few.pth")
    torch.save([1, 2, 3], "list.pth")
    torch.save(Bomb(), "bomb.pth")
    (tmp_path / "text.pth").write_text("these are no weights")
    (tmp_path / "empty.safetensors").touch()
    wanted = {
        "deeper.pth": r"deeper.pth has 'layer1.2.conv1.weight' \(\d+ tensors too many\): it does not fit .* resnet18",
        "narrow.pth": "'conv1.weight' has shape .* wants .*; give --backbone and --weights that belong together",
        "few.pth": r"few.pth has no 'bn1.weight' \(\d+ tensors are missing\): it does not fit the backbone resnet18",
        "list.pth": "holds no state dict",
        "bomb.pth": "cannot be read as a state dict",
        "text.pth": "cannot be read as a state dict",
        "empty.safetensors": "cannot be read as a state dict",
        "absent.pth": r"weights=absent.pth is no file: give a state dict \(.pth, .safetensors\), imagenet or none",
    }
    for path, message in wanted.items():
        with pytest.raises(PicieError, match=message):
            new_embedder(EmbedderSettings(weights=path))
    assert not (tmp_path / "bomb-went-off").exists()
