"""The ONNX file of a student: any height and width, and everything that its use needs in its metadata."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import torch

from picie_core.atomic_files import open_atomic
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import MAX_SCALED_ASPECT, MIN_SCALED_PX
from picie_core.distillation.export_record import LearntClass
from picie_core.distillation.student.networks import Student
from picie_core.errors import PicieError
from picie_core.version import __version__

OPSET = 18
INPUT, OUTPUT = "image", "scores"
TRACED_PX = (96, 160)
"""Height and width of the image that the export runs with; any other size works as well."""


def metadata(classes: tuple[LearntClass, ...], size_px: int) -> dict[str, Any]:
    """Returns what the use of a student needs to know, as JSON holds it."""
    return {
        "classes": [{"id": one.id, "name": one.name, "color": one.color} for one in classes],
        "ignore_id": IGNORE_ID,
        "input": "float32 (1, 3, height, width), RGB: (pixel / 255 - mean) / std",
        "mean": list(Student.mean),
        "std": list(Student.std),
        "size": {"shorter_side": size_px, "max_pixels": MAX_SCALED_ASPECT * size_px**2, "min_side": MIN_SCALED_PX},
        "output": "float32 (1, classes, height, width): scores before the softmax; the argmax over axis 1 is the class "
        "id, their softmax the probabilities",
        "version": __version__,
    }


def write_onnx(path: Path, network: Student, facts: dict[str, Any]) -> None:
    """Writes a student in evaluation mode as ONNX; `facts` go into its metadata, each as JSON.

    Raises PicieError where the packages for it are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch needs it
    except ImportError as error:
        raise PicieError(
            f"writing ONNX needs {error.name}: pip install 'onnx>=1.20' 'onnxscript>=0.6'; the checkpoint is kept, so "
            "the same command writes the files without training again"
        ) from error
    example = torch.zeros(1, 3, *TRACED_PX)
    dynamic = {2: torch.export.Dim("height", min=MIN_SCALED_PX), 3: torch.export.Dim("width", min=MIN_SCALED_PX)}
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(dynamic,),
        )
    assert program is not None
    model = program.model_proto
    for name, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    onnx.checker.check_model(model)
    buffer = BytesIO()
    onnx.save(model, buffer)
    with open_atomic(path) as file:
        file.write(buffer.getvalue())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what the exporter says about its own work off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
