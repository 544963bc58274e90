"""Which format a file or folder of masks has, and its reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.coco import instance_files, read_coco
from picie_core.export.readers.cvat_images import annotation_files, read_cvat_images
from picie_core.export.readers.file_tree import FileTree, open_tree
from picie_core.export.readers.index_png import mask_files, read_index_png
from picie_core.export.readers.label_studio import read_label_studio, task_files
from picie_core.export.readers.mask_set import MaskSet
from picie_core.export.readers.pascal_voc import FOLDER, read_pascal_voc

READERS: dict[str, Callable[[FileTree], MaskSet]] = {
    "png": read_index_png,
    "voc": read_pascal_voc,
    "coco": read_coco,
    "cvat": read_cvat_images,
    "label-studio": read_label_studio,
}
"""By the name that options use; voc reads CVAT's segmentation mask 1.1 too."""
AUTO = "auto"


def open_masks(path: Path, form: str = AUTO) -> MaskSet:
    """Returns the masks in a file, folder or zip; form: a key of READERS, or `auto` to find it out.

    Raises SettingError when nothing is there, when no format or more than one fits, or when the file lacks what says
    what its values mean; PicieError when it is damaged.
    """
    tree = open_tree(Path(path))
    if form == AUTO:
        form = detect(tree)
    if form not in READERS:
        raise SettingError(f"format={form!r} is unknown: choose one of {', '.join((AUTO, *READERS))}")
    found = READERS[form](tree)
    if not found.masks:
        first = f"; the first problem: {found.problems[0].path}: {found.problems[0].reason}" if found.problems else ""
        raise PicieError(f"{path} holds no mask as {found.title}{first}: is it the right folder?")
    return found


def detect(tree: FileTree) -> str:
    """Returns the key of the only format that the files look like. Raises SettingError for none or several."""
    fitting = []
    if annotation_files(tree):
        fitting.append("cvat")
    if any(FOLDER in name.split("/")[:-1] for name in tree.names):
        fitting.append("voc")
    if instance_files(tree):
        fitting.append("coco")
    if task_files(tree):
        fitting.append("label-studio")
    pngs = [name for name in mask_files(tree)[1] if name.lower().endswith(".png")]
    listed = any(name.rsplit("/", 1)[-1] in ("classes.txt", "export.json") for name in tree.names)
    if pngs and listed and not fitting:
        fitting.append("png")
    if len(fitting) > 1:
        raise SettingError(f"{tree.path} looks like {' and '.join(fitting)}: say which with --format")
    if not fitting:
        raise SettingError(
            f"{tree.path} is of no format that is known: give index PNGs with classes.txt, a VOC tree with "
            "labelmap.txt, COCO instances, annotations.xml of CVAT for images 1.1, or the JSON of Label Studio"
        )
    return fitting[0]
