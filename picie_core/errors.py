"""The errors that a person is meant to read: argument, rule, value, remedy."""

from __future__ import annotations

import re


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


def reason_of(error: BaseException) -> str:
    """Returns why a library failed, for the middle of a sentence: one line, without colours and advice of its own.

    torch advises to open a pickle that it refuses at one's own risk; here it is named what that would have built.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    built = re.search(r"GLOBAL ([\w.]*\w)", text)
    if built:
        return f"it holds a Python object, {built[1]}, and building one could run code"
    if "weights_only" in text:
        return "it is damaged, or holds more than tensors"
    return text.splitlines()[0] if text else type(error).__name__
