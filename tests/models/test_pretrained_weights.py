"""Backbone weights: from a seed, a file or a download; what does not fit is refused, and no file runs code."""

from __future__ import annotations

import argparse
import urllib.error
import zipfile

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from picie_core.errors import PicieError
from picie_core.models.embedder import Embedder, new_embedder
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


# -- transformers


def tiny_vit(seed: int = 0) -> dict[str, torch.Tensor]:
    """The state dict of timm's test network, head included."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = timm.create_model("test_vit").state_dict()
        return {name: torch.randn(value.shape) for name, value in state.items()}


@pytest.mark.parametrize("kind", ["timm", "safetensors", "wrapped", "dino", "dinov2", "averaging"])
def test_transformer_weights_from_a_file(tmp_path, kind):
    """timm's own files and the layouts of the publications fill the backbone; their heads stay behind."""
    state = tiny_vit()
    path = tmp_path / f"w.{'safetensors' if kind == 'safetensors' else 'pth'}"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "dino":  # the full checkpoint: teacher with prefixes, projection head
        teacher = {f"module.backbone.{name}": value for name, value in state.items() if "head" not in name}
        torch.save({"teacher": {**teacher, "head.mlp.0.weight": torch.zeros(3)}}, path)
    elif kind == "dinov2":
        torch.save({**state, "mask_token": torch.zeros(1, 64)}, path)
    elif kind == "averaging":
        torch.save(
            {name.replace("norm.", "fc_norm.") if name[:5] == "norm." else name: v for name, v in state.items()}, path
        )
    else:
        torch.save({"model": state} if kind == "wrapped" else state, path)
    vit = new_embedder(EmbedderSettings(backbone="timm:test_vit", weights=str(path), dim=4)).backbone.vit
    own = vit.state_dict()
    assert set(state) - set(own) == {"head.weight", "head.bias"}
    assert all(torch.equal(value, state[name]) for name, value in own.items())


