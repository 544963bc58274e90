"""The errors that a person is meant to read: argument, rule, value, remedy."""

from __future__ import annotations


class PicieError(Exception):
    """Something about the input or the machine stops the work; the message says what and the remedy (exit code 1)."""


class SettingError(PicieError, ValueError):
    """A setting is outside its range or names something unknown (exit code 2)."""


class SharedError(PicieError):
    """All workers of a training raise this error at once, so rank 0 alone reports it."""


class WorkersLost(PicieError):
    """The connection to another worker of the training broke."""


class WorkspaceBusy(PicieError):
    """Another process is writing this workspace."""


class Stopped(Exception):
    """A job stopped on request after it stored what it had; the message says how to go on."""
