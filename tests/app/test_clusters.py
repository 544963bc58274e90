"""The Clusters screen: cards, keys, splits, groups, classes and ground truth, as a browser tab would see them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.clusters.charts import chart_key
from app.clusters.record import ClustersRecord
from app.session import clustering
from app.shared.components import naming
from picie_core.clustering.clustering import Clustering
from picie_core.clustering.hierarchy import merge_tree
from picie_core.clustering.uncertainty import cluster_uncertainty
from picie_core.data.class_names import IGNORE_ID
from picie_core.labels.review_queue import Step, naming_steps
from picie_core.labels.vocabulary import set_vocabulary
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


def test_groups_that_look_alike_are_named_together_or_dismissed(tab: AppTest, workspace: Workspace) -> None:
    """A suggestion names all its clusters in one edit; one that is dismissed comes no more in this tab."""
    from picie_core.clustering.hierarchy import alike_groups, merge_tree

    found = clusters_of(workspace)
    groups = alike_groups(merge_tree(found.centroids, found.counts), {})
    assert groups, "the scenes have clusters that look alike"
    key = f"similar_{found.key}_{'-'.join(map(str, groups[0]))}"
    other = next(cluster for cluster in range(6) if cluster not in groups[0])
    workspace.label_map.name_clusters(found.key, [other], "both")
    tab.segmented_control(key="cluster_view").set_value("similar").run()
    tab.selectbox(key=key).set_value("both")
    tab.button(key=f"name_{key}").click().run()
    assert names_of(workspace) == dict.fromkeys((*groups[0], other), "both")
    workspace.label_map.undo()
    tab.run().button(key=f"dismiss_{key}").click().run()
    assert not [button for button in sound(tab).button if button.key == f"dismiss_{key}"]


def test_the_tree_is_drawn_for_both_linkages(tab: AppTest) -> None:
    """The dendrogram of six clusters, by average and by Ward."""
    tab.segmented_control(key="cluster_view").set_value("tree").run()
    tab.segmented_control(key="tree_linkage").set_value("ward").run()
    assert "What merges low looks alike" in text_of(sound(tab))


def test_classes_are_renamed_recoloured_merged_and_deleted(tab: AppTest, workspace: Workspace) -> None:
    """Each is one edit of the label map; deleting asks first, by a button of its own."""
    key = clusters_of(workspace).key
    for cluster, name in enumerate(("sea", "lake", "road")):
        workspace.label_map.name_clusters(key, [cluster], name)
    tab.segmented_control(key="cluster_view").set_value("classes").run()
    tab.text_input(key="class_name_2").set_value("street").run()
    tab.color_picker(key="class_color_2").set_value("#123456").run()
    assert [(item.name, item.color) for item in workspace.label_map.classes()][2] == ("street", "#123456")
    tab.selectbox(key="merge_into_1").set_value("sea").run()
    tab.button(key="merge_sure_1").click().run()
    assert names_of(workspace) == {0: "sea", 1: "sea", 2: "street"}
    tab.button(key="delete_sure_0").click().run()
    assert names_of(workspace) == {2: "street"} and not tab.exception


def test_a_taken_name_shows_an_error_and_changes_nothing(tab: AppTest, workspace: Workspace) -> None:
    """The label map's own sentence stands on the page."""
    key = clusters_of(workspace).key
    workspace.label_map.name_clusters(key, [0], "sea")
    workspace.label_map.name_clusters(key, [1], "lake")
    tab.segmented_control(key="cluster_view").set_value("classes").run()
    tab.text_input(key="class_name_1").set_value("Sea").run()
    assert "taken" in tab.error[0].value and names_of(workspace) == {0: "sea", 1: "lake"}


