"""Backbones: their stages are those of the published networks, at any image size."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from sklearn.decomposition import PCA
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from picie_core.errors import SettingError
from picie_core.models.backbones import BorderConv2d, make_backbone
from picie_core.models.decoder import fit_pca_decoder
from picie_core.models.embedder import Embedder, load_embedder, new_embedder, save_embedder
from picie_core.models.inference import FrozenEmbedder, embed_image
from picie_core.models.vision_transformer import timm_name
from picie_core.published_backbones import VIT_BACKBONES
from picie_core.settings import EmbedderSettings

TINY_VIT = "timm:test_vit"
"""timm's own network for tests: 6 blocks of width 64, patches of 16 px."""


def pictures(count: int = 2, height: int = 64, width: int = 96) -> torch.Tensor:
    """Smooth random pictures, uint8 (B, 3, H, W)."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 255).byte()


def embedder(backbone: str, **settings: object) -> Embedder:
    """A network with random weights, in evaluation mode."""
    return Embedder(EmbedderSettings(backbone=backbone, dim=16, **settings)).eval()


# -- stages


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        ("resnet18", [64, 128, 256, 512]),
        ("resnet34", [64, 128, 256, 512]),
        ("resnet50", [256, 512, 1024, 2048]),
        ("mobilenet_v2", [24, 32, 96, 320]),
    ],
)
def test_stages_of_convolutional_networks(backbone, channels):
    """Four stages at strides 4 to 32, with the channels of the papers; fewer stages are the first ones."""
    with torch.device("meta"):  # shapes only
        made = make_backbone(EmbedderSettings(backbone=backbone))
        assert (made.channels, made.strides) == (channels[:3], [4, 8, 16])
        made = make_backbone(EmbedderSettings(backbone=backbone, stages=4))
        assert (made.channels, made.strides) == (channels, [4, 8, 16, 32])
        maps = made(torch.zeros(1, 3, 61, 99))
    assert [one.shape[1:] for one in maps] == [
        (c, -(-61 // stride), -(-99 // stride)) for c, stride in zip(channels, made.strides, strict=True)
    ]


@pytest.mark.parametrize(
    ("backbone", "nodes"),
    [
        ("resnet18", ["layer1", "layer2", "layer3", "layer4"]),
        ("mobilenet_v2", ["features.3", "features.6", "features.13", "features.17"]),
    ],
)
def test_maps_are_those_of_torchvision(backbone, nodes, tmp_path):
    """With the same weights the stages give what torchvision's own network gives at those layers."""
    torch.manual_seed(0)
    net = torchvision.models.get_model(backbone, weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    settings = EmbedderSettings(backbone=backbone, weights=str(tmp_path / "w.pth"), stages=4, padding="zeros")
    made = new_embedder(settings).backbone
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = create_feature_extractor(net, nodes)(x)
        for ours, node in zip(made(x), nodes, strict=True):
            torch.testing.assert_close(ours, theirs[node], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("stages", [1, 3])
def test_maps_are_the_last_blocks_of_timm(stages):
    """A transformer's stages are the patches of its last blocks behind the final norm, in the order of the image."""
    made = make_backbone(EmbedderSettings(backbone=TINY_VIT, stages=stages)).eval()
    seen: list[torch.Tensor] = []
    for block in made.vit.blocks[-stages:]:
        block.register_forward_hook(lambda module, inputs, output: seen.append(made.vit.norm(output)))
    x = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        maps = made(x)
        last = made.vit.forward_features(x)[:, 1:]  # without the class token
    assert len(maps) == stages
    torch.testing.assert_close(maps[-1].flatten(2).transpose(1, 2), last)
    for one, tokens in zip(maps, seen, strict=False):
        torch.testing.assert_close(one[:, :, 3, 7], tokens[:, 1 + 3 * 10 + 7])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 70), (33, 120)])
