"""Undo, redo, history, snapshots and label transfers, as a browser tab would see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from picie_core.clustering.split_proposals import propose_split
from picie_core.workspace.cluster_edits import split_cluster
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import text_of

OpenScreen = Callable[..., AppTest]


@pytest.fixture
def named(workspace: Workspace) -> Workspace:
    """A workspace with clusters 0 and 1 called grass, and 2 called sky."""
    key = workspace.current_run().clustering().key
    workspace.label_map.name_clusters(key, [0, 1], "grass")
    workspace.label_map.name_clusters(key, [2], "sky")
    return workspace


def names_of(workspace: Workspace) -> dict[int, str]:
    """Cluster -> class name of the clustering in use."""
    names = {item.id: item.name for item in workspace.label_map.classes()}
    key = workspace.current_run().clustering().key
    return {cluster: names[owner] for cluster, owner in workspace.label_map.classes_of(key).items()}


def test_nothing_to_undo_at_first(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The buttons are there and say why they do nothing; the history says what it will hold."""
    tab = open_screen("clusters", workspace)
    assert tab.button(key="undo").disabled and tab.button(key="redo").disabled
    assert tab.button(key="undo").help == "Nothing to undo"
    tab.session_state["history"] = True
    assert "Nothing was edited yet" in text_of(tab.run())


def test_undo_and_redo_say_what_they_would_do(named: Workspace, open_screen: OpenScreen) -> None:
    """The tooltip names the edit; a click takes it back on the page and in the workspace, another makes it again."""
    tab = open_screen("clusters", named)
    assert tab.button(key="undo").help == "Undo: named cluster 2 sky (Ctrl+Z)"
    tab.button(key="undo").click().run()
    assert not tab.exception and not tab.error and tab.toast[0].value == "Undid: named cluster 2 sky"
    assert names_of(named) == {0: "grass", 1: "grass"}
    assert tab.button(key="undo").help == "Undo: named 2 clusters grass (Ctrl+Z)"
    assert tab.button(key="redo").help == "Redo: named cluster 2 sky (Ctrl+Shift+Z)"
    tab.button(key="redo").click().run()
    assert names_of(named) == {0: "grass", 1: "grass", 2: "sky"} and tab.button(key="redo").disabled


def test_undo_of_what_another_tab_replaced_is_told(named: Workspace, open_screen: OpenScreen) -> None:
    """A click on an old tooltip takes nothing back that it did not speak of."""
    tab = open_screen("clusters", named)
    named.label_map.rename_class(0, "meadow")
    tab.button(key="undo").click().run()
    assert "somebody edited meanwhile" in tab.error[0].value and not tab.exception
    assert names_of(named)[0] == "meadow"
    assert tab.button(key="undo").help == "Undo: renamed grass to meadow (Ctrl+Z)"


def test_names_are_shown_as_they_are(workspace: Workspace, open_screen: OpenScreen) -> None:
    """A name that looks like Markdown or HTML stays text in tooltip, history and list of snapshots."""
    key = workspace.current_run().clustering().key
    workspace.label_map.name_clusters(key, [0], "*a* <b>")
    workspace.label_map.save_snapshot("![x](y)")
    tab = open_screen("clusters", workspace)
    assert r"\*a\* \<b\>" in tab.button(key="undo").help
    tab.session_state["history"] = True
    text = text_of(tab.run())
    assert "named cluster 0 *a* &lt;b&gt;" in text and r"\!\[x\]\(y\)" in text


def test_history_and_snapshots(named: Workspace, open_screen: OpenScreen) -> None:
    """The last edits are listed; a snapshot is saved, returned to, which can be undone, and deleted."""
    tab = open_screen("clusters", named)
    tab.session_state["history"] = True
    assert "named 2 clusters grass" in text_of(tab.run())
    tab.text_input(key="snapshot").set_value("two names").run()
    tab.button(key="save_snapshot").click().run()
    assert "saved snapshot “two names”" in text_of(tab) and tab.text_input(key="snapshot").value == ""
    named.label_map.delete_class(0)
    tab.run()
    tab.button(key="return_two names").click().run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert names_of(named) == {0: "grass", 1: "grass", 2: "sky"}
    assert tab.button(key="undo").help == "Undo: returned to snapshot “two names” (Ctrl+Z)"
    tab.button(key="undo").click().run()
    assert names_of(named) == {2: "sky"}
    tab.button(key="forget_two names").click().run()
    assert named.label_map.snapshots() == []
    tab.button(key="save_snapshot").click().run()
    assert "1 to 60 characters" in tab.error[0].value


