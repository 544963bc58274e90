"""Writes the mask of an image as a grey PNG of class ids: python predict.py IMAGE MASK.png

Needs onnxruntime, numpy and pillow alone, and model.onnx beside it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SESSION = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"), providers=["CPUExecutionProvider"])
FACTS = SESSION.get_modelmeta().custom_metadata_map
CLASSES = [one["name"] for one in json.loads(FACTS["classes"])]


def input_size(width: int, height: int) -> tuple[int, int]:
    """The width and height at which the network sees an image."""
    rule = json.loads(FACTS["size"])
    scale = min(rule["shorter_side"] / min(width, height), (rule["max_pixels"] / (width * height)) ** 0.5)
    short = max(rule["min_side"], round(min(width, height) * scale))
    long = max(short, min(round(max(width, height) * scale), rule["max_pixels"] // short))
    return (long, short) if width >= height else (short, long)


def predict(image: Image.Image) -> np.ndarray:
    """The class id of each pixel, uint8 (height, width)."""
    image = ImageOps.exif_transpose(image).convert("RGB")
    small = image.resize(input_size(*image.size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    pixels = (np.asarray(small) / 255 - json.loads(FACTS["mean"])) / json.loads(FACTS["std"])
    scores = SESSION.run(None, {"image": pixels.astype(np.float32).transpose(2, 0, 1)[None]})[0][0]
    full = [Image.fromarray(one).resize(image.size, Image.Resampling.BILINEAR) for one in scores]
    return np.argmax([np.asarray(one) for one in full], axis=0).astype(np.uint8)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python predict.py IMAGE MASK.png    classes: {', '.join(CLASSES)}")
    Image.fromarray(predict(Image.open(sys.argv[1]))).save(sys.argv[2])
