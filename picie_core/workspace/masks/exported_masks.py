"""Which masks a workspace has exported: by their digests an import recognises unchanged masks.

What a mask holds decides, not its format or the order of its classes, so a mask that went through another tool and
came back the same is found too. The file may be deleted: unchanged masks are then compared with the network's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from picie_core.data.class_names import IGNORE_ID, name_key

FILE = "exported_masks.txt"
DIGEST_CHARACTERS = 32
ROWS = 1024
"""Rows of a mask that are looked at together, so that a large one is never copied."""


def mask_digest(path: str, mask: np.ndarray, class_names: Sequence[str]) -> str:
    """Returns the digest of a mask (H, W) of class ids, 255 where there is none, of the image at `path`.

    class_names: by id. Masks with equal names in equal pixels have equal digests, whatever the ids are.
    """
    parts = [slice(first, first + ROWS) for first in range(0, len(mask), ROWS)]
    shown = sorted({int(one) for part in parts for one in np.unique(mask[part])})
    keys = sorted((name_key(class_names[one]), one) for one in shown if one != IGNORE_ID)
    rank = np.full(IGNORE_ID + 1, IGNORE_ID, np.uint8)
    for index, (_, one) in enumerate(keys):
        rank[one] = index
    head = "\n".join([path, f"{mask.shape[0]} {mask.shape[1]}", *(key for key, _ in keys)])
    digest = hashlib.sha256(head.encode() + b"\0")
    for part in parts:
        digest.update(rank[mask[part]].tobytes())
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def remember_mask(workspace_root: Path, path: str, mask: np.ndarray, class_names: Sequence[str]) -> None:
    """Adds a mask to those that were exported; arguments as of `mask_digest`. Safe from many threads.

    Does nothing where the workspace cannot be written: the export is whole without it.
    """
    line = f"{mask_digest(path, mask, class_names)}\n"
    with suppress(OSError), open(workspace_root / FILE, "a", encoding="ascii") as file:
        file.write(line)  # one write of few bytes, so lines never mix


def exported_digests(workspace_root: Path) -> frozenset[str]:
    """Returns the digests of all masks that were exported; none when the file is not there."""
    try:
        text = (workspace_root / FILE).read_bytes()
    except FileNotFoundError:
        return frozenset()
    lines = text.decode("ascii", errors="replace").split("\n")
    return frozenset(line for line in lines if len(line) == DIGEST_CHARACTERS)  # a kill may have cut one off