def test_the_vocabulary_is_offered_after_the_classes(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Names in use come first, each once in any spelling; `ignore` is always there."""
    set_vocabulary(workspace.vocabulary_path, b"Sea\nmountain\n", "x.txt")
    workspace.label_map.name_clusters(clusters_of(workspace).key, [0], "sea")
    tab = sound(open_screen("clusters", workspace))
    tab.segmented_control(key="cluster_view").set_value("classes").run()
    assert "2 names of the vocabulary" in text_of(sound(tab))
    from app.shared.naming import names_offered

    assert names_offered(workspace) == ["sea", "mountain", "ignore"]


def test_choosing_k_offers_to_try_and_shows_what_was_tried(
    workspace: Workspace, open_screen: OpenScreen, tab: AppTest
) -> None:
    """Before the curve a button makes it; afterwards its reading stands there. It never moves K by itself."""
    from picie_core.workspace.k_curve import compute_k_curve

    tab.segmented_control(key="cluster_view").set_value("k").run()
    assert [button for button in sound(tab).button if button.key == "scores_100"]
    curve = compute_k_curve(workspace.current_run(), [2, 4, 6], seeds=2)
    assert curve.reading in [element.value for element in sound(tab.run()).markdown]
    assert clusters_of(workspace).base_k == 6


def click_on(tab: AppTest, chart: str, clicks: int, **point: float) -> AppTest:
    """The tab after a click on a point of a chart that was clicked so often before."""
    tab.session_state[chart_key(chart, clicks)] = {"selection": {"points": [point]}}
    return sound(tab.run())


def test_every_click_on_the_curve_moves_k_and_keeps_the_selection_of_the_map(
    workspace: Workspace, tab: AppTest
) -> None:
    """The same point counts again after K was changed elsewhere, and rows of the sample do not depend on K."""
    from picie_core.workspace.k_curve import compute_k_curve

    compute_k_curve(workspace.current_run(), [2, 4, 6], seeds=2)
    tab.session_state["picie"].selected = np.arange(5)
    tab.segmented_control(key="cluster_view").set_value("k").run()
    for clicks in range(2):
        click_on(tab, "k_chart", clicks, x=4, y=0.5)
        assert clusters_of(workspace).base_k == 4 and "4 clusters" in text_of(tab)
        number = next(field for field in tab.number_input if str(field.key).startswith("k_number"))
        number.set_value(6).run()
        assert clusters_of(workspace).base_k == 6 and "6 clusters" in text_of(sound(tab))
    click_on(tab, "k_chart", 2, x=6, y=0.5)
    assert clusters_of(workspace).base_k == 6
    assert tab.session_state["picie"].selected.tolist() == [0, 1, 2, 3, 4]


def test_every_click_on_the_tree_puts_a_cluster_into_focus(tab: AppTest) -> None:
    """The same leaf counts again after the focus moved on."""
    tab.segmented_control(key="cluster_view").set_value("tree").run()
    click_on(tab, "tree_chart", 0, point_index=2)
    first = focus_of(tab)
    click_on(tab, "tree_chart", 1, point_index=4)
    assert focus_of(tab) not in (first, None)
    click_on(tab, "tree_chart", 2, point_index=2)
    assert focus_of(tab) == first


def test_names_are_transferred_to_another_k_and_the_notice_takes_them_back(tab: AppTest, workspace: Workspace) -> None:
    """K moves up, the clusters of a class keep its name where it owns them, and Undo unnames them."""
    workspace.label_map.name_clusters(clusters_of(workspace).key, range(6), "everything")
    tab.number_input(key="k_number").set_value(8).run()
    assert set(names_of(workspace).values()) == {"everything"} and len(names_of(workspace)) == 8
    assert "transferred from K = 6" in text_of(sound(tab))
    tab.button(key="undo_transfer").click().run()
    assert names_of(workspace) == {} and clusters_of(workspace).base_k == 8


def write_masks(workspace: Workspace, folder: Path) -> None:
    """Ground truth: the upper half of every picture is class 0, the lower one class 1."""
    folder.mkdir()
    (folder / "classes.txt").write_text("above\nbelow\n")
    for item in workspace.image_list().readable:
        rows = np.arange(item.height)[:, None] >= item.height // 2
        mask = np.broadcast_to(rows, (item.height, item.width)).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"{Path(item.path).stem}.png")


def test_with_ground_truth_cards_and_a_line_say_how_good_names_are(
    workspace: Workspace, open_screen: OpenScreen, home: Path
) -> None:
    """Best class and purity on each card, accuracy and mIoU in a line, the confusion in a view of its own."""
    from picie_core.workspace.ground_truth import remember_masks

    write_masks(workspace, home / "masks")
    remember_masks(workspace.current_run(), home / "masks")
    workspace.label_map.name_clusters(clusters_of(workspace).key, range(6), "above")
    tab = sound(open_screen("clusters", workspace))
    assert text_of(tab).count(", purity ") == 6 and "Against the ground truth: accuracy <b>" in text_of(tab)
    tab.segmented_control(key="cluster_view").set_value("truth").run()
    assert "Each column is a class" in text_of(sound(tab)) and not [
        word for word in text_of(tab).lower().split() if "nan" in word
    ]


def test_without_ground_truth_nothing_of_it_is_drawn(tab: AppTest) -> None:
    """No figure, no view and no NaN."""
    assert "ground truth" not in text_of(tab).lower() and "purity" not in text_of(tab)
    views = ["Cards", "Review queue", "Look alike", "Tree", "Classes", "Choosing K"]
    assert tab.segmented_control(key="cluster_view").options == views


def test_usual_k_are_found_ahead(
    workspace: Workspace, open_screen: OpenScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the page, once, for a sample that takes long; the clusters on the page stay in use."""
    run, key = workspace.current_run(), clusters_of(workspace).key
    monkeypatch.setattr(clustering, "WORTH_FINDING_AHEAD", 1)
    started: list[threading.Thread] = []
    find = clustering.find_ahead
    monkeypatch.setattr(clustering, "find_ahead", lambda *place: started.append(find(*place)))
    tab = sound(open_screen("clusters", workspace))
    sound(tab.run())
    assert len(set(started)) == 1
    started[0].join(60)
    assert {f"k{k}-s0" for k in clustering.QUICK_K} <= set(run.clusterings())
    assert clusters_of(workspace).key == key and "6 clusters" in text_of(sound(tab.run()))


# -- the review queue


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
