"""What a training run trains and how: method, settings, images and ground truth, as a run stores them."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.data.labelled_sets.datasets import DataChoice, open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError, SettingError
from picie_core.settings import MASK_METHODS, EmbedderSettings, SampleSettings
from picie_core.training.settings import TrainSettings
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.workspace import Workspace

OLD_NAMES = {"prior_matching": "hold_shares"}
"""Settings that runs of version 0.3 and before store under another name."""
LEAST_LABELLED, LEAST_HELD_OUT = 10, 3
"""Of fewer labelled images none is held out, because one in a few is dear; of more at least so many are."""
HELD_OUT_STREAM = 7

Settings = tuple[TrainSettings, EmbedderSettings, SampleSettings]


@dataclass(frozen=True)
class TrainingPlan:
    """One training: the arguments of `train_workspace`."""

    method: str = "picie"
    training: TrainSettings = TrainSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    sampling: SampleSettings = SampleSettings()
    start: str | None = None
    """Run whose embedder to start from; None for the frozen start that `embedder` describes."""
    masks: Path | None = None
    """Folder of masks, for the methods that learn from ground truth."""
    data: DataChoice | None = None
    """Data set that was named instead of a folder of images; it has ground truth of its own."""

    @classmethod
    def of_run(cls, info: RunInfo) -> TrainingPlan:
        """Returns the plan that a run was started with. Raises PicieError when this version cannot follow it."""
        masks, data = info.settings.get("masks"), info.settings.get("data")
        return cls(
            info.method,
            *stored_settings(info),
            info.settings.get("start"),
            Path(masks) if masks else None,
            DataChoice.from_record(data) if data else None,
        )

    def new_run(self) -> RunInfo:
        """Returns the record of a new run, with a name of its own even among equal plans, such as `picie-k27-1f3a`.

        That of a method that learns from masks, such as `probe-1f3a`, says no K: their classes are counted later.
        """
        record = {name: value for part in self.settings for name, value in asdict(part).items()}
        record["start"] = self.start
        record["masks"] = None if self.masks is None else str(self.masks.absolute())
        record["data"] = None if self.data is None else self.data.record()
        now = time.time()
        digest = hashlib.sha256(json.dumps([record, now]).encode()).hexdigest()[:4]
        k = "" if self.method in MASK_METHODS else f"-k{self.training.k}"
        return RunInfo(f"{self.method}{k}-{digest}", self.method, "running", now, record)

    @property
    def settings(self) -> Settings:
        """The settings of training, network and images."""
        return self.training, self.embedder, self.sampling

    @property
    def square_px(self) -> int:
        """Shorter side of the images that are cropped to the squares of the training, px."""
        return self.training.square_px(self.sampling.size_px)

    @property
    def holds_out(self) -> bool:
        """Whether its training keeps the best epoch on images held out of it."""
        return self.method == "supervised" and self.training.held_out > 0

    def check_workers(self, world_size: int) -> None:
        """Raises SettingError for several workers of a method that has none."""
        if self.method == "probe" and world_size > 1:
            raise SettingError(f"processes={world_size} does not go with method=probe: it is fitted by one process")

    def ground_truth(self, workspace: Workspace) -> LabelledSet | None:
        """Returns the ground truth of the workspace's images, None for methods that learn from none.

        Raises PicieError when the method got no masks, or masks that it does not use, or none fits an image.
        """
        if self.method not in MASK_METHODS:
            if self.masks is not None:
                methods = " or ".join(MASK_METHODS)
                raise PicieError(f"method={self.method} uses no masks: leave --masks out, or give --method {methods}")
            return None
        if self.masks is not None:
            return open_labelled_set(workspace.images_root, self.masks)
        if self.data is not None:
            return self.data.truth()
        raise PicieError(
            f"method={self.method} learns from masks: give --masks DIR with the stems of the images, or --dataset and "
            "--root"
        )


def held_out_images(plan: TrainingPlan, workspace: Workspace) -> list[int]:
    """Returns the labelled images that a supervised training is measured on and does not learn from, drawn by the seed.

    They are at least LEAST_HELD_OUT; none where the plan holds out none, or has fewer than LEAST_LABELLED to draw from.
    """
    truth = plan.ground_truth(workspace) if plan.holds_out else None
    if truth is None:
        return []
    labelled = [record.id for record in workspace.image_list().readable if truth.has_mask(record.path)]
    if len(labelled) < LEAST_LABELLED:
        return []
    count = max(round(plan.training.held_out * len(labelled)), LEAST_HELD_OUT)
    drawn = np.random.default_rng((plan.sampling.seed, HELD_OUT_STREAM)).permutation(labelled)[:count]
    return sorted(drawn.tolist())


def stored_settings(info: RunInfo) -> Settings:
    """Returns the settings of a run. Raises PicieError when it used one that this version does not have."""
    if info.settings.get("labels") == "teacher" or info.settings.get("frozen_stages"):
        raise PicieError(
            f"run {info.id} was trained with an averaged teacher or frozen stages, which this version does not have: "
            "start a new training"
        )
    return _stored(TrainSettings, info), _stored(EmbedderSettings, info), _stored(SampleSettings, info)


def _stored(kind: Any, info: RunInfo) -> Any:
    names = {one.name: one.name if one.name in info.settings else OLD_NAMES.get(one.name) for one in fields(kind)}
    return kind(**{name: info.settings[stored] for name, stored in names.items() if stored in info.settings})


def has_settings(info: RunInfo, settings: Settings) -> bool:
    """Whether a run was made with exactly these settings; a frozen run has none of a training."""
    if not info.sized:  # these settings have a size
        return False
    first = int(info.method == "frozen")
    try:
        return stored_settings(info)[first:] == settings[first:]
    except PicieError:
        return False


def stopped_run(workspace: Workspace, run: str) -> RunInfo:
    """Returns the record of a run that can be resumed. Raises PicieError for any other."""
    info = workspace.run_info(run)
    if info.state == "done" or info.method == "frozen":
        raise PicieError(f"run {run} is {info.state}: only a stopped or failed training can be resumed")
    return info
