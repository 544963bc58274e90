"""Brush strokes: the cluster under a point is that of the mask, and a split by a stroke changes one cluster only."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.split_proposals import split_between
from picie_core.errors import SettingError
from picie_core.labels.brush import PaintPlan, brushed, moved_share, plan_paint, split_painted, typical_embeddings
from picie_core.segmentation.masks import cluster_mask
from picie_core.workspace.workspace import Workspace
from tests.hand_made import clustering_of, unit


def some_features(seed: int = 0) -> tuple[np.ndarray, Clustering]:
    """A feature map (11, 14, 8) as int8 and a clustering of six random centroids."""
    rng = np.random.default_rng(seed)
    feature_map = rng.normal(size=(11, 14, 8)).repeat(2, 0)[:11].repeat(2, 1)[:, :14]
    return np.rint(40 * feature_map.clip(-3, 3)).astype(np.int8), clustering_of(unit(rng.normal(size=(6, 8))))


def test_what_lies_under_a_point_is_what_the_mask_shows_there():
    """Every pixel of a full-size mask against a click on it."""
    feature_map, clustering = some_features()
    mask = cluster_mask(feature_map, clustering, 43, 56)
    clicked = [
        [brushed(feature_map, clustering, [(x, y)], 56, 43).clusters[0] for x in range(0, 56, 5)]
        for y in range(0, 43, 3)
    ]
    np.testing.assert_array_equal(clicked, mask[::3, ::5])


def test_a_stroke_names_what_most_of_it_covers():
    """The cluster under most points comes first; one that the stroke only slips over is left out."""
    feature_map = np.zeros((4, 20, 2), np.float32)
    feature_map[:, :10, 0], feature_map[:, 10:, 1] = 1, 1
    clustering = clustering_of(np.eye(2, dtype=np.float32))
    assert brushed(feature_map, clustering, [(x, 8) for x in range(20, 76)], 80, 16).clusters == (1, 0)
    assert brushed(feature_map, clustering, [(x, 8) for x in range(37, 76)], 80, 16).clusters == (1,)


def test_embeddings_under_a_point_are_those_of_its_cluster_nearby():
    """The nine positions around a point, without those of other clusters, at unit norm."""
    feature_map = np.zeros((9, 9, 3), np.float32)
    feature_map[..., 0] = 2
    feature_map[:, 5:] = [0, 3, 0]
    clustering = clustering_of(np.eye(3, dtype=np.float32))
    rows = brushed(feature_map, clustering, [(4 * 4 + 1, 4 * 4 + 1)], 36, 36).embeddings[0]
    assert rows.shape == (6, 3)  # columns 3 and 4 of three rows; those of column 5 are another cluster
    np.testing.assert_allclose(rows, [[1, 0, 0]] * 6)


def test_points_outside_the_image_are_refused():
    """The message names the point, the size and the remedy."""
    feature_map, clustering = some_features()
    with pytest.raises(SettingError, match=r"point 56,3 lies outside the image of 56 x 43 pixels"):
        brushed(feature_map, clustering, [(2, 2), (56, 3)], 56, 43)
    with pytest.raises(SettingError, match="at least one point"):
        brushed(feature_map, clustering, [], 56, 43)


def test_a_plan_parts_new_names_from_contradictions():
    """No name: named. Another name, ignored ones too: contradiction. The same name: nothing to do."""
    classes_of = {0: 1, 2: 255, 3: 0}
    assert plan_paint((0, 1, 2, 3), classes_of, 1) == PaintPlan((1,), {2: 255, 3: 0}, (0,))
    assert plan_paint((0, 1, 2, 3), classes_of, None) == PaintPlan((1,), {0: 1, 2: 255, 3: 0}, ())
    assert plan_paint((2,), classes_of, 255) == PaintPlan((), {}, (2,))


def test_typical_embeddings_are_the_closest_to_the_middle(finished: Workspace):
    """Of a cluster the sampled pixels with the highest cosine, and no others."""
    run = finished.current_run()
    sample, clustering = run.sample(), run.clustering()
    rows = typical_embeddings(sample, clustering, 1, most=5)
    members = np.flatnonzero(clustering.labels == 1)
    cosines = sample.embeddings[members].astype(np.float32) @ clustering.centroids[1]
    np.testing.assert_allclose(np.sort(rows @ clustering.centroids[1]), np.sort(cosines)[-5:], atol=2e-3)


def test_a_split_by_painting_changes_that_cluster_only(finished_copy: Workspace):
    """Part of the cluster gets the new name, all the rest of every mask stays, and one undo brings all of it back."""
    run = finished_copy.current_run()
    clustering, label_map = run.cluster(6), finished_copy.label_map
    label_map.name_clusters(clustering.key, [0, 1], "ground")
    dense, sample = run.dense_features(), run.sample()
    before = {image: cluster_mask(dense.get(image), clustering, 64, 96) for image in range(6)}
    y, x = np.argwhere(before[2] == 0)[0]
    under = brushed(dense.get(2), clustering, [(int(x), int(y))], 96, 64)
    assert under.clusters == (0,)
    prototypes = split_between(typical_embeddings(sample, clustering, 0), under.embeddings[0])
    made = split_painted(label_map, clustering, 0, prototypes, "path")
    assert made == 6
    after = run.clustering(clustering.name)
    names = {item.id: item.name for item in label_map.classes()}
    owners = label_map.classes_of(clustering.key)
    assert (names[owners[0]], names[owners[1]], names[owners[6]]) == ("ground", "ground", "path")
    for image, mask in before.items():
        now = cluster_mask(dense.get(image), after, 64, 96)
        np.testing.assert_array_equal(now[mask != 0], mask[mask != 0])
        assert np.isin(now[mask == 0], (0, made)).mean() > 0.99  # between positions of two parts a third may come first
    assert cluster_mask(dense.get(2), after, 64, 96)[y, x] == made
    share = (after.labels == made).sum() / (clustering.labels == 0).sum()
    assert moved_share(sample, clustering, 0, prototypes) == pytest.approx(share, abs=0.01)
    assert label_map.undo().words == "split path off cluster 0"
    back = run.clustering(clustering.name)
    np.testing.assert_array_equal(back.labels, clustering.labels)
    assert label_map.classes_of(clustering.key).keys() == {0, 1}


# -- the command


def cluster_at(space: Workspace, x: int, y: int) -> int:
    """The cluster of a pixel of scene-1."""
    run = space.current_run()
    return int(cluster_mask(run.dense_features().get(1), run.clustering(), 64, 96)[y, x])


def test_the_command_names_refuses_renames_and_splits(finished_copy: Workspace, say):
    """As on the screen: a first name is given, another one needs a decision, and each decision does what it says."""
    words = ["paint", "--workspace", finished_copy.root, "--image", "scene-1.png"]
    key = finished_copy.current_run().clustering().key
    cluster = cluster_at(finished_copy, 50, 40)
    at = [*words, "--at", "50,40"]
    said = say(*at, "--name", "ground")
    assert said.code == 0, said.err
    assert finished_copy.label_map.classes_of(key) == {cluster: 0}
    said = say(*at, "--name", "path")
    assert said.code == 2 and f"cluster {cluster} is called 'ground', not 'path'" in said.err
    assert "--if-named" in said.err and len(finished_copy.label_map.classes()) == 1
    assert say(*at, "--name", "path", "--if-named", "split").code == 0
    owners = finished_copy.label_map.classes_of(key)
    assert owners == {cluster: 0, 6: 1}
    assert say(*at, "--name", "Ground", "--if-named", "rename").code == 0
    assert finished_copy.label_map.classes_of(key) == {cluster: 0, 6: 0}


@pytest.mark.parametrize(
    "options, message",
    [
        (("--image", "gone.png", "--at", "1,1"), "no readable image 'gone.png'"),
        (("--image", "scene-1.png", "--at", "here"), "at='here' must be points such as"),
        (("--image", "scene-1.png", "--at", "500,1"), "point 500,1 lies outside"),
    ],
)
def test_the_command_says_what_is_wrong(finished_copy: Workspace, say, options, message):
    """Nothing is named then."""
    said = say("paint", "--workspace", finished_copy.root, *options, "--name", "x")
    assert said.code in (1, 2) and message in said.err
    assert finished_copy.label_map.classes() == []
