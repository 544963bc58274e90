"""Export: choose formats, see five masks as they will be, write them in the background, download them."""

from __future__ import annotations

import shlex
import time

import streamlit as st

from app.export.checks import draw_checks
from app.export.corrections import corrections_part
from app.export.distil import distil_part
from app.export.format_cards import choose_formats
from app.export.options import Choice, choose_options
from app.export.written import exports_part
from app.session.jobs import command_line, job_of, start
from app.shared.formatting import count
from app.shared.job_panel import job_ending, watch_job
from app.shared.layout.elements import headline, picture
from app.shared.layout.empty_screens import empty_state, need_clustering, need_run, need_workspace
from app.shared.layout.notices import show_errors
from app.shared.pictures import overlays
from app.shared.pictures.overlays import OverlayStyle
from app.shared.pictures.thumbnails import spread
from picie_core.data.class_names import IGNORE_ID
from picie_core.workspace.workspace import StoredClustering

TITLE = "Export"
PREVIEWS = 5
PREVIEW_PX = 320


def previews(clustering: StoredClustering, choice: Choice) -> None:
    """Draws a few masks as they will be written, in their colours; what stays a photograph becomes 255."""
    items = spread(clustering.workspace.image_list().readable, PREVIEWS)
    raw = choice.settings.raw
    left_out = {IGNORE_ID} if not raw or choice.post_processing.min_confidence else set()
    if choice.settings.classes:
        left_out |= {one.id for one in clustering.label_map.classes() if one.name not in choice.settings.classes}
    style = OverlayStyle(
        "cluster" if raw else "class", PREVIEW_PX, hidden=frozenset(left_out), post_processing=choice.post_processing
    )
    for column, item in zip(st.columns(PREVIEWS, gap="xsmall"), items, strict=False):
        with column:
            data = overlays.overlay_image(clustering, item, style, "PNG")
            picture(f"picture_preview_{item.id}", data, f"Mask of {item.path}", item.width / item.height)
    ids = f"cluster ids, 0 to {clustering.k - 1}" if raw else "class ids, and 255 where the photograph shows"
    st.caption(f"{count(len(items), 'mask')} as they will be written. Their pixels hold {ids}.")


def write_part(clustering: StoredClustering, choice: Choice) -> None:
    """Draws the button that writes, or the progress of the writing, and the command that does the same."""
    workspace = clustering.workspace
    job = job_of(workspace, "export")
    if job is not None and job.is_running:
        watch_job(workspace, "export")
        return
    draw_checks(clustering, choice)
    words = [*choice.options(), "--run", clustering.run.name, "--clustering", clustering.name]
    label = f"Write {count(len(workspace.image_list().readable), 'mask')}"
    if len(choice.formats) > 1:
        label += f" in {len(choice.formats)} formats"
    if st.button(label, type="primary", icon=":material/save:", key="write_export", disabled=not choice.formats):
        kind = choice.formats[0] if len(choice.formats) == 1 else f"{len(choice.formats)}-formats"
        name = f"{kind}{'-raw' * choice.settings.raw}-{time.strftime('%Y%m%d-%H%M%S')}"
        start(workspace, "export", [*words, "--out", str(workspace.root / "exports" / name)])
        st.rerun()
    job_ending(job)
    with st.expander("The command that does the same"):
        st.code(
            shlex.join(command_line(workspace, "export", [*words, "--out", "OUT"])), language="bash", wrap_lines=True
        )


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(run, TITLE)
classes = set(clustering.classes_of().values()) - {IGNORE_ID}
headline(
    TITLE,
    f"{count(len(workspace.image_list().readable), 'image')} · {clustering.k} clusters · "
    f"<b>{count(len(classes), 'class', 'classes')}</b>",
)
with show_errors():
    formats = choose_formats()
    choice = choose_options(clustering, formats)
    if not classes and not choice.settings.raw:
        text = "No cluster has a name yet, so every pixel would be ignored. Name some, or write cluster ids instead."
        empty_state(text, "Name the clusters", "clusters")
    elif not formats:
        st.caption("Choose a format to write.")
    else:
        with show_errors():
            previews(clustering, choice)
        write_part(clustering, choice)
    exports_part(workspace)
corrections_part(clustering)
with show_errors():
    distil_part(clustering)
