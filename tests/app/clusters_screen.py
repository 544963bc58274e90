"""What the tests of the Clusters screen read from its page and its workspace."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from app.clusters.record import ClustersRecord
from picie_core.clustering.clustering import Clustering
from picie_core.data.class_names import IGNORE_ID
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import text_of

OpenScreen = Callable[..., AppTest]


def clusters_of(workspace: Workspace) -> Clustering:
    """The clustering in use, with its splits."""
    return workspace.current_run().clustering()


def names_of(workspace: Workspace) -> dict[int, str]:
    """Cluster to name, as the workspace has it."""
    names = {item.id: item.name for item in workspace.label_map.classes()} | {IGNORE_ID: "ignore"}
    owners = workspace.label_map.classes_of(clusters_of(workspace).key)
    return {cluster: names[owner] for cluster, owner in owners.items()}


def sound(tab: AppTest) -> AppTest:
    """The tab, which shows neither an exception nor an error."""
    assert not tab.exception and not tab.error, text_of(tab)
    return tab


def cards(tab: AppTest) -> list[int]:
    """The clusters whose cards are drawn, in their order."""
    fields = [str(field.key) for field in tab.selectbox if str(field.key).startswith("name_card_")]
    return [int(key.rsplit("_", 1)[1].split("~")[0]) for key in fields]


def focus_of(tab: AppTest) -> int | None:
    """The cluster that the naming bar names."""
    return tab.session_state["picie"].of(ClustersRecord).focus
