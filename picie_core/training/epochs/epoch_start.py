"""The start of an epoch: the clustering of its views and, where labels belong to the epoch, their pseudo-labels [1].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from picie_core.models.embedder import Embedder
from picie_core.models.inference import folded_copy
from picie_core.progress import Meter, Report
from picie_core.settings import SampleSettings
from picie_core.training.distributed import FabricWorkers
from picie_core.training.epochs.epoch_features import EpochFeatures
from picie_core.training.losses.objective import Objective
from picie_core.training.settings import TrainSettings
from picie_core.training.views.batches import Batch, Batches
from picie_core.training.views.paired_views import AlignedViews

EpochLabels = dict[int, Tensor]
"""Image id to its pseudo-labels (L, V, h, w) of an epoch, on the CPU."""


class EpochStart:
    """Passes over the images at the start of an epoch, without gradients and sharded over the workers."""

    def __init__(
        self,
        objective: Objective,
        batches: Batches,
        features: EpochFeatures,
        fabric: Fabric,
        settings: TrainSettings,
        sampling: SampleSettings,
    ):
        self.objective, self.batches, self.features, self.fabric = objective, batches, features, fabric
        self.settings, self.sampling, self.workers = settings, sampling, FabricWorkers(fabric)

    def views(self, ids: list[int], epoch: int) -> AlignedViews:
        """Returns the objective's views of these images in an epoch."""
        settings = self.settings
        return AlignedViews(self.objective.views, self.sampling.seed, epoch, ids, settings.views, settings.crop_scale)

    @property
    def of_steps(self) -> bool:
        """Whether the features of an epoch's last steps are clustered at the start of the next."""
        clusters = self.objective.clusters is not None
        return clusters and self.settings.clustered == "steps" and self.settings.kmeans == "sample"

    def cluster(self, network: Embedder, epoch: int, image_ids: list[int], report: Report, label: str) -> None:
        """Starts the objective's epoch with a clustering of features of these images.

        differs from PiCIE: unless it has a pass of its own, the features are those of the last steps of the epoch
        before, which saves a forward pass over the images.
        """
        if self.objective.clusters is None:
            self.objective.start_epoch(epoch, [])
        elif epoch > 0 and self.of_steps:
            self.objective.start_epoch(epoch, self.features.take())
        else:
            self._clustering_pass(network, epoch, image_ids, report, f"{label} clustering")

    @torch.no_grad()
    def _clustering_pass(self, network: Embedder, epoch: int, image_ids: list[int], report: Report, phase: str) -> None:
        """Clusters the features of the first images; mini-batch k-means then goes over all others, batch by batch.

        Batch norm is in training mode where it trains, so that its statistics take in these images too, as in [1].
        differs from PiCIE: batches are those of the training, where the authors' code has 256 images.
        """
        rng = np.random.default_rng((self.sampling.seed, epoch, 1))
        first = min(self.settings.cluster_images, len(image_ids))
        whole = self.settings.kmeans == "mini-batch"
        ids = rng.choice(image_ids, len(image_ids) if whole else first, replace=False).tolist()
        network.train(self.settings.batch_norm == "train")
        self.features.batches, seen, started = [], 0, False
        for batch, maps in self._embed(network, ids, epoch, report, phase):
            if seen < first:
                self.features.add(maps, batch, epoch, first)
            else:
                if not started:
                    self.objective.start_epoch(epoch, self.features.take())
                    started = True
                assert self.objective.clusters is not None
                self.objective.clusters.update(maps)
            seen += self.batches.batch
        if not started:
            self.objective.start_epoch(epoch, self.features.take())
        if self.settings.batch_norm == "train":
            self.workers.average_batch_norm(network)

    @torch.no_grad()
    def label(
        self, network: Embedder, epoch: int, image_ids: list[int], report: Report, label: str
    ) -> EpochLabels | None:
        """Returns the labels that these images keep for the epoch, where they do, equal in all workers.

        Class weights then follow from the labels of all images, as in [1].
        """
        clusters = self.objective.clusters
        if clusters is None or self.settings.labels == "step":
            return None
        labels: EpochLabels = {}
        for batch, maps in self._embed(folded_copy(network), image_ids, epoch, report, f"{label} labels"):
            if batch.ids:
                labels |= dict(zip(batch.ids, clusters.label(maps).cpu(), strict=True))
        clusters.weigh(labels.values())
        return self.workers.gather_tables(labels)

    def _embed(
        self, network: Embedder, ids: list[int], epoch: int, report: Report, phase: str
    ) -> Iterator[tuple[Batch, list[Tensor]]]:
        """Yields the batches of this worker with the maps of their views, none of a batch that could not be read."""
        meter = Meter(phase, len(ids), report)
        for batch in self.batches.read(ids, epoch, 0, self.workers.rank, self.workers.world_size):
            maps = [self.features.none[0].new_zeros(0, self.features.dim, 1, 1) for _ in self.objective.views]
            if batch.ids:
                views = self.views(batch.ids, epoch)
                with self.fabric.autocast():
                    maps = views.maps(network, views.images(batch.images))
            yield batch, maps
            meter.advance(min(self.batches.batch, len(ids) - meter.done))
