"""One export as one zip file, for the download."""

from __future__ import annotations

import os
import uuid
import zipfile
from functools import partial
from pathlib import Path
from typing import BinaryIO

import streamlit as st

from picie_core.atomic_files import disk_error


def download_button(folder: Path) -> None:
    """Draws the button that downloads a folder as a zip."""
    st.download_button(
        "Download",
        data=partial(open_zip, folder),
        file_name=f"{folder.name}.zip",
        mime="application/zip",
        on_click="ignore",
        icon=":material/download:",
        key=f"download_{folder.parent.name}_{folder.name}",
    )


def open_zip(folder: Path) -> BinaryIO:
    """Returns the zip of `folder`, open for reading; made when the person clicks, not before."""
    return open(zip_folder(folder), "rb")


def zip_folder(folder: Path) -> Path:
    """Returns the zip beside `folder` with everything in it, made now unless it is there and newer.

    Written file by file, so memory stays flat; pictures are stored as they are, because they are packed already.
    Raises PicieError when the disk is full.
    """
    path = folder.with_name(f"{folder.name}.zip")
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    newest = max((file.stat().st_mtime for file in files), default=0.0)
    if path.exists() and path.stat().st_mtime >= newest:
        return path
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}")
        os.replace(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
