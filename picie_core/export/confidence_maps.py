"""Confidence maps: how sure the label of each pixel of a mask is, as files beside the masks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from picie_core.data.images.image_file import png_bytes
from picie_core.export.image_files import put


def write_confidence(path: Path, confidence: np.ndarray, kind: str) -> None:
    """Writes a map (H, W), float32 from 0 to 1 or uint8 to 255, to `path` with the suffix of its kind.

    kind: png holds round(255 * confidence) as uint8; npz holds float16 under `confidence`.
    """
    if kind == "png":
        eight_bit = confidence if confidence.dtype == np.uint8 else np.rint(255 * confidence).astype(np.uint8)
        put(path.with_name(f"{path.name}.png"), png_bytes(eight_bit))
        return
    shares = confidence / np.float16(255) if confidence.dtype == np.uint8 else confidence.astype(np.float16)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, confidence=shares)
    put(path.with_name(f"{path.name}.npz"), buffer.getvalue())
