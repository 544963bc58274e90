"""The libraries that read exports back: each returns masks of class ids, found by the names that it read itself."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.interop.written_export import IGNORED, SPLITS, Export, Masks

# -- libraries that read several formats


def with_datumaro(form: str, export: Export, folder: Path | None = None, void: str | None = None) -> Masks:
    """Datumaro; void: the label of the pixels without a class."""
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    dataset = Dataset.import_from(str(folder or export.folder), form)
    names = [label.name for label in dataset.categories()[AnnotationType.label]]
    masks = {}
    for item in dataset:
        index = _index_of_item(export, item.id, item.subset)
        if item.media is not None:
            assert tuple(item.media.size) == tuple(export.images[index]["size"])[::-1]
        parts = [one for one in item.annotations if one.type == AnnotationType.mask and names[one.label] != void]
        masks[index] = export.paint(index, ((names[one.label], one.image) for one in parts))
    return masks


def _index_of_item(export: Export, item: str, subset: str) -> int:
    """The image of a Datumaro item, whose id is a path without suffix."""
    found = [i for i, one in enumerate(export.images) if one["stem"] == item]
    if len(found) > 1:
        found = [i for i in found if export.images[i]["split"] == subset]
    (index,) = found
    return index


# -- one reader each


def png_with_pil(export: Export) -> Masks:
    masks = {}
    for index, one in enumerate(export.images):
        with Image.open(export.folder / one["mask"]) as mask:
            assert mask.mode == "L"
            masks[index] = np.asarray(mask)
    return masks


def png_with_labelformat(export: Export) -> Masks:
    from labelformat.formats.semantic_segmentation.pascalvoc import PascalVOCSemanticSegmentationInput

    names = dict(enumerate(export.classes)) | {IGNORED: "255"}
    data = PascalVOCSemanticSegmentationInput.from_dirs(export.folder / "images", export.folder / "masks", names)
    masks = {}
    for label in data.get_labels():
        index = export.find(image=f"images/{label.image.filename}")
        pixels = {one.category.name: one.segmentation.get_binary_mask() for one in label.objects}
        pixels.pop("255", None)
        masks[index] = export.paint(index, pixels.items())
    return masks


def voc_with_torchvision(export: Export) -> Masks:
    from torchvision.datasets import VOCSegmentation

    masks = {}
    for split in SPLITS:
        data = VOCSegmentation(str(export.folder), year="2012", image_set=split, download=False)
        for path, (image, mask) in zip(data.masks, data, strict=True):
            index = export.find(mask=Path(path).relative_to(export.folder).as_posix())
            assert mask.mode == "P" and image.size == mask.size and export.images[index]["split"] == split
            masks[index] = np.asarray(mask)
    return masks


def voc_with_datumaro(export: Export) -> Masks:
    return with_datumaro("voc_segmentation", export, export.folder / "VOCdevkit/VOC2012", void="ignored")


def cvat_mask_with_datumaro(export: Export) -> Masks:
    """The archive, unpacked as CVAT does."""
    unpacked = export.folder.with_name("cvat-mask-unpacked")
    with zipfile.ZipFile(export.folder / "cvat_masks.zip") as archive:
        archive.extractall(unpacked)
    return with_datumaro("voc_segmentation", export, unpacked, void="ignored")


def coco_with_pycocotools(export: Export) -> Masks:
    from pycocotools.coco import COCO

    masks = {}
    for split in SPLITS:
        coco = COCO(str(export.folder / "annotations" / f"instances_{split}.json"))
        for image in coco.loadImgs(coco.getImgIds()):
            index = export.find(image=f"images/{split}/{image['file_name']}")
            assert [image["width"], image["height"]] == export.images[index]["size"]
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
            names = [coco.loadCats(one["category_id"])[0]["name"] for one in annotations]
            pixels = [coco.annToMask(one) for one in annotations]
            masks[index] = export.paint(index, zip(names, pixels, strict=True))
            for one, mask in zip(annotations, pixels, strict=True):
                _check_box(one, mask)
    return masks


def _check_box(annotation: dict[str, Any], pixels: np.ndarray) -> None:
    """Area, box and text are what pycocotools makes of the pixels."""
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(pixels))
    assert annotation["segmentation"]["counts"] == encoded["counts"].decode("ascii")
    assert annotation["area"] == coco_mask.area(encoded)
    assert annotation["bbox"] == coco_mask.toBbox(encoded).tolist()


def coco_with_supervision(export: Export) -> Masks:
    import supervision

    masks = {}
    for split in SPLITS:
        images = export.folder / "images" / split
        dataset = supervision.DetectionDataset.from_coco(
            str(images), str(export.folder / "annotations" / f"instances_{split}.json"), force_masks=True
        )
        for path, detections in dataset.annotations.items():
            index = export.find(image=Path(path).relative_to(export.folder).as_posix())
            parts = zip(detections.class_id, detections.mask, strict=True) if len(detections) else ()
            masks[index] = export.paint(index, ((dataset.classes[number], pixels) for number, pixels in parts))
    return masks


def cityscapes_with_torchvision(export: Export) -> Masks:
    """Label ids: class + 1, and 0 for no class. The training ids and the colours beside them say the same."""
    from torchvision.datasets import Cityscapes

    lines = (export.folder / "label_colors.txt").read_text(encoding="utf-8").splitlines()
    colors = np.array([line.split()[:3] for line in lines], np.uint8)
    assert [line.split()[3] for line in lines] == [*export.classes, "unlabeled"]
    assert len(np.unique(colors, axis=0)) == len(colors) and not colors[-1].any()
    masks = {}
    for split in SPLITS:
        data = Cityscapes(str(export.folder), split=split, mode="fine", target_type=["semantic", "color"])
        for path, (image, (ids, painted)) in zip(data.images, data, strict=True):
            index = export.find(image=Path(path).relative_to(export.folder).as_posix())
            assert image.size == ids.size == painted.size
            ids = np.asarray(ids)
            masks[index] = ids - np.uint8(1)
            training = np.asarray(Image.open(export.folder / export.images[index]["mask"]))
            np.testing.assert_array_equal(training, masks[index])
            np.testing.assert_array_equal(
                np.asarray(painted.convert("RGB")), colors[np.minimum(training, len(colors) - 1)]
            )
    return masks


def label_studio_with_sdk(export: Export) -> Masks:
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((export.folder / "label_config.xml").read_text(encoding="utf-8"))
    masks = {}
    for task in json.loads((export.folder / "tasks.json").read_text(encoding="utf-8")):
        (prediction,) = task["predictions"]
        assert interface.validate_prediction(prediction)
        index = _index_of_address(export, task["data"]["image"])
        parts = []
        for one in prediction["result"]:
            width, height = one["original_width"], one["original_height"]
            pixels = decode_rle(one["value"]["rle"]).reshape(height, width, 4)
            assert (pixels == pixels[..., :1]).all() and set(np.unique(pixels)) <= {0, 255}
            parts.append((one["value"]["brushlabels"][0], pixels[..., 3] > 0))
        masks[index] = export.paint(index, parts)
    return masks


def _index_of_address(export: Export, address: str) -> int:
    """The image that Label Studio finds below its document root."""
    from urllib.parse import parse_qs, urlparse

    (path,) = parse_qs(urlparse(address).query)["d"]
    assert (export.folder / path).is_file()
    return export.find(image=path)


def fiftyone_with_importer(export: Export) -> Masks:
    """The importer of `fo.types.ImageSegmentationDirectory`, which needs no database."""
    import fiftyone.utils.data as four

    targets = json.loads((export.folder / "mask_targets.json").read_text(encoding="utf-8"))
    ids = np.full(256, IGNORED, np.uint8)
    for value, name in targets.items():
        ids[int(value)] = export.classes.index(name)
    importer = four.ImageSegmentationDirectoryImporter(
        dataset_dir=str(export.folder), compute_metadata=True, load_masks=True
    )
    masks = {}
    with importer:
        for path, metadata, label in importer:
            index = export.find(image=Path(path).relative_to(export.folder).as_posix())
            assert [metadata.width, metadata.height] == export.images[index]["size"]
            masks[index] = ids[label.mask]
    return masks


def hf_with_datasets(export: Export) -> Masks:
    from datasets import load_dataset

    cache = export.folder.with_name("hf-cache")
    data = load_dataset("imagefolder", data_dir=str(export.folder), cache_dir=str(cache))
    masks = {}
    for split, name in (("train", "train"), ("val", "validation")):
        assert set(data[name].column_names) == {"image", "label"}
        rows = (export.folder / split / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        for row, line in zip(data[name], rows, strict=True):
            index = export.find(image=f"{split}/{json.loads(line)['image_file_name']}")
            assert row["image"].size == row["label"].size and row["label"].mode == "L"
            masks[index] = np.asarray(row["label"])
    return masks


def mmseg_with_mmengine(export: Export) -> Masks:
    """The configuration as mmengine reads it, then files as `BaseSegDataset` lists and loads them."""
    from mmengine.config import Config
    from mmengine.fileio import list_dir_or_file

    config = Config.fromfile(str(export.folder / "mmseg_dataset.py"))
    assert config.metainfo.classes == export.classes and len(config.metainfo.palette) == len(export.classes)
    masks = {}
    for split in SPLITS:
        data = config[f"{split}_dataset"]
        assert data.reduce_zero_label is False and Path(data.data_root) == export.folder
        images = export.folder / data.data_prefix.img_path
        for name in list_dir_or_file(str(images), list_dir=False, suffix=data.img_suffix, recursive=True):
            index = export.find(image=(images / name).relative_to(export.folder).as_posix())
            stem = name.removesuffix(data.img_suffix)
            with Image.open(export.folder / data.data_prefix.seg_map_path / f"{stem}{data.seg_map_suffix}") as mask:
                masks[index] = np.array(mask).squeeze().astype(np.uint8)
    return masks


def ultralytics_with_dataset(export: Export) -> Masks:
    from ultralytics.data.dataset import SemanticDataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(export.folder / "data.yaml"))
    assert list(data["names"].values()) == export.classes
    masks = {}
    for split in SPLITS:
        dataset = SemanticDataset(img_path=data[split], data=data, augment=False, imgsz=64)
        for number, path in enumerate(dataset.im_files):
            index = export.find(image=Path(path).relative_to(export.folder).as_posix())
            masks[index] = np.asarray(dataset.load_mask(number))
    return masks


def binary_with_pil(export: Export) -> Masks:
    folders = json.loads((export.folder / "masks" / "classes.json").read_text(encoding="utf-8"))
    masks = {}
    for index, one in enumerate(export.images):
        parts = []
        for each in folders:
            with Image.open(export.folder / "masks" / each["folder"] / f"{one['stem']}.png") as mask:
                assert mask.mode == "L"
                parts.append((each["name"], np.asarray(mask) == 255))
        masks[index] = export.paint(index, parts)
    return masks
