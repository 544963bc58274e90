"""`import`: masks that were corrected elsewhere come back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from picie_core.cli.job import Job
from picie_core.cli.options import ClusteringOption, DeviceOption, RunOption, WorkspaceOption
from picie_core.cli.output import MarkdownTable
from picie_core.cli.parser import Option
from picie_core.workspace.workspace import Workspace

LISTED = 20
"""Images and problems that are listed for a person; --json has all of them."""


def import_corrected(
    path: Annotated[Path, Option("file, folder or zip of masks, as the other tool exported it", positional=True)],
    workspace_root: WorkspaceOption,
    format: Annotated[
        str,
        Option(
            "what it holds: index PNG, Pascal VOC or CVAT segmentation mask, COCO, CVAT for images, Label Studio",
            choices=("auto", "png", "voc", "coco", "cvat", "label-studio"),
        ),
    ] = "auto",
    keep: Annotated[
        str,
        Option("which masks are kept as annotations of their images", choices=("changed", "all", "none")),
    ] = "changed",
    no_names: Annotated[bool, Option("leave clusters that have no name without one")] = False,
    rename: Annotated[bool, Option("rename clusters too whose name disagrees with most corrected pixels")] = False,
    split: Annotated[bool, Option("split clusters that hold several corrected classes")] = False,
    dry_run: Annotated[bool, Option("compare only, and change nothing")] = False,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Take corrected masks back: compare them, keep them as annotations, name and split clusters by them.

    Advice: --dry-run first: it shows what was corrected most and what would be named. Export writes annotations instead
    of the predicted masks; `label undo` takes back one edit after the other. docs/import.md says how each tool exports.
    """
    from picie_core.workspace.masks.mask_import import import_masks

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    with Job(clustering.workspace, "import") as job:
        made = import_masks(
            clustering,
            path,
            form=format,
            keep=keep,
            name=not no_names,
            rename=rename,
            split=split,
            dry_run=dry_run,
            device=device,
            report=job,
        )
        return _readable_tables(job.done({"run": clustering.run.name, "clustering": clustering.name, **made.record()}))


def _readable_tables(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its lists as tables; each prints its first rows, JSON has all of them."""
    tables = ("corrected", "classes", "problems", "names", "renames", "splits")
    return {name: _Listed(value) if name in tables else value for name, value in record.items()}


class _Listed(MarkdownTable):
    """A table that prints its first rows only."""

    def __str__(self) -> str:
        if not self:
            return "none"
        rows = str(MarkdownTable({name: _text(value) for name, value in row.items()} for row in self[:LISTED]))
        return rows + (f"\n\nand {len(self) - LISTED} more, see --json" if len(self) > LISTED else "")


def _text(value: Any) -> Any:
    """The parts of a split as `road 0.64, car 0.32`; all else as it is."""
    return ", ".join(f"{name} {share:.2f}" for name, share in value.items()) if isinstance(value, dict) else value
