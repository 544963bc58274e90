"""What the page says for once: errors, never a traceback but a sentence and where to read more, and short notices."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from app.session.folders import workspaces_home
from app.session.record import RECORD, session
from picie_core.errors import PicieError, SettingError, WorkspaceBusy

LOG_LIMIT_BYTES = 1 << 20


@contextmanager
def show_errors() -> Iterator[None]:
    """Shows whatever the block raises as a message at this place of the page, and goes on after it."""
    try:
        yield
    except WorkspaceBusy as error:
        st.warning(_plain(error), icon=":material/hourglass_top:")
    except SettingError as error:
        st.error(_plain(error), icon=":material/tune:")
    except PicieError as error:
        st.error(_plain(error), icon=":material/error:")
    except Exception as error:
        st.error(
            f"This did not work ({type(error).__name__}). Nothing that you decided is lost; reload the page "
            f"to try again. Details are in {write_log(error)}.",
            icon=":material/error:",
        )


def attempt(action: Callable[..., Any], *arguments: Any) -> None:
    """Does what a click asks for, and shows what went wrong with it."""
    with show_errors():
        action(*arguments)


def _plain(error: PicieError) -> str:
    """The message with its `code` as Markdown, but without pictures from elsewhere in the name of a file."""
    return str(error).replace("![", "!\\[")


def write_log(error: Exception) -> Path | str:
    """Appends the traceback to `jobs/app.log` of the workspace (or beside the workspaces) and returns where it is."""
    logging.getLogger("picie.app").error("error on the page", exc_info=error)
    record = st.session_state.get(RECORD)
    root = Path(record.workspace) / "jobs" if record and record.workspace else workspaces_home().parent
    path = root / "app.log"
    text = f"{datetime.now().isoformat(timespec='seconds')}\n{''.join(traceback.format_exception(error))}\n"
    try:
        root.mkdir(parents=True, exist_ok=True)
        too_long = path.exists() and path.stat().st_size > LOG_LIMIT_BYTES
        with open(path, "w" if too_long else "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as disk:
        return f"the terminal of the server ({path} cannot be written: {os.strerror(disk.errno or 0)})"
    return path


def show_notice() -> None:
    """Shows the line that the last run of the script left behind, once."""
    record = session()
    if record.notice:
        st.toast(record.notice)
        record.notice = ""