def test_transformer_maps_cover_any_image(height, width):
    """An image of any size is resized to the next multiple of the patch; positions are interpolated."""
    made = make_backbone(EmbedderSettings(backbone=TINY_VIT)).eval()
    assert (made.channels, made.strides) == ([64] * 3, [16] * 3)
    x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    rows, columns = -(-height // 16), -(-width // 16)
    grown = F.interpolate(x, (rows * 16, columns * 16), mode="bilinear", align_corners=False)
    with torch.no_grad():
        for one, other in zip(made(x), made(grown), strict=True):
            assert one.shape == (1, 64, rows, columns)
            torch.testing.assert_close(one, other)


def test_short_names_are_networks_of_timm():
    """Each short name has published weights at timm, and the patch that it names."""
    for short in VIT_BACKBONES:
        assert timm_name(short) == VIT_BACKBONES[short]
        assert timm.get_pretrained_cfg(VIT_BACKBONES[short]).has_weights
        assert f"_small_patch{short.split('_')[1][1:]}_" in VIT_BACKBONES[short]
    with torch.device("meta"):  # shapes only
        made = make_backbone(EmbedderSettings(backbone="dinov2_s14", stages=4))
    assert (made.patch, made.strides, made.channels) == (14, [14] * 4, [384] * 4)


@pytest.mark.parametrize(
    "name", ["test_vit2", "test_vit3", "eva02_tiny_patch14_224", "vit_pe_spatial_tiny_patch16_512"]
)
def test_other_transformers_of_timm(name):
    """Register tokens, no class token, average pooling, rotary positions: all give maps of the patches."""
    made = embedder(f"timm:{name}", stages=2)
    with torch.no_grad():
        z = made(pictures(1, 50, 70))
    assert z.shape == (1, 16, 13, 18)
    assert torch.isfinite(z).all()


def test_parameters_by_stage():
    """Each parameter of the backbone is in one stage; the stem is in the first, the last blocks have their own."""
    for backbone in ("resnet18", "mobilenet_v2", TINY_VIT):
        made = embedder(backbone)
        stages = [[id(one) for one in stage] for stage in made.stage_parameters()]
        flat = [one for stage in stages for one in stage]
        assert len(stages) == 3
        assert sorted(flat) == sorted(id(one) for one in made.backbone.parameters())
        assert [id(one) for one in made.backbone_parameters()] == flat
    assert id(made.backbone.vit.patch_embed.proj.weight) in stages[0]
    assert id(made.backbone.vit.blocks[3].attn.qkv.weight) in stages[0]
    assert id(made.backbone.vit.blocks[4].attn.qkv.weight) in stages[1]
    assert {id(one) for one in made.backbone.vit.norm.parameters()} < set(stages[2])


def test_every_parameter_learns():
    """A loss on the embeddings reaches every parameter, so that no process of a training waits for one."""
    for backbone in ("mobilenet_v2", TINY_VIT):
        made = embedder(backbone).train()
        made(pictures(2, 64, 64)).square()[:, :8].sum().backward()
        assert [name for name, one in made.named_parameters() if one.grad is None] == []


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_padded_borders_are_like_the_rest(backbone):
    """An image of one colour has the same cells everywhere unless it is padded with zeros, which differ from it."""
    spread = {}
    for padding in ("zeros", "replicate", "reflect"):
        made = embedder(backbone, padding=padding, stages=4)
        with torch.no_grad():
            z = F.normalize(FrozenEmbedder(made, "cpu", torch.float32)(np.full((1, 64, 64, 3), 90, np.uint8)), dim=3)
        spread[padding] = float((z - z[:, 8:9, 8:9]).abs().max())
    assert max(spread["replicate"], spread["reflect"]) < 1e-5 < 1e-2 < spread["zeros"]


@pytest.mark.parametrize(
    ("padding", "numpy_mode"), [("zeros", "constant"), ("replicate", "edge"), ("reflect", "reflect")]
)
def test_padding_is_that_of_numpy(padding, numpy_mode):
    """The first convolution gives what it gives without padding on the image padded by numpy."""
    made = make_backbone(EmbedderSettings(padding=padding))
    x = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    padded = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode=numpy_mode))
    with torch.no_grad():
        torch.testing.assert_close(made.stem[0](x), F.conv2d(padded, made.stem[0].weight, stride=2))


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
@pytest.mark.parametrize(("stages", "largest"), [(1, 4), (3, 16), (4, 32)])
def test_too_small_to_reflect(backbone, stages, largest):
    """Where a map would have a single row, an error says how many pixels a side are needed; one more is enough."""
    made = make_backbone(EmbedderSettings(backbone=backbone, padding="reflect", stages=stages)).eval()
    with pytest.raises(
        SettingError, match=rf"at least {largest + 1} px a side, got 64 x {largest} px.*--padding replic"
    ):
        made(torch.zeros(1, 3, largest, 64))
    with torch.no_grad():
        assert made(torch.zeros(1, 3, largest + 1, 64))[-1].shape[2:] == (2, 64 // largest)


# -- inside the embedder


@pytest.mark.parametrize("backbone", ["mobilenet_v2", TINY_VIT])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 99)])
def test_cells_are_a_quarter_rounded_up(backbone, height, width):
    """Whatever the backbone, an image has ceil(H / 4) x ceil(W / 4) cells of length 1."""
    made, images = embedder(backbone), pictures(2, height, width)
    with torch.no_grad():
        z = made(images)
    assert z.shape == (2, 16, -(-height // 4), -(-width // 4))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(2, *z.shape[2:]))
    one = embed_image(FrozenEmbedder(made, "cpu", torch.float32), images[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(one, z[0].permute(1, 2, 0), atol=1e-4)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2", TINY_VIT])
def test_the_engine_gives_what_the_network_gives(backbone):
    """Folded batch norm changes nothing in float32; bfloat16 keeps embeddings within a cosine of 0.99."""
    made, generator = embedder(backbone), torch.Generator().manual_seed(5)
    grain = torch.rand(2, 3, 64, 96, generator=generator) * 255  # smooth pictures hardly differ behind random filters
    images = (pictures() / 2 + grain / 2).byte()
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.momentum = None  # the statistics become those of the pictures, as those of a trained network are
    arrays = images.permute(0, 2, 3, 1).numpy()
    with torch.no_grad():
        made.train()(images)
        made.eval()
        fit_pca_decoder(made, [made.stage_features(images)])
        z = made(images)
    engine = FrozenEmbedder(made, "cpu", torch.float32)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in engine.network.modules())
    plain = F.normalize(engine(arrays), dim=3).permute(0, 3, 1, 2)
    torch.testing.assert_close(plain, z, atol=1e-3, rtol=0)
    fast = F.normalize(FrozenEmbedder(made, "cpu", torch.bfloat16)(arrays).float(), dim=3).permute(0, 3, 1, 2)
    assert (fast * z).sum(1).mean() > 0.99


def test_decoder_of_a_transformer_is_the_pca_of_its_patches():
    """The blocks weigh the same; the decoder gives scikit-learn's principal components, brought to stride 4."""
    made, images = embedder(TINY_VIT), pictures(4, 64, 128)
    with torch.no_grad():
        features = made.stage_features(images)
        fit_pca_decoder(made, [features])
        ours = made.decode(features)
    rows = torch.cat(list(features), 1).permute(0, 2, 3, 1).reshape(-1, 3 * 64)
    theirs = torch.from_numpy(PCA(16, svd_solver="full").fit_transform(rows.numpy()))
    theirs = F.interpolate(theirs.view(4, 4, 8, 16).permute(0, 3, 1, 2), (16, 32), mode="bilinear")
    signs = (theirs * ours).sum((0, 2, 3), keepdim=True).sign()
    torch.testing.assert_close(ours, theirs * signs, atol=1e-3 * float(theirs.abs().max()), rtol=0)


@pytest.mark.parametrize(("pool", "window"), [(1, 1), (5, 1), (13, 3), (31, 7)])
def test_patches_are_averaged_over_the_same_part_of_the_image(pool, window):
    """`pool` counts stride-4 cells, of which a patch of 16 px holds four a side."""
    assert embedder(TINY_VIT, pool=pool, stages=1).pool_windows() == [window]


def test_stages_without_norm_are_the_maps_of_the_backbone():
    """stage_norm=none and pool=1, the paper's, hand the maps to the decoder as they are."""
    made, images = embedder("resnet18", stage_norm="none", pool=1, context=0, stages=4), pictures()
    with torch.no_grad():
        maps = made.backbone((images.float() - made.mean) / made.std)
        for one, other in zip(maps, made.stage_features(images), strict=True):
            assert torch.equal(one, other)
        unit = embedder("resnet18", pool=1).stage_features(images)
    torch.testing.assert_close(unit[1].norm(dim=1), torch.ones(2, 8, 12))


def test_normalisation_is_that_of_the_published_weights():
    """timm's networks say which mean and deviation they were trained with."""
    assert embedder(TINY_VIT).mean.flatten().tolist() == pytest.approx([127.5] * 3)
    assert embedder("mobilenet_v2").std.flatten().tolist() == pytest.approx([58.395, 57.12, 57.375])


@pytest.mark.parametrize("backbone", ["mobilenet_v2", TINY_VIT])
def test_round_trip(backbone, tmp_path):
    """A saved embedder of any backbone comes back whole, without its weights file."""
    made, images = embedder(backbone, weights="gone.pth"), pictures()
    save_embedder(made, tmp_path / "embedder", 320)
    again, _ = load_embedder(tmp_path / "embedder")
    with torch.no_grad():
        torch.testing.assert_close(again(images), made(images), atol=0, rtol=0)


# -- convolutions that repeat or mirror the border


def plain_and_ours(mode: str) -> tuple[nn.Conv2d, nn.Conv2d]:
    """A convolution of torch with this padding, and the same weights as a backbone has it."""
    plain = nn.Conv2d(8, 16, 3, stride=2, padding=1, padding_mode=mode)
    ours = nn.Conv2d(8, 16, 3, stride=2, padding=1, padding_mode=mode)
    ours.load_state_dict(plain.state_dict())
    ours.__class__ = BorderConv2d
    return plain, ours


@pytest.mark.parametrize("mode", ["replicate", "reflect"])
@pytest.mark.parametrize("mixed", [False, True])
def test_borders_are_padded_as_torch_pads_them(mode, mixed):
    """The same maps and weight gradients bit by bit, in float32 those of the input too; bfloat16 rounds these."""
    torch.manual_seed(0)
    made, x = [], torch.randn(2, 8, 33, 40)
    for conv in plain_and_ours(mode):
        given = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            out = conv(given * 1)
        out.float().square().sum().backward()
        made.append((out, conv.weight.grad, conv.bias.grad, given.grad))
    for ours, theirs in zip(made[1][:3], made[0][:3], strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    assert (made[1][3] - made[0][3]).norm() <= (2e-3 if mixed else 0) * made[0][3].norm()


def test_a_padded_border_costs_a_training_no_memory():
    """What a backward pass keeps is no more than with zeros: no padded copies, and nothing in float32 for them."""
    kept = {}
    for padding in ("zeros", "replicate"):
        made, sizes = embedder("resnet18", padding=padding).train(), {}

        def note(saved: torch.Tensor, sizes: dict = sizes) -> torch.Tensor:
            storage = saved.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return saved

        with saved_tensors_hooks(note, lambda saved: saved), torch.autocast("cpu", torch.bfloat16):
            out = made.stage_features(pictures(2, 96, 96))
        kept[padding] = sum(sizes.values())
        assert out is not None
    assert kept["replicate"] <= 1.02 * kept["zeros"]
