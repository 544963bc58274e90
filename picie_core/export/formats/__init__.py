"""The mask formats, one file each, and the table that lists them: a new format is one file and one line here."""

from __future__ import annotations

from picie_core.export.formats.index_png import IndexPng
from picie_core.export.formats.pascal_voc import PascalVoc
from picie_core.export.mask_format import Format

FORMATS: dict[str, Format] = {form.key: form for form in (IndexPng(), PascalVoc())}
"""By the name that options and `export.json` use."""
