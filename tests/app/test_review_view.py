"""The review queue of the Clusters screen: its steps, the answers, and crops that are split off."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.clusters.record import ClustersRecord
from picie_core.clustering.hierarchy import merge_tree
from picie_core.clustering.uncertainty import cluster_uncertainty
from picie_core.labels.review_queue import Step, naming_steps
from picie_core.workspace.workspace import Workspace
from tests.app.clusters_screen import OpenScreen, clusters_of, names_of, sound
from tests.app.conftest import text_of


@pytest.fixture
def tab(workspace: Workspace, open_screen: OpenScreen) -> AppTest:
    """The screen with six unnamed clusters."""
    return sound(open_screen("clusters", workspace))


@pytest.fixture
def review(tab: AppTest) -> AppTest:
    """The same screen with the review queue open."""
    return sound(tab.segmented_control(key="cluster_view").set_value("review").run())


def give_name(tab: AppTest, words: str) -> None:
    """What the field does when a name is typed."""
    tab.session_state["picie"].last_name = words
    tab.run().button(key="press_l").click().run()


def steps_of(workspace: Workspace) -> list[Step]:
    """All steps, as the core gives them."""
    run, found = workspace.current_run(), clusters_of(workspace)
    uncertainty = cluster_uncertainty(run.sample(), found)
    return naming_steps(merge_tree(found.centroids, found.counts, "ward"), uncertainty)


def test_the_review_queue_shows_the_order_and_goes_on(
    review: AppTest, workspace: Workspace, open_screen: OpenScreen
) -> None:
    """A name answers and goes on; going on changes nothing; a new tab goes on where this one stopped."""
    steps = steps_of(workspace)
    assert [step.kind for step in steps].count("group") == 6 and f"1 of {len(steps)}." in text_of(review)
    give_name(review, "road")
    assert names_of(workspace) == dict.fromkeys(steps[0].parts[0], "road") and " 2 of " in text_of(sound(review))
    review.button(key="press_n").click().run()
    assert " 3 of " in text_of(sound(review)) and len(names_of(workspace)) == len(steps[0].parts[0])
    review.button(key="press_p").click().run()
    assert " 2 of " in text_of(sound(review))
    review.button(key="press_i").click().run()
    assert names_of(workspace)[steps[1].parts[0][0]] == "ignore"
    other = open_screen("clusters", workspace).segmented_control(key="cluster_view").set_value("review").run()
    assert f" 3 of {len(steps)}." in text_of(sound(other))


def test_groups_that_have_names_are_passed_and_the_queue_ends(workspace: Workspace, open_screen: OpenScreen) -> None:
    """With all groups named the first question is about their insides; after the last one it can start again."""
    found = clusters_of(workspace)
    workspace.label_map.name_clusters(found.key, range(6), "thing")
    tab = sound(open_screen("clusters", workspace).segmented_control(key="cluster_view").set_value("review").run())
    steps = steps_of(workspace)
    first = next(number for number, step in enumerate(steps) if step.kind != "group")
    assert f" {first + 1} of {len(steps)}." in text_of(sound(tab))
    for _ in range(len(steps) - first):
        tab.button(key="press_n").click().run()
    assert "The queue is done" in text_of(sound(tab))
    tab.button(key="review_again").click().run()
    assert f" 1 of {len(steps)}." in text_of(sound(tab))


def test_picked_crops_are_split_off_their_cluster(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The cluster keeps its name, what looks like the picked crops gets the new one, and one undo takes it back."""
    found = clusters_of(workspace)
    workspace.label_map.name_clusters(found.key, range(6), "thing")
    tab = sound(open_screen("clusters", workspace).segmented_control(key="cluster_view").set_value("review").run())
    step = next(step for step in steps_of(workspace) if step.kind != "group")
    assert step.kind == "inside" and "Do all crops show the same?" in text_of(sound(tab))
    tab.session_state["picie"].of(ClustersRecord).crops = {0, 1}
    give_name(tab, "other")
    assert names_of(workspace) == dict.fromkeys(range(6), "thing") | {6: "other"}
    assert clusters_of(workspace).k == 7 and not sound(tab).session_state["picie"].of(ClustersRecord).crops
    assert "Do all crops show the same?" in text_of(tab), "more can be picked from the same crops"
    assert "is split into" not in text_of(tab), "nothing moves below the pointer"
    tab.session_state["picie"].of(ClustersRecord).crops = {1, 3}
    give_name(tab, "third")
    assert names_of(workspace) == dict.fromkeys(range(6), "thing") | {6: "other", 7: "third"}
    assert sound(tab).session_state["picie"].of(ClustersRecord).crop_split.sets == {"other": {0}, "third": {1, 3}}
    tab.session_state["picie"].of(ClustersRecord).crops = {5}
    give_name(tab, "THIRD")
    assert sound(tab).session_state["picie"].of(ClustersRecord).crop_split.sets == {"other": {0}, "third": {1, 3, 5}}
    tab.button(key="undo").click().run()
    sound(tab)
    assert clusters_of(workspace).k == 6 and names_of(workspace) == dict.fromkeys(range(6), "thing")
