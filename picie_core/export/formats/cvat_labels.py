"""The labels of a CVAT task: the file that its constructor takes, and colours that CVAT can tell apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from picie_core.export.image_files import put


def write_cvat_labels(folder: Path, names: Sequence[str], colors: Sequence[str]) -> None:
    """Writes cvat_labels.json, whose text goes into the field Raw of the task constructor; colours are #rrggbb."""
    labels = [
        {"name": name, "color": color, "type": "any", "attributes": []}
        for name, color in zip(names, colors, strict=True)
    ]
    put(folder / "cvat_labels.json", (json.dumps(labels, indent=1, ensure_ascii=False) + "\n").encode())
