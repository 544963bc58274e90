"""The controls of post-processing on the Masks and Export screens: threshold, edge refinement, small regions."""

from __future__ import annotations

import streamlit as st

from app.session.widget_keys import Key
from picie_core.segmentation.edge_refinement import METHODS
from picie_core.segmentation.post_processing import PostProcessing

REFINEMENTS = {"none": "None", "guided": "Guided filter", "pamr": "PAMR"}
THRESHOLD_HELP = (
    "Pixels with a lower confidence become 255. The confidence is 0 where the two best scores are equal and near 1 "
    "where the best one leads by far."
)
REFINE_HELP = "Aligns the borders of the mask with the edges of the image. Takes about a second per image."
AREA_HELP = "Regions of fewer pixels, at full size, take the label beside them. 0 keeps all. Ignored regions stay."


def draw_threshold(possible: bool = True) -> float:
    """Draws the slider of the least confidence and returns it; 0 where it is not `possible` to ignore anything."""
    chosen = st.slider(
        "Ignore below confidence",
        0.0,
        1.0,
        0.0,
        step=0.05,
        key=Key.MIN_CONFIDENCE,
        persist_state="session",
        disabled=not possible,
        help=THRESHOLD_HELP,
    )
    return chosen if possible else 0.0


def draw_post_processing(min_confidence: float) -> PostProcessing:
    """Draws edge refinement and least area; returns both with the threshold."""
    refine = st.selectbox(
        "Edge refinement",
        METHODS,
        format_func=lambda method: REFINEMENTS[method],
        key=Key.REFINE,
        persist_state="session",
        help=REFINE_HELP,
    )
    area = st.number_input(
        "Small-region removal, px", 0, 1_000_000, 0, step=50, key=Key.MIN_AREA, persist_state="session", help=AREA_HELP
    )
    return PostProcessing(min_confidence, refine, int(area))


def post_processing_words(chosen: PostProcessing) -> str:
    """Returns what differs from plain masks in a few words, such as `below 0.30 ignored · Guided filter`."""
    words = [f"below {chosen.min_confidence:.2f} ignored"] * bool(chosen.min_confidence)
    words += [REFINEMENTS[chosen.refine]] * (chosen.refine != "none")
    words += [f"regions from {chosen.min_area_px:,} px"] * bool(chosen.min_area_px)
    return " · ".join(words)
