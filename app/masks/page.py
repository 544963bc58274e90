"""Masks: one image at a time with its clusters or classes over it; what it is sure of; a click on it names things."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from app.masks.brush import paint_row, painted_name, pointer_titles, stroke_taker
from app.session import caches
from app.session.state import Key
from app.shared import overlays
from app.shared.colors import UNNAMED_COLOR
from app.shared.components.picture import LOOKUP_PX, paintable
from app.shared.formatting import count, literal, percent
from app.shared.image_strip import choose_image, film_strip
from app.shared.layout import (
    empty_state,
    headline,
    need_clustering,
    need_run,
    need_workspace,
    picture,
    small,
    small_fit,
    swatch,
)
from app.shared.naming import class_names, cluster_names, cluster_title
from app.shared.notices import show_errors
from app.shared.overlays import Look
from app.shared.post_processing import draw_threshold, draw_tidying, finish_words
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.image_index import ImageRecord
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.workspace.workspace import StoredClustering

TITLE = "Masks"
PICTURE_PX = 960
VIEWS = {"overlay": "Overlay", "confidence": "Confidence"}
VIEW_HELP = "Confidence: white is sure, black is a tie between the two best, orange is below the threshold."


@dataclass(frozen=True)
class View:
    """What is drawn: the look, and what it is of."""

    look: Look
    confidence: bool
    """The confidence instead of the labels."""
    beside: bool
    """The untouched image as well."""
    before: bool
    """The mask before borders and specks were tidied as well."""


def choose_view(clustering: StoredClustering) -> View:
    """Draws how the image is shown; no label is hidden yet."""
    by = st.segmented_control(
        "Colour by",
        ["cluster", "class"],
        format_func=str.capitalize,
        default=caches.usual_colors(clustering),
        required=True,
        key=Key.MASK_KIND,
        persist_state="session",
    )
    view = st.segmented_control(
        "View",
        list(VIEWS),
        format_func=lambda key: VIEWS[key],
        default="overlay",
        required=True,
        key=Key.MASK_VIEW,
        persist_state="session",
        help=VIEW_HELP,
    )
    opacity = st.slider("Opacity", 0, 100, 55, step=5, format="%d %%", key=Key.OPACITY, persist_state="session")
    least = draw_threshold(by == "class" or clustering.k <= IGNORE_ID)
    beside = st.toggle("Show the original beside it", key=Key.MASK_BESIDE, persist_state="session")
    with st.expander("Borders and specks"):
        post_processing = PostProcessing(least, *draw_tidying())
        look = Look(by or "cluster", PICTURE_PX, opacity / 100, frozenset(), post_processing)
        tidied = overlays.before(look) != look
        before = st.toggle(
            "Show the mask before beside it", key=Key.MASK_BEFORE, persist_state="session", disabled=not tidied
        )
    return View(look, view == "confidence", beside, before and tidied)


def labels_shown(clustering: StoredClustering, look: Look) -> dict[int, str]:
    """Returns the name of every label that the mask can hold."""
    if look.by == "class":
        return {**class_names(clustering.workspace), IGNORE_ID: "ignored or not named"}
    names = cluster_names(clustering)
    unsure = {IGNORE_ID: "not sure enough"} if look.post_processing.min_confidence else {}
    return {cluster: cluster_title(cluster, names) for cluster in range(clustering.k)} | unsure


def legend(mask: np.ndarray, names: dict[int, str], colors: dict[int, str], look: Look) -> frozenset[int]:
    """Draws what the image holds, the largest first, each with a switch; returns the labels that are switched off."""
    counts = np.bincount(mask.ravel())
    present = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]
    hidden = set()
    with st.container(height=400, border=False, gap=None, key="legend"):
        for label in present:
            left_out = label == IGNORE_ID and (look.by == "class" or bool(look.post_processing.min_confidence))
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.html(swatch(UNNAMED_COLOR if left_out else colors.get(label, UNNAMED_COLOR)), width="content")
                shown = st.checkbox(
                    literal(names.get(label, str(label))),
                    value=not left_out,
                    key=f"show_{look.by}_{label}",
                    persist_state="session",
                    width="stretch",
                )
                small_fit(percent(counts[label] / mask.size))
            if not shown:
                hidden.add(label)
    return frozenset(hidden)


def facts(clustering: StoredClustering, mask: np.ndarray, look: Look) -> None:
    """Draws how many labels there are and what the threshold leaves of this image and of all."""
    left_out = IGNORE_ID if look.by == "class" or look.post_processing.min_confidence else None
    said = [count(len(np.unique(mask[mask != left_out] if left_out is not None else mask)), "label") + " in this image"]
    if look.post_processing.min_confidence:
        here = float((mask != IGNORE_ID).mean())
        everywhere = overlays.set_coverage(clustering, look)
        said.append(f"covers <b>{percent(here)}</b> of it, about <b>{percent(everywhere)}</b> of all")
    done = f"<br>The export does the same: {finish_words(look.post_processing)}" if look.post_processing.changes else ""
    small(" · ".join(said) + done)


def pictures(clustering: StoredClustering, shown: ImageRecord, view: View) -> None:
    """Draws the picture to point at, and beside it the untouched image or the mask before it was tidied."""
    aspect = shown.width / shown.height
    places = st.columns(1 + view.beside + view.before, gap="xsmall")
    if view.beside:
        with places[0]:
            original = overlays.image_png(clustering.workspace, shown, PICTURE_PX)
            picture("picture_original", original, f"{shown.path}, untouched", aspect)
    if view.before:
        with places[-2]:
            plain = overlays.overlay_png(clustering, shown, overlays.before(view.look))
            picture("picture_before", plain, f"{shown.path}, its mask before borders and specks were tidied", aspect)
    with places[-1]:
        main_picture(clustering, shown, view.look, view.confidence)


def main_picture(clustering: StoredClustering, shown: ImageRecord, look: Look, sure: bool) -> None:
    """Draws the overlay or the confidence; a click on it asks or names."""
    if sure:
        painted = overlays.confidence_webp(clustering, shown, look)
        alt = f"{shown.path} with the confidence of its {look.by} mask drawn over it"
    else:
        painted = overlays.overlay_webp(clustering, shown, look)
        alt = f"{shown.path} with its {'clusters' if look.by == 'cluster' else 'classes'} drawn over it"
    clusters = overlays.mask(clustering, shown, Look("cluster", LOOKUP_PX))
    paintable(
        "picture_overlay",
        painted,
        alt,
        (shown.width, shown.height),
        shown.id,
        clusters,
        pointer_titles(clustering),
        painted_name(),
        stroke_taker(clustering),
    )


def draw(clustering: StoredClustering, named: bool) -> None:
    """Draws controls, legend and picture; the legend is made first because its switches change the picture."""
    shown, order = choose_image(clustering)
    left, right = st.columns([5, 2], gap="medium")
    with right:
        view = choose_view(clustering)
        look = view.look
        mask = overlays.mask(clustering, shown, look)
        facts(clustering, mask, look)
        names, colors = labels_shown(clustering, look), overlays.label_colors(clustering, look.by)
        look = replace(look, hidden=legend(mask, names, dict(colors), look))
        view = replace(view, look=look)
    with left:
        paint_row(clustering, shown.id, unnamed=look.by == "class" and not named)
        pictures(clustering, shown, view)
        film_strip(clustering.workspace, order, shown)


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(run, TITLE)
named = clustering.classes_of()
headline(
    TITLE,
    f"{clustering.k} clusters · {count(len(set(named.values())), 'class', 'classes')} named",
    ("Write the masks", "export") if named else ("Name the clusters", "clusters"),
    primary=True,
)
if not workspace.image_list().readable:
    empty_state("None of the images can be read any more.", "See why", "images")
else:
    with show_errors():
        draw(clustering, bool(named))
