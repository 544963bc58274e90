"""The six screens in the order of the work: their files, titles and icons, and what each is for."""

from __future__ import annotations

import streamlit as st

PAGES = {
    "images": ("Images", "photo_library", "Choose the folder of images, see what is in it, and embed it."),
    "train": ("Train", "model_training", "Embed with a frozen backbone, or train PiCIE on these images; watch it run."),
    "clusters": ("Clusters", "grid_view", "Pick the number of clusters, look at crops of each, and name them."),
    "map": ("Map", "scatter_plot", "All pixels as points: select some and see what they show."),
    "masks": ("Masks", "layers", "Each image with its clusters or classes drawn over it."),
    "export": ("Export", "download", "Write the masks in a format that other programs read."),
}


def page_path(name: str) -> str:
    """Returns the file of a screen, as `st.switch_page` wants it."""
    return f"{name}/page.py"


def pages() -> list:
    """Returns the six screens in the order of the work."""
    return [
        st.Page(
            page_path(name), title=title, icon=f":material/{icon}:", url_path=name, help=text, default=name == "images"
        )
        for name, (title, icon, text) in PAGES.items()
    ]


def purpose(title: str) -> str:
    """Returns what a screen is for, in a sentence."""
    return next(text for name, _, text in PAGES.values() if name == title)
