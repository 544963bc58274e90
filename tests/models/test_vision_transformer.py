"""Vision transformers: positions by their authors' rule, and maps that lie where the image's patches lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from picie_core.models.backbones import make_backbone
from picie_core.models.embedder import Embedder
from picie_core.models.vision_transformer import resized_positions
from picie_core.settings import EmbedderSettings

SIZES = [(6, 6), (23, 31), (40, 14)]
"""Rows and columns of patches: smaller, not square, larger in one direction."""

# -- positions


def cubic(distance: float) -> float:
    """Keys' cubic convolution with a = -0.75, the kernel of bicubic interpolation."""
    x = abs(distance)
    if x <= 1:
        return 1.25 * x**3 - 2.25 * x**2 + 1
    return -0.75 * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def slow_bicubic(grid: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(M, M, D) to (rows, columns, D) by the authors' rule, position by position; borders are repeated."""
    side = len(grid)
    result = np.zeros((rows, columns, grid.shape[2]))
    for i in range(rows):
        for j in range(columns):
            y, x = ((at + 0.5) * side / (length + 0.1) - 0.5 for at, length in ((i, rows), (j, columns)))
            for row in range(math.floor(y) - 1, math.floor(y) + 3):
                for column in range(math.floor(x) - 1, math.floor(x) + 3):
                    near = grid[min(max(row, 0), side - 1), min(max(column, 0), side - 1)]
                    result[i, j] += cubic(y - row) * cubic(x - column) * near
    return result


def positions_seen(backbone: str, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """The positions (1 + rows * columns, D) that the first block of a network sees, and the stored ones."""
    made = make_backbone(EmbedderSettings(backbone=backbone, stages=1)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in (made.vit.cls_token, made.vit.patch_embed.proj.weight, made.vit.patch_embed.proj.bias):
        nn.init.zeros_(parameter)  # so that tokens are their positions
    nn.init.normal_(made.vit.pos_embed, generator=generator)
    seen: list[Tensor] = []
    made.vit.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0]))
    made.vit.blocks = made.vit.blocks[:1]
    with torch.no_grad():
        made(torch.zeros(1, 3, rows * made.patch, columns * made.patch))
    return seen[0], made.vit.pos_embed[0].detach()


@pytest.mark.parametrize("backbone", ["dino_s16", "dinov2_s14", "timm:vit_small_patch14_dinov2"])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_positions_follow_the_authors_rule(backbone, rows, columns):
    """DINO and DINOv2 interpolate bicubically by (length + 0.1) / M, as written out here; the class token's stays."""
    seen, stored = positions_seen(backbone, rows, columns)
    side = math.isqrt(len(stored) - 1)
    slow = slow_bicubic(stored[1:].view(side, side, -1)[..., :8].double().numpy(), rows, columns)
    assert torch.equal(seen[0], stored[0])
    np.testing.assert_allclose(seen[1:, :8].view(rows, columns, 8), slow, atol=1e-4)


@pytest.mark.parametrize(("backbone", "side"), [("dino_s16", 14), ("dino_s8", 28), ("dinov2_s14", 37)])
def test_positions_at_the_training_size_are_unchanged(backbone, side):
    """At the size of the training nothing is interpolated."""
    seen, stored = positions_seen(backbone, side, side)
    assert torch.equal(seen, stored)


def test_positions_one_patch_larger_are_not_the_stored_ones():
    """A grid of another shape is interpolated along both sides, as the authors' code does, even where one agrees."""
    positions = torch.randn(1, 197, 4, generator=torch.Generator().manual_seed(0))
    assert resized_positions(positions, 14, 14) is positions
    grown = resized_positions(positions, 14, 15)[0, 1:].view(14, 15, 4)
    slow = slow_bicubic(positions[0, 1:].view(14, 14, 4).double().numpy(), 14, 15)
    np.testing.assert_allclose(grown, slow, atol=1e-5)


