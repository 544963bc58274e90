"""The table of mask formats: a new format is one file and one entry here."""

from __future__ import annotations

from picie_core.export.index_png import PNG
from picie_core.export.mask_format import Format
from picie_core.export.pascal_voc import VOC

FORMATS: dict[str, Format] = {form.key: form for form in (PNG, VOC)}
"""By the name that options and `export.json` use."""
