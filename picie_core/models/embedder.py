"""The network: a backbone and a linear decoder that turn images into unit pixel embeddings.

[1] Cho, Mall, Bala, Hariharan, "PiCIE: Unsupervised Semantic Segmentation using Invariance and Equivariance in
    Clustering", CVPR 2021, section 3 and supplement.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from picie_core.atomic_files import folder_atomic, write_json
from picie_core.data.feature_grid import STRIDE, feature_map_shape
from picie_core.errors import PicieError
from picie_core.models.backbones import StageMaps, VitBackbone, make_backbone
from picie_core.models.pretrained_weights import load_backbone_weights
from picie_core.settings import EmbedderSettings

CONTEXT_STRIDE = 16
"""Image pixels between two means of the context: wide means need no finer grid."""


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
        self.register_load_state_dict_pre_hook(_read_old_names)

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The decoder's 1x1 convolutions, one a stage, then one for the context of each stage."""
        return [convolution for convolution in self.decoder if isinstance(convolution, nn.Conv2d)]

    def stage_parameters(self) -> list[list[nn.Parameter]]:
        """Returns the backbone's parameters by stage, those before the first stage with it: to freeze early ones."""
        return self.backbone.stage_parameters()

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Returns all parameters but the decoder's, the earliest first."""
        return [parameter for stage in self.stage_parameters() for parameter in stage]

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.decode(self.stage_features(images)).float(), dim=1)  # (B, D, h, w), unit norm over D

    def stage_features(self, images: Tensor) -> StageMaps:
        """Returns the stage maps, each of unit length over its channels: [(B, C_s, H / stride_s, W / stride_s)].

        After them come the maps of their context, if there is any, at stride 16 or the stage's own.

        differs from PiCIE: unit length makes the stages comparable, so that a PCA over them means something; with
        stage_norm="none" they stay as they are, as in the paper.
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
        """Cells that each stage is averaged over: about `pool` stride-4 cells, counted in its own cells, odd.

        differs from PiCIE: a texture's features answer to its every grain; their mean over a neighbourhood tells
        textures apart. On camvid at K = 27 that names 79.0 % instead of 77.8 %, on the sample without weights 77 %
        instead of 75 %. The patches of a transformer are so large that they stay alone by default.
        """
        wanted = [self.settings.pool * STRIDE / stride for stride in self.backbone.strides]
        return [2 * round((cells - 1) / 2) + 1 if cells > 1 else 1 for cells in wanted]

    def context_windows(self) -> list[tuple[int, int]]:
        """Window and step, in the cells of each stage, of a second and wide average; empty where there is none.

        differs from PiCIE: a thing is told by what is around it, too. On camvid at K = 100 that names 84 / 44 %
        instead of 82 / 41 % (accuracy, mIoU), on dubai_aerial 69 / 46 instead of 68 / 43. The blocks of a transformer
        have seen the whole image, so they get none.
        """
        if self.settings.context == 0 or isinstance(self.backbone, VitBackbone):
            return []
        windows = []
        for stride in self.backbone.strides:
            step = max(CONTEXT_STRIDE // stride, 1)
            window = max(round(self.settings.context * STRIDE / stride), step)
            windows.append((window + (window - step) % 2, step))  # even margins, so that the means stay in place
        return windows

    def decode(self, features: list[Tensor]) -> Tensor:
        """Returns (B, D, h, w), not yet of unit length: one 1x1 convolution a stage, brought to stride 4 and added.

        features: what `stage_features` gave; of a plain list of maps the first tells h and w.
        differs from PiCIE: each stage is upsampled in one step, not down a pyramid; both are linear.
        """
        cells = features.cells if isinstance(features, StageMaps) else tuple(features[0].shape[2:])
        # Stages of one size, such as a transformer's, are added before they are upsampled: that is less to do.
        sums: dict[tuple[int, ...], Tensor] = {}
        for convolution, feature in zip(self.decoder, features, strict=True):
            part, size = convolution(feature), tuple(feature.shape[2:])
            sums[size] = sums[size] + part if size in sums else part
        total: Tensor | None = None
        for size, part in sums.items():
            if size != cells:
                part = F.interpolate(part, cells, mode="bilinear", align_corners=False)
            total = part if total is None else total + part
        assert total is not None
        return total

    @torch.no_grad()
    def fit_decoder(self, batches: list[list[Tensor]], cells: int = 100_000, seed: int = 0) -> None:
        """Sets the decoder to the PCA (to D) of the stage features, because a linear head's best blind start is that.

        A stage weighs as the root of its channels, so that every channel counts alike: on camvid that names 78 % of the
        pixels at K = 27, equal stages 74 %. Untrained stages weigh the same, their depth adds no meaning; so do the
        blocks of a transformer, which are of one width.
        batches: stage maps of some batches of images, as `stage_features` gives them; some `cells` of the cells of
        their first stage are used.
        """
        images = sum(len(features[0]) for features in batches)
        generator = torch.Generator().manual_seed(seed)
        rows = torch.cat([_sample_cells(features, cells // images, generator) for features in batches])
        channels = torch.tensor([float(convolution.in_channels) for convolution in self.convolutions])
        power = 0.0 if self.settings.weights == "none" else 0.5
        weight = ((channels / channels[0]) ** power).repeat_interleave(channels.long())  # (sum of C_s,)
        mean = rows.mean(0)
        _, vectors = torch.linalg.eigh(torch.cov((rows * weight).T))
        axes = vectors[:, -self.settings.dim :].flip(1)  # (sum of C_s, D), widest axis first
        axes = axes * torch.sign(axes[axes.abs().argmax(0), torch.arange(axes.shape[1])])  # a sign that repeats
        axes = weight[:, None] * axes
        missing = self.settings.dim - axes.shape[1]
        axes = F.pad(axes, (0, max(missing, 0)))
        offset = 0
        for i, convolution in enumerate(self.convolutions):
            part = axes[offset : offset + convolution.in_channels]
            convolution.weight.copy_(part.T[:, :, None, None])
            if convolution.bias is not None:
                convolution.bias.copy_(-(mean @ axes) if i == 0 else torch.zeros(axes.shape[1]))
            offset += convolution.in_channels


def _read_old_names(module: nn.Module, tensors: dict[str, Any], prefix: str, *more: Any) -> None:
    """Renames, before loading, the tensors of embedders that were saved when there were no backbones but ResNets."""
    for part in ("stem.", "layers."):
        for name in [name for name in tensors if name.startswith(prefix + part)]:
            tensors[f"{prefix}backbone.{name.removeprefix(prefix)}"] = tensors.pop(name)


def _average(feature: Tensor, window: int) -> Tensor:
    """Returns the mean of `feature` (B, C, h, w) over window x window cells, borders repeated."""
    if window == 1:
        return feature
    padded = F.pad(feature, (window // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, window, 1)


def _context(feature: Tensor, window: int, step: int) -> Tensor:
    """Returns the means of `feature` (B, C, h, w) over window x window cells at every `step`-th place."""
    return F.avg_pool2d(feature, window, step, (window - step) // 2, ceil_mode=True, count_include_pad=False)


def _sample_cells(features: list[Tensor], each: int, generator: torch.Generator) -> Tensor:
    """Returns (B * each, sum of C_s) float32: the stages at the size of the first, `each` drawn places an image."""
    batch, _, height, width = features[0].shape
    each = min(max(each, 1), height * width)
    places = torch.stack([torch.randperm(height * width, generator=generator)[:each] for _ in range(batch)])
    centres = torch.stack([(places % width + 0.5) / width, (places // width + 0.5) / height], 2)  # (B, each, 2)
    grid = (2 * centres - 1)[:, None].to(features[0].device)
    maps = [F.grid_sample(f.float(), grid, padding_mode="border", align_corners=False) for f in features]
    return torch.cat(maps, 1)[:, :, 0].transpose(1, 2).flatten(0, 1).cpu()


def new_embedder(settings: EmbedderSettings, seed: int = 0) -> Embedder:
    """Returns an embedder with the backbone weights that the settings name and a random decoder.

    Raises PicieError when the weights cannot be had or do not fit.
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
    """Returns the embedder of `folder`, in evaluation mode, and the image size (shorter side, px) it was made for."""
    try:
        record = json.loads((folder / "embedder.json").read_text())
        embedder = Embedder(EmbedderSettings(**{"context": 0, **record["settings"]}))
        embedder.load_state_dict(load_file(folder / "embedder.safetensors"))
    except FileNotFoundError as error:
        raise PicieError(
            f"no embedder in {folder} ({error.filename} is missing): run `embed` or `train` again"
        ) from None
    except PicieError:  # a backbone that cannot be had here; the embedder is whole
        raise
    except Exception as error:
        raise PicieError(f"the embedder in {folder} cannot be read ({error}): run `embed` or `train` again") from error
    return embedder.eval(), record["size_px"]


