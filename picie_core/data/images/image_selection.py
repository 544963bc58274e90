"""Which images of its folder a workspace holds: all of them, or those of a data set's split or curated list."""

from __future__ import annotations

from pathlib import Path

from picie_core.atomic_files import write_text
from picie_core.errors import PicieError

NAME = "selection.txt"


def read_selection(workspace_root: Path) -> frozenset[str] | None:
    """Returns the selected paths, relative to the folder of images; None where the workspace takes all images."""
    try:
        lines = (Path(workspace_root) / NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    return frozenset(line for line in lines if line)


def store_selection(workspace_root: Path, names: list[str]) -> None:
    """Makes `names` the images of a new workspace. Raises PicieError for a workspace of other images."""
    root = Path(workspace_root)
    before = read_selection(root)
    if before is None and (root / "images.jsonl").exists():
        raise PicieError(f"{root} is a workspace of all images of its folder, not of a choice: give a new --workspace")
    if before not in (None, frozenset(names)):
        raise PicieError(
            f"{root} is a workspace of {len(before or ())} chosen images, not of these {len(names)}: "
            "give a new --workspace"
        )
    write_text(root / NAME, "".join(f"{name}\n" for name in names))
