"""`label annotations`: which images have a corrected mask, and removing these."""

from __future__ import annotations

from typing import Annotated, Any

from picie_core.cli.options import WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.errors import SettingError
from picie_core.workspace.workspace import Workspace

ALL = "all"


def annotated_images(
    workspace_root: WorkspaceOption,
    remove: Annotated[
        list[str] | None, Option("images whose annotations are removed, by their paths, or all", flag="--remove")
    ] = None,
) -> dict[str, Any]:
    """List the images that have an annotation, a corrected mask that export writes, or remove some.

    Advice: `import` makes annotations. Export writes the predicted masks again once they are removed; `label undo`
    brings them back.
    """
    label_map = Workspace.open(workspace_root).label_map
    paths = sorted(label_map.annotated_paths())
    if remove is None:
        return {"annotated": paths}
    wanted = paths if remove == [ALL] else remove
    if unknown := sorted(set(wanted) - set(paths)):
        raise SettingError(f"remove={', '.join(unknown)} have no annotation: `label annotations` lists those that have")
    return {"removed": label_map.remove_annotations(wanted), "annotated": sorted(label_map.annotated_paths())}
