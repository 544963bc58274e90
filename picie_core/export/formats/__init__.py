"""The mask formats, one file each, and the table that lists them: a new format is one file and one line here."""

from __future__ import annotations

from picie_core.export.formats.binary_png import BinaryPng
from picie_core.export.formats.cityscapes import Cityscapes
from picie_core.export.formats.coco import Coco
from picie_core.export.formats.coco_panoptic import CocoPanoptic
from picie_core.export.formats.cvat_images import CvatImages
from picie_core.export.formats.cvat_mask import CvatMask
from picie_core.export.formats.fiftyone import FiftyOne
from picie_core.export.formats.hugging_face import HuggingFace
from picie_core.export.formats.index_png import IndexPng
from picie_core.export.formats.label_studio import LabelStudio
from picie_core.export.formats.mmsegmentation import MmSegmentation
from picie_core.export.formats.pascal_voc import PascalVoc
from picie_core.export.formats.ultralytics import Ultralytics
from picie_core.export.mask_format import Format

FORMATS: dict[str, Format] = {
    form.key: form
    for form in (
        IndexPng(),
        PascalVoc(),
        CvatMask(),
        CvatImages(),
        Coco(),
        CocoPanoptic(),
        Cityscapes(),
        LabelStudio(),
        FiftyOne(),
        HuggingFace(),
        MmSegmentation(),
        Ultralytics(),
        BinaryPng(),
    )
}
"""By the name that options and `export.json` use."""
