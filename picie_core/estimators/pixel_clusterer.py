"""The whole method on images in memory: embed the pixels, cluster them, give masks; no workspace, nothing on disk."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.kmeans import COARSE_SHARE, check_k, spherical_kmeans
from picie_core.data.images.image_folder import find_images
from picie_core.data.images.image_source import GivenImages
from picie_core.data.sample_writer import SampleRows, draw_positions
from picie_core.errors import PicieError, SettingError
from picie_core.estimators.spherical_kmeans import draw_seeds
from picie_core.models.embedder import Embedder
from picie_core.models.embedding_pass import ImagePass, embed_images, fit_decoder
from picie_core.models.inference import FrozenEmbedder, embed_image
from picie_core.progress import Report, ignore_progress
from picie_core.segmentation.masks import cluster_mask
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.recipes import recipe_settings, usual_recipe
from picie_core.training.untrained_backbone import start_network

Images = Sequence[np.ndarray | str | Path] | np.ndarray | str | Path
"""uint8 RGB arrays (H, W, 3) of any sizes, paths of image files, or one folder, whose images come in path order."""


class PixelClusterer(BaseEstimator):
    """Clusters the pixels of images without labels, in scikit-learn's manner.

    n_clusters: clusters K. backbone, weights: as of `EmbedderSettings`; weights are "imagenet" (downloaded once), the
    path of a state dict, or "none", then the first filters are learned from the images. image_size: shorter side of the
    images in the network, px. n_pixels: pixels that are sampled for the clustering. epochs: epochs of PiCIE on these
    images; 0 leaves the backbone as it is. batch_size: images in a batch. random_state: an int, a RandomState, or None
    for a different draw each time. device: "auto", "cpu" or "cuda". progress: a function that takes `Progress` events.

    Attributes after `fit`: `cluster_centers_` (K, D) float32 of unit norm, the largest cluster first; `inertia_`, the
    mean of 1 - cosine of the sampled pixels to their centroid; `embedder_`, the network; `history_`, a record of each
    epoch; `n_features_out_`, the embedding width D.

    The same images give the clusters of `embed` (or `train`) and `cluster` in a workspace with the same settings.
    """

    def __init__(
        self,
        n_clusters: int = 27,
        *,
        backbone: str = "resnet18",
        weights: str = "imagenet",
        image_size: int = 320,
        n_pixels: int = 200_000,
        epochs: int = 0,
        batch_size: int = 16,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        progress: Report | None = None,
    ):
        self.n_clusters = n_clusters
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.n_pixels = n_pixels
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device
        self.progress = progress

    def fit(self, images: Images, y: Any = None) -> Self:
        """Embeds the images (training the network first, with epochs > 0) and clusters a sample of their pixels.

        Raises SettingError (a ValueError) for impossible settings, ImageError for an image that cannot be used.
        """
        (seed,) = draw_seeds(self.random_state)
        embedding = EmbedderSettings(backbone=self.backbone, weights=str(self.weights))
        sampling = SampleSettings(size_px=self.image_size, pixels=self.n_pixels, batch=self.batch_size, seed=seed)
        source = self._source(images)
        wanted = draw_positions(source.records, sampling)
        check_k(self.n_clusters, sum(map(len, wanted.values())))
        order = ImagePass(source, wanted, sampling, on_error=_raise, report=self.progress or ignore_progress)
        network = start_network(order, embedding)
        self.history_ = self._train(network, source, sampling, order) if self.epochs else []
        engine = FrozenEmbedder(network, self.device)
        sample = SampleRows(wanted)
        for ids, feature_maps in embed_images(order, engine, None if self.epochs else network):
            sample.add(ids, feature_maps)
        rows, _ = sample.take()  # (N, D)
        found = spherical_kmeans(rows, self.n_clusters, seed, device=engine.device.type, coarse_share=COARSE_SHARE)
        self.embedder_ = network.cpu()
        self.cluster_centers_, self.inertia_ = found.centroids, found.inertia
        self.n_features_out_ = found.centroids.shape[1]
        self._clustering = Clustering(
            self.n_clusters, seed, "", found.centroids, found.labels, found.similarity, found.inertia
        )
        return self

    def predict(self, images: Images) -> list[np.ndarray]:
        """Returns the cluster of each pixel of each image: (H, W) at full size, uint8 up to 255 clusters, else uint16.

        The mask of an image does not depend on the others. Raises as `fit`.
        """
        source = self._fitted_source(images)
        return [
            cluster_mask(feature_map, self._clustering, record.height, record.width)
            for feature_map, record in zip(self._feature_maps(source), source.records, strict=True)
        ]

    def fit_predict(self, images: Images, y: Any = None) -> list[np.ndarray]:
        """Returns `fit(images).predict(images)`."""
        return self.fit(images).predict(images)

    def transform(self, images: Images) -> list[np.ndarray]:
        """Returns the feature map of each image: (h, w, D) float32 of unit norm, h = ceil(scaled height / 4)."""
        return list(self._feature_maps(self._fitted_source(images)))

    def fit_transform(self, images: Images, y: Any = None) -> list[np.ndarray]:
        """Returns `fit(images).transform(images)`."""
        return self.fit(images).transform(images)

    def _train(
        self, network: Embedder, source: GivenImages, sampling: SampleSettings, order: ImagePass
    ) -> list[dict[str, Any]]:
        """Trains the network by PiCIE, in place; returns the record of each epoch."""
        from picie_core.training.trainer import Training

        fit_decoder(order, network, self.device)
        ids = [record.id for record in source.records]
        settings, _, _ = recipe_settings(usual_recipe(self.backbone), k=self.n_clusters, epochs=self.epochs)
        records = list(Training(network, source, ids, settings, sampling, self.device).epochs(order.report))
        if records[-1].collapsed:
            warnings.warn(
                f"the training has collapsed ({records[-1].line()['collapse']})", RuntimeWarning, stacklevel=3
            )
        network.eval()
        return [record.line() for record in records]

    def _feature_maps(self, source: GivenImages) -> Iterator[np.ndarray]:
        engine = FrozenEmbedder(self.embedder_, self.device)
        for _, image in source.iterate(range(len(source.records))):
            if isinstance(image, PicieError):
                raise image
            yield embed_image(engine, image)

    def _fitted_source(self, images: Images) -> GivenImages:
        check_is_fitted(self, "cluster_centers_")
        return self._source(images)

    def _source(self, images: Images) -> GivenImages:
        """Returns the images as a source. Raises SettingError when there are none."""
        if isinstance(images, str | Path):
            folder = Path(images)
            given: list[np.ndarray | Path] = [folder / name for name in find_images(folder)]
        else:
            given = [image if isinstance(image, np.ndarray) else Path(image) for image in images]
        if not given:
            raise SettingError("no images: give uint8 RGB arrays (H, W, 3), paths, or a folder that holds images")
        return GivenImages(given, self.image_size)


def _raise(image_id: int, error: PicieError) -> None:
    raise error
