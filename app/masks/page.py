"""Masks: one image at a time with its clusters or classes over it, or their confidence; a click on it names things."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from app.masks.brush import brush_name, brush_row, pointer_titles, stroke_taker
from app.masks.zoom import chosen_view, go_to_view, is_whole, zoom_row
from app.session.widget_keys import Key
from app.shared.components.picture import LOOKUP_PX, paintable
from app.shared.components.picture import View as Part
from app.shared.formatting import count, literal, percent
from app.shared.layout.elements import headline, picture, small, small_fit, swatch
from app.shared.layout.empty_screens import empty_state, need_clustering, need_run, need_workspace
from app.shared.layout.notices import show_errors
from app.shared.naming import class_names, cluster_names, cluster_title
from app.shared.pictures import overlays
from app.shared.pictures.colors import UNNAMED_COLOR, usual_colors
from app.shared.pictures.feature_maps import has_overview
from app.shared.pictures.image_strip import choose_image, film_strip
from app.shared.pictures.overlays import OverlayStyle
from app.shared.pictures.photographs import view_pixels
from app.shared.pictures.post_processing import draw_post_processing, draw_threshold, post_processing_words
from app.shared.pictures.views import overview_webp, view_confidence, view_mask, view_overlay
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import png_bytes
from picie_core.data.images.image_index import ImageRecord
from picie_core.workspace.workspace import StoredClustering

TITLE = "Masks"
PICTURE_PX = 960
VIEWS = {"overlay": "Overlay", "confidence": "Confidence"}
NO_OVERVIEW = (
    "The features of this image are not stored, and embedding all of it takes minutes. Zoom in: the mask of a part "
    "takes seconds."
)
VIEW_HELP = "Confidence: white is certain, black is a tie between the two best, orange is below the threshold."


@dataclass(frozen=True)
class View:
    """What is drawn of an image."""

    style: OverlayStyle
    confidence: bool
    """The confidence instead of the labels."""
    beside: bool
    """The untouched image as well."""
    before: bool
    """The mask before edge refinement and small-region removal as well."""


def choose_view(clustering: StoredClustering) -> View:
    """Draws the controls of what is shown; no label is hidden yet."""
    by = st.segmented_control(
        "Colour by",
        ["cluster", "class"],
        format_func=str.capitalize,
        default=usual_colors(clustering),
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
    with st.expander("Post-processing"):
        style = OverlayStyle(by or "cluster", PICTURE_PX, opacity / 100, post_processing=draw_post_processing(least))
        changed = overlays.before(style) != style
        before = st.toggle(
            "Compare with the mask before", key=Key.MASK_BEFORE, persist_state="session", disabled=not changed
        )
    return View(style, view == "confidence", beside, before and changed)


def labels_shown(clustering: StoredClustering, style: OverlayStyle) -> dict[int, str]:
    """Returns the name of every label that the mask can hold."""
    if style.by == "class":
        return {**class_names(clustering.workspace), IGNORE_ID: "ignored or not named"}
    names = cluster_names(clustering)
    uncertain = {IGNORE_ID: "too uncertain"} if style.post_processing.min_confidence else {}
    return {cluster: cluster_title(cluster, names) for cluster in range(clustering.k)} | uncertain


def legend(mask: np.ndarray, names: dict[int, str], colors: dict[int, str], style: OverlayStyle) -> frozenset[int]:
    """Draws what the image holds, the largest first, each with a switch; returns the labels that are switched off."""
    counts = np.bincount(mask.ravel())
    present = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]
    hidden = set()
    with st.container(height=400, border=False, gap=None, key="legend"):
        for label in present:
            left_out = label == IGNORE_ID and (style.by == "class" or bool(style.post_processing.min_confidence))
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.html(swatch(UNNAMED_COLOR if left_out else colors.get(label, UNNAMED_COLOR)), width="content")
                shown = st.checkbox(
                    literal(names.get(label, str(label))),
                    value=not left_out,
                    key=f"show_{style.by}_{label}",
                    persist_state="session",
                    width="stretch",
                )
                small_fit(percent(counts[label] / mask.size))
            if not shown:
                hidden.add(label)
    return frozenset(hidden)


def facts(clustering: StoredClustering, mask: np.ndarray, style: OverlayStyle, whole: bool) -> None:
    """Draws how many labels there are and what the threshold leaves of this image, or of this part, and of all."""
    left_out = IGNORE_ID if style.by == "class" or style.post_processing.min_confidence else None
    labels = np.unique(mask if left_out is None else mask[mask != left_out])
    words = [f"{count(len(labels), 'label')} in this {'image' if whole else 'part of the image'}"]
    if style.post_processing.min_confidence:
        here = float((mask != IGNORE_ID).mean())
        everywhere = overlays.set_coverage(clustering, style)
        words.append(f"covers <b>{percent(here)}</b> of it, about <b>{percent(everywhere)}</b> of all")
    small(" · ".join(words))
    if style.post_processing.changes:
        small(f"Post-processing, as in the export: {post_processing_words(style.post_processing)}")


def mask_shown(clustering: StoredClustering, shown: ImageRecord, part: Part, style: OverlayStyle) -> np.ndarray:
    """Returns the labels of what is shown of an image, at the size it is shown; 255 where that takes too long."""
    if is_whole(shown, part) and not has_overview(clustering.run, shown):
        return np.full((2, 2), IGNORE_ID, np.uint8)
    if is_whole(shown, part):
        return overlays.mask(clustering, shown, style)
    return view_mask(clustering, shown, part, style)


def pictures(clustering: StoredClustering, shown: ImageRecord, view: View, part: Part) -> None:
    """Draws the picture to point at, and beside it the untouched image or the mask before post-processing."""
    aspect, whole = shown.width / shown.height, is_whole(shown, part)
    places = st.columns(1 + view.beside + view.before, gap="xsmall")
    if view.beside:
        with places[0]:
            if whole:
                original = overlays.image_png(clustering.workspace, shown, PICTURE_PX)
            else:
                original = png_bytes(view_pixels(clustering.workspace, shown, part, PICTURE_PX))
            picture("picture_original", original, f"{shown.path}, untouched", aspect)
    if view.before:
        with places[-2]:
            earlier = overlays.before(view.style)
            if whole:
                plain = overlays.overlay_image(clustering, shown, earlier, "PNG")
            else:
                plain = view_overlay(clustering, shown, part, earlier, "PNG")
            picture("picture_before", plain, f"{shown.path}, its mask before post-processing", aspect)
    with places[-1]:
        main_picture(clustering, shown, part, view.style, view.confidence)


def main_picture(
    clustering: StoredClustering, shown: ImageRecord, part: Part, style: OverlayStyle, confidence: bool
) -> None:
    """Draws the overlay or the confidence of a part of the image; a click on it asks or names."""
    whole, workspace = is_whole(shown, part), clustering.workspace
    if confidence:
        drawn = (
            overlays.confidence_webp(clustering, shown, style)
            if whole
            else view_confidence(clustering, shown, part, style)
        )
        alt = f"{shown.path} with the confidence of its {style.by} mask drawn over it"
    else:
        drawn = (
            overlays.overlay_image(clustering, shown, style, "WEBP")
            if whole
            else view_overlay(clustering, shown, part, style)
        )
        alt = f"{shown.path} with its {'clusters' if style.by == 'cluster' else 'classes'} drawn over it"
    clusters = mask_shown(clustering, shown, part, OverlayStyle("cluster", LOOKUP_PX))
    paintable(
        "picture_overlay",
        webp=drawn,
        alt=alt,
        size=(shown.width, shown.height),
        image_id=shown.id,
        labels=clusters,
        titles={IGNORE_ID: "", **pointer_titles(clustering)},
        name=brush_name(),
        on_stroke=stroke_taker(clustering),
        view=part,
        overview=None if whole else overview_webp(workspace, shown),
        on_view=go_to_view,
    )


def draw(clustering: StoredClustering, named: bool) -> None:
    """Draws controls, legend and picture; the legend is made first because its switches change the picture."""
    shown, order = choose_image(clustering)
    part = chosen_view(shown)
    whole = is_whole(shown, part)
    left, right = st.columns([5, 2], gap="medium")
    with right:
        view = choose_view(clustering)
        style = view.style
        mask = mask_shown(clustering, shown, part, style)
        facts(clustering, mask, style, whole)
        names, colors = labels_shown(clustering, style), overlays.label_colors(clustering, style.by)
        style = replace(style, hidden=legend(mask, names, dict(colors), style))
        view = replace(view, style=style)
    with left:
        brush_row(clustering, shown.id, unnamed=style.by == "class" and not named)
        if whole and not has_overview(clustering.run, shown):
            st.caption(NO_OVERVIEW)
            view = replace(view, style=replace(style, opacity=0.0), confidence=False, before=False)
        zoom_row(shown, part, overlays.target_size(shown, PICTURE_PX)[0])
        pictures(clustering, shown, view, part)
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
