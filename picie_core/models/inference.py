"""Inference with a trained network: on which device, in which precision, on one image or many."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from picie_core.data.feature_grid import feature_map_shape
from picie_core.errors import PicieError
from picie_core.models.embedder import Embedder


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
        self.network = folded_copy(embedder)
        self.network.to(self.device, self.precision).to(memory_format=torch.channels_last)

    def to_device(self, images: np.ndarray) -> Tensor:
        """Returns uint8 images (B, H, W, 3) as a tensor (B, 3, H, W) on the device, channels last, not copied."""
        return torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def stage_features(self, images: np.ndarray) -> list[Tensor]:
        """Returns the stage maps of uint8 (B, H, W, 3) images."""
        return self.network.stage_features(self.to_device(images))

    @torch.inference_mode()
    def decode(self, features: list[Tensor]) -> Tensor:
        """Returns (B, h, w, D) in the engine's precision, not of unit length: an argmax of cosines needs none."""
        return self.network.decode(features).permute(0, 2, 3, 1)

    def __call__(self, images: np.ndarray) -> Tensor:
        """Returns the embeddings (B, h, w, D), not of unit length, of uint8 (B, H, W, 3) images."""
        if self.network.settings.scale_factors == (1.0,):
            return self.decode(self.stage_features(images))
        return self._mean_of_scales(self.to_device(images))

    @torch.inference_mode()
    def _mean_of_scales(self, images: Tensor) -> Tensor:
        """Returns the mean (B, h, w, D) of the unit embeddings at each scale: both detail and context.

        differs from PiCIE, which embeds at one scale.
        """
        height, width = images.shape[2:]
        grid = feature_map_shape(height, width)
        total = torch.zeros((), dtype=self.precision, device=self.device)
        for scale in self.network.settings.scale_factors:
            size = (max(round(height * scale), 1), max(round(width * scale), 1))
            parts = images.split(max(int(len(images) / scale**2), 1))  # as many pixels at a time as at scale 1
            z = torch.cat([self.network(_resized(part.to(self.precision) / 255, size)) for part in parts])
            total = total + _resized(z.to(self.precision), grid)
        return total.permute(0, 2, 3, 1)

    def set_decoder(self, embedder: Embedder) -> None:
        """Copies the decoder of `embedder`, which shares the backbone of this network."""
        self.network.decoder.load_state_dict(embedder.decoder.state_dict())


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) -> (B, C, *size), bilinear, antialiased when it becomes smaller."""
    if tuple(maps.shape[2:]) == size:
        return maps
    return F.interpolate(maps.float(), size, mode="bilinear", antialias=True).to(maps.dtype)


def folded_copy(embedder: Embedder) -> Embedder:
    """Returns a copy in evaluation mode, every batch norm folded into its convolution: a quarter faster on a CPU."""
    network = copy.deepcopy(embedder).eval().requires_grad_(False)
    _fold_batch_norm(network)
    return network


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
    z = engine(image[None])[0].float()  # (h, w, D)
    return F.normalize(z, dim=2).cpu().numpy()
