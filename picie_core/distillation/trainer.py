"""The training of a student: epochs of weighted steps, an averaged student, and the best of it kept.

All draws belong to (seed, round, epoch, step), so a resumed training ends with the weights of one that never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from picie_core.distillation.averaging import AveragedStudent
from picie_core.distillation.crops import Crops, pixel_weights, stack_crops
from picie_core.distillation.dataset import Examples, check_learnable
from picie_core.distillation.loss import class_weights, weighted_cross_entropy
from picie_core.distillation.settings import DistilSettings, StudentSettings
from picie_core.distillation.student.networks import Student, make_student
from picie_core.distillation.student.prediction import held_out_scores, normalised
from picie_core.errors import PicieError
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.training.distributed import make_fabric

WARM_UP_STEPS = 50
GRADIENT_NORM = 5.0


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch left; shares, not percent."""

    epoch: int
    """From 1, over all rounds."""
    round: int
    loss: float
    """Mean over the steps."""
    val_miou: float
    """Agreement of the averaged student with the held-out labels."""
    val_accuracy: float
    best: bool
    """Whether it is the best so far."""
    seconds: float


class Distillation:
    """One training of a student; iterate over `epochs` to run it. `best` is the averaged student to keep."""

    def __init__(
        self,
        train: Examples,
        val: Examples,
        class_names: list[str],
        student: StudentSettings,
        settings: DistilSettings,
        device: str = "auto",
        report: Report = ignore_progress,
    ):
        self.train, self.val, self.class_names = train, val, class_names
        self.student, self.settings = student, settings
        self.fabric: Fabric = make_fabric(settings.precision, device)
        weights_of = partial(pixel_weights, settings=settings)
        counts, mass = train.label_counts(weights_of, report)
        check_learnable(counts, val.label_counts(weights_of, report)[0], class_names)
        self.class_weights = torch.from_numpy(class_weights(counts, mass, settings.balance)).to(self.fabric.device)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            network = make_student(student, len(class_names))
        self._set_up(network)
        self.round, self.epoch, self.step = 1, 0, 0  # epoch of the round, step of the epoch
        self.round_started_s = 0.0
        self.best: dict[str, Tensor] = {}
        self.best_miou, self.best_epoch = -1.0, 0
        self.spent_s, self.loss_sum = 0.0, 0.0
        self.history: list[dict[str, Any]] = []

    def _set_up(self, network: Student) -> None:
        """Network, optimiser and averaged student, at the start of a training."""
        settings = self.settings
        backbone, head = list(network.backbone.parameters()), list(network.head.parameters())
        for parameter in backbone:
            parameter.requires_grad_(settings.lr_backbone > 0)
        groups = [{"params": head, "lr": settings.lr_head, "full_lr": settings.lr_head}]
        if settings.lr_backbone > 0:
            groups.append({"params": backbone, "lr": settings.lr_backbone, "full_lr": settings.lr_backbone})
        optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        self.plain = network.to(memory_format=torch.channels_last)
        self.network: Any
        self.network, self.optimizer = self.fabric.setup(self.plain, optimizer)
        self.averaged = AveragedStudent(self.plain, settings.averaging)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch; the last one is filled up with images of the start of its order."""
        return math.ceil(len(self.train) / self.settings.batch)

    @property
    def share_done(self) -> float:
        """How much of the round is done, 0 to 1, by steps or by time, whichever is further."""
        steps = self.epoch * self.steps_per_epoch + self.step
        by_steps = steps / (self.settings.epochs * self.steps_per_epoch)
        budget_s = 60 * self.settings.minutes / self.settings.rounds
        by_time = (self.spent_s - self.round_started_s) / budget_s if budget_s else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def finished(self) -> bool:
        """Whether the time or the epochs of the round are used up, or the agreement stopped growing long ago."""
        waited = len(self.history) - self.best_epoch if self.epoch else 0
        early = 0 < self.settings.patience <= waited
        return self.step == 0 and (early or self.share_done >= 1)

    def start_round(self, train: Examples) -> None:
        """Begins another round on other labels of the same images, with the best weights and full learning rates.

        The agreement with the held-out labels counts anew: these are the teacher's, and the student leaves it behind.
        """
        self.train = train
        self.plain.load_state_dict(self.best)
        self._set_up(self.plain)
        self.round, self.epoch, self.step = self.round + 1, 0, 0
        self.round_started_s = self.spent_s
        self.best_miou, self.best_epoch = -1.0, len(self.history)

    def epochs(
        self,
        report: Report = ignore_progress,
        stop: Callable[[], bool] = lambda: False,
        after_step: Callable[[], None] = lambda: None,
    ) -> Iterator[EpochRecord]:
        """Runs the epochs that are left and yields the record of each; ends early after the step in which `stop`
        returns True. after_step: called after every step, such as to write a checkpoint.
        """
        while not self.finished:
            record = self._run_epoch(report, stop, after_step)
            if record is None:
                return
            yield record

    def _run_epoch(
        self, report: Report, stop: Callable[[], bool], after_step: Callable[[], None]
    ) -> EpochRecord | None:
        start = time.monotonic() - self.spent_s
        order = self._order()
        batch = self.settings.batch
        meter = Meter(f"epoch {len(self.history) + 1}", len(order), report, done=self.step * batch)
        self.network.train()
        for crops in self._crops_ahead(order):
            loss = self._train_step(crops)
            self.loss_sum += loss
            self.step += 1
            self.spent_s = time.monotonic() - start
            meter.advance(batch, loss=self.loss_sum / self.step)
            after_step()
            if stop():
                return None
            if self.settings.minutes and self.share_done >= 1:
                break
        return self._finish_epoch(start)

    def _order(self) -> np.ndarray:
        """The images of the epoch's steps, whole batches."""
        rng = np.random.default_rng((self.settings.seed, self.round, self.epoch))
        return np.resize(rng.permutation(len(self.train)), self.steps_per_epoch * self.settings.batch)

    def _crops_ahead(self, order: np.ndarray) -> Iterator[Crops]:
        """Yields the crops of the steps that are left; the next ones are made during a step."""
        batch, settings = self.settings.batch, self.settings

        def make(step: int) -> Crops:
            key = (settings.seed, self.round, self.epoch, step)
            examples = [self.train[i] for i in order[step * batch : (step + 1) * batch].tolist()]
            return stack_crops(examples, settings, key)

        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(make, self.step)
            for step in range(self.step, self.steps_per_epoch):
                crops = coming.result()
                if step + 1 < self.steps_per_epoch:
                    coming = pool.submit(make, step + 1)
                yield crops

    def _train_step(self, crops: Crops) -> float:
        self._set_rates()
        self.optimizer.zero_grad(set_to_none=True)
        images, labels, weights = (one.to(self.fabric.device) for one in (crops.images, crops.labels, crops.weights))
        images = normalised(images)
        own = None
        if self.settings.bootstrap > 0:
            with torch.no_grad(), self.fabric.autocast():
                own = self.averaged.network(images).float().softmax(1)
        with torch.random.fork_rng():
            torch.manual_seed(hash((self.settings.seed, self.round, self.epoch, self.step)) & 0x7FFF_FFFF)  # dropout
            scores = self.network(images)
        loss = weighted_cross_entropy(
            scores, labels, weights, self.class_weights, own=own, bootstrap=self.settings.bootstrap * self.share_done
        )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise PicieError(
                f"the loss of epoch {self.epoch + 1} is {value}: it diverged, lower --lr-head and --lr-backbone"
            )
        self.fabric.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.plain.parameters(), GRADIENT_NORM)
        self.optimizer.step()
        self.averaged.update(self.plain)
        return value

    def _set_rates(self) -> None:
        done = self.epoch * self.steps_per_epoch + self.step
        factor = min(1.0, (done + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * self.share_done))
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * factor

    def _finish_epoch(self, start: float) -> EpochRecord:
        scores = held_out_scores(self.averaged.network, self.val, len(self.class_names), self.fabric)
        better = scores.mean_iou > self.best_miou
        if better:
            self.best = {name: value.cpu().clone() for name, value in self.averaged.network.state_dict().items()}
            self.best_miou, self.best_epoch = scores.mean_iou, len(self.history) + 1
        self.spent_s = time.monotonic() - start
        record = EpochRecord(
            len(self.history) + 1,
            self.round,
            self.loss_sum / max(self.step, 1),
            scores.mean_iou,
            scores.accuracy,
            better,
            round(self.spent_s, 3),
        )
        self.history.append(asdict(record))
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        return record
