"""The Map screen with selections put into its state, as the chart would send them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.map import selection, umap_job
from app.map.record import MapRecord
from app.map.selection import CROPS
from app.session.record import RECORD
from picie_core.clustering.projection import UmapSettings
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import text_of

OpenScreen = Callable[..., AppTest]
EVERYTHING = {"x": [-9, 9], "y": [-9, 9]}


def select(tab: AppTest, kind: str = "pca", **drawn: Any) -> None:
    """Puts a selection into the state of the chart and runs the page."""
    shapes = {"points": [], "box": [], "lasso": [], **drawn}
    tab.session_state[f"map_{kind}"] = {"selection": shapes}
    tab.run()
    assert not tab.exception and not tab.error, text_of(tab)


def checked(tab: AppTest) -> list[str]:
    """The clusters whose box is checked."""
    return [box.label for box in tab.checkbox if str(box.key).startswith("map_in_") and box.value]


def test_a_box_selects_in_the_whole_sample_and_lists_its_clusters(
    workspace: Workspace, open_screen: OpenScreen
) -> None:
    """A box around everything selects every sampled pixel; each cluster is listed and checked, being all inside."""
    tab = open_screen("map", workspace)
    select(tab, box=[EVERYTHING])
    assert "<b>900 of 900</b> sampled pixels · 6 images" in text_of(tab)
    assert checked(tab) == [f"cluster {cluster}" for cluster in range(6)]


def test_a_lasso_selects_what_lies_inside_and_checks_what_is_mostly_inside(
    workspace: Workspace, open_screen: OpenScreen
) -> None:
    """The left half of the map, by hand; only clusters with more than half of their pixels there are checked."""
    run = workspace.current_run()
    pca, labels = np.asarray(run.sample().pca), run.clustering().labels
    middle = float(np.median(pca[:, 0]))
    tab = open_screen("map", workspace)
    select(tab, lasso=[{"x": [-9, middle, middle, -9], "y": [-9, -9, 9, 9]}])
    inside = pca[:, 0] < middle
    assert f"<b>{inside.sum():,} of 900</b>" in text_of(tab)
    mostly = {f"cluster {k}" for k in range(6) if inside[labels == k].mean() > 0.5}
    assert set(checked(tab)) == mostly and mostly


def test_the_checked_clusters_get_one_name_and_the_selection_stays(
    workspace: Workspace, open_screen: OpenScreen
) -> None:
    """One edit names what is checked and nothing else; colours, names and K change nothing of what is selected."""
    run = workspace.current_run()
    found = run.clustering()
    workspace.label_map.name_clusters(found.key, [5], "meadow")
    workspace.label_map.name_clusters(found.key, [5], None)
    tab = open_screen("map", workspace)
    select(tab, box=[EVERYTHING])
    for box in tab.checkbox:
        if str(box.key).endswith(("_4", "_5")):
            box.set_value(False)
    tab.run()
    tab.selectbox(key="map_name").set_value("meadow").run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert sorted(workspace.label_map.classes_of(found.key)) == [0, 1, 2, 3]
    assert workspace.label_map.version() == 3
    for coloring in ("class", "image", "confidence"):
        tab.segmented_control(key="map_color").set_value(coloring).run()
        assert not tab.exception and not tab.error, text_of(tab)
        assert "<b>900 of 900</b>" in text_of(tab)
    run.cluster(9)
    workspace.label_map.set_choice("clustering", "k9-s0")
    tab.run()
    assert "<b>900 of 900</b>" in text_of(tab) and "9 clusters" in text_of(tab)


def test_clusters_can_be_ignored_from_the_map(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Ignore gives the checked clusters to class 255."""
    tab = open_screen("map", workspace)
    select(tab, box=[EVERYTHING])
    tab.button(key="map_ignore").click().run()
    found = workspace.current_run().clustering()
    assert workspace.label_map.classes_of(found.key) == dict.fromkeys(range(6), 255)


