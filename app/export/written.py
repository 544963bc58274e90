"""What was exported before: reports and downloads, and exports that were stopped, to go on with or to delete."""

from __future__ import annotations

import html
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import streamlit as st

from app.export.archive import download_button
from app.session.cache import cached
from app.session.jobs import job_of, start
from app.shared.formatting import count, home_path, literal, percent, size
from app.shared.layout.elements import small
from app.shared.layout.notices import attempt
from picie_core.export.formats import FORMATS
from picie_core.export.journal import COMMAND_FILE, JOURNAL_FILE, unfinished_name
from picie_core.workspace.workspace import Workspace


def exports_part(workspace: Workspace) -> None:
    """Draws the unfinished exports, then the finished ones, the newest first."""
    folder = workspace.root / "exports"
    job = job_of(workspace, "export")
    if job is None or not job.is_running:
        for left in sorted(folder.glob(unfinished_name("*"))):
            _draw_unfinished(workspace, left)
    found = sorted((path for path in folder.glob("[!.]*") if path.is_dir()), key=lambda path: -path.stat().st_mtime)
    records = [(path, _records(path)) for path in found]
    if any(each for _, each in records):
        st.markdown("**Written so far**")
    for path, each in records:
        if each:
            _draw_export(path, each)


def _records(folder: Path) -> list[dict[str, Any]]:
    """The `export.json` of each format in the folder of an export."""
    paths = [*folder.glob("export.json"), *sorted(folder.glob("*/export.json"))]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _draw_export(folder: Path, records: list[dict[str, Any]]) -> None:
    first = records[0]
    words = [", ".join(FORMATS[one["format"]].title for one in records if one["format"] in FORMATS)]
    words += [count(first["images"], "mask"), count(len(first["classes"]), "class", "classes")]
    words += [f"{percent(first['ignored_share'])} ignored"]
    if first.get("annotated"):
        words.append(f"{len(first['annotated']):,} annotated")
    words.append(size(folder_bytes(str(folder), folder.stat().st_mtime)))
    with st.container(border=True, horizontal=True, vertical_alignment="center", wrap=False):
        with st.container(gap=None):
            st.markdown(f"**{literal(folder.name)}**")
            small(html.escape(" · ".join(words)))
            small(html.escape(home_path(folder)))
        download_button(folder)
    if first["problems"]:
        with st.expander(f"{count(len(first['problems']), 'image')} left out of {folder.name}"):
            st.dataframe(first["problems"], hide_index=True, alt="Images that could not be exported, with the reason")


def _draw_unfinished(workspace: Workspace, folder: Path) -> None:
    """Draws an export that was stopped or killed, with the buttons that go on and that delete it."""
    try:
        words = shlex.split((folder / COMMAND_FILE).read_text(encoding="utf-8"))
        written = sum(1 for _ in open(folder / JOURNAL_FILE, "rb"))  # noqa: SIM115 - closed at once
    except FileNotFoundError:
        return
    name = words[words.index("--out") + 1].rpartition("/")[2]
    with st.container(border=True, horizontal=True, vertical_alignment="center", wrap=False):
        with st.container(gap=None):
            st.markdown(f"**{literal(name)}**")
            small(f"Stopped after {count(written, 'image')}.")
        arguments = words[words.index("export") + 1 :]
        st.button(
            "Go on",
            icon=":material/resume:",
            key=f"resume_{name}",
            on_click=attempt,
            args=(start, workspace, "export", arguments),
        )
        st.button(
            "Delete", icon=":material/delete:", key=f"delete_{name}", on_click=attempt, args=(shutil.rmtree, folder)
        )


@cached(64)
def folder_bytes(folder: str, stamp: float) -> int:
    """Returns the size of everything in a folder; `stamp` tells that it changed."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