def test_a_label_transfer_is_told_and_undone(named: Workspace, open_screen: OpenScreen) -> None:
    """Moving K transfers names; the page says so in every tab until it is undone or something else is edited."""
    tab = open_screen("clusters", named)
    tab.number_input(key="k_choice").set_value(12).run()
    assert not tab.exception and not tab.error, text_of(tab)
    transferred = names_of(named)
    assert set(transferred.values()) == {"grass", "sky"}
    assert f"**{len(transferred)} names were transferred from K \\= 6**" in text_of(tab).replace("K =", "K \\=")
    other = open_screen("masks", named)
    assert "were transferred" in text_of(other) and "were transferred" not in text_of(open_screen("images", named))
    tab.button(key="undo_transfer").click().run()
    assert names_of(named) == {} and "were transferred" not in text_of(tab)
    assert "were transferred" not in text_of(other.run())


def test_an_edit_at_another_k_is_said_to_be_there(named: Workspace, open_screen: OpenScreen) -> None:
    """After a change of K, undo may concern clusters that are not on the page: the tooltip says so."""
    tab = open_screen("clusters", named)
    tab.number_input(key="k_choice").set_value(12).run()
    tab.button(key="undo").click().run()
    assert tab.button(key="undo").help == "Undo: named cluster 2 sky, at another K (Ctrl+Z)"


@pytest.mark.parametrize("screen", ["clusters", "map", "masks", "export"])
def test_every_screen_shows_the_parts_of_a_split(named: Workspace, open_screen: OpenScreen, screen: str) -> None:
    """After a split in another process each screen draws the new clusters; K stays what was asked for."""
    run = named.current_run()
    found = run.clustering()
    tab = open_screen(screen, named)
    split_cluster(found, 0, propose_split(found, found.sample().embeddings, 0, 3))
    tab.run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert "8 clusters" in text_of(tab)
    assert tab.number_input(key="k_choice").value == 6
    assert tab.button(key="undo").help == "Undo: split cluster 0 into 3 (Ctrl+Z)"
    tab.button(key="undo").click().run()
    assert "6 clusters" in text_of(tab) and not tab.exception and not tab.error


def test_cards_of_the_parts_have_fields_of_their_own(named: Workspace, open_screen: OpenScreen) -> None:
    """A part inherits the name, and can be named by itself."""
    run = named.current_run()
    found = run.clustering()
    split_cluster(found, 0, propose_split(found, found.sample().embeddings, 0, 2))
    tab = open_screen("clusters", named)
    field = tab.selectbox(key=f"name_card_{found.key}_6")
    assert field.value == "grass"
    field.set_value("sky").run()
    assert names_of(named) == {0: "grass", 1: "grass", 2: "sky", 6: "sky"}


def test_a_page_that_missed_a_message_still_shows_the_name(named: Workspace, open_screen: OpenScreen) -> None:
    """The message that says a name first may never arrive: every later one says it too, so none comes back empty."""
    tab = open_screen("clusters", named)
    found = named.current_run().clustering()
    named.label_map.name_clusters(found.key, [3], "grass")
    for _ in range(2):
        tab.run()
        field = tab.selectbox(key=f"name_card_{found.key}_3~1").proto
        assert field.options[field.default] == "grass" and not field.set_value
    assert tab.number_input(key="k_choice").proto.default == 6


def test_what_an_open_page_still_shows_undoes_nothing(named: Workspace, open_screen: OpenScreen) -> None:
    """A page that has not heard of an edit yet sends its old contents along: that is nobody's wish."""
    tab = open_screen("clusters", named)
    key = f"name_card_{named.current_run().clustering().key}_2"
    stale = tab._tree.get_widget_states()
    assert tab.selectbox(key=key).value == "sky"
    named.label_map.undo()
    tab.run()
    assert tab.selectbox(key=f"{key}~1").value is None
    tab._run(stale)
    tab._run(stale)
    assert not tab.exception and names_of(named) == {0: "grass", 1: "grass"}
    named.label_map.redo()
    tab._run(stale)
    tab._run(stale)
    assert names_of(named) == {0: "grass", 1: "grass", 2: "sky"} and len(named.label_map.history()) == 4
