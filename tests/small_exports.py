"""Small index PNG exports as `export --format png` writes them, and trainings of students that take a second."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.distillation.dataset import Examples, open_export
from picie_core.distillation.settings import DistilSettings, StudentSettings
from picie_core.distillation.trainer import Distillation
from tests.factories import draw_scene

CLASSES = [
    {"id": 0, "name": "smooth", "color": "#e69f00", "clusters": [0, 3]},
    {"id": 1, "name": "striped", "color": "#56b4e9", "clusters": [1]},
    {"id": 2, "name": "noisy & loud", "color": "#009e73", "clusters": [2]},
]
STUDENT = StudentSettings(weights="none", size_px=64)
QUICK = DistilSettings(epochs=2, batch=2, crop_px=64, precision="32-true", val_share=0.34, minutes=0)


def write_export(
    root: Path, count: int = 6, *, confidence: bool = False, annotated: Iterable[int] = (), **record: Any
) -> Path:
    """Writes an export of `count` scenes, their own ground truth as masks, and returns it.

    confidence: writes maps whose left half is sure and whose right half is not; record: more of export.json.
    """
    for seed in range(count):
        image, truth = draw_scene(seed)
        stem = f"a/scene {seed}" if seed % 2 else f"scene {seed}"
        for folder, picture in (("images", image), ("masks", truth)):
            (root / folder / stem).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / folder / f"{stem}.png")
        if confidence:
            sure = np.where(np.arange(truth.shape[1]) < truth.shape[1] // 2, 255, 51).astype(np.uint8)
            (root / "confidence" / stem).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.tile(sure, (truth.shape[0], 1))).save(root / "confidence" / f"{stem}.png")
    stems = [f"a/scene {seed}" if seed % 2 else f"scene {seed}" for seed in annotated]
    head = {"format": "png", "classes": CLASSES, "ignore_id": 255, "mask_mode": "L", "annotated": stems}
    (root / "export.json").write_text(json.dumps({**head, **record}))
    return root


def small_training(export: Path, settings: DistilSettings = QUICK, student: StudentSettings = STUDENT) -> Distillation:
    """A training of a student on an export, on the CPU."""
    labels = open_export(export, settings.val_share, settings.seed)
    classes = len(labels.classes)
    train, val = (Examples(part, student.size_px, classes) for part in (labels.train, labels.val))
    return Distillation(train, val, labels.class_names, student, settings, "cpu")
