"""Training an embedder: the epoch loop of every objective, on Lightning Fabric.

An epoch: cluster the views of some images, then agree with the clusters on all images [1, algorithm 1]. Data order,
views and every other draw belong to (seed, epoch, image), so a resumed training is the training that was never stopped.

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from picie_core.data.image_source import ImageSource
from picie_core.errors import PicieError, SharedError
from picie_core.models.embedder import Embedder
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import SampleSettings, TrainSettings
from picie_core.training.batches import Batch, Batches, ReadMask
from picie_core.training.epoch_features import KeptFeatures, draw_cells, in_order
from picie_core.training.epoch_metrics import EpochRecord, EpochTotals, changed_share, not_finite
from picie_core.training.fabric import (
    FabricProcesses,
    head_optimizer,
    launch,
    make_fabric,
    parameter_groups,
    set_learning_rates,
)
from picie_core.training.losses import make_objective
from picie_core.training.losses.objective import Step, flatten
from picie_core.training.paired_views import AlignedViews, blank_images

PROBE_IMAGES = 8
"""Images whose labels are compared from epoch to epoch."""


class Training:
    """One training: call `epochs`; `state` and `load_state` carry it over a stop.

    fabric: an engine that has met the other processes; without one the training is alone.
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
        masks: ReadMask | None = None,
        fabric: Fabric | None = None,
    ):
        self.image_ids, self.settings, self.sampling, self.method = image_ids, settings, sampling, method
        self.fabric = fabric or launch(make_fabric(settings, device))
        self.processes = FabricProcesses(self.fabric)
        self.objective = make_objective(
            method, settings, embedder.settings.dim, sampling.seed, self.fabric.device, self.processes
        )
        self.embedder: Embedder = embedder
        self.network: Any = embedder
        self.optimizer: Any = None
        if self.objective.trains_network:
            module = embedder.to(memory_format=torch.channels_last)
            optimizer = torch.optim.Adam(parameter_groups(embedder, settings))
            self.network, self.optimizer = self.fabric.setup(module, optimizer)
        else:
            self.fabric.to_device(embedder)
        self.head_optimizer = head_optimizer(self.objective.parameters(), settings)
        self.teacher: Embedder | None = None
        self.batches = Batches(cache, sampling.size_px, sampling.batch, sampling.seed, self.fabric.device, masks)
        self.epoch, self.step, self.settled = 0, 0, False
        self.probe_labels: Tensor | None = None
        self.kept: list[KeptFeatures] = []
        self.totals = EpochTotals(settings.k, self.fabric.device)
        self.clustering_s = 0.0
        self.spent_s = 0.0
        self.stop: Callable[[], bool] = lambda: False
        self.after_step: Callable[[], None] = lambda: None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch; the last batch may be smaller."""
        return math.ceil(len(self.image_ids) / self.sampling.batch)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the labels have settled."""
        return self.settled or self.epoch >= self.settings.epochs

    def epochs(self, report: Report = ignore_progress) -> Iterator[EpochRecord]:
        """Yields the record of each epoch when it is over; ends early after the step in which `stop` became true."""
        while not self.finished:
            record = self._run_epoch(report)
            if record is None:
                return
            yield record

    # -- one epoch

    def _run_epoch(self, report: Report) -> EpochRecord | None:
        label = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        start = time.monotonic() - self.spent_s  # what an epoch took before a stop belongs to it
        if self.step == 0:
            self._start_epoch(report, f"{label} clustering")
            self.clustering_s = time.monotonic() - start
        order = np.random.default_rng((self.sampling.seed, self.epoch)).permutation(self.image_ids).tolist()
        meter = Meter(label, len(order), report, done=self.step * self.sampling.batch)
        self.embedder.train(self.objective.trains_network and self.settings.batch_norm == "train")
        for batch in self.batches.read(order, self.epoch, self.step, self.processes.rank, self.processes.world):
            looked = self._steps()
            self._train_step(batch)
            self.step += 1
            self.spent_s = time.monotonic() - start
            metrics = self.totals.means() if self._steps() else {}
            meter.advance(min(self.sampling.batch, len(order) - meter.done), **metrics)
            if looked:  # else the loss may not be finite any more, and the checkpoint would not be a good one
                self.after_step()
            if self._asked_to_stop():
                self.totals.check_finite(self.epoch)
                return None
        return self._finish_epoch(time.monotonic() - start)

    def _start_epoch(self, report: Report, phase: str) -> None:
        self.totals = EpochTotals(self.settings.k, self.fabric.device)
        labels = self.settings.labels if self.objective.clusters else "step"
        if labels == "epoch" or (labels == "teacher" and self.teacher is None):
            self.teacher = copy.deepcopy(self.embedder).eval().requires_grad_(False)
        cells = self._cells(report, phase) if self.objective.clusters else []
        self.objective.start_epoch(self.epoch, cells)
        if self.objective.renews_head:
            self.head_optimizer = head_optimizer(self.objective.parameters(), self.settings)

    def _asked_to_stop(self) -> bool:
        """Whether any of the processes was asked to: all leave after the same step, so that none waits for another."""
        if self.processes.world == 1:
            return self.stop()
        if not self._steps():
            return False
        return bool(self.processes.sum(torch.tensor(float(self.stop()), device=self.fabric.device)) > 0)

    def _train_step(self, batch: Batch) -> None:
        done, total = self.epoch * self.steps_per_epoch + self.step, self.settings.epochs * self.steps_per_epoch
        optimizers: list[Any] = [one for one in (self.optimizer, self.head_optimizer) if one is not None]
        for optimizer in optimizers:
            full = optimizer is self.head_optimizer and self.objective.renews_head
            schedule = "constant" if full else self.settings.schedule
            set_learning_rates(optimizer, schedule, done, total, self.steps_per_epoch)
            optimizer.zero_grad(set_to_none=True)
        step = self._embed_step(batch, done)
        found = self.objective.loss(step)
        self.totals.add(found, self.processes)
        if self._steps():
            self.totals.check_finite(self.epoch)
        self.fabric.backward(found.total)
        if self.processes.world > 1:  # the network's are averaged by the engine
            for parameter in self.objective.parameters():
                if parameter.grad is not None:
                    parameter.grad = self.processes.mean(parameter.grad)
        for optimizer in optimizers:
            optimizer.step()
        self._share_statistics()
        self._move_teacher(done)
        self._keep_cells(batch, step)

    def _steps(self) -> bool:
        """Whether to look at the figures after this step: a GPU would have to wait for them, so seldom there."""
        return self.fabric.device.type == "cpu" or self.step % 20 == 0

    @torch.no_grad()
    def _share_statistics(self) -> None:
        """Gives all processes the mean of their batch norm statistics, where these train."""
        if self.processes.world > 1 and self.settings.batch_norm == "train":
            named = self.embedder.named_buffers()
            running = [buffer for name, buffer in named if name.endswith(("running_mean", "running_var"))]
            means = self.processes.mean(torch.cat([buffer.flatten() for buffer in running]))
            for buffer, mean in zip(running, means.split([buffer.numel() for buffer in running]), strict=True):
                buffer.copy_(mean.view_as(buffer))

    @torch.no_grad()
    def _move_teacher(self, done: int) -> None:
        """Moves the averaged teacher towards the network; faster at first, when there is little to average."""
        if self.teacher is None or self.settings.labels != "teacher":
            return
        keep = min(self.settings.momentum, (done + 1) / (done + 10))
        for mine, theirs in zip(self.teacher.parameters(), self.embedder.parameters(), strict=True):
            mine.lerp_(theirs, 1 - keep)
        for kept, buffer in zip(self.teacher.buffers(), self.embedder.buffers(), strict=True):
            kept.copy_(buffer)

    # -- views and cells

    def _embed_step(self, batch: Batch, done: int) -> Step:
        """Returns the maps of the objective's views; none at all of a batch in which no file could be read."""
        blank = not batch.ids
        ids, images = (
            ([0], blank_images(self.sampling.size_px, self.fabric.device)) if blank else (batch.ids, batch.images)
        )
        views = self._views(ids)
        prepared = views.images(images)
        with torch.set_grad_enabled(self.objective.trains_network):
            maps = views.maps(self.network, prepared)
        if self.teacher is None:
            seen = [one.detach() for one in maps]
        else:
            with torch.no_grad(), self.fabric.autocast():
                seen = views.maps(self.teacher, prepared)
        masks = None if batch.masks is None else views.masks(batch.masks)
        if not batch.ids:
            maps, seen, masks = [one[:0] for one in maps], [one[:0] for one in seen], masks and masks[:0]
        return Step(maps, seen, masks, done)

    def _views(self, ids: list[int]) -> AlignedViews:
        numbers = self.objective.views if self.objective.trains_network else ()
        return AlignedViews(numbers, self.sampling.seed, self.epoch, ids)

    def _cells(self, report: Report, phase: str) -> list[np.ndarray]:
        """Returns cells (N, D) of each view of some images, the same in every process."""
        kept, self.kept = self.kept, []
        if self.epoch == 0 or self.settings.clustered == "pass":
            kept = self._cells_of_a_pass(report, phase)
        return in_order(kept)

    @torch.no_grad()
    def _cells_of_a_pass(self, report: Report, phase: str) -> list[KeptFeatures]:
        """Returns the cells of some images, by the network as it is at the epoch's start."""
        source = (self.teacher or self.embedder).eval()
        rng = np.random.default_rng((self.sampling.seed, self.epoch, 1))
        ids = rng.choice(self.image_ids, self._clustered_images, replace=False).tolist()
        meter = Meter(phase, len(ids), report)
        kept = []
        for batch in self.batches.read(ids, self.epoch, 0, self.processes.rank, self.processes.world):
            maps: list[Tensor] = []
            if batch.ids:
                views = self._views(batch.ids)
                with self.fabric.autocast():
                    maps = views.maps(source, views.images(batch.images))
            kept.append(self._draw_cells(maps, batch))
            meter.advance(min(self.sampling.batch, len(ids) - meter.done))
        return kept

    @torch.no_grad()
    def _keep_cells(self, batch: Batch, step: Step) -> None:
        """Keeps cells of the last images of an epoch for the next clustering: the network has just embedded them."""
        first = self.step * self.sampling.batch
        wanted = self.objective.clusters and self.settings.clustered == "steps"
        if wanted and len(self.image_ids) - first <= self._clustered_images + self.sampling.batch:
            self.kept.append(self._draw_cells(step.seen, batch))

    @property
    def _clustered_images(self) -> int:
        return min(self.settings.cluster_images, len(self.image_ids))

    def _draw_cells(self, maps: Sequence[Tensor], batch: Batch) -> KeptFeatures:
        none = torch.zeros(0, self.embedder.settings.dim, device=self.fabric.device)
        maps = maps or [none for _ in self.objective.views]
        return draw_cells(maps, batch, self._clustered_images, self.sampling.seed, self.epoch, none, self.processes)

    # -- the end of an epoch

    def _finish_epoch(self, seconds: float) -> EpochRecord:
        self.totals.check_finite(self.epoch)
        self.batches.cache.flush()
        self.batches.unreadable = self.processes.gather_tables(self.batches.unreadable)
        if self.processes.rank > 0:  # the first process has stored what it decoded
            self.batches.cache.refresh()
        changed, spread = self._compared()
        record = self.totals.record(
            epoch=self.epoch + 1,
            changed_labels=changed,
            spread=spread,
            images_per_s=len(self.image_ids) / max(seconds, 1e-9),
            seconds=seconds,
            clustering_s=self.clustering_s,
        )
        self.epoch, self.step, self.spent_s = self.epoch + 1, 0, 0.0
        self.settled = record.changed_labels < self.settings.settle
        return record

    def _compared(self) -> list[float]:
        """Returns the share of labels that changed and the spread of the embeddings, as the first process finds it."""
        found = self._look_at_probes() if self.processes.rank == 0 else (0.0, 0.0)
        return self.processes.broadcast(torch.tensor(found, dtype=torch.float64, device=self.fabric.device)).tolist()

    @torch.no_grad()
    def _look_at_probes(self) -> tuple[float, float]:
        """Returns, of the cells of the probe images, the share whose label changed, and the spread.

        The share is 1 after the first epoch; the spread is 1 less the mean cosine of any two cells.
        """
        self.embedder.eval()
        rng = np.random.default_rng(self.sampling.seed)
        ids = rng.choice(self.image_ids, min(PROBE_IMAGES, len(self.image_ids)), replace=False).tolist()
        labels, sums = [], []
        for batch in self.batches.read(ids, 0):
            if batch.ids:
                with self.fabric.autocast():
                    z = flatten(self.embedder(batch.images))
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

    # -- state

    def check_weights(self) -> None:
        """Raises PicieError when a weight is not finite, so that such a state replaces no good checkpoint."""
        if not all(bool(torch.isfinite(value).all()) for value in self.embedder.parameters()):
            raise not_finite("network", self.epoch, max(self.step - 1, 0))

    def state(self) -> dict[str, Any]:
        """Returns all that a resumed training needs; draws need nothing, they belong to (seed, epoch, image)."""
        return {
            "method": self.method,
            "images": self.image_ids,
            "settings": asdict(self.settings),
            "network": asdict(self.embedder.settings),
            "embedder": self.embedder.state_dict(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "head_optimizer": None if self.head_optimizer is None else self.head_optimizer.state_dict(),
            "objective": self.objective.state(),
            "epoch": self.epoch,
            "step": self.step,
            "settled": self.settled,
            "probe_labels": self.probe_labels,
            "totals": self.totals.state(),
            "clustering_s": self.clustering_s,
            "spent_s": self.spent_s,
            "kept": [{"places": one.positions, "views": one.views} for one in self.kept],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises PicieError when it belongs to another network or method."""
        self._check_same(state)
        try:
            self.embedder.load_state_dict(state["embedder"])
            self.objective.load_state(state["objective"], self.fabric.device)
            if state["teacher"] is not None:
                self.teacher = copy.deepcopy(self.embedder).eval().requires_grad_(False)
                self.teacher.load_state_dict(state["teacher"])
            self.head_optimizer = head_optimizer(self.objective.parameters(), self.settings)
            for optimizer, name in ((self.optimizer, "optimizer"), (self.head_optimizer, "head_optimizer")):
                if optimizer is not None:
                    optimizer.load_state_dict(state[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise PicieError(
                f"the checkpoint is of another network ({str(error).splitlines()[0]}): start anew"
            ) from error
        self.image_ids = state["images"]  # the order of an epoch is drawn from them, whatever was found since
        self.epoch, self.step, self.settled = state["epoch"], state["step"], state["settled"]
        self.probe_labels, self.clustering_s = state["probe_labels"], state["clustering_s"]
        self.spent_s = state.get("spent_s", 0.0)
        device = self.fabric.device
        self.kept = [KeptFeatures(one["places"], [view.to(device) for view in one["views"]]) for one in state["kept"]]
        self.totals.load_state(state["totals"])

    def _check_same(self, state: dict[str, Any]) -> None:
        if state["method"] != self.method:
            raise PicieError(f"the checkpoint is of method {state['method']}, not {self.method}: start anew")
        stored = {**state["settings"], **state["network"]}
        mine = {**asdict(self.settings), **asdict(self.embedder.settings)}
        for name in ("backbone", "stages", "dim", "k", "overcluster"):
            if stored.get(name) != mine[name]:
                raise PicieError(
                    f"the checkpoint is of another network ({name} {stored.get(name)}, not {mine[name]}): start anew"
                )
