"""The network: shapes, unit length, the PCA decoder, folding for speed, and where its weights come from."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn import functional as F

from picie_core.errors import PicieError, SettingError
from picie_core.models.decoder import fit_pca_decoder
from picie_core.models.embedder import Embedder, load_embedder, new_embedder, save_embedder
from picie_core.models.inference import FrozenEmbedder, embed_image, pick_device
from picie_core.settings import EmbedderSettings

SETTINGS = EmbedderSettings(weights="none", dim=16)


def pictures(count: int = 2, height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth random pictures, uint8 (B, H, W, 3)."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return (F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).numpy()


def lively(embedder: Embedder) -> Embedder:
    """The same network with batch norm statistics that are not those of a fresh one."""
    generator = torch.Generator().manual_seed(5)
    for module in embedder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.1, generator=generator)
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5, generator=generator)
    return embedder


@pytest.fixture(scope="module")
def network() -> Embedder:
    """A random ResNet-18 whose decoder is fitted to some pictures."""
    made = lively(new_embedder(SETTINGS))
    fit_pca_decoder(made, [FrozenEmbedder(made, "cpu", torch.float32).stage_features(pictures(4))])
    return made


# -- shapes and length


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 70), (61, 99), (32, 33)])
def test_cells_are_a_quarter_rounded_up_and_of_unit_length(network, height, width):
    """Any size gives ceil(H / 4) x ceil(W / 4) cells of length 1."""
    images = torch.from_numpy(pictures(2, height, width)).permute(0, 3, 1, 2)
    with torch.no_grad():
        z = network(images)
    assert z.shape == (2, 16, -(-height // 4), -(-width // 4))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(z.shape[0], *z.shape[2:]))
    one = embed_image(FrozenEmbedder(network, "cpu", torch.float32), pictures(2, height, width)[0])
    assert one.dtype == np.float32
    np.testing.assert_allclose(one, z[0].permute(1, 2, 0), atol=1e-4)


def test_bytes_and_floats_are_the_same_picture(network):
    """uint8 0..255 and float 0..1 give the same embeddings."""
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(network(images), network(images.float() / 255), atol=1e-5, rtol=0)


def test_an_image_does_not_see_its_batch(network):
    """Embeddings of one image are those that it has in a batch of others."""
    engine = FrozenEmbedder(network, "cpu", torch.float32)
    images = pictures(3)
    torch.testing.assert_close(engine(images)[1], engine(images[1:2])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "stages", "channels"),
    [("resnet18", 4, [64, 128, 256, 512]), ("resnet34", 3, [64, 128, 256]), ("resnet50", 2, [256, 512])],
)
def test_channels_come_from_the_backbone(backbone, stages, channels):
    """Each decoder convolution takes the channels that its stage has, whatever the backbone."""
    made = Embedder(EmbedderSettings(backbone=backbone, weights="none", stages=stages, dim=4))
    assert made.backbone.channels == channels
    assert [one.in_channels for one in made.decoder] == channels * 2  # the stages, and the context of each
    bare = Embedder(EmbedderSettings(backbone=backbone, weights="none", stages=stages, dim=4, context=0))
    assert [one.in_channels for one in bare.decoder] == channels


# -- decoder


def test_folding_batch_norm_changes_nothing(network):
    """The engine without batch norm gives the stage maps of the network with it, in float32."""
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    with torch.no_grad():
        plain = network.stage_features(images)
    engine = FrozenEmbedder(network, "cpu", torch.float32)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in engine.network.modules())
    for one, other in zip(plain, engine.stage_features(pictures()), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("source", "power"), [("imagenet", 0.5), ("none", 0)])
def test_decoder_is_the_pca_of_the_weighted_stage_features(source, power):
    """The decoder gives scikit-learn's principal components: trained stages weigh by the root of their channels."""
    made = lively(Embedder(EmbedderSettings(weights=source, dim=16))).eval()  # the backbone itself stays random
    with torch.no_grad():
        features = made.stage_features(torch.from_numpy(pictures(3)).permute(0, 3, 1, 2))
        fit_pca_decoder(made, [features])
        ours = made.decode(features).permute(0, 2, 3, 1).reshape(-1, 16)
    maps = [F.interpolate(one, features[0].shape[2:], mode="bilinear") for one in features]
    weights = [(one.shape[1] / features[0].shape[1]) ** power for one in features]
    rows = torch.cat([one * weight for one, weight in zip(maps, weights, strict=True)], 1)
    theirs = PCA(16, svd_solver="full").fit_transform(rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[1]).numpy())
    signs = np.sign((theirs * ours.numpy()).sum(0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.parametrize(("pool", "windows"), [(1, [1, 1, 1]), (3, [3, 1, 1]), (5, [5, 3, 1]), (9, [9, 5, 3])])
def test_stages_are_averaged_over_the_same_part_of_the_image(pool, windows):
    """`pool` counts stride-4 cells; deeper stages have larger cells and average over fewer of them, an odd number."""
    made = Embedder(EmbedderSettings(weights="none", dim=4, pool=pool, context=0)).eval()
    assert made.pool_windows() == windows
    bare = Embedder(EmbedderSettings(weights="none", dim=4, pool=1, context=0)).eval()
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    with torch.no_grad():
        for one, other, window in zip(bare.stage_features(images), made.stage_features(images), windows, strict=True):
            half = window // 2
            mean = one[:, :, 4 - half : 5 + half, 3 - half : 4 + half].mean((2, 3)) if one.shape[2] > 8 else None
            assert one.shape == other.shape
            if mean is not None and half <= 3:
                torch.testing.assert_close(other[:, :, 4, 3], mean)


def test_scales_are_averaged(network):
    """The mean of the unit embeddings at each scale, brought to the cells of scale 1; one scale is the plain pass."""
    images = pictures(3, 40, 52)
    twice = copy.deepcopy(network)
    twice.settings = replace(network.settings, scales="1,2")
    engine = FrozenEmbedder(twice, "cpu", torch.float32)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        one = network(pixels)
        two = network(F.interpolate(pixels, scale_factor=2, mode="bilinear", antialias=True))
        mean = one + F.interpolate(two, one.shape[2:], mode="bilinear", antialias=True)
    torch.testing.assert_close(engine(images).permute(0, 3, 1, 2), mean, atol=1e-4, rtol=0)
    plain = FrozenEmbedder(network, "cpu", torch.float32)(images)
    torch.testing.assert_close(F.normalize(plain.permute(0, 3, 1, 2), dim=1), one, atol=1e-4, rtol=0)


@pytest.mark.parametrize("scales", ["", "1,", "a", "0.1", "1,5", "1;2"])
def test_impossible_scales(scales):
    """Anything but numbers from 0.25 to 4 with commas is refused with an example."""
    with pytest.raises(SettingError, match=r"must be numbers from 0.25 to 4 with commas, such as 1,2"):
        EmbedderSettings(scales=scales)


def test_context_is_the_mean_around_every_fourth_cell():
    """Each stage's context is the mean of its window, by hand inside and over what there is at the border."""
    made = Embedder(EmbedderSettings(weights="none", dim=4, pool=1, context=8)).eval()
    assert made.context_windows() == [(8, 4), (4, 2), (3, 1)]
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    with torch.no_grad():
        maps = made.stage_features(images)
    for one, context, (window, step) in zip(maps[:3], maps[3:], made.context_windows(), strict=True):
        assert context.shape[2:] == tuple(-(-side // step) for side in one.shape[2:])
        margin = (window - step) // 2
        inside = one[:, :, step - margin : step - margin + window, step - margin : step - margin + window].mean((2, 3))
        torch.testing.assert_close(context[:, :, 1, 1], inside)
        torch.testing.assert_close(context[:, :, 0, 0], one[:, :, : step + margin, : step + margin].mean((2, 3)))


def test_decoder_wider_than_the_features_is_padded_with_zeros():
    """D above the channels in use leaves the rest at zero instead of failing."""
    made = new_embedder(EmbedderSettings(weights="none", stages=1, dim=80, context=0))
    features = [torch.rand(2, 64, 8, 8, generator=torch.Generator().manual_seed(0))]
    fit_pca_decoder(made, [features])
    with torch.no_grad():
        z = made.decode(features)
    assert z[:, :64].abs().max() > 0
    assert (z[:, 64:] == 0).all()


def test_upsampling_and_the_convolutions_commute(network):
    """Stages upsampled before their convolution give what convolution first, which is faster, gives."""
    with torch.no_grad():
        features = network.stage_features(torch.from_numpy(pictures()).permute(0, 3, 1, 2))
        slow = sum(
            convolution(F.interpolate(one, features[0].shape[2:], mode="bilinear", align_corners=False))
            for convolution, one in zip(network.decoder, features, strict=True)
        )
        torch.testing.assert_close(network.decode(features), slow, atol=1e-5, rtol=0)


# -- on disk


def test_round_trip(network, tmp_path):
    """A saved embedder comes back with its settings, size and the same embeddings."""
    save_embedder(network, tmp_path / "embedder", 320)
    again, size_px = load_embedder(tmp_path / "embedder")
    assert (again.settings, size_px, again.training) == (SETTINGS, 320, False)
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(again(images), network(images), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("embedder.json", None, r"embedder.json is missing\): run `embed` or `train` again"),
        ("embedder.json", "{", "cannot be read"),
        ("embedder.safetensors", "no tensors", "cannot be read"),
    ],
)
def test_missing_or_damaged_embedder_is_refused(network, tmp_path, name, text, message):
    """The message names the folder and what to run again."""
    save_embedder(network, tmp_path / "embedder", 320)
    (tmp_path / "embedder" / name).unlink() if text is None else (tmp_path / "embedder" / name).write_text(text)
    with pytest.raises(PicieError, match=message):
        load_embedder(tmp_path / "embedder")


def test_cuda_without_a_device_is_refused(monkeypatch):
    """--device cuda on a machine without one says so; auto takes the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PicieError, match="device=cuda but torch finds no CUDA device here: use --device auto or cpu"):
        pick_device("cuda")
    assert pick_device("auto").type == "cpu"
