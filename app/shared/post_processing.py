"""The controls of what becomes of doubtful pixels, borders and specks: the same on the Masks and Export screens."""

from __future__ import annotations

import streamlit as st

from app.session.state import Key
from picie_core.segmentation.edge_refinement import METHODS
from picie_core.segmentation.post_processing import PostProcessing

REFINEMENTS = {"none": "As they are", "guided": "Guided filter", "pamr": "PAMR"}
THRESHOLD_HELP = (
    "Pixels that are less sure than this become 255. The confidence is 0 where the two best scores are equal and "
    "near 1 where the best one leads by far."
)
REFINE_HELP = "Draws the borders of the mask to the edges of the picture. Takes about a second an image."
AREA_HELP = "Regions of fewer pixels, at full size, take the label beside them. 0 keeps all. What is ignored stays so."


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


def draw_tidying() -> tuple[str, int]:
    """Draws the refinement and the least area; returns both."""
    refine = st.selectbox(
        "Borders",
        METHODS,
        format_func=lambda method: REFINEMENTS[method],
        key=Key.REFINE,
        persist_state="session",
        help=REFINE_HELP,
    )
    area = st.number_input(
        "Smallest region, px", 0, 1_000_000, 0, step=50, key=Key.MIN_AREA, persist_state="session", help=AREA_HELP
    )
    return refine, int(area)


def finish_words(post_processing: PostProcessing) -> str:
    """Returns what differs from plain masks in a few words, such as `below 0.30 ignored · guided filter`."""
    words = [f"below {post_processing.min_confidence:.2f} ignored"] * bool(post_processing.min_confidence)
    words += [REFINEMENTS[post_processing.refine]] * (post_processing.refine != "none")
    words += [f"regions from {post_processing.min_area_px:,} px"] * bool(post_processing.min_area_px)
    return " · ".join(words)
