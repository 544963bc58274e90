"""The cards of the Clusters screen, as a browser tab would see them: order, keys, names, splits and crops."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.clusters.record import ClustersRecord
from app.shared.components import naming
from picie_core.workspace.workspace import Workspace
from tests.app.clusters_screen import OpenScreen, cards, clusters_of, focus_of, names_of, sound
from tests.app.conftest import text_of


@pytest.fixture
def tab(workspace: Workspace, open_screen: OpenScreen) -> AppTest:
    """The screen with six unnamed clusters."""
    return sound(open_screen("clusters", workspace))


def test_cards_come_largest_first_and_say_what_they_are(tab: AppTest, workspace: Workspace) -> None:
    """Area, images, tightness and neighbours stand on every card; the sentence says what naming would cover."""
    found = clusters_of(workspace)
    assert cards(tab) == np.argsort(-found.counts, kind="stable").tolist()
    text = text_of(tab)
    assert text.count("of all pixels · ") == 6 and text.count("tightness") == 6
    assert text.count(">Like <a") + text.count("Like <a") >= 6
    assert "0 % of pixels named; naming the last 6 clusters covers 100 % more." in text
    assert "nan" not in text.lower().split()


def test_next_goes_by_area_past_what_has_a_name(tab: AppTest, workspace: Workspace) -> None:
    """N steps over named clusters and starts again at the largest; P goes the same way back."""
    order = cards(tab)
    workspace.label_map.name_clusters(clusters_of(workspace).key, [order[1]], "road")
    assert focus_of(tab) == order[0]
    tab.button(key="press_n").click().run()
    assert focus_of(tab) == order[2]
    for _ in range(4):
        tab.button(key="press_n").click().run()
    assert focus_of(sound(tab)) == order[0] or focus_of(tab) == order[2]
    tab.button(key="press_p").click().run()
    assert focus_of(tab) == order[5]


def test_name_as_last_and_ignore_name_and_go_on(tab: AppTest, workspace: Workspace) -> None:
    """L gives the name that was given last, on a card too; I ignores; both go on to the next without a name."""
    first, second, third, fourth, _, last = cards(tab)
    assert tab.button(key="press_l").disabled
    workspace.label_map.name_clusters(clusters_of(workspace).key, [last], "grass")
    tab.run().selectbox(key=f"name_card_{clusters_of(workspace).key}_{first}").set_value("grass").run()
    tab.button(key="press_n").click().run()
    assert focus_of(tab) == second
    tab.button(key="press_l").click().run()
    tab.button(key="press_i").click().run()
    assert names_of(workspace) == {first: "grass", second: "grass", third: "ignore", last: "grass"}
    assert focus_of(sound(tab)) == fourth
    assert tab.session_state["picie"].last_name == "grass"


def test_a_name_that_arrives_twice_is_given_once(
    workspace: Workspace, open_screen: OpenScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser may send it again before the page is drawn anew: by then another cluster is in focus."""
    sent: dict[str, Any] = {}

    def mount(key: str, data: dict[str, Any], on_named_change: Callable[[], None], **_: Any) -> None:
        sent.setdefault("stamp", data["stamp"])

        def send() -> None:
            st.session_state[key] = SimpleNamespace(named={"name": "road", "stamp": sent["stamp"]})
            on_named_change()
            on_named_change()
            del st.session_state[key]

        st.button("send", key="send", on_click=send)

    monkeypatch.setattr(naming, "_mount", mount)
    tab = sound(open_screen("clusters", workspace))
    first, second, *_ = cards(tab)
    tab.button(key="send").click().run()
    assert names_of(workspace) == {first: "road"} and focus_of(sound(tab)) == second
    tab.button(key="send").click().run()  # with the old stamp
    assert names_of(workspace) == {first: "road"}


