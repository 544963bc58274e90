"""Index PNG read back: one PNG an image below `masks/`, with `export.json` or `classes.txt` for its values."""

from __future__ import annotations

from picie_core.colors import clean_color, rgb_color
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_folder import Problem
from picie_core.errors import SettingError
from picie_core.export.readers.export_record import ExportRecord, read_class_list, read_export_record
from picie_core.export.readers.file_tree import FileTree
from picie_core.export.readers.mask_set import ClassIds, MaskSet
from picie_core.export.readers.png_mask import MaskCode, png_masks

FOLDER = "masks"
NO_PNG = (".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def mask_files(tree: FileTree) -> tuple[str, list[str]]:
    """Returns the folder of the masks and the files below it: those of `masks/`, else all files."""
    names = tree.below(FOLDER)
    if not names:
        return "", list(tree.names)
    first = names[0].split("/")
    return "/".join(first[: first.index(FOLDER) + 1]), names


def read_index_png(tree: FileTree) -> MaskSet:
    """Returns the masks of a folder of index PNGs.

    Raises SettingError when nothing says what the values mean, PicieError for a damaged record or cluster ids.
    """
    folder, files = mask_files(tree)
    names = [name for name in files if name.lower().endswith(".png")]
    record = read_export_record(tree, names[0] if names else folder)
    ids = ClassIds()
    if record is not None:
        code = _code_of_record(record, ids)
    else:
        listed = read_class_list(tree, names[0] if names else folder)
        if listed is None:
            raise SettingError(
                f"nothing in {tree.path} says what the values of the masks mean: put classes.txt beside them, one "
                "class name a line in the order of the ids, or give the whole folder of the export"
            )
        code = MaskCode({value: ids.of(name) for value, name in enumerate(listed)} | {IGNORE_ID: IGNORE_ID}, {})
    problems = [
        Problem(name, "only PNG keeps class ids, other kinds blur them: save it as PNG")
        for name in files
        if folder and name.lower().endswith(NO_PNG)
    ]
    masks = png_masks(names, folder, tree.read, code)
    renamed = None if record is None else {path: str(stem) for path, stem in record.renamed.items()}
    return MaskSet("png", "Index PNG", tuple(ids.names), tuple(masks), tuple(problems), renamed)


def _code_of_record(record: ExportRecord, ids: ClassIds) -> MaskCode:
    values, colors = {}, {}
    for one in sorted(record.classes, key=lambda item: item.id):
        values[one.id] = ids.of(one.name)
        if one.color:
            colors[rgb_color(clean_color(one.color))] = values[one.id]
    return MaskCode(values | {IGNORE_ID: IGNORE_ID}, colors)
