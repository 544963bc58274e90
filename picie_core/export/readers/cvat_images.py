"""CVAT for images 1.1 read back: the masks and polygons of `annotations.xml`."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from xml.parsers import expat

import numpy as np

from picie_core.data.images.image_folder import Problem
from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.export_record import read_export_record
from picie_core.export.readers.file_tree import FileTree
from picie_core.export.readers.mask_set import ClassIds, MaskError, MaskSet, MaskSizeError, NamedMask, Reading
from picie_core.export.readers.shapes import BoxRuns, Polygon, Shape, paint_shapes

FILE = "annotations.xml"
LEFT_OUT = ("box", "ellipse", "polyline", "points", "cuboid", "skeleton")
"""Shapes that are no masks."""


def annotation_files(tree: FileTree) -> list[str]:
    """Returns the files of annotations: `annotations.xml`, or the lone XML file."""
    named = [name for name in tree.names if name == FILE or name.endswith(f"/{FILE}")]
    return named or [name for name in tree.names if len(tree.names) == 1 and name.lower().endswith(".xml")]


def read_cvat_images(tree: FileTree) -> MaskSet:
    """Returns the masks of a task; images without a mask or polygon are left out.

    Raises SettingError when there is no annotations.xml or there are several, PicieError when it is damaged, of CVAT
    for video or declares entities.
    """
    files = annotation_files(tree)
    if len(files) != 1:
        raise SettingError(f"{tree.path} has {len(files)} files {FILE}: give the folder or zip of one CVAT task")
    parser = _TaskParser()
    try:
        parser.feed(tree.read(files[0]))
    except (expat.ExpatError, ValueError, KeyError) as error:
        text = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else error
        raise PicieError(f"{files[0]} in {tree.path} is damaged or no CVAT file ({text}): export it again") from error
    record = read_export_record(tree, files[0])
    renamed = None if record is None else {path: str(stem) for path, stem in record.renamed.items()}
    names, masks = tuple(parser.ids.names), tuple(parser.masks)
    return MaskSet("cvat", "CVAT for images", names, masks, tuple(parser.problems), renamed)


class _TaskParser:
    """Collects the images of a task while its XML goes by."""

    def __init__(self) -> None:
        self.ids = ClassIds()
        self.masks: list[NamedMask] = []
        self.problems: list[Problem] = []
        self._seen_annotations = False
        self._path: list[str] = []
        self._image: dict[str, str] = {}
        self._shapes: list[tuple[int, Shape]] = []
        self._left_out: Counter[str] = Counter()
        self._reason = ""

    def feed(self, data: bytes) -> None:
        """Parses a whole file. Raises ValueError for a document type, which could declare entities."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_document_type
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.Parse(data, True)
        if not self._seen_annotations:
            raise ValueError("it has no element annotations")

    def _start(self, tag: str, values: dict[str, str]) -> None:
        self._path.append(tag)
        if len(self._path) == 1 and tag == "annotations":
            self._seen_annotations = True
        elif tag == "track" and len(self._path) == 2:
            raise ValueError("it is CVAT for video; export it as CVAT for images 1.1")
        elif tag == "image" and len(self._path) == 2:
            self._image, self._shapes, self._left_out, self._reason = values, [], Counter(), ""
        elif len(self._path) == 3 and self._path[1] == "image":
            self._add_shape(tag, values)

    def _add_shape(self, tag: str, values: dict[str, str]) -> None:
        if tag in LEFT_OUT:
            self._left_out[tag] += 1
        if tag not in ("mask", "polygon"):
            return
        class_id = self.ids.of(values["label"])
        try:
            z_order = int(values.get("z_order", 0))
            if tag == "mask":
                left, top, width, height = (int(float(values[key])) for key in ("left", "top", "width", "height"))
                shape: Shape = BoxRuns(class_id, values["rle"], (left, top, width, height))
            else:
                corners = np.array(re.split(r"[;,]", values["points"]), np.float32)
                shape = Polygon(class_id, (corners.reshape(-1, 2),))
            self._shapes.append((z_order, shape))
        except (ValueError, KeyError, OverflowError) as error:
            self._reason = f"a {tag} of class {values['label']!r} is damaged ({error}): export it again"

    def _end(self, tag: str) -> None:
        if tag == "image" and len(self._path) == 2:
            self._end_image()
        self._path.pop()

    def _end_image(self) -> None:
        name = self._image["name"]
        if self._left_out:
            listed = ", ".join(f"{count} {tag}" for tag, count in self._left_out.items())
            self.problems.append(Problem(name, f"{listed} left out: only masks and polygons are masks"))
        if not self._shapes and not self._reason:
            return
        size = int(self._image["width"]), int(self._image["height"])
        shapes = [shape for _, shape in sorted(self._shapes, key=lambda pair: pair[0])]  # stable: later ones on top
        self.masks.append(NamedMask(name, partial(_paint, name, size, shapes, self._reason)))


def _refuse_document_type(*_: object) -> None:
    raise ValueError("it declares a document type, which CVAT never writes")


def _paint(name: str, size: tuple[int, int], shapes: list[Shape], reason: str, wanted: tuple[int, int]) -> Reading:
    if reason:
        raise MaskError(name, reason)
    if size != wanted:
        raise MaskSizeError(name, size, wanted)
    return paint_shapes(name, shapes, wanted)
