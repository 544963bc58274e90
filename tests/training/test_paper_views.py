"""The paper's views, decoder and IIC, against hand-made numbers and slow versions written from the description."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from picie_core.models.embedder import Embedder
from picie_core.settings import EmbedderSettings
from picie_core.training.losses.iic import mutual_information
from picie_core.training.views.augmentations import apply_geometric
from picie_core.training.views.paired_views import AlignedViews, halved


def smooth_images(count: int, side: int) -> torch.Tensor:
    """(B, 3, S, S) uint8 images of slow waves, which resampling hardly changes."""
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    waves = [torch.stack([torch.sin(3 * x + i), torch.cos(4 * y + i), torch.sin(2 * (x + y))]) for i in range(count)]
    return (127 + 100 * torch.stack(waves)).to(torch.uint8)


# -- the views


class Averages(torch.nn.Module):
    """A network whose embedding of a position is the mean colour of its 4 x 4 pixels; it notes the sizes it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[int] = []

    def forward(self, images: torch.Tensor, unit: bool = True) -> torch.Tensor:
        self.sides.append(images.shape[2])
        z = F.avg_pool2d(images, 4)
        return F.normalize(z, dim=1) if unit else z


@pytest.mark.parametrize(("sizes", "sides"), [("equal", [64, 64]), ("half", [64, 128])])
def test_sizes_of_the_views(sizes, sides):
    """From a square of 128 px both views enter the network at 64 px in the paper's recipe, and give maps of 16."""
    network, views = Averages(), AlignedViews((1, 2), 0, 0, [3, 4], sizes)
    maps = views.maps(network, views.images(smooth_images(2, 128)))
    assert network.sides == sides
    assert [tuple(one.shape) for one in maps] == [(2, 3, 16, 16)] * 2


@pytest.mark.parametrize("sizes", ["equal", "half"])
def test_views_show_the_same_pixels(sizes):
    """Position by position both maps embed the same part of the image, whatever crop and flip were drawn."""
    network, views = Averages(), AlignedViews((1, 2), 0, 0, list(range(6)), sizes)
    images = smooth_images(6, 128).float() / 255
    colours = without_colours(views, images, sizes)
    one, two = views.maps(network, colours)
    assert float((one - two).abs().max()) < 0.03
    mirrored = {1: colours[1].flip(3), 2: colours[2]}
    assert float((views.maps(network, mirrored)[0] - two).abs().max()) > 0.1


def without_colours(views: AlignedViews, images: torch.Tensor, sizes: str) -> dict[int, torch.Tensor]:
    """The views with their geometry alone, crop by crop with PIL's bilinear resize."""
    warp, one = views.warp(), []
    for i, image in enumerate(images):
        side = float(warp.side[i]) * 128
        left, top = float(warp.left[i]) * 128, float(warp.top[i]) * 128
        bands = [Image.fromarray(band.numpy()) for band in image]
        box = (left, top, left + side, top + side)
        crop = torch.stack(
            [torch.from_numpy(np.array(band.resize((64, 64), Image.Resampling.BILINEAR, box))) for band in bands]
        )
        one.append(crop.flip(2) if warp.flip[i] else crop)
    return {1: torch.stack(one), 2: images if sizes == "half" else halved(images)}


def test_the_smaller_view_is_resized_as_pillow_does():
    """The square of view 2 is brought to half its size by the antialiased bilinear filter of Pillow."""
    image = np.random.default_rng(0).random((3, 64, 64)).astype(np.float32)
    theirs = [np.array(Image.fromarray(band).resize((32, 32), Image.Resampling.BILINEAR)) for band in image]
    np.testing.assert_allclose(halved(torch.from_numpy(image)[None])[0], np.stack(theirs), atol=1e-6)


def test_embeddings_become_unit_after_the_warp():
    """View 2 is cropped and resized as the decoder gives it, and brought to unit length only then."""
    raw = 9 * torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(0)) ** 4

    def network(images: torch.Tensor, unit: bool = True) -> torch.Tensor:
        return F.normalize(raw, dim=1) if unit else raw

    views = AlignedViews((2,), 0, 0, [1], "equal")
    (z,) = views.maps(network, views.images(smooth_images(1, 128)))
    torch.testing.assert_close(z, F.normalize(apply_geometric(raw, views.warp(), 16), dim=1))
    unit_first = F.normalize(apply_geometric(F.normalize(raw, dim=1), views.warp(), 16), dim=1)
    assert float((z - unit_first).abs().max()) > 0.05


# -- the decoder


def slow_pyramid(network: Embedder, maps: list[torch.Tensor]) -> torch.Tensor:
    """The top-down pyramid as the description has it: coarsest first, upsampled to the next, added."""
    total = network.convolutions[-1](maps[-1])
    for convolution, one in list(zip(network.convolutions, maps, strict=True))[-2::-1]:
        total = F.interpolate(total, one.shape[2:], mode="bilinear", align_corners=False) + convolution(one)
    return total


def test_the_decoder_is_a_top_down_pyramid():
    """Four stages, each sum brought to the next finer stage; upsampling each in one step gives something else."""
    settings = {"weights": "none", "stages": 4, "pool": 1, "context": 0, "stage_norm": "none", "decoder": "random"}
    pyramid, direct = (Embedder(EmbedderSettings(**settings, upsampling=how)).eval() for how in ("pyramid", "direct"))
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (1, 3, 96, 128), dtype=np.uint8))
    with torch.no_grad():
        maps = pyramid.stage_features(image)
        expected = slow_pyramid(pyramid, maps)
        torch.testing.assert_close(pyramid.decode(maps), expected)
        apart = (direct.decode(maps) - expected).norm() / expected.norm()
    assert 0.001 < float(apart) < 0.2


def test_the_pyramid_has_the_size_of_the_finest_stage():
    """A transformer's stages, and the context of a wide average, end at stride 4 as well."""
    network = Embedder(EmbedderSettings(weights="none", stages=3, context=32, upsampling="pyramid")).eval()
    with torch.no_grad():
        assert tuple(network(torch.zeros(1, 3, 70, 90, dtype=torch.uint8)).shape) == (1, 128, 18, 23)


# -- IIC


@pytest.mark.parametrize("lamb", [1.0, 1.5])
def test_mutual_information_with_weighted_margins(lamb):
    """sum of p_ij (log p_ij - lamb log p_i - lamb log p_j), by hand for two classes that agree on 3 of 4 pixels."""
    one = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]).view(1, 2, 1, 4)
    two = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]]).view(1, 2, 1, 4)
    joint = np.array([[0.25, 0.25], [0.0, 0.5]])
    joint = (joint + joint.T) / 2
    margins = joint.sum(1)
    expected = sum(
        joint[i, j] * (np.log(joint[i, j]) - lamb * np.log(margins[i]) - lamb * np.log(margins[j]))
        for i in (0, 1)
        for j in (0, 1)
    )
    assert float(mutual_information(one, two, lamb=lamb)) == pytest.approx(expected, rel=1e-5)