def test_a_selection_is_split_off_under_a_name(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Half of the map becomes clusters of its own; without a name it says so and changes nothing."""
    run = workspace.current_run()
    pca = np.asarray(run.sample().pca)
    found = run.clustering()
    middle = float(np.median(pca[found.labels == 0, 1]))
    workspace.label_map.name_clusters(found.key, [5], "upper")
    workspace.label_map.name_clusters(found.key, [5], None)
    tab = open_screen("map", workspace)
    select(tab, box=[{"x": [-9, 9], "y": [middle, 9]}])
    split = next(button for button in tab.button if button.label == "Split off")
    split.click().run()
    assert "class name" in tab.error[0].value and workspace.label_map.version() == 2
    tab.selectbox(key="map_split_name").set_value("upper")
    next(button for button in tab.button if button.label == "Split off").click().run()
    assert not tab.exception and not tab.error, text_of(tab)
    after = run.clustering()
    assert after.k > 6
    named = workspace.label_map.classes_of(after.key)
    assert set(range(6, after.k)) <= set(named)
    inside = np.isin(after.labels, list(named))
    assert inside[pca[:, 1] > middle].mean() > 0.8 and inside[pca[:, 1] < middle].mean() < 0.2


def test_clear_forgets_the_selection_although_the_chart_still_has_it(
    workspace: Workspace, open_screen: OpenScreen
) -> None:
    """The chart goes on reporting the old box; it is not taken for a new one."""
    tab = open_screen("map", workspace)
    select(tab, box=[EVERYTHING])
    tab.button(key="clear_selection").click()
    select(tab, box=[EVERYTHING])
    assert "Draw a lasso" in text_of(tab)
    select(tab, box=[{"x": [-9, 0], "y": [-9, 9]}])
    assert "of 900</b> sampled pixels" in text_of(tab)


def test_what_the_legend_hides_is_not_selected(workspace: Workspace, open_screen: OpenScreen) -> None:
    """With one cluster isolated in the legend a box around everything holds this cluster only."""
    found = workspace.current_run().clustering()
    tab = open_screen("map", workspace)
    state = tab.session_state[RECORD].of(MapRecord)
    assert [part[0] for part in state.parts] == list(range(6))
    state.hidden = frozenset(range(1, 6))
    select(tab, box=[EVERYTHING])
    assert f"<b>{found.counts[0]:,} of 900</b>" in text_of(tab)
    assert checked(tab) == ["cluster 0"]


def test_pages_of_the_mosaic_differ(
    workspace: Workspace, open_screen: OpenScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second page holds other pixels than the first; a selection of one has one page, and no way to another."""
    asked = []
    real = selection.crops_of
    monkeypatch.setattr(selection, "crops_of", lambda *all: asked.append(list(all[1])) or real(*all))
    tab = open_screen("map", workspace)
    select(tab, box=[EVERYTHING])
    digest = hashlib.sha256(np.arange(900).tobytes()).hexdigest()[:16]
    tab.session_state[f"map_page_{digest}"] = 2
    tab.run()
    assert not tab.exception and not tab.error, text_of(tab)
    first, second = asked[0], asked[-1]
    assert len(first) == CROPS and second and not set(first) & set(second)
    places = workspace.current_run().sample()
    x, y = (float(value) for value in places.pca[0])
    select(tab, box=[{"x": [x - 1e-6, x + 1e-6], "y": [y - 1e-6, y + 1e-6]}])
    assert "<b>1 of 900</b> sampled pixels · 1 image" in text_of(tab)
    assert asked[-1] == [0]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of the jobs that the page starts; none runs."""
    jobs: list[list[str]] = []
    monkeypatch.setattr(umap_job, "start", lambda workspace, command, words: jobs.append([command, *words]))
    return jobs


def store_umap(workspace: Workspace, settings: UmapSettings, turn: float) -> None:
    """Stores a UMAP as the job would: the PCA, turned."""

    run = workspace.current_run()
    pca = np.asarray(run.sample().pca)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    np.savez(run.derived_dir / settings.file_name, index=np.arange(len(pca)), xy=pca @ spin)


def test_umap_is_made_in_the_background_with_the_chosen_parameters(
    workspace: Workspace, open_screen: OpenScreen, started: list[list[str]]
) -> None:
    """One click starts the job; another choice starts another one, and the old picture stays until it is done."""
    tab = open_screen("map", workspace)
    tab.segmented_control(key="map_kind").set_value("UMAP").run()
    assert "UMAP draws similar pixels together" in text_of(tab) and not started
    tab.button(key="start_umap").click().run()
    assert not tab.exception and not tab.error, text_of(tab)
    run = workspace.current_run()
    usual = ["--points", "10000", "--neighbors", "15", "--min-dist", "0.1", "--seed", "0"]
    assert started == [["project", "--run", run.name, *usual]]
    store_umap(workspace, UmapSettings(), 0.5)
    tab.run()
    assert "placed by UMAP, 15 neighbours, distance 0.1" in text_of(tab)
    tab.select_slider(key="umap_neighbors").set_value(30)
    tab.number_input(key="umap_seed").set_value(3)
    next(button for button in tab.button if button.label == "Make this map").click().run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert started[1:] == [["project", "--run", run.name, *usual[:3], "30", *usual[4:7], "3"]]
    assert "15 neighbours" in text_of(tab)
    store_umap(workspace, UmapSettings(neighbors=30, seed=3), 1.5)
    tab.run()
    assert "30 neighbours" in text_of(tab) and len(started) == 2


def test_a_selection_on_one_map_is_selected_on_the_other(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The ids are kept, not the outline: PCA and UMAP show the same pixels."""
    store_umap(workspace, UmapSettings(), 0.5)
    tab = open_screen("map", workspace)
    select(tab, box=[{"x": [-9, 0], "y": [-9, 9]}])
    chosen = tab.session_state[RECORD].selected
    tab.segmented_control(key="map_kind").set_value("UMAP").run()
    assert not tab.exception and not tab.error, text_of(tab)
    np.testing.assert_array_equal(tab.session_state[RECORD].selected, chosen)
    assert f"<b>{len(chosen):,} of 900</b>" in text_of(tab)
    look, shown = tab.session_state[RECORD].of(MapRecord).baked
    np.testing.assert_array_equal(shown, chosen)
    assert not look.drawn


def test_a_selection_of_another_sample_is_not_shown(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Ids of a run that was made again mean other pixels: nothing is selected any more."""
    tab = open_screen("map", workspace)
    select(tab, box=[EVERYTHING])
    tab.session_state[RECORD].of(MapRecord).selected_of = ("elsewhere", "run", 0.0)
    tab.run()
    assert "Draw a lasso" in text_of(tab)
