"""Training an embedder with PiCIE: the epoch loop, on Lightning Fabric.

An epoch: cluster both views of some images, then agree with the clusters on all images [1, algorithm 1].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie_core.embedder import Embedder
from picie_core.engine import make_fabric, parameter_groups, set_learning_rates
from picie_core.epoch import EpochRecord, EpochTotals
from picie_core.errors import PicieError
from picie_core.images import ImageCache
from picie_core.kmeans import spherical_kmeans
from picie_core.objectives.picie import RunningShares, ViewClusters, class_weights, label_entropy, picie_loss
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import SampleSettings, TrainSettings
from picie_core.views import (
    apply_geometric,
    apply_photometric,
    draw_geometric,
    draw_photometric,
    square_crop,
    uniforms,
)

CLUSTERED_CELLS = 100_000
"""Cells of each view that an epoch's clustering sees at most."""
PROBE_IMAGES = 16
"""Images whose labels are compared from epoch to epoch."""


class Training:
    """One training: call `epochs`; `state` and `load_state` carry it over a stop."""

    def __init__(
        self,
        embedder: Embedder,
        cache: ImageCache,
        image_ids: list[int],
        settings: TrainSettings,
        sampling: SampleSettings,
        device: str = "auto",
    ):
        self.cache, self.image_ids, self.settings, self.sampling = cache, image_ids, settings, sampling
        self.fabric = make_fabric(settings, device)
        self.fabric.launch()
        parameters = parameter_groups(embedder, settings)
        optimizer = torch.optim.AdamW(parameters, weight_decay=0.0)
        module = embedder.to(memory_format=torch.channels_last)
        self.network, self.optimizer = self.fabric.setup(module, optimizer)
        self.embedder: Embedder = self.network.module
        self.epoch, self.step = 0, 0
        self.clusters: list[ViewClusters] | None = None
        self.shares: list[RunningShares] = []
        self.probe_labels: Tensor | None = None
        self.totals = EpochTotals(settings.k)
        self.stop: Callable[[], bool] = lambda: False

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch; the last batch may be smaller."""
        return math.ceil(len(self.image_ids) / self.sampling.batch)

    def epochs(self, report: Report = ignore_progress) -> Iterator[EpochRecord]:
        """Yields the record of each epoch when it is over; ends early after the step in which `stop` became true."""
        while self.epoch < self.settings.epochs:
            record = self._run_epoch(report)
            if record is None:
                return
            yield record

    # -- one epoch

    def _run_epoch(self, report: Report) -> EpochRecord | None:
        label = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        if self.step == 0:
            self.totals = EpochTotals(self.settings.k)
            self.clusters = self._cluster(report, f"{label} clustering")
            self.shares = [RunningShares(one, self.settings.hold_shares) for one in self.clusters]
        order = np.random.default_rng((self.sampling.seed, self.epoch)).permutation(self.image_ids).tolist()
        meter = Meter(label, len(order) - self.step * self.sampling.batch, report)
        start = time.monotonic()
        self._set_mode()
        for batch_ids, images in self._batches(order, self.step):
            self._train_step(batch_ids, images)
            self.step += 1
            meter.advance(len(batch_ids), **self.totals.means())
            if self._asked_to_stop():
                return None
        return self._finish_epoch(time.monotonic() - start)

    def _asked_to_stop(self) -> bool:
        """Whether any of the processes was asked to: all leave after the same step, so that none waits for another."""
        asked = torch.tensor(float(self.stop()), device=self.fabric.device)
        return bool(torch.as_tensor(self.fabric.all_reduce(asked, reduce_op="sum")) > 0)

    def _train_step(self, ids: list[int], images: Tensor) -> None:
        assert self.clusters is not None
        share = slice(self.fabric.global_rank, None, self.fabric.world_size)
        ids, images = ids[share] or ids, images[share] if ids[share] else images
        done = self.epoch * self.steps_per_epoch + self.step
        set_learning_rates(self.optimizer, done, self.settings.epochs * self.steps_per_epoch, self.steps_per_epoch)
        z1, z2 = self._two_views(ids, images)
        offsets = (self.shares[0].offset(), self.shares[1].offset())
        found = picie_loss(z1, z2, self.clusters[0], self.clusters[1], self.settings.temperature, offsets)
        if not torch.isfinite(found.total):
            raise PicieError(
                f"the loss is not finite at epoch {self.epoch + 1}, step {self.step + 1}: the last checkpoint is good; "
                "lower --lr-decoder and --lr-backbone, or use --precision 32-true"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(found.total)
        self.optimizer.step()
        self.totals.add(found)
        for shares, labels in zip(self.shares, found.labels, strict=True):
            shares.update(labels)

    def _two_views(self, ids: list[int], images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (N, D) unit embeddings of the same pixels: warp then embed, and embed then warp [1, eq. 5 to 7]."""
        seed, epoch, size_px = self.sampling.seed, self.epoch, self.sampling.size_px
        geometric = draw_geometric(uniforms(seed, epoch, ids, 0, 4))
        first, second = (draw_photometric(uniforms(seed, epoch, ids, view, 11)) for view in (1, 2))
        images = images.float() / 255
        view1 = apply_geometric(apply_photometric(images, first), geometric, size_px // 2)
        z1 = self.network(view1)  # (B, D, h/2, w/2)
        z2 = self.network(apply_photometric(images, second))  # (B, D, h, w)
        z2 = F.normalize(apply_geometric(z2, geometric, z1.shape[2]), dim=1)  # unit again after the warp
        return _flatten(z1), _flatten(z2)

    @torch.no_grad()
    def _cluster(self, report: Report, phase: str) -> list[ViewClusters]:
        """Returns the clusters of view 1 and view 2 for this epoch, started from those of the epoch before."""
        self.embedder.eval()
        rng = np.random.default_rng((self.sampling.seed, self.epoch, 1))
        count = min(self.settings.cluster_images, len(self.image_ids))
        ids = rng.choice(self.image_ids, count, replace=False).tolist()
        meter = Meter(phase, count, report)
        each = max(CLUSTERED_CELLS // count, 1)
        rows: tuple[list[Tensor], list[Tensor]] = ([], [])
        for batch_ids, images in self._batches(ids, 0):
            views = self._two_views(batch_ids, images)
            drawn = torch.from_numpy(rng.permutation(len(views[0]))[: each * len(batch_ids)])
            for view_rows, view in zip(rows, views, strict=True):
                view_rows.append(view[drawn.to(view.device)].float().cpu())
            meter.advance(len(batch_ids))
        return self._fit_centroids(*(torch.cat(view_rows).numpy() for view_rows in rows))

    def _fit_centroids(self, rows1: np.ndarray, rows2: np.ndarray) -> list[ViewClusters]:
        k, seed, device = self.settings.k, self.sampling.seed, self.fabric.device
        starts = [one.centroids.cpu().numpy() for one in self.clusters] if self.clusters else [None, None]
        second = spherical_kmeans(rows2, k, seed, init=starts[1], device=device.type)
        first = spherical_kmeans(rows1, k, seed, init=second.centroids if starts[0] is None else starts[0])
        made = []
        for found in (first, second):
            centroids, counts = torch.from_numpy(found.centroids), torch.from_numpy(found.counts)
            parts = (centroids, class_weights(counts, self.settings.balance), counts / counts.sum())
            made.append(ViewClusters(*self.fabric.broadcast(tuple(part.to(device) for part in parts))))
        return made

    def _finish_epoch(self, seconds: float) -> EpochRecord:
        self.totals.gather(self.fabric)
        record = EpochRecord(
            epoch=self.epoch + 1,
            **self.totals.means(),
            label_entropy=label_entropy(self.totals.label_counts),
            dead_clusters=int((self.totals.label_counts == 0).sum()),
            changed_labels=self._changed_labels(),
            images_per_s=len(self.image_ids) / max(seconds, 1e-9),
            seconds=seconds,
        )
        self.epoch, self.step = self.epoch + 1, 0
        return record

    @torch.no_grad()
    def _changed_labels(self) -> float:
        """Returns the share of cells of the probe images whose label changed; 1 after the first epoch."""
        assert self.clusters is not None
        self.embedder.eval()
        rng = np.random.default_rng(self.sampling.seed)
        ids = rng.choice(self.image_ids, min(PROBE_IMAGES, len(self.image_ids)), replace=False).tolist()
        centroids = self.clusters[1].centroids
        labels = [
            (_flatten(self.network(images.float() / 255)) @ centroids.T).argmax(1).cpu()
            for _, images in self._batches(ids, 0, fixed=True)
        ]
        before, self.probe_labels = self.probe_labels, torch.cat(labels).to(torch.int16)
        return 1.0 if before is None else float((before != self.probe_labels).float().mean())

    # -- data, learning rates, state

    def _batches(self, ids: list[int], first: int, fixed: bool = False) -> Iterator[tuple[list[int], Tensor]]:
        """Yields (ids, uint8 (B, 3, S, S) on the device) from batch `first` on; decoding runs ahead in threads."""
        batch = self.sampling.batch
        rows: list[np.ndarray] = []
        batch_ids: list[int] = []
        epoch = 0 if fixed else self.epoch
        wanted = ids[first * batch :]
        for count, (image_id, image) in enumerate(self.cache.iterate(wanted, ahead=2 * batch), 1):
            if not isinstance(image, PicieError):
                place = uniforms(self.sampling.seed, epoch, [image_id], 3, 1)[0, 0]
                rows.append(square_crop(image, place))
                batch_ids.append(image_id)
            if rows and (len(rows) == batch or count == len(wanted)):
                yield batch_ids, self._to_device(rows)
                rows, batch_ids = [], []

    def _to_device(self, rows: list[np.ndarray]) -> Tensor:
        size_px = min(min(row.shape[0] for row in rows), self.sampling.size_px)
        rows = [row[:size_px, :size_px] for row in rows]  # long panoramas are smaller than size_px
        return torch.from_numpy(np.stack(rows)).to(self.fabric.device).permute(0, 3, 1, 2)

    def _set_mode(self) -> None:
        self.embedder.train(self.settings.batch_norm == "train")

    def state(self) -> dict[str, Any]:
        """Returns all that a resumed training needs; draws need nothing, they belong to (seed, epoch, image)."""
        return {
            "settings": asdict(self.settings),
            "embedder": self.embedder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "clusters": [asdict(one) for one in self.clusters or []],
            "shares": [one.running for one in self.shares],
            "probe_labels": self.probe_labels,
            "totals": self.totals.__dict__,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises PicieError when it belongs to another network."""
        try:
            self.embedder.load_state_dict(state["embedder"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise PicieError(
                f"the checkpoint is of another network ({str(error).splitlines()[0]}): start anew"
            ) from error
        self.epoch, self.step = state["epoch"], state["step"]
        device = self.fabric.device
        restored = [
            ViewClusters(*(one[name].to(device) for name in ("centroids", "class_weights", "shares")))
            for one in state["clusters"]
        ]
        self.clusters = restored or None
        self.shares = [RunningShares(one, self.settings.hold_shares) for one in restored]
        for shares, running in zip(self.shares, state["shares"], strict=True):
            shares.running = running.to(device)
        self.probe_labels = state["probe_labels"]
        self.totals.__dict__.update(state["totals"])


def _flatten(z: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * h * w, D) float32."""
    return z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float()
