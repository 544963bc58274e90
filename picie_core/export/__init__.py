"""Masks in the formats that other tools read: one file a format, and one table that lists them."""

from __future__ import annotations

from picie_core.export.export_job import ExportReport, export_masks
from picie_core.export.index_png import PNG
from picie_core.export.mask_format import Format
from picie_core.export.pascal_voc import VOC

__all__ = ["FORMATS", "ExportReport", "Format", "export_masks"]

FORMATS: dict[str, Format] = {form.key: form for form in (PNG, VOC)}
