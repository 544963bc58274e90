"""The errors that a person is meant to read: argument, rule, value, remedy."""

from __future__ import annotations


class PicieError(Exception):
    """Something about the input or the machine stops the work; the message says what and the remedy (exit code 1)."""


class SettingError(PicieError, ValueError):
    """A setting is outside its range or names something unknown (exit code 2)."""


class SharedError(PicieError):
    """All processes of a training meet this error at once, so the first one alone tells it."""


class WorkspaceBusy(PicieError):
    """Another process is writing this workspace."""