def pick_device(name: str) -> torch.device:
    """Returns the device for `auto`, `cpu` or `cuda`. Raises PicieError for cuda where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise PicieError("device=cuda but torch finds no CUDA device here: use --device auto or cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def fast_precision(device: torch.device) -> torch.dtype:
    """Returns bfloat16 where the device multiplies it natively (2.9 times as fast on AVX-512-BF16), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


class FrozenEmbedder:
    """An embedder ready for inference: batch norm folded into the convolutions, channels last, fastest precision."""

    def __init__(self, embedder: Embedder, device: str | torch.device = "auto", precision: torch.dtype | None = None):
        self.device = pick_device(device) if isinstance(device, str) else device
        self.precision = precision or fast_precision(self.device)
        self.network = copy.deepcopy(embedder).eval()
        _fold_batch_norm(self.network)
        self.network.to(self.device, self.precision).to(memory_format=torch.channels_last)

    def to_device(self, images: np.ndarray) -> Tensor:
        """Returns uint8 (B, H, W, 3) images as a (B, 3, H, W) tensor on the device, channels last without a copy."""
        return torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def stage_features(self, images: np.ndarray) -> list[Tensor]:
        """Returns the stage maps of uint8 (B, H, W, 3) images."""
        return self.network.stage_features(self.to_device(images))

    @torch.inference_mode()
    def decode(self, features: list[Tensor]) -> Tensor:
        """Returns (B, h, w, D) in the engine's precision, not of unit length (cosines need none on this side)."""
        return self.network.decode(features).permute(0, 2, 3, 1)

    def __call__(self, images: np.ndarray) -> Tensor:
        """Returns the embeddings (B, h, w, D), not of unit length, of uint8 (B, H, W, 3) images."""
        if self.network.settings.scale_factors == (1.0,):
            return self.decode(self.stage_features(images))
        return self._mean_of_scales(self.to_device(images))

    @torch.inference_mode()
    def _mean_of_scales(self, images: Tensor) -> Tensor:
        """Returns the mean (B, h, w, D) of the unit embeddings at each scale: fine grain and wide view at once.

        differs from PiCIE, which embeds at one scale.
        """
        height, width = images.shape[2:]
        cells = feature_map_shape(height, width)
        total = torch.zeros((), dtype=self.precision, device=self.device)
        for scale in self.network.settings.scale_factors:
            size = (max(round(height * scale), 1), max(round(width * scale), 1))
            parts = images.split(max(int(len(images) / scale**2), 1))  # as many pixels at a time as at scale 1
            z = torch.cat([self.network(_resized(part.to(self.precision) / 255, size)) for part in parts])
            total = total + _resized(z.to(self.precision), cells)
        return total.permute(0, 2, 3, 1)

    def set_decoder(self, embedder: Embedder) -> None:
        """Takes over the decoder of `embedder`, the rest of the network being the same."""
        self.network.decoder.load_state_dict(embedder.decoder.state_dict())


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) -> (B, C, *size), bilinear, every pixel counting when it becomes smaller."""
    if tuple(maps.shape[2:]) == size:
        return maps
    return F.interpolate(maps.float(), size, mode="bilinear", antialias=True).to(maps.dtype)


def _fold_batch_norm(module: nn.Module) -> None:
    """Folds every batch norm into the convolution before it (conv1/bn1, conv2/bn2, ..., and sequences)."""
    children = list(module.named_children())
    for (name, child), (next_name, following) in pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, following))
            setattr(module, next_name, nn.Identity())
    for _, child in module.named_children():
        _fold_batch_norm(child)


def embed_image(engine: FrozenEmbedder, image: np.ndarray) -> np.ndarray:
    """Returns the unit embeddings of one resized uint8 image (H, W, 3): float32 (h, w, D)."""
    cells = engine(image[None])[0].float()  # (h, w, D)
    return F.normalize(cells, dim=2).cpu().numpy()