def test_registers_of_the_original_dinov2(tmp_path):
    """The original file keeps the class token's position apart and calls registers otherwise; the features agree."""
    made = Embedder(EmbedderSettings(backbone="dinov2_s14_reg", stages=1), seed=1).eval().backbone
    own = made.vit.state_dict()
    place = torch.randn(1, 1, 384, generator=torch.Generator().manual_seed(0))
    original = {name: value for name, value in own.items() if name not in ("cls_token", "reg_token", "pos_embed")}
    original |= {
        "cls_token": own["cls_token"] - place,
        "register_tokens": own["reg_token"],
        "pos_embed": torch.cat([place, own["pos_embed"]], 1),
        "mask_token": torch.zeros(1, 384),
    }
    torch.save(original, tmp_path / "dinov2_vits14_reg4_pretrain.pth")
    settings = EmbedderSettings("dinov2_s14_reg", str(tmp_path / "dinov2_vits14_reg4_pretrain.pth"), stages=1)
    x = torch.randn(1, 3, 42, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(new_embedder(settings).backbone(x), made(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["dino", "dino-wrapped", "dinov2", "dinov2-chunks", "dinov2-whole"])
def test_training_checkpoints_of_the_authors(tmp_path, kind):
    """What DINO and DINOv2 write while they train is read: the teacher's network, without heads and optimiser."""
    teacher, student = tiny_vit(), tiny_vit(seed=1)
    path = tmp_path / "checkpoint.pth"
    if kind in ("dino", "dino-wrapped"):
        module = "module." if kind == "dino-wrapped" else ""  # where a network with batch norm was distributed
        torch.save(
            {
                "student": dino_names(student, "module."),
                "teacher": dino_names(teacher, module),
                "optimizer": {"state": {}, "param_groups": [{"lr": np.float64(5e-4), "params": [0]}]},
                "epoch": 100,
                "args": argparse.Namespace(arch="vit_small", patch_size=16, lr=5e-4, global_crops_scale=(0.4, 1.0)),
                "dino_loss": {"center": torch.zeros(1, 8)},
                "fp16_scaler": None,
            },
            path,
        )
    else:
        chunks = 2 if kind == "dinov2-chunks" else 0
        whole = {"teacher": dinov2_names(teacher, chunks)}
        if kind == "dinov2-whole":
            both = {"student": student, "teacher": teacher}
            names = {f"{one}.{name}": v for one, state in both.items() for name, v in dinov2_names(state, 0).items()}
            whole = {"model": {**names, "dino_loss.center": torch.zeros(1, 8)}, "iteration": 9}
        torch.save(whole, path)
    vit = new_embedder(EmbedderSettings(backbone="timm:test_vit", weights=str(path), dim=4)).backbone.vit
    assert all(torch.equal(value, teacher[name]) for name, value in vit.state_dict().items())


def test_numbers_of_numpy_1_are_read(tmp_path):
    """DINO's published checkpoints were written when numpy called its numbers otherwise."""
    state = tiny_vit()
    torch.save({"teacher": state, "optimizer": {"lr": np.float64(5e-4)}}, tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        assert b"numpy.core.multiarray" in old.read("new/data.pkl")
    settings = EmbedderSettings(backbone="timm:test_vit", weights=str(tmp_path / "old.pth"), dim=4)
    assert torch.equal(new_embedder(settings).backbone.vit.cls_token, state["cls_token"])


def dino_names(state: dict[str, torch.Tensor], before: str) -> dict[str, torch.Tensor]:
    """A network as DINO wraps it: backbone and projection head."""
    backbone = {f"{before}backbone.{name}": value for name, value in state.items() if "head" not in name}
    heads = ("head.mlp.0.weight", "head.last_layer.weight_g", "dino_head.mlp.0.weight")
    return {**backbone, **{before + name: torch.zeros(3) for name in heads}}


def dinov2_names(state: dict[str, torch.Tensor], chunks: int) -> dict[str, torch.Tensor]:
    """A network as DINOv2 keeps it: with a mask token, two heads, and blocks in chunks that keep their numbers."""
    result = {"backbone.mask_token": torch.zeros(1, 64), "dino_head.mlp.0.weight": torch.zeros(3)}
    result["ibot_head.last_layer.weight_v"] = torch.zeros(3)
    for name, value in state.items():
        kind, _, rest = name.partition(".")
        if kind == "blocks" and chunks:
            name = f"blocks.{int(rest.split('.')[0]) // (6 // chunks)}.{rest}"
        if kind != "head":
            result[f"backbone.{name}"] = value
    return result


def test_resnet_of_a_training_checkpoint(tmp_path):
    """DINO trained convolutional networks too: their checkpoints fill a ResNet."""
    state = {name: value for name, value in torchvision.models.resnet18().state_dict().items() if "fc" not in name}
    torch.save(
        {"teacher": dino_names(state, "module."), "args": argparse.Namespace(arch="resnet18")}, tmp_path / "w.pth"
    )
    made = new_embedder(EmbedderSettings(weights=str(tmp_path / "w.pth"), dim=4))
    assert torch.equal(made.backbone.stem[0].weight, state["conv1.weight"])


class Config:
    """An object of a training program, as some save it beside the tensors."""


def test_errors_are_plain(tmp_path):
    """A file with other objects is refused by their name: one line, no colours, no advice to open it all the same."""
    torch.save({"teacher": tiny_vit(), "config": Config()}, tmp_path / "objects.pth")
    torch.save({"teacher": tiny_vit(), "where": tmp_path}, tmp_path / "paths.pth")
    for name, held in {"objects.pth": "test_pretrained_weights.Config", "paths.pth": "pathlib"}.items():
        with pytest.raises(
            PicieError, match=f"cannot be read as a state dict .it holds a Python object, .*{held}"
        ) as caught:
            new_embedder(EmbedderSettings(backbone="timm:test_vit", weights=str(tmp_path / name)))
        said = str(caught.value)
        assert "could run code): save one with `torch.save(model.state_dict(), PATH)`" in said
        assert not any(one in said for one in ("\x1b", "\n", "weights_only", "trust"))


def test_positions_of_another_size_are_interpolated(tmp_path):
    """A file trained on larger images fits: its grid of positions is resized to the network's."""
    state = tiny_vit()
    generator = torch.Generator().manual_seed(0)
    state["pos_embed"] = torch.cat([torch.randn(1, 1, 64, generator=generator), torch.full((1, 400, 64), 0.5)], 1)
    torch.save(state, tmp_path / "w.pth")
    made = new_embedder(EmbedderSettings(backbone="timm:test_vit", weights=str(tmp_path / "w.pth")))
    positions = made.backbone.vit.pos_embed.detach()
    assert positions.shape == (1, 101, 64)
    assert torch.equal(positions[:, :1], state["pos_embed"][:, :1])
    torch.testing.assert_close(positions[:, 1:], torch.full((1, 100, 64), 0.5))


def test_transformer_weights_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    """Another network, other patches, registers too many, tensors missing: each message says what to give."""
    monkeypatch.chdir(tmp_path)
    state = tiny_vit()
    torch.save(torchvision.models.resnet18().state_dict(), "resnet.pth")
    torch.save({**state, "patch_embed.proj.weight": torch.zeros(64, 3, 8, 8)}, "small-patches.pth")
    torch.save({**state, "reg_token": torch.zeros(1, 4, 64)}, "registers.pth")
    torch.save({**state, "blocks.6.norm1.weight": torch.zeros(64)}, "deeper.pth")
    torch.save({name: value for name, value in state.items() if "blocks.5" not in name}, "short.pth")
    torch.save({**state, "norm.weight": torch.zeros(32)}, "narrow.pth")
    torch.save({**state, "pos_embed": torch.zeros(3)}, "flat.pth")
    wanted = {
        "resnet.pth": r"resnet.pth has no 'cls_token' .* the backbone timm:test_vit; give the state dict of a timm",
        "small-patches.pth": "has patches of 8 px, the backbone timm:test_vit wants 16 px; give --backbone and",
        "registers.pth": r"has 'reg_token' \(1 tensors too many\): it does not fit",
        "deeper.pth": r"has 'blocks.6.norm1.weight' \(1 tensors too many\)",
        "short.pth": r"has no 'blocks.5.norm1.weight' \(12 tensors are missing\)",
        "narrow.pth": r"'norm.weight' has shape \(32,\), the backbone timm:test_vit wants \(64,\)",
        "flat.pth": "flat.pth does not fit the backbone timm:test_vit .*; give the state dict of timm's test_vit",
    }
    for path, message in wanted.items():
        with pytest.raises(PicieError, match=message):
            new_embedder(EmbedderSettings(backbone="timm:test_vit", weights=path))


def test_published_transformers_without_internet(monkeypatch):
    """A download that fails names the backbone and what to give; random weights are not offered."""

    def offline(*args: object, **options: object) -> None:
        raise OSError("cannot reach the hub\nmore")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", offline)
    with pytest.raises(PicieError) as caught:
        new_embedder(EmbedderSettings(backbone="timm:test_vit"))
    assert str(caught.value) == (
        "the published weights of timm:test_vit cannot be downloaded (cannot reach the hub): "
        "give --weights PATH of a saved state dict"
    )


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
