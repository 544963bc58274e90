"""Confidence maps: how sure the label of each pixel of a mask is, as files beside the masks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from picie_core.data.images.image_file import png_bytes
from picie_core.export.image_files import put


def write_confidence(path: Path, confidence: np.ndarray, kind: str) -> None:
    """Writes a map (H, W) float32, 0 to 1, to `path` with the suffix of its kind.

    kind: png holds round(255 * confidence) as uint8; npz holds float16 under `confidence`.
    """
    if kind == "png":
        put(path.with_name(f"{path.name}.png"), png_bytes(np.rint(255 * confidence).astype(np.uint8)))
        return
    buffer = io.BytesIO()
    np.savez_compressed(buffer, confidence=confidence.astype(np.float16))
    put(path.with_name(f"{path.name}.npz"), buffer.getvalue())
