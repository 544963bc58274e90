"""The network's start on the images of a workspace: which decoder, which backbone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch

from picie_core.errors import WorkspaceBusy
from picie_core.models.embedder import Embedder, load_embedder
from picie_core.models.inference import FrozenEmbedder
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import Training
from picie_core.workspace.embedding import embed_workspace, fit_embedder, make_sample, start_embedder
from picie_core.workspace.workspace import Run, Workspace

SAMPLING = SampleSettings(size_px=64, pixels=600, batch=4, dense_mb=0)


@pytest.fixture
def space(scenes: Path, tmp_path: Path) -> Workspace:
    """A workspace of the scenes, scanned."""
    made = Workspace.create(tmp_path / "work", scenes / "images")
    made.scan()
    return made


@pytest.fixture
def vit_weights(tmp_path: Path) -> str:
    """A file with random weights of timm's test network, whose patches are of 16 px."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "vit.pth")
    return str(tmp_path / "vit.pth")


def test_a_workspace_is_embedded_by_a_call(space, capfd):
    """The run is done and in use, progress goes to the caller alone, and no job of a command is left."""
    seen = []
    settings = EmbedderSettings(weights="none", dim=16)
    run = embed_workspace(space, settings, SAMPLING, device="cpu", report=seen.append)
    assert run == space.current_run() and run.info.state == "done"
    assert run.info.sample["images"] == run.info.images == 6
    assert run.sample().embeddings.shape == (600, 16)
    assert {"embed"} <= {progress.phase for progress in seen} and seen[-1].done == seen[-1].total
    assert capfd.readouterr() == ("", "") and space.jobs() == {}


def test_one_writer_at_a_time(space):
    """A call waits for no other writer of the workspace; within the caller's own lock it goes on."""
    settings = EmbedderSettings(weights="none", dim=16)
    with space.writer_lock("train"):
        with pytest.raises(WorkspaceBusy, match="is being written by another process"):
            embed_workspace(Workspace.open(space.root), settings, SAMPLING)
        embed_workspace(space, settings, SAMPLING, device="cpu")
        with pytest.raises(WorkspaceBusy), Workspace.open(space.root).writer_lock("embed"):
            pass
    with Workspace.open(space.root).writer_lock("embed"):
        pass


def decoder_of(network: Embedder) -> torch.Tensor:
    """All weights of the decoder, copied."""
    return torch.cat([value.flatten() for value in network.decoder.state_dict().values()])


@pytest.mark.parametrize("decoder", ["pca", "random"])
def test_the_decoder_starts_as_the_settings_say(space, decoder):
    """pca fits it, in training and in embedding alike; random leaves what the seed drew."""
    settings = EmbedderSettings(weights="none", dim=16, decoder=decoder)
    drawn = decoder_of(Embedder(settings, SAMPLING.seed))
    for_training = start_embedder(space, settings, SAMPLING)
    fit_embedder(space, for_training, SAMPLING, "cpu")
    network = start_embedder(space, settings, SAMPLING)
    engine = FrozenEmbedder(network, "cpu")
    make_sample(space, "one", engine, SAMPLING, embedder_to_fit=network)
    assert (
        torch.equal(decoder_of(network), drawn) == torch.equal(decoder_of(for_training), drawn) == (decoder == "random")
    )
    torch.testing.assert_close(decoder_of(engine.network).float(), decoder_of(network), atol=1e-2, rtol=1e-2)
    assert Run(space, "one").sample().embeddings.shape == (600, 16)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "timm:test_vit"])
def test_any_backbone_goes_the_whole_way(scenes, tmp_path, vit_weights, backbone, say: Callable):
    """embed, cluster and evaluate work alike, and feature maps have stride 4 for patches of 16 px, too."""
    weights = "none" if backbone == "mobilenet_v2" else vit_weights
    options = ("--size", 64, "--pixels", 600, "--batch", 4, "--dim", 16, "--backbone", backbone, "--weights", weights)
    made = json.loads(say("embed", scenes / "images", "--workspace", tmp_path / "w", *options, "--json").out)
    assert made["run"].startswith(f"frozen-{backbone.removeprefix('timm:')}-64-")
    space = Workspace.open(tmp_path / "w")
    assert load_embedder(space.run_dir(made["run"]) / "embedder")[0].settings.backbone == backbone
    assert space.run(made["run"]).sample().positions[:, 1:].max(0).tolist() == [15, 23]  # of 64 x 96 px
    assert say("cluster", "--workspace", tmp_path / "w", "--k", 4).code == 0
    truth = ("--images", scenes / "images", "--masks", scenes / "masks")
    figures = json.loads(say("evaluate", "--workspace", tmp_path / "w", *truth, "--json").out)
    assert 0 < figures["accuracy_oracle"] <= 100


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "timm:test_vit"])
def test_any_backbone_trains(space, vit_weights, backbone):
    """An epoch moves the first weights of the backbone and the decoder, and all of them stay finite."""
    weights = "none" if backbone == "mobilenet_v2" else vit_weights
    network = start_embedder(space, EmbedderSettings(backbone=backbone, weights=weights, dim=16), SAMPLING)
    fit_embedder(space, network, SAMPLING, "cpu")
    first, decoder = network.backbone_parameters()[0].detach().clone(), decoder_of(network)
    ids = [record.id for record in space.image_list().readable]
    cache = space.image_cache(SAMPLING.size_px, writable=True)
    work = Training(network, cache, ids, TrainSettings(k=4, epochs=1, precision="32-true"), SAMPLING, "cpu")
    (record,) = work.epochs()
    assert record.loss > 0
    assert not torch.equal(network.backbone_parameters()[0], first)
    assert not torch.equal(decoder_of(network), decoder)
    assert all(torch.isfinite(one).all() for one in network.parameters())
