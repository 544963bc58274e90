"""The brush of the Masks screen: what a stroke names, and what is offered where it contradicts a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.session.cache import contact_sheet_source
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.components.picture import Stroke
from app.shared.formatting import literal, percent
from app.shared.layout.notices import show_errors
from app.shared.naming import class_names, class_of_name, cluster_names, cluster_title
from app.shared.pictures.feature_maps import features_of
from picie_core.data.class_names import IGNORE_NAME
from picie_core.errors import SettingError
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.labels.brush import Brushed

REMEMBERED = 200
RENAME_HELP = "The whole cluster gets the new name, in every image."
SPLIT_HELP = "Pixels that are more like your stroke get the new name; the rest of the cluster keeps the old one."
NOTHING_NAMED = "No cluster has a name yet, so no class can be drawn: choose a name, then click on the picture."
HINT = "Choose a name, then click or brush on the picture. Without one a click says what is there."


@dataclass(frozen=True, eq=False)
class Offer:
    """What can be done about a cluster that got a brush stroke of another name than it has."""

    cluster: int
    old: str
    new: str
    stroke: np.ndarray
    """Embeddings (M, D) under the stroke, unit length."""
    prototypes: np.ndarray | None
    """(2, D) to split it by: what keeps the old name, what gets the new one; None where both are the same."""
    moved: float
    """Share of the cluster's pixels that the split would give the new name."""


@dataclass
class BrushRecord:
    """What a tab remembers of its brush strokes."""

    words: str = ""
    """What the last stroke asked or did, as Markdown."""
    where: tuple[str, int] = ("", -1)
    """Key of the clustering and id of the image of that stroke."""
    offers: list[Offer] = field(default_factory=list)
    strokes: list[tuple[str, int, str, np.ndarray]] = field(default_factory=list)
    """Key of the clustering, cluster, name and embeddings (M, D) of the last strokes that named something."""

    def embeddings(self, key: str, cluster: int, name: str) -> list[np.ndarray]:
        """Returns the embeddings under all strokes of a name in a cluster."""
        return [rows for one, where, called, rows in self.strokes if (one, where, called) == (key, cluster, name)]

    def remember(self, key: str, cluster: int, name: str, rows: np.ndarray) -> None:
        """Keeps the embeddings of a stroke, the last ones only."""
        self.strokes = [*self.strokes, (key, cluster, name, rows)][-REMEMBERED:]


def brush_record() -> BrushRecord:
    """Returns the record of this tab."""
    return session().of(BrushRecord)


def brush_name() -> str | None:
    """Returns the name that a stroke gives, None while clicks only ask."""
    return " ".join((st.session_state.get(Key.BRUSH_NAME) or "").split()) or None


def choose_name(workspace: Workspace) -> None:
    """Draws the field with the name of the brush: a known class, or a new one that is typed."""
    st.selectbox(
        "Brush",
        list(class_names(workspace).values()),
        index=None,
        key=Key.BRUSH_NAME,
        accept_new_options=True,
        placeholder="This is…",
        label_visibility="collapsed",
        persist_state="session",
        width=220,
        help=HINT,
    )


def brush_row(clustering: StoredClustering, image_id: int, unnamed: bool) -> None:
    """Draws the name of the brush, what the last stroke did, and the choice where it contradicted a name.

    unnamed: classes are to be drawn and there is none yet.
    """
    record = brush_record()
    if record.where != (clustering.key, image_id):
        record.offers, record.words = [], ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="brush_row"):
        choose_name(clustering.workspace)
        if record.offers:
            _draw_offer(clustering, record.offers[0])
        else:
            st.caption(record.words or (NOTHING_NAMED if unnamed else HINT))


def _draw_offer(clustering: StoredClustering, offer: Offer) -> None:
    st.markdown(f"Cluster {offer.cluster} is **{literal(offer.old)}**.", width="content")
    arguments = (clustering, offer)
    st.button("Rename all of it", key="brush_rename", on_click=_rename, args=arguments, help=RENAME_HELP)
    if offer.prototypes is not None:
        label = f"Split off {percent(offer.moved)}"
        st.button(label, key="brush_split", type="primary", on_click=_split, args=arguments, help=SPLIT_HELP)
    st.button("Leave", key="brush_leave", on_click=_done)


# -- strokes


