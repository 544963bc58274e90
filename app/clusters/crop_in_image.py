"""The dialog that shows where a crop comes from: its image, the cluster painted over it, and the place marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw

from app.shared import overlays
from app.shared.formatting import literal
from app.shared.image_strip import show_image
from app.shared.layout import picture, small_fit
from app.shared.naming import cluster_names, cluster_title, shown_color
from app.shared.pages import page_path
from picie_core.colors import rgb_color
from picie_core.data.image_file import png_bytes
from picie_core.data.image_index import ImageRecord
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.segmentation.contact_sheet import Crop

WIDTH_PX = 960
RING_PX = 14


def draw_place(clustering: StoredClustering, cluster: int, tile: Crop | None) -> None:
    """Draws the image of a tile; says so when the image cannot be read any more."""
    listed = clustering.workspace.image_list()
    item = next((one for one in listed.readable if tile is not None and one.id == tile.image_id), None)
    if tile is None or item is None:
        st.info("There is no image at this place: click on a crop.")
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{literal(cluster_title(cluster, cluster_names(clustering)))}** in {literal(item.path)}")
        opacity = st.slider("Opacity", 0, 100, 40, step=5, format="%d %%", key="place_opacity", width=220)
    png = place_png(clustering, cluster, item, tile, opacity / 100)
    alt = f"{item.path}, cluster {cluster} painted over it, the place of the crop ringed"
    aspect = item.width / item.height
    st.html(f"<style>.st-key-picture_place {{ max-width: calc(62vh * {aspect:.5f}); margin: 0 auto; }}</style>")
    picture("picture_place", png, alt, aspect)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        small_fit(f"{item.width} × {item.height} px")
        show_image(item.id)  # a link, as a fragment that switches the page may leave an empty one
        st.page_link(page_path("masks"), label="Open on the Masks screen", icon=":material/layers:")


def place_png(clustering: StoredClustering, cluster: int, item: ImageRecord, tile: Crop, opacity: float) -> bytes:
    """Returns the image with one cluster painted and outlined and the place of a crop ringed, as PNG."""
    from picie_core.segmentation.overlay import overlay

    width, height = overlays.target_size(item, WIDTH_PX)
    image = overlays.photograph(clustering.workspace, item, WIDTH_PX)
    labels = overlays.mask(clustering, item, overlays.OverlayStyle("cluster", WIDTH_PX))
    color = rgb_color(shown_color(clustering, cluster))
    painted = overlay(image, np.where(labels == cluster, 1, 0), {1: color}, opacity, outline=True)
    return png_bytes(ringed(painted, *place_on(clustering.run, item, tile, width, height)))


def place_on(run: Run, item: ImageRecord, tile: Crop, width: int, height: int) -> tuple[float, float]:
    """Returns where the middle of a tile's cell lies on the picture: (x, y) in pixels."""
    from picie_core.data.feature_grid import centre_px
    from picie_core.data.image_file import scaled_size

    resized = scaled_size(item.width, item.height, run.size_px)
    x, y = (centre_px(index) + 0.5 for index in (tile.col, tile.row))
    return x / resized[0] * width, y / resized[1] * height


def ringed(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Returns the image (H, W, 3) with a white ring between dark ones around a place."""
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for radius, width, color in ((RING_PX + 2, 6, (0, 0, 0)), (RING_PX, 2, (255, 255, 255))):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=width)
    return np.asarray(drawn)