@pytest.mark.parametrize("backbone", ["dinov2_s14_reg", "timm:vit_small_patch16_224", "dinov3_s16"])
def test_other_networks_keep_the_rule_of_timm(backbone):
    """Registers were published with whole sizes and antialias, as timm resizes; rotary positions are computed."""
    made = make_backbone(EmbedderSettings(backbone=backbone, stages=2)).eval()
    made.vit.blocks = made.vit.blocks[:2]
    x = torch.randn(1, 3, 6 * made.patch, 9 * made.patch, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = made.vit.forward_intermediates(x, 2, norm=True, intermediates_only=True)
        for ours, one in zip(made(x), theirs, strict=True):
            assert torch.equal(ours, one)


def test_at_the_training_size_maps_are_those_of_timm():
    """But for positions nothing differs from timm's network, block by block."""
    made = make_backbone(EmbedderSettings(backbone="dino_s16", stages=4)).eval()
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = made.vit.forward_intermediates(x, 4, norm=True, intermediates_only=True)
        for ours, one in zip(made(x), theirs, strict=True):
            torch.testing.assert_close(ours, one)


# -- where maps lie


def reading_embedder(backbone: str) -> Embedder:
    """A network that reads a patch's mean red value into channel 0 of every stage, and its decoder adds the stages.

    Its blocks add nothing, its positions are zero, and it has no final norm.
    """
    made = Embedder(EmbedderSettings(backbone=backbone, dim=2, stages=4, stage_norm="none", pool=1)).eval()
    vit = made.backbone.vit
    vit.norm = nn.Identity()
    zeros = [vit.pos_embed, vit.patch_embed.proj.weight, vit.patch_embed.proj.bias]
    for block in vit.blocks:
        zeros += [*block.attn.proj.parameters(), *block.mlp.fc2.parameters()]
    for convolution in made.convolutions:
        zeros += list(convolution.parameters())
    for parameter in zeros:
        nn.init.zeros_(parameter)
    vit.patch_embed.proj.weight.data[0, 0] = 1 / made.backbone.patch**2
    for convolution in made.convolutions:
        convolution.weight.data[0, 0] = 1 / len(made.convolutions)
    return made


@pytest.mark.parametrize("backbone", ["dino_s16", "dino_s8", "dinov2_s14", "dinov2_s14_reg"])
@pytest.mark.parametrize(("height", "width"), [(112, 112), (96, 224), (150, 203)])
@pytest.mark.parametrize("along", [2, 3])
def test_positions_of_the_map_are_those_of_the_image(backbone, height, width, along):
    """The value at a stride-4 position is that of the pixels it covers: a ramp comes out as itself, inside the borders.

    Whatever the patch, and for images that are no whole patches: resizing keeps a ramp a ramp.
    """
    made = reading_embedder(backbone)
    length = (height, width)[along - 2]
    ramp = (torch.arange(length) + 0.5) / length  # where the middle of each pixel lies, from 0 to 1
    shape = [1, 1, 1, 1]
    shape[along] = length
    image = ramp.view(shape).expand(1, 3, height, width).contiguous()
    with torch.no_grad():
        read = made.decode(made.stage_features(image))[0, 0] * made.std[0] / 255 + made.mean[0] / 255
    assert read.shape == (-(-height // 4), -(-width // 4))
    positions = read.shape[along - 2]
    line = read.mean(3 - along)
    expected = (torch.arange(positions) + 0.5) / positions
    inside = slice(made.backbone.patch // 4, -(made.backbone.patch // 4))  # nearer to a border there is one patch
    torch.testing.assert_close(line[inside], expected[inside], atol=2e-3, rtol=0)
    torch.testing.assert_close(read, line.unsqueeze(3 - along).expand_as(read), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (5, 11)])
def test_a_shifted_image_gives_shifted_maps(rows, columns):
    """Without positions, an image that is rolled by whole patches gives rolled maps in every stage."""
    made = make_backbone(EmbedderSettings(backbone="dino_s16", stages=4)).eval()
    nn.init.zeros_(made.vit.pos_embed)
    x = torch.randn(1, 3, 16 * rows, 16 * columns, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for one, moved in zip(made(x), made(x.roll((32, -48), (2, 3))), strict=True):
            assert one.shape == (1, 384, rows, columns)
            assert one.std() > 0.1
            torch.testing.assert_close(moved, one.roll((2, -3), (2, 3)), atol=1e-4, rtol=1e-3)
