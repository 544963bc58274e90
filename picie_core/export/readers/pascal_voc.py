"""Pascal VOC and CVAT's segmentation mask 1.1 read back: `SegmentationClass/*.png` with the colours of labelmap.txt."""

from __future__ import annotations

from picie_core.colors import Rgb
from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.export_record import read_export_record
from picie_core.export.readers.file_tree import FileTree
from picie_core.export.readers.mask_set import ClassIds, MaskSet
from picie_core.export.readers.png_mask import MaskCode, png_masks
from picie_core.export.voc_colors import voc_color

FOLDER = "SegmentationClass"
LABEL_MAP = "labelmap.txt"
BORDER: Rgb = (224, 224, 192)
"""VOC's colour of pixels that count for no class; it is in no list of many tools."""


def read_pascal_voc(tree: FileTree) -> MaskSet:
    """Returns the masks of a VOC tree: palette or RGB masks by exact colour, grey ones by the order of the list.

    Raises SettingError without labelmap.txt, PicieError for a list that cannot be read.
    """
    names = [name for name in tree.below(FOLDER) if name.lower().endswith(".png")]
    if not names:
        raise SettingError(f"{tree.path} has no {FOLDER}/*.png: give the folder that holds {FOLDER}")
    folder = names[0][: names[0].index(f"{FOLDER}/") + len(FOLDER)]
    listed = tree.find(LABEL_MAP, folder)
    if listed is None:
        raise SettingError(
            f"{tree.path} has no {LABEL_MAP}, which says what the colours mean: write lines `name:r,g,b::` beside "
            f"{FOLDER}/, or export with it"
        )
    ids = ClassIds()
    code = read_label_map(tree.read(listed), f"{listed} in {tree.path}", ids)
    record = read_export_record(tree, folder)
    renamed = None if record is None else {path: str(stem) for path, stem in record.renamed.items()}
    masks = png_masks(names, folder, tree.read, code)
    return MaskSet("voc", "Pascal VOC", tuple(ids.names), tuple(masks), renamed=renamed)


def read_label_map(data: bytes, source: str, ids: ClassIds) -> MaskCode:
    """Returns the colours and the order in a labelmap.txt of lines `name:r,g,b:parts:actions`.

    source: what messages call it. Raises PicieError that names the line.
    """
    values: dict[int, int] = {IGNORE_ID: IGNORE_ID}
    colors: dict[Rgb, int] = {BORDER: IGNORE_ID}
    owners: dict[Rgb, str] = {}
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise PicieError(f"{source} is no UTF-8 text ({error.reason}): save it as UTF-8") from error
    index = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        written = rest.split(":")[0].strip()
        color = _read_color(written) if written else voc_color(index)
        if not name or not rest or color is None:
            raise PicieError(f"{source}, line {number}: {line.strip()!r} must read name:r,g,b:: with 0 to 255: mend it")
        if color in owners:
            raise PicieError(f"{source}, line {number}: {name!r} has the colour of {owners[color]!r}: change one")
        owners[color], colors[color] = name, ids.of(name)
        values.setdefault(index, colors[color])
        index += 1
    if not owners:
        raise PicieError(f"{source} lists no class: write lines name:r,g,b::")
    return MaskCode(values, colors)


def _read_color(text: str) -> Rgb | None:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) <= 255 for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
