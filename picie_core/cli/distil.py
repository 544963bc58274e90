"""`distil`: a segmentation network that learns from exported masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from picie_core.cli.job import Job, stop_on_signal
from picie_core.cli.options import DeviceOption
from picie_core.cli.output import MarkdownTable
from picie_core.cli.parser import Option
from picie_core.distillation.settings import DistilSettings, StudentSettings
from picie_core.errors import SettingError
from picie_core.workspace.workspace import Workspace


def distil(
    export: Annotated[Path, Option("folder that `export --format png` wrote", positional=True)],
    out: Annotated[Path, Option("new or empty folder for the student")],
    student: StudentSettings = StudentSettings(),
    settings: DistilSettings = DistilSettings(),
    workspace_root: Annotated[
        Path | None, Option("workspace whose jobs show the progress; not needed otherwise", flag="--workspace")
    ] = None,
    truth: Annotated[
        Path | None,
        Option("ground truth to measure on: a folder with images/ and masks/, or masks of the exported images"),
    ] = None,
    teacher: Annotated[
        Path | None, Option("export of the teacher's masks of the images of --truth, to measure the teacher too")
    ] = None,
    anew: Annotated[bool, Option("forget a stopped training of this --out")] = False,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Train a small segmentation network on exported masks; writes ONNX, its label map and a script that uses it.

    Advice: export with `--format png`, then give --minutes: 15 on two cores serve a few hundred images. Corrected
    masks count more than predicted ones (--annotated). Ctrl-C stops after the current step and writes the best student
    so far; the same command goes on, also after a crash. Which epoch is kept is decided by the held-out labels alone;
    --truth only measures. Without internet give --weights PATH, or none.
    """
    from picie_core.distillation.comparison import Truth, find_truth
    from picie_core.distillation.distil_run import distil_export

    if teacher is not None and truth is None:
        raise SettingError(f"teacher={teacher} is measured on ground truth: give --truth DIR too")
    measured = None if truth is None else Truth(find_truth(truth, export / "images"), teacher)
    workspace = None if workspace_root is None else Workspace.open(workspace_root)
    with stop_on_signal() as stop, Job(workspace, "distil") as job:
        record = distil_export(
            export,
            out,
            student,
            settings,
            truth=measured,
            anew=anew,
            device=device,
            report=job,
            stop=stop,
            note=job.note,
        )
        return job.done(_result(out, record))


def _result(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What the command prints of a report."""
    held_out = record["held_out"]
    rows = [{"masks": "student", "compared with": "held-out labels", **_figures(held_out)}]
    for who, found in record.get("truth", {}).items():
        rows.append({"masks": who, "compared with": "ground truth", **_figures(found)})
    return {
        "out": str(out),
        "epochs": record["epochs"],
        "best_epoch": record["best_epoch"],
        "seconds": record["seconds"],
        "stopped": record["stopped"],
        "scores": MarkdownTable(rows),
    }


def _figures(found: dict[str, Any]) -> dict[str, Any]:
    return {"accuracy, %": found["accuracy"], "mIoU, %": found["miou"]}
