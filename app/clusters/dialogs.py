"""The dialogs of the Clusters screen: more crops of a cluster, and the image that a crop comes from.

Which one is open is in the record of the tab, so that a page that is drawn again keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw

from app.clusters.contact_sheets import SheetSize, SheetStyle, ask_sheets, fill, reserve, sheet_place
from app.clusters.record import record_of
from app.clusters.split import draw_split
from app.shared.formatting import count, literal
from app.shared.layout.elements import picture, small, small_fit
from app.shared.layout.notices import show_errors
from app.shared.layout.pages import page_path
from app.shared.naming import cluster_names, cluster_title, shown_color
from app.shared.pictures import overlays
from app.shared.pictures.image_strip import show_image
from picie_core.colors import rgb_color
from picie_core.data.images.image_file import png_bytes
from picie_core.data.images.image_index import ImageRecord
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.segmentation.contact_sheet import Crop

MORE_SIZE = SheetSize(columns=12, rows=5, crop_px=96)
IMAGE_PX = 960
RING_PX = 14


def draw_dialog(clustering: StoredClustering, style: SheetStyle) -> None:
    """Draws the dialog that is open, if one is. style: of the sheets on the cards."""
    here = record_of(clustering)
    if not here.dialog or here.dialog[1 if len(here.dialog) == 2 else 2] >= clustering.k:
        return

    def close() -> None:
        here.dialog = ()

    kind = here.dialog[0]
    if kind == "more":
        _show("More crops", close, lambda: draw_more(clustering, here.dialog[1], style))
    elif kind == "split":
        _show("Split a cluster", close, lambda: draw_split(clustering, here.dialog[1]))
    elif kind == "image":
        _, sheet, cluster, x, y = here.dialog
        crop = crop_at(clustering, cluster, (x, y), sheet=sheet, style=style)
        _show("Where the crop is", close, lambda: draw_image(clustering, cluster, crop))


def _show(title: str, close: Callable[[], None], draw: Callable[[], None]) -> None:
    @st.dialog(title, width="large", on_dismiss=close)
    def drawn() -> None:
        with show_errors():
            draw()

    drawn()


# -- more crops: sixty at once, page by page


def draw_more(clustering: StoredClustering, cluster: int, style: SheetStyle) -> None:
    """Draws the crops of a cluster, at first of the kind that the cards show."""
    from picie_core.clustering.exemplars import KINDS

    st.markdown(f"**{literal(cluster_title(cluster, cluster_names(clustering)))}**")
    st.segmented_control(
        "Crops",
        KINDS,
        format_func=str.capitalize,
        default=style.kind,
        required=True,
        key=_kind_key(style),
        label_visibility="collapsed",
    )
    shown = _more_style(cluster, style)
    sheet = ask_sheets(clustering, [cluster], [shown_color(clustering, cluster)], shown)[cluster]
    reserve(MORE_SIZE, "more")
    fill(sheet_place(f"more_{cluster}"), sheet, f"{shown.kind.capitalize()} crops of cluster {cluster}")
    total = sheet.result().sheet.total
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        small(f"{count(total, 'crop')}; a click on one opens its image")
        if total > MORE_SIZE.crops:
            st.pagination(-(-total // MORE_SIZE.crops), key=_page_key(cluster, shown.kind))


def _more_style(cluster: int, style: SheetStyle) -> SheetStyle:
    """What the dialog shows, as its fields say."""
    kind = st.session_state.get(_kind_key(style)) or style.kind
    page = st.session_state.get(_page_key(cluster, kind), 1) - 1
    return SheetStyle(kind, MORE_SIZE, style.outline, style.context, page)


def _kind_key(style: SheetStyle) -> str:
    return f"more_kind_{style.kind}"


def _page_key(cluster: int, kind: str) -> str:
    """Each cluster and kind of crops starts at its first page."""
    return f"more_page_{cluster}_{kind}"


def crop_at(
    clustering: StoredClustering, cluster: int, point: tuple[float, float], *, sheet: str, style: SheetStyle
) -> Crop | None:
    """Returns the crop at a point of a contact sheet, (x, y) as shares of its size; None where it has none.

    sheet: `card`, or `more` for the dialog with more crops; style: of the sheets on the cards.
    """
    shown = _more_style(cluster, style) if sheet == "more" else style
    color = shown_color(clustering, cluster)
    return ask_sheets(clustering, [cluster], [color], shown)[cluster].result().sheet.crop_at(*point)


# -- the image that a crop comes from


def draw_image(clustering: StoredClustering, cluster: int, crop: Crop | None) -> None:
    """Draws the image of a crop, the cluster painted over it; says so when the image cannot be read any more."""
    listed = clustering.workspace.image_list()
    item = next((one for one in listed.readable if crop is not None and one.id == crop.image_id), None)
    if crop is None or item is None:
        st.info("There is no image at this point: click on a crop.")
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{literal(cluster_title(cluster, cluster_names(clustering)))}** in {literal(item.path)}")
        opacity = st.slider("Opacity", 0, 100, 40, step=5, format="%d %%", key="place_opacity", width=220)
    png = _image_png(clustering, cluster, item, crop, opacity=opacity / 100)
    alt = f"{item.path}, cluster {cluster} painted over it, the position of the crop ringed"
    aspect = item.width / item.height
    st.html(f"<style>.st-key-picture_crop {{ max-width: calc(62vh * {aspect:.5f}); margin: 0 auto; }}</style>")
    picture("picture_crop", png, alt, aspect)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        small_fit(f"{item.width} × {item.height} px")
        show_image(item.id)  # a link, as a fragment that switches the page may leave an empty one
        st.page_link(page_path("masks"), label="Open on the Masks screen", icon=":material/layers:")


def _image_png(clustering: StoredClustering, cluster: int, item: ImageRecord, crop: Crop, *, opacity: float) -> bytes:
    """The image with one cluster painted and outlined and the position of a crop ringed, as PNG."""
    from picie_core.segmentation.overlay import overlay

    image = overlays.photograph(clustering.workspace, item, IMAGE_PX)
    labels = overlays.mask(clustering, item, overlays.OverlayStyle("cluster", IMAGE_PX))
    color = rgb_color(shown_color(clustering, cluster))
    painted = overlay(image, np.where(labels == cluster, 1, 0), {1: color}, opacity, outline=True)
    return png_bytes(_ringed(painted, *_center_of(clustering.run, item, crop, overlays.target_size(item, IMAGE_PX))))


def _center_of(run: Run, item: ImageRecord, crop: Crop, size: tuple[int, int]) -> tuple[float, float]:
    """The middle of a crop, (x, y) in pixels of the image drawn at `size`, (width, height)."""
    from picie_core.data.feature_grid import centre_px

    resized = run.network_size(item)
    x, y = (centre_px(index) + 0.5 for index in (crop.col, crop.row))
    return x / resized[0] * size[0], y / resized[1] * size[1]


def _ringed(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """The image (H, W, 3) with a white ring between dark ones around a point."""
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for radius, width, color in ((RING_PX + 2, 6, (0, 0, 0)), (RING_PX, 2, (255, 255, 255))):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=width)
    return np.asarray(drawn)
