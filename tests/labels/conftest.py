"""The label map that tests of this room start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from picie_core.labels.label_map import LabelMap


@pytest.fixture
def label_map(tmp_path: Path) -> LabelMap:
    """A label map whose file does not exist yet, nor its folder; their names need quoting in a URI."""
    return LabelMap(tmp_path / "a folder #1" / "labels ü?.sqlite")
