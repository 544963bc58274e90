"""Training an embedder: the epoch loop of every objective, on Lightning Fabric.

An epoch clusters the views of images, then trains on all images to predict the clusters [1, algorithm 1]. The
order of images, the views and every other draw belong to (seed, epoch, image), so a resumed training is exactly the
training that was never stopped.

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from picie_core.data.images.image_source import ImageSource
from picie_core.errors import SharedError
from picie_core.models.embedder import Embedder
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import SampleSettings
from picie_core.training.distributed import FabricWorkers, make_fabric
from picie_core.training.epochs.epoch_features import EpochFeatures
from picie_core.training.epochs.epoch_metrics import EpochRecord, EpochTotals, changed_share, not_finite
from picie_core.training.epochs.epoch_start import EpochLabels, EpochStart
from picie_core.training.epochs.held_out import HeldOut
from picie_core.training.free_memory import return_free_memory
from picie_core.training.losses import MakeObjective, make_objective
from picie_core.training.losses.objective import Step
from picie_core.training.losses.pseudo_labels import flatten
from picie_core.training.optimizers import head_optimizer, network_optimizer, set_learning_rates
from picie_core.training.settings import TrainSettings
from picie_core.training.views.batches import Batch, Batches, ReadMask
from picie_core.training.views.paired_views import blank_images, halved

PROBE_IMAGES = 8
"""Images whose labels are compared from epoch to epoch."""
CHECK_STEPS = 20
"""A GPU is asked for the loss only every so many steps, because it has to finish its work to answer."""


class Training:
    """One training of `embedder` on the images `image_ids`; iterate over `epochs` to run it.

    masks: returns the ground truth of an image, for methods that learn from it. held_out: images that a supervised
    training is measured on, for its best epoch; it does not learn from them. fabric: the launched Fabric of several
    workers; without it one for `device` is made. make: returns the objective of `method`.
    """

    def __init__(
        self,
        embedder: Embedder,
        cache: ImageSource,
        image_ids: list[int],
        settings: TrainSettings,
        sampling: SampleSettings,
        device: str = "auto",
        method: str = "picie",
        *,
        masks: ReadMask | None = None,
        held_out: list[int] | None = None,
        fabric: Fabric | None = None,
        make: MakeObjective = make_objective,
    ):
        self.image_ids, self.settings, self.sampling, self.method = image_ids, settings, sampling, method
        self.fabric = fabric or make_fabric(settings.precision, device)
        self.workers = FabricWorkers(self.fabric)
        dim, seed = embedder.settings.dim, sampling.seed
        self.objective = make(method, settings, dim, seed, self.fabric.device, self.workers)
        self.embedder: Embedder = embedder
        module = embedder.to(memory_format=torch.channels_last)
        self.network: Any
        self.optimizer: Any
        self.network, self.optimizer = self.fabric.setup(module, network_optimizer(embedder, settings))
        self.head_optimizer = head_optimizer(self.objective.parameters(), settings)
        self.square_px = settings.square_px(sampling.size_px)
        centre = settings.square == "centre"
        self.batches = Batches(cache, self.square_px, sampling.batch, seed, self.fabric.device, masks, centre)
        self.features = EpochFeatures(len(self.objective.views), dim, seed, self.workers, settings.kmeans)
        self.start = EpochStart(self.objective, self.batches, self.features, self.fabric, settings, sampling)
        self.held_out = HeldOut(held_out or [], self.objective, self.batches, self.fabric, settings)
        self.labels: EpochLabels | None = None  # None: each step makes its own
        self.totals = EpochTotals(settings.k, self.fabric.device)
        self.probe_labels: Tensor | None = None
        self.epoch, self.step, self.settled = 0, 0, False
        self.clustering_s = self.spent_s = 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch; the last batch may be smaller."""
        return math.ceil(len(self.image_ids) / self.sampling.batch)

    @property
    def clustered_images(self) -> int:
        """Images that an epoch clusters."""
        return min(self.settings.cluster_images, len(self.image_ids))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the labels have settled."""
        return self.settled or self.epoch >= self.settings.epochs

    def epochs(
        self,
        report: Report = ignore_progress,
        stop: Callable[[], bool] = lambda: False,
        after_step: Callable[[], None] = lambda: None,
    ) -> Iterator[EpochRecord]:
        """Runs the epochs that are left and yields the record of each.

        It ends early, in the middle of an epoch, after the step in which `stop` returns True, in any worker.
        after_step: called after every step whose loss is known to be finite, such as to write a checkpoint.
        """
        while not self.finished:
            record = self._run_epoch(report, stop, after_step)
            if record is None:
                return
            yield record

    def _run_epoch(
        self, report: Report, stop: Callable[[], bool], after_step: Callable[[], None]
    ) -> EpochRecord | None:
        label = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        start = time.monotonic() - self.spent_s  # the seconds before a stop count too
        order = np.random.default_rng((self.sampling.seed, self.epoch)).permutation(self.image_ids).tolist()
        return_free_memory()
        if self.step == 0:
            if self.epoch == 0:
                self.held_out.measure(self.embedder)
            self._start_epoch(order, report, label)
            return_free_memory()
            self.clustering_s = time.monotonic() - start
        meter = Meter(label, len(order), report, done=self.step * self.sampling.batch)
        self.embedder.train(self.settings.batch_norm == "train")
        for batch in self.batches.read(order, self.epoch, self.step, self.workers.rank, self.workers.world_size):
            checked = self._checks_loss()
            self._train_step(batch)
            self.step += 1
            self.spent_s = time.monotonic() - start
            metrics = self.totals.means() if self._checks_loss() else {}
            meter.advance(min(self.sampling.batch, len(order) - meter.done), **metrics)
            if checked:  # otherwise a checkpoint might hold a network that has diverged
                after_step()
            if self._stops(stop):
                self.totals.check_finite(self.epoch)
                return None
        return self._finish_epoch(time.monotonic() - start)

    def _checks_loss(self) -> bool:
        return self.fabric.device.type == "cpu" or self.step % CHECK_STEPS == 0

    def _stops(self, stop: Callable[[], bool]) -> bool:
        """Whether any worker was asked to stop: all leave after the same step, so that none waits for another."""
        if self.workers.world_size == 1:
            return stop()
        return self._checks_loss() and bool(
            self.workers.sum(torch.tensor(float(stop()), device=self.fabric.device)) > 0
        )

    def _start_epoch(self, order: list[int], report: Report, label: str) -> None:
        self.totals = EpochTotals(self.settings.k, self.fabric.device)
        self.start.cluster(self.embedder, self.epoch, self.image_ids, report, label)
        self.labels = self.start.label(self.embedder, self.epoch, order, report, label)
        if self.objective.renews_head:
            self.head_optimizer = head_optimizer(self.objective.parameters(), self.settings)

    # -- one step

    def _train_step(self, batch: Batch) -> None:
        done, total = self.epoch * self.steps_per_epoch + self.step, self.settings.epochs * self.steps_per_epoch
        optimizers: list[Any] = [self.optimizer, *([] if self.head_optimizer is None else [self.head_optimizer])]
        for optimizer in optimizers:
            renewed = optimizer is self.head_optimizer and self.objective.renews_head
            schedule = "constant" if renewed else self.settings.schedule
            set_learning_rates(optimizer, schedule, done, total, self.steps_per_epoch)
            optimizer.zero_grad(set_to_none=True)
        step = self._embed_step(batch if self.labels is None else batch.only(self.labels), done)
        loss = self.objective.loss(step)
        self.totals.add(loss, self.workers)
        if self._checks_loss():
            self.totals.check_finite(self.epoch)
        self.fabric.backward(loss.total)
        if self.workers.world_size > 1:  # Fabric averages the gradients of the network
            for parameter in self.objective.parameters():
                if parameter.grad is not None:
                    parameter.grad = self.workers.mean(parameter.grad)
        for optimizer in optimizers:
            optimizer.step()
        if self.settings.batch_norm == "train":
            self.workers.average_batch_norm(self.embedder)
        clustered, left = self.clustered_images, len(self.image_ids) - self.step * self.sampling.batch
        if self.start.of_steps and left <= clustered + self.sampling.batch:
            self.features.add([one.detach() for one in step.maps], batch, self.epoch, clustered)

    def _embed_step(self, batch: Batch, done: int) -> Step:
        """Returns the maps of the objective's views, empty ones of a batch in which no file could be read."""
        ids, images = batch.ids, batch.images
        if not ids:  # DDP needs a forward pass in every worker
            ids, images = [0], blank_images(self.square_px, self.fabric.device)
        views = self.start.views(ids, self.epoch)
        maps = views.maps(self.network, views.images(images))
        masks = None if batch.masks is None else views.masks(batch.masks)
        if not batch.ids:
            return Step([one[:0] for one in maps], None, masks and masks[:0], done)
        labels = None if self.labels is None else torch.stack([self.labels[one] for one in batch.ids])
        return Step(maps, None if labels is None else labels.to(self.fabric.device), masks, done)

    # -- the end of an epoch

    def _finish_epoch(self, seconds: float) -> EpochRecord:
        self.totals.check_finite(self.epoch)
        self.batches.cache.flush()
        self.batches.unreadable = self.workers.gather_tables(self.batches.unreadable)
        if self.workers.rank > 0:  # rank 0 has stored the images that it decoded
            self.batches.cache.refresh()
        probed = self._probe() if self.workers.rank == 0 else (0.0, 0.0)
        both = self.workers.broadcast(torch.tensor(probed, dtype=torch.float64, device=self.fabric.device))
        changed, spread = both.tolist()
        measured = self.held_out.measure(self.embedder)
        record = self.totals.record(
            epoch=self.epoch + 1,
            changed_labels=changed,
            spread=spread,
            images_per_s=len(self.image_ids) / max(seconds, 1e-9),
            seconds=seconds,
            clustering_s=self.clustering_s,
        )
        record = replace(record, parts={**record.parts, **measured})
        self.epoch, self.step, self.spent_s, self.labels = self.epoch + 1, 0, 0.0, None
        self.settled = record.changed_labels < self.settings.settle
        return record

    @torch.no_grad()
    def _probe(self) -> tuple[float, float]:
        """Returns, on some fixed images, the share of labels that changed since the last epoch, and the spread.

        The share is 1 after the first epoch; the spread is 1 less the mean cosine between embeddings.
        """
        self.embedder.eval()
        rng = np.random.default_rng(self.sampling.seed)
        ids = rng.choice(self.image_ids, min(PROBE_IMAGES, len(self.image_ids)), replace=False).tolist()
        labels, sums = [], []
        for batch in self.batches.read(ids, 0):
            if batch.ids:
                whole = batch.images if self.settings.views == "half" else halved(batch.images.float() / 255)
                with self.fabric.autocast():
                    z = flatten(self.embedder(whole))
                labels.append(self.objective.label(z).cpu())
                sums.append(z.double().sum(0).cpu())
        if not labels:
            raise SharedError("no image could be read: see `info` for the reason of each")
        before, self.probe_labels = self.probe_labels, torch.cat(labels).to(torch.int16)
        mean = torch.stack(sums).sum(0) / len(self.probe_labels)
        spread = max(0.0, 1 - float(mean.square().sum()))
        if before is None or before.shape != self.probe_labels.shape:
            return 1.0, spread
        return changed_share(before, self.probe_labels, self.settings.k), spread

    def check_weights(self) -> None:
        """Raises PicieError when a weight is not finite, so that such a state replaces no good checkpoint."""
        if not all(bool(torch.isfinite(value).all()) for value in self.embedder.parameters()):
            raise not_finite("network", self.epoch, max(self.step - 1, 0))
