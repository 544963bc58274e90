"""The table of readers: which library has to read which format exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.interop.readers import (
    binary_with_pil,
    cityscapes_with_torchvision,
    coco_with_pycocotools,
    coco_with_supervision,
    cvat_mask_with_datumaro,
    fiftyone_with_importer,
    hf_with_datasets,
    label_studio_with_sdk,
    mmseg_with_mmengine,
    png_with_labelformat,
    png_with_pil,
    ultralytics_with_dataset,
    voc_with_datumaro,
    voc_with_torchvision,
    with_datumaro,
)
from tests.interop.written_export import Export, Masks


@dataclass(frozen=True)
class Reader:
    """A library that has to read a format exactly."""

    form: str
    library: str
    """Its distribution, whose version the table gives."""
    read: Callable[[Export], Masks]
    call: str
    """What was called, as the table says it."""
    drops_class_0: bool = False
    """Whether the library never reads class 0."""


READERS = (
    Reader("png", "pillow", png_with_pil, "`Image.open`"),
    Reader("png", "labelformat", png_with_labelformat, "`PascalVOCSemanticSegmentationInput.from_dirs`"),
    Reader("voc", "torchvision", voc_with_torchvision, "`VOCSegmentation`"),
    Reader("voc", "datumaro", voc_with_datumaro, "`voc_segmentation`"),
    Reader("cvat-mask", "datumaro", cvat_mask_with_datumaro, "`voc_segmentation`, from the archive"),
    Reader("cvat-images", "datumaro", partial(with_datumaro, "cvat"), "`cvat`"),
    Reader("coco", "pycocotools", coco_with_pycocotools, "`COCO.annToMask`; text, area and box equal its own"),
    Reader("coco", "supervision", coco_with_supervision, "`DetectionDataset.from_coco(force_masks=True)`"),
    Reader("coco", "datumaro", partial(with_datumaro, "coco_instances"), "`coco_instances`"),
    Reader("coco-panoptic", "datumaro", partial(with_datumaro, "coco_panoptic"), "`coco_panoptic`"),
    Reader("cityscapes", "torchvision", cityscapes_with_torchvision, "`Cityscapes`, semantic and color"),
    Reader("cityscapes", "datumaro", partial(with_datumaro, "cityscapes"), "`cityscapes`, which drops id 0", True),
    Reader("label-studio", "label-studio-sdk", label_studio_with_sdk, "`validate_prediction` and `decode_rle`"),
    Reader("fiftyone", "fiftyone", fiftyone_with_importer, "`ImageSegmentationDirectoryImporter`"),
    Reader("hf", "datasets", hf_with_datasets, '`load_dataset("imagefolder")`'),
    Reader(
        "mmseg", "mmengine", mmseg_with_mmengine, "`Config.fromfile`, files listed and loaded as mmsegmentation does"
    ),
    Reader("ultralytics", "ultralytics", ultralytics_with_dataset, "`SemanticDataset`"),
    Reader("binary", "pillow", binary_with_pil, "`Image.open`"),
)