def stroke_taker(clustering: StoredClustering) -> Callable[[Stroke], None]:
    """Returns what the picture calls with a stroke: before the page is redrawn, so everything on it follows."""

    def take(stroke: Stroke) -> None:
        with show_errors():
            _take(clustering, stroke)

    return take


def _take(clustering: StoredClustering, stroke: Stroke) -> None:
    from picie_core.labels.brush import brushed, plan_paint

    record, name = brush_record(), brush_name()
    item = clustering.workspace.image_list().records[stroke.image_id]
    under = brushed(features_of(clustering.run, item), clustering, stroke.points, item.width, item.height)
    record.offers, record.where = [], (clustering.key, item.id)
    if name is None:
        record.words = _answer(clustering, under)
        return
    class_id = class_of_name(clustering.workspace, name)
    if class_id is not None:
        name = class_names(clustering.workspace)[class_id]  # as it is written there
    plan = plan_paint(under.clusters, clustering.classes_of(), class_id)
    if plan.to_name:
        clustering.label_map.name_clusters(clustering.key, plan.to_name, name)
    for cluster in (*plan.to_name, *plan.agreeing):
        record.remember(clustering.key, cluster, name, under.embeddings[cluster])
    record.offers = [_offer(clustering, cluster, name, under) for cluster in plan.contradicting]
    record.words = _stroke_words(name, plan.to_name, plan.agreeing)


def _answer(clustering: StoredClustering, under: Brushed) -> str:
    """What is under a click, in words."""
    names, counts = cluster_names(clustering), clustering.counts
    words = []
    for cluster in under.clusters:
        name = f"**{literal(names[cluster])}**" if cluster in names else "no name yet"
        words.append(f"Cluster {cluster}: {name}, {percent(counts[cluster] / max(1, counts.sum()))} of all pixels")
    return " · ".join(words)


def _stroke_words(name: str, named: tuple[int, ...], agreeing: tuple[int, ...]) -> str:
    what = "left out" if name == IGNORE_NAME else f"called **{literal(name)}**"
    if named:
        return f"Now {what}: {_clusters(named)}."
    return f"{_clusters(agreeing).capitalize()} {'is' if len(agreeing) == 1 else 'are'} {what} already."


def _clusters(clusters: tuple[int, ...]) -> str:
    return f"cluster{'s' * (len(clusters) > 1)} {', '.join(map(str, clusters))}"


def _offer(clustering: StoredClustering, cluster: int, new: str, under: Brushed) -> Offer:
    """What can be done about a contradiction; it is split between earlier strokes, or what is typical, and this one."""
    from picie_core.clustering.split_proposals import split_between
    from picie_core.labels.brush import moved_share, typical_embeddings

    old, stroke = cluster_names(clustering)[cluster], under.embeddings[cluster]
    sample = contact_sheet_source(clustering.run).sample
    earlier = brush_record().embeddings(clustering.key, cluster, old)
    kept = np.concatenate(earlier) if earlier else typical_embeddings(sample, clustering, cluster)
    try:
        prototypes = split_between(kept, stroke)
    except SettingError:  # the network cannot tell them apart: nothing lies between
        return Offer(cluster, old, new, stroke, None, 0.0)
    return Offer(cluster, old, new, stroke, prototypes, moved_share(sample, clustering, cluster, prototypes))


# -- what is done about a contradiction


def _rename(clustering: StoredClustering, offer: Offer) -> None:
    with show_errors():
        clustering.label_map.name_clusters(clustering.key, [offer.cluster], offer.new)
        brush_record().remember(clustering.key, offer.cluster, offer.new, offer.stroke)
        _done(f"Now called **{literal(offer.new)}**: cluster {offer.cluster}.")


def _split(clustering: StoredClustering, offer: Offer) -> None:
    from picie_core.labels.brush import split_painted

    assert offer.prototypes is not None
    with show_errors():
        made = split_painted(clustering.label_map, clustering, offer.cluster, offer.prototypes, offer.new)
        brush_record().remember(clustering.key, made, offer.new, offer.stroke)
        _done(f"Cluster {offer.cluster} is split: what is like the stroke is cluster {made}, **{literal(offer.new)}**.")


def _done(words: str = "") -> None:
    record = brush_record()
    record.offers, record.words = record.offers[1:], words


def pointer_titles(clustering: StoredClustering) -> dict[int, str]:
    """Returns what stands beside the pointer over each cluster."""
    names = cluster_names(clustering)
    return {cluster: cluster_title(cluster, names) for cluster in range(clustering.k)}
