"""The rules for class ids and names: one ignore id, one rule for what counts as the same name."""

from __future__ import annotations

import unicodedata

from picie_core.errors import SettingError

IGNORE_ID = 255
"""The class of what a person wants to leave out; it has no place in a list of classes."""
IGNORE_NAME = "ignore"
MAX_CLASSES = 254
"""Ids are dense from 0, and a mask is uint8 with 255 for ignore."""
MAX_NAME_LENGTH = 60


def clean_name(name: str) -> str:
    """Returns `name` as it is stored: stripped, composed Unicode. Raises SettingError if it breaks a rule."""
    text = unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else ""
    if not 1 <= len(text) <= MAX_NAME_LENGTH:
        raise SettingError(f"class name {name!r} must have 1 to {MAX_NAME_LENGTH} characters: shorten or fill it")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise SettingError(f"class name {name!r} must be one line without control characters: remove them")
    if name_key(text) in (IGNORE_NAME, "unnamed"):
        raise SettingError(f"class name {name!r} is reserved: choose another name")
    return text


def name_key(name: str) -> str:
    """Returns what two spellings of one name have in common: composed Unicode (NFC), whatever the case."""
    return unicodedata.normalize("NFC", name.strip().casefold())
