"""The brush of the Masks screen: what a click asks, names and offers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from streamlit.testing.v1 import AppTest

from app.shared.components.picture import Stroke, read_stroke
from picie_core.clustering.clustering import Clustering
from picie_core.segmentation.masks import cluster_mask
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import Browser, choose, names_of, text_of

OpenScreen = Callable[..., AppTest]


def clusters_of(space: Workspace, image: int = 0) -> tuple[np.ndarray, Clustering]:
    """The cluster of each pixel of an image, and the clustering."""
    run = space.current_run()
    found = run.clustering()
    return cluster_mask(run.dense_features().get(image), found, 72, 96), found


def a_pixel(mask: np.ndarray, cluster: int) -> tuple[int, int]:
    """(x, y) of a pixel well inside a cluster."""
    inside = mask == cluster
    deep = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    y, x = np.argwhere(deep)[len(np.argwhere(deep)) // 2]
    return int(x) + 1, int(y) + 1


def largest(mask: np.ndarray) -> list[int]:
    """The clusters of a mask, the largest first."""
    return [int(cluster) for cluster in np.argsort(-np.bincount(mask.ravel()))]


# -- brush strokes


def test_a_click_without_a_name_only_asks(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """It says which cluster is there and how large it is; nothing is named."""
    mask, _ = clusters_of(workspace)
    tab = browser.paint(open_screen("masks", workspace), a_pixel(mask, largest(mask)[0]))
    assert f"Cluster {largest(mask)[0]}: no name yet" in text_of(tab) and "% of all pixels" in text_of(tab)
    assert names_of(workspace) == {} and not tab.exception and not tab.error


def test_a_click_names_the_cluster_under_it(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """With a class chosen a click is a name, there at once in the sidebar, the legend and under the pointer."""
    mask, _ = clusters_of(workspace)
    tab = open_screen("masks", workspace)
    assert browser.data["name"] == ""
    choose(tab, workspace, "the road")
    assert browser.data["name"] == "the road"
    first, second = largest(mask)[:2]
    browser.paint(tab, a_pixel(mask, first))
    assert names_of(workspace) == {first: "the road"}
    assert "Now called **the road**" in text_of(tab) and browser.data["titles"][str(first)] == f"{first} the road"
    browser.paint(tab, a_pixel(mask, second))
    assert names_of(workspace) == {first: "the road", second: "the road"}
    browser.paint(tab, a_pixel(mask, second))
    assert "already" in text_of(tab) and len(workspace.label_map.classes()) == 1


def test_a_contradiction_changes_nothing_until_it_is_decided(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """Leave keeps the name, rename gives the whole cluster the other one."""
    mask, found = clusters_of(workspace)
    cluster = largest(mask)[0]
    workspace.label_map.name_clusters(found.key, [cluster], "sky")
    tab = open_screen("masks", workspace)
    choose(tab, workspace, "cloud")
    browser.paint(tab, a_pixel(mask, cluster))
    assert f"Cluster {cluster} is **sky**" in text_of(tab) and names_of(workspace) == {cluster: "sky"}
    tab.button(key="brush_leave").click().run()
    assert names_of(workspace) == {cluster: "sky"} and "brush_rename" not in {b.key for b in tab.button}
    browser.paint(tab, a_pixel(mask, cluster))
    tab.button(key="brush_rename").click().run()
    assert names_of(workspace) == {cluster: "cloud"} and not tab.exception and not tab.error


def test_a_contradiction_can_split_that_cluster_and_no_other(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """The part that is like the click gets the new name; pixels of all other clusters stay; one undo brings it back."""
    mask, found = clusters_of(workspace)
    cluster = largest(mask)[0]
    workspace.label_map.name_clusters(found.key, [cluster], "sky")
    tab = open_screen("masks", workspace)
    choose(tab, workspace, "cloud")
    browser.paint(tab, a_pixel(mask, cluster))
    tab.button(key="brush_split").click().run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert names_of(workspace) == {cluster: "sky", 6: "cloud"} and "is split" in text_of(tab)
    after, now = clusters_of(workspace)
    assert now.k == 7
    np.testing.assert_array_equal(after[mask != cluster], mask[mask != cluster])
    x, y = a_pixel(mask, cluster)
    assert after[y, x] == 6
    workspace.label_map.undo()
    assert names_of(workspace) == {cluster: "sky"} and workspace.current_run().clustering().k == 6


def test_a_split_keeps_what_an_earlier_stroke_named(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """A cluster with strokes of two names is split between the two positions."""
    mask, _ = clusters_of(workspace)
    cluster = largest(mask)[0]
    inside = np.argwhere(mask == cluster)
    first, last = (tuple(int(v) for v in inside[i][::-1]) for i in (len(inside) // 8, -len(inside) // 8))
    tab = open_screen("masks", workspace)
    choose(tab, workspace, "near")
    browser.paint(tab, first)
    choose(tab, workspace, "far")
    browser.paint(tab, last)
    tab.button(key="brush_split").click().run()
    after, _ = clusters_of(workspace)
    assert (after[first[1], first[0]], after[last[1], last[0]]) == (cluster, 6)
    assert names_of(workspace) == {cluster: "near", 6: "far"}


def test_a_stroke_that_is_none_is_passed_over() -> None:
    """What comes from the browser is checked: the shape, and that points lie on the image."""
    assert read_stroke({"image": 3, "points": [[1, 2], [4, 5]]}, (10, 8)) == Stroke(3, ((1, 2), (4, 5)))
    points = [[], [[1, 8]], [[-1, 2]], [[1]], ["ab"], 3]
    for wrong in (None, {}, {"image": "x", "points": [[1, 2]]}, *({"image": 3, "points": one} for one in points)):
        assert read_stroke(wrong, (10, 8)) is None
