"""The other views of the Clusters screen: groups, tree, classes, vocabulary, the curve over K and ground truth."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.clusters.views.charts import chart_key
from app.session import clustering
from picie_core.clustering.hierarchy import merge_tree
from picie_core.labels.vocabulary import set_vocabulary
from picie_core.workspace.workspace import Workspace
from tests.app.clusters_screen import OpenScreen, clusters_of, focus_of, names_of, sound
from tests.app.conftest import text_of


@pytest.fixture
def tab(workspace: Workspace, open_screen: OpenScreen) -> AppTest:
    """The screen with six unnamed clusters."""
    return sound(open_screen("clusters", workspace))


def test_groups_that_look_alike_are_named_together_or_dismissed(tab: AppTest, workspace: Workspace) -> None:
    """A suggestion names all its clusters in one edit; one that is dismissed comes no more in this tab."""
    from picie_core.clustering.hierarchy import alike_groups

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
