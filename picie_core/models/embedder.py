"""The network: a backbone and a linear decoder that turn images into unit pixel embeddings.

[1] Cho, Mall, Bala, Hariharan, "PiCIE: Unsupervised Semantic Segmentation using Invariance and Equivariance in
    Clustering", CVPR 2021, section 3 and supplement.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.atomic_files import folder_atomic, write_json
from picie_core.data.feature_grid import STRIDE, feature_map_shape
from picie_core.errors import PicieError
from picie_core.models.backbones import StageMaps, make_backbone
from picie_core.models.pretrained_weights import load_backbone_weights
from picie_core.models.vision_transformer import VitBackbone
from picie_core.settings import EmbedderSettings

CONTEXT_STRIDE = 16
"""Stride of the context maps, px: wide averages need no finer grid."""


class Embedder(nn.Module):
    """Images (B, 3, H, W), uint8 or float 0..1, to unit pixel embeddings (B, D, h, w) with h = ceil(H / 4) [1]."""

    def __init__(self, settings: EmbedderSettings, seed: int = 0):
        super().__init__()
        self.settings = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = make_backbone(settings)
            times = 2 if self.context_windows() else 1
            self.decoder = nn.ModuleList(nn.Conv2d(c, settings.dim, 1) for c in self.backbone.channels * times)
        self.mean: Tensor
        self.std: Tensor
        # Buffers, so that they follow the module to its device and precision.
        self.register_buffer("mean", torch.tensor(self.backbone.mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(self.backbone.std).view(3, 1, 1) * 255, persistent=False)

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The decoder's 1x1 convolutions: one per stage, then one for the context of each stage."""
        return [convolution for convolution in self.decoder if isinstance(convolution, nn.Conv2d)]

    def stage_parameters(self) -> list[list[nn.Parameter]]:
        """Returns the backbone's parameters by stage, those before the first stage with it: to freeze early ones."""
        return self.backbone.stage_parameters()

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns all parameters but the decoder's, the earliest first."""
        return [parameter for stage in self.stage_parameters() for parameter in stage]

    def forward(self, images: Tensor, unit: bool = True) -> Tensor:
        """Returns (B, D, h, w) float32 embeddings, of unit length over D unless they are still to be warped."""
        z = self.decode(self.stage_features(images)).float()
        return F.normalize(z, dim=1) if unit else z

    def stage_features(self, images: Tensor) -> StageMaps:
        """Returns the stage maps, each of unit length over its channels: [(B, C_s, H / stride_s, W / stride_s)].

        The maps of their context follow, if there are any, at stride 16 or the stage's own.

        differs from PiCIE: unit length gives the stages a common scale, which the PCA over them needs; with
        stage_norm="none" they keep their own, as in the paper.
        """
        scale = 1.0 if images.dtype == torch.uint8 else 255.0
        maps = self.backbone((images.to(self.std.dtype) * scale - self.mean) / self.std)
        if self.settings.stage_norm == "unit":
            maps = [F.normalize(one, dim=1) for one in maps]
        height, width = feature_map_shape(*images.shape[2:])
        averaged = [_average(one, window) for one, window in zip(maps, self.pool_windows(), strict=True)]
        windows = self.context_windows()
        context = [_context(one, *window) for one, window in zip(maps, windows, strict=True)] if windows else []
        return StageMaps([*averaged, *context], (height, width))

    def pool_windows(self) -> list[int]:
        """Returns the side of each stage's average pooling: about `pool` stride-4 positions, in its own ones, odd.

        differs from PiCIE: the features of a texture vary from grain to grain; their mean over a neighbourhood
        discriminates textures. On camvid at K = 27 that names 79.0 % instead of 77.8 %, on the sample without weights
        77 % instead of 75 %. The patches of a transformer are large enough without it.
        """
        sides = [self.settings.pool * STRIDE / stride for stride in self.backbone.strides]
        return [2 * round((side - 1) / 2) + 1 if side > 1 else 1 for side in sides]

    def context_windows(self) -> list[tuple[int, int]]:
        """Returns kernel and stride, in positions of each stage, of a second, wide average pooling; may be empty.

        differs from PiCIE: what surrounds an object helps to recognise it. On camvid at K = 100 that names 84 / 44 %
        instead of 82 / 41 % (accuracy, mIoU), on dubai_aerial 69 / 46 instead of 68 / 43. A transformer
        attends to the whole image already, so it gets none.
        """
        if self.settings.context == 0 or isinstance(self.backbone, VitBackbone):
            return []
        windows = []
        for stride in self.backbone.strides:
            step = max(CONTEXT_STRIDE // stride, 1)
            blocks = max(round(self.settings.context * STRIDE / (stride * step)), 1)
            windows.append((step * (blocks + (step * (blocks - 1)) % 2), step))  # even margins: means stay centred
        return windows

    def decode(self, features: list[Tensor]) -> Tensor:
        """Returns (B, D, h, w), not yet of unit length: one 1x1 convolution per stage, upsampled to stride 4, added.

        features: the maps of `stage_features`; of a plain list of maps the first one gives h and w.
        differs from PiCIE: unless upsampling is "pyramid", each stage is upsampled in one step, not by way of the
        finer ones; both are linear, and 3.6 % (L2) apart on real maps.
        """
        size = features.size if isinstance(features, StageMaps) else tuple(features[0].shape[2:])
        sums: dict[tuple[int, ...], Tensor] = {}
        for convolution, feature in zip(self.decoder, features, strict=True):
            part, own = convolution(feature), tuple(feature.shape[2:])
            sums[own] = sums[own] + part if own in sums else part  # one size, such as a transformer's, upsamples once
        if self.settings.upsampling == "pyramid":
            return _top_down(sums, size)
        total: Tensor | None = None
        for part in sums.values():
            total = _upsample(part, size) if total is None else total + _upsample(part, size)
        assert total is not None
        return total


def _upsample(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    return maps if tuple(maps.shape[2:]) == size else F.interpolate(maps, size, mode="bilinear", align_corners=False)


def _top_down(sums: dict[tuple[int, ...], Tensor], size: tuple[int, ...]) -> Tensor:
    """Adds maps from the coarsest to the finest, each sum upsampled to the next size [1, supplement]."""
    coarsest, *finer = sorted(sums)
    total = sums[coarsest]
    for own in finer:
        total = _upsample(total, own) + sums[own]
    return _upsample(total, size)


def _average(feature: Tensor, window: int) -> Tensor:
    """Returns the mean of `feature` (B, C, h, w) over window x window positions, borders repeated."""
    if window == 1:
        return feature
    return _sums(F.pad(feature, (window // 2,) * 4, mode="replicate"), window) / window**2


def _context(feature: Tensor, window: int, step: int) -> Tensor:
    """Returns the means of `feature` (B, C, h, w) over window x window positions, at every `step`-th one.

    What lies outside counts nowhere. Blocks of step x step positions are averaged first, so that windows, which
    overlap, add up fewer numbers; `window` is a multiple of `step`, and both are even or odd.
    """
    pads, counts = [], []
    for length in feature.shape[:1:-1]:  # F.pad wants the last axis first
        starts = step * torch.arange(-(-length // step), device=feature.device) - (window - step) // 2
        pads += [int(-starts[0]), int(starts[-1]) + window - length]
        counts.append((starts + window).clamp(max=length) - starts.clamp(min=0))
    blocks = F.avg_pool2d(F.pad(feature, pads), step)
    inside = counts[1][:, None] * counts[0]  # (h / step, w / step) positions of each window that count
    return _sums(blocks, window // step) * (step**2 / inside).to(feature.dtype)


def _sums(feature: Tensor, window: int) -> Tensor:
    """Returns the sums of `feature` (B, C, h, w) over all windows inside it, (B, C, h - window + 1, w - window + 1).

    A convolution with ones, which takes a quarter of the time of the library's average pooling on a CPU.
    """
    channels = feature.shape[1]
    return F.conv2d(feature, feature.new_ones(channels, 1, window, window), groups=channels)


def new_embedder(settings: EmbedderSettings, seed: int = 0) -> Embedder:
    """Returns an embedder with the backbone weights that the settings name and a random decoder.

    Raises PicieError when the weights cannot be downloaded or read, or do not fit the backbone.
    """
    embedder = Embedder(settings, seed)
    load_backbone_weights(embedder.backbone, settings)
    return embedder.eval()


def save_embedder(embedder: Embedder, folder: Path, size_px: int) -> None:
    """Writes `folder` with embedder.safetensors and embedder.json, in one step."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in embedder.state_dict().items()}
    with folder_atomic(folder) as temporary:
        (temporary / "embedder.safetensors").write_bytes(save(tensors))  # save_file would hide a full disk
        write_json(temporary / "embedder.json", {"settings": asdict(embedder.settings), "size_px": size_px})


def load_embedder(folder: Path) -> tuple[Embedder, int]:
    """Returns the embedder of `folder`, in evaluation mode, and the image size (shorter side, px) it was made for.

    Raises PicieError when it is missing or damaged.
    """
    try:
        record = json.loads((folder / "embedder.json").read_text())
        embedder = Embedder(EmbedderSettings(**record["settings"]))
        embedder.load_state_dict(load_file(folder / "embedder.safetensors"))
    except FileNotFoundError as error:
        raise PicieError(
            f"no embedder in {folder} ({error.filename} is missing): run `embed` or `train` again"
        ) from None
    except PicieError:  # its backbone needs a library that is missing here; the files are whole
        raise
    except Exception as error:
        raise PicieError(f"the embedder in {folder} cannot be read ({error}): run `embed` or `train` again") from error
    return embedder.eval(), record["size_px"]