def test_picked_clusters_are_named_together(tab: AppTest, workspace: Workspace) -> None:
    """One edit for all that are picked, and none is picked afterwards; undo takes the one edit back."""
    order, key = cards(tab), clusters_of(workspace).key
    tab.session_state["picie"].last_name = "wall"
    for cluster in (order[1], order[3], order[4]):
        tab.checkbox(key=f"pick_{key}_{cluster}").check().run()
    tab.checkbox(key=f"pick_{key}_{order[3]}").uncheck().run()
    tab.button(key="press_l").click().run()
    assert names_of(workspace) == {order[1]: "wall", order[4]: "wall"}
    assert not sound(tab).session_state["picie"].of(ClustersRecord).picked
    workspace.label_map.undo()
    assert names_of(workspace) == {}


def test_a_filter_keeps_cards_while_they_are_named(tab: AppTest, workspace: Workspace) -> None:
    """Among the unnamed a card stays where it is when it gets its name, until the cards are listed anew."""
    order, key = cards(tab), clusters_of(workspace).key
    workspace.label_map.name_clusters(key, [order[5]], "sky")
    tab.run().selectbox(key="cluster_filter").set_value("not named").run()
    tab.selectbox(key=f"name_card_{key}_{order[0]}").set_value("sky").run()
    assert cards(tab) == order[:5]
    tab.button(key="list_anew").click().run()
    assert cards(tab) == order[1:5]
    tab.selectbox(key="cluster_filter").set_value("0").run()
    assert cards(sound(tab)) == [order[0], order[5]]


@pytest.mark.parametrize("order", ("uncertainty", "tightness", "tree"))
def test_every_order_shows_every_cluster_once(tab: AppTest, order: str) -> None:
    """Orders change where cards are, never which."""
    tab.selectbox(key="cluster_order").set_value(order).run()
    assert sorted(cards(sound(tab))) == list(range(6))


@pytest.mark.parametrize("kind", ("border", "random", "one per image"))
def test_crops_of_every_kind_size_and_style_are_drawn(tab: AppTest, kind: str) -> None:
    """All that the cards can show is drawn without an error."""
    tab.segmented_control(key="sheet_kind").set_value(kind)
    tab.segmented_control(key="sheet_size").set_value("L")
    tab.checkbox(key="sheet_outline").uncheck()
    tab.checkbox(key="sheet_context").check()
    assert len(cards(sound(tab.run()))) == 6


def test_a_split_is_previewed_accepted_and_undone(tab: AppTest, workspace: Workspace) -> None:
    """The dialog shows the parts; accepting adds clusters and leaves the others; the notice takes it back."""
    cluster = cards(tab)[0]
    tab.button(key=f"split_{cluster}").click().run()
    assert text_of(tab).count("of the cluster") == 2 and clusters_of(workspace).k == 6
    tab.segmented_control(key="split_parts").set_value(3).run()
    assert text_of(sound(tab)).count("of the cluster") == 3
    tab.button(key="split_accept").click().run()
    assert clusters_of(workspace).k == 8 and "8 clusters" in text_of(sound(tab))
    assert f"Cluster {cluster} is split into {cluster}, 6 and 7" in text_of(tab)
    tab.button(key="undo_split").click().run()
    assert clusters_of(workspace).k == 6 and "is split" not in text_of(sound(tab))


def test_more_crops_open_in_pages(tab: AppTest) -> None:
    """The dialog stays open while the page is drawn again, and says how many crops there are."""
    tab.button(key=f"more_{cards(tab)[0]}").click().run()
    assert "a click on one opens its image" in text_of(tab) and "a click on one opens" in text_of(sound(tab.run()))


def test_a_crop_opens_its_image(tab: AppTest, workspace: Workspace) -> None:
    """A click on the first crop names the image that it is cut from, and leads to it on the Masks screen."""
    tab.session_state["picie"].of(ClustersRecord).dialog = ("image", "card", cards(tab)[0], 0.05, 0.05)
    sound(tab.run())
    shown = [item.path for item in workspace.image_list().readable if item.path.replace("-", "\\-")[:6] in text_of(tab)]
    assert shown and "96 × 72 px" in text_of(tab)
    tab.session_state["picie"].of(ClustersRecord).dialog = ("image", "card", cards(tab)[0], 0.2475, 0.05)
    assert "no image at this point" in text_of(tab.run())
