"""The choice of a backbone: each by what it is for, and under it published quality and whether it needs a download."""

from __future__ import annotations

import streamlit as st

from app.session.weights import weights_words
from picie_core.published_backbones import BACKBONES, PUBLISHED_BACKBONES, published

OFFERS = {one.name: one.offer[:1].upper() + one.offer[1:] for one in PUBLISHED_BACKBONES}
HELP = (
    "The network that looks at the pixels. Sizes are those of the download; times are measured at 320 px against "
    "ResNet-18. Any other vision transformer of timm is taken on the command line: `--backbone timm:NAME`."
)


def choose_backbone(place: str, start: str) -> str:
    """Draws the backbones as what they are for; returns the name of the chosen one."""
    return st.selectbox(
        "Backbone",
        BACKBONES,
        index=BACKBONES.index(start),
        format_func=OFFERS.__getitem__,
        key=f"set_{place}_backbone",
        help=HELP,
        persist_state="session",
    )


def words_of_backbone(backbone: str, weights: str) -> str:
    """Returns where the weights of a backbone come from, and what is published of it."""
    known = published(backbone)
    return weights_words(backbone, weights) + (f" Published: {known.quality}." if known and known.quality else "")
