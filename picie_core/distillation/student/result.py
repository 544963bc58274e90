"""The folder of a student: its weights, its ONNX file with the label map, the script that uses it, and the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save
from torch import nn

from picie_core.atomic_files import write_json
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import probe_image, read_resized
from picie_core.data.labelled_sets.labelled_set import read_mask
from picie_core.distillation.comparison import Truth, agreement, open_ground_truth, written_masks
from picie_core.distillation.dataset import PseudoLabels
from picie_core.distillation.export_record import LearntClass
from picie_core.distillation.pictures import write_curve, write_pictures
from picie_core.distillation.settings import StudentSettings
from picie_core.distillation.student.networks import Student, make_student
from picie_core.distillation.student.onnx_export import metadata, write_onnx
from picie_core.distillation.student.prediction import predict_mask
from picie_core.distillation.student.student_folder import REPORT
from picie_core.distillation.trainer import Distillation
from picie_core.errors import PicieError
from picie_core.evaluation.metrics import confusion
from picie_core.progress import Meter, Report
from picie_core.training.distributed import make_fabric
from picie_core.version import __version__

FORMAT = "picie-student"
WriteOnnx = Callable[[Path, Student, dict[str, Any]], None]
"""Writes a network in evaluation mode, with facts in its metadata."""


@dataclass(frozen=True)
class ResultInput:
    """What a result is made from."""

    labels: PseudoLabels
    training: Distillation
    truth: Truth | None = None
    stopped: bool = False
    """Whether the training was stopped before its end."""


def write_result(folder: Path, made: ResultInput, report: Report, to_onnx: WriteOnnx = write_onnx) -> dict[str, Any]:
    """Writes a student into `folder` and returns the content of its report.json; to_onnx: writes the ONNX file."""
    training, labels = made.training, made.labels
    names, settings = labels.class_names, training.student
    network = make_student(settings, len(names), weights="none").eval()
    network.load_state_dict(training.best)
    facts = metadata(labels.classes, settings.size_px)
    weights = save({name: one.contiguous() for name, one in network.state_dict().items()})
    (folder / "student.safetensors").write_bytes(weights)  # save_file would leave it to its owner alone
    head = {"format": FORMAT, "student": asdict(settings), **facts}
    write_json(folder / "student.json", head)
    write_json(folder / "labelmap.json", {"classes": facts["classes"], "ignore_id": IGNORE_ID})
    to_onnx(folder / "model.onnx", network, facts)
    script = Path(__file__).with_name("predict.py")
    (folder / "predict.py").write_bytes(script.read_bytes())
    masks = StudentMasks(network, settings.size_px, str(training.fabric.device))
    record = {
        "version": __version__,
        "export": str(labels.root),
        "images": {"train": len(labels.train), "held_out": len(labels.val)},
        "annotated": sum(one.annotated for one in labels.train),
        "stopped": made.stopped,
        "epochs": len(training.history),
        "best_epoch": training.best_epoch,
        "seconds": round(training.spent_s, 1),
        "held_out": _held_out(masks, labels, report),
        **_truth(masks, made, report),
        "student": asdict(settings),
        "settings": asdict(training.settings),
        "history": training.history,
    }
    write_curve(folder / "curve.png", training.history)
    write_pictures(folder / "pictures", labels, masks)
    write_json(folder / REPORT, record)
    return record


class StudentMasks:
    """Masks of image files by a student, in float32, as its ONNX file gives them."""

    def __init__(self, network: nn.Module, size_px: int, device: str = "auto"):
        self.size_px, self.fabric = size_px, make_fabric("32-true", device)
        self.network = network.eval().to(self.fabric.device)

    def __call__(self, path: Path) -> np.ndarray:
        """Returns the mask (H, W) uint8 of an image file at its full size. Raises ImageError."""
        return predict_mask(self.network, read_resized(path, self.size_px), probe_image(path), self.fabric)


def _held_out(masks: StudentMasks, labels: PseudoLabels, report: Report) -> dict[str, Any]:
    """How the student agrees with the teacher on the held-out images, at full size."""
    classes = len(labels.classes)
    counts = np.zeros((classes, classes), np.int64)
    meter = Meter("compare", len(labels.val), report)
    for one in labels.val:
        counts += confusion(masks(one.image), read_mask(one.mask), classes, classes)
        meter.advance(1)
    return agreement(counts, labels.class_names)


def _truth(masks: StudentMasks, made: ResultInput, report: Report) -> dict[str, Any]:
    """The scores of student and teacher on ground truth, nothing where there is none."""
    if made.truth is None:
        return {}
    images_root = made.truth.labels.images_root
    truth = open_ground_truth(made.truth.labels, made.labels.class_names)
    found: dict[str, Any] = {"student": truth.scores(lambda image: masks(images_root / image), report)}
    teacher = made.truth.teacher
    if teacher is None and images_root == made.labels.root / "images":
        teacher = made.labels.root
    if teacher is not None:
        found["teacher"] = truth.scores(written_masks(teacher), report)
    return {"truth": found}


def load_student(folder: Path) -> tuple[Student, StudentSettings, tuple[LearntClass, ...]]:
    """Returns the network of a student in evaluation mode, its settings and its classes.

    Raises PicieError when the folder holds no student.
    """
    try:
        record = json.loads((folder / "student.json").read_text(encoding="utf-8"))
        settings = StudentSettings(**record["student"])
        classes = tuple(LearntClass(**one) for one in record["classes"])
        network = make_student(settings, len(classes), weights="none")
        network.load_state_dict(load_file(folder / "student.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise PicieError(f"{folder} holds no student ({error}): give the --out of `distil`") from error
    return network.eval(), settings, classes
