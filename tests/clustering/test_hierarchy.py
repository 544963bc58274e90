"""The merge tree: the same as scipy's and as a slow version, and suggestions that never contradict a name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist
from sklearn.neighbors import NearestNeighbors

from picie_core.clustering.hierarchy import MergeTree, alike_groups, dendrogram, groups_at, merge_tree, nearest
from picie_core.errors import SettingError
from tests.hand_made import unit


def random_tree(seed: int, k: int = 40, linkage: str = "average") -> MergeTree:
    """The tree of k random directions with random counts."""
    rng = np.random.default_rng(seed)
    return merge_tree(unit(rng.normal(size=(k, 6))), rng.integers(1, 1000, k), linkage)


def angles(*degrees: float) -> np.ndarray:
    """Unit rows on the plane."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1).astype(np.float32)


FIVE = angles(0, 2, 60, 64, 170)
"""Two close pairs and one far away: 0 1, 2 3 and 4."""


@pytest.mark.parametrize(("linkage", "metric"), [("average", "cosine"), ("ward", "euclidean")])
def test_merges_are_those_of_scipy(linkage, metric):
    """Heights, and who is below each node, are what scipy makes of its own distances."""
    rows = unit(np.random.default_rng(1).normal(size=(30, 6)))
    made = merge_tree(rows, np.ones(30), linkage)
    theirs = hierarchy.linkage(pdist(rows.astype(np.float64), metric), linkage)
    np.testing.assert_allclose(made.linkage[:, 2:], theirs[:, 2:], atol=1e-6)
    np.testing.assert_array_equal(np.sort(made.linkage[:, :2]), np.sort(theirs[:, :2]))
    assert hierarchy.is_valid_linkage(made.linkage)


def test_average_linkage_by_brute_force():
    """Each merge joins the two branches whose members are closest on average, and stands at that distance."""
    rows = unit(np.random.default_rng(2).normal(size=(12, 4)))
    tree, distance = merge_tree(rows, np.ones(12)), 1 - rows @ rows.T
    there = {(cluster,) for cluster in range(12)}
    for node in range(12, 23):
        pairs = [(distance[np.ix_(one, other)].mean(), one, other) for one in there for other in there if one < other]
        lowest, one, other = min(pairs)
        assert tree.members[node] == tuple(sorted(one + other))
        assert tree.heights[node] == pytest.approx(lowest, abs=1e-6)
        there = (there - {one, other}) | {tree.members[node]}


def test_the_heavier_branch_is_left():
    """Of each merge the node with more pixels comes first, so the largest cluster of all is at the left end."""
    tree = random_tree(3)
    for node in range(tree.k, 2 * tree.k - 1):
        left, right = tree.branches(node)
        assert tree.pixels(tree.members[left]) >= tree.pixels(tree.members[right])
        assert tree.parents[left] == tree.parents[right] == node
    assert sorted(tree.order) == list(range(40))


@pytest.mark.parametrize("linkage", ["average", "ward"])
def test_the_dendrogram_is_scipys(linkage):
    """Brackets and leaves are those that scipy would plot, with leaves 1 apart instead of 10."""
    tree = random_tree(4, linkage=linkage)
    drawn, theirs = dendrogram(tree), hierarchy.dendrogram(tree.linkage, no_plot=True)
    np.testing.assert_array_equal(drawn.order, theirs["leaves"])
    ours = sorted(map(tuple, np.hstack([drawn.x, drawn.y]).round(9)))
    scipys = np.hstack([(np.array(theirs["icoord"]) - 5) / 10, np.array(theirs["dcoord"])])
    np.testing.assert_allclose(ours, sorted(map(tuple, scipys.round(9))), atol=1e-9)


@pytest.mark.parametrize("groups", [1, 2, 7, 39, 40])
def test_groups_are_those_of_scipys_cut(groups):
    """Stopping at n groups gives a partition into n, the one of scipy; the largest by pixels comes first."""
    tree = random_tree(5)
    found = groups_at(tree, groups)
    theirs = hierarchy.fcluster(tree.linkage, groups, "maxclust")
    assert {frozenset(group) for group in found} == {frozenset(np.flatnonzero(theirs == i)) for i in set(theirs)}
    pixels = [tree.pixels(group) for group in found]
    assert pixels == sorted(pixels, reverse=True) and len(found) == groups


def test_gaps_of_two_clusters_do_not_depend_on_the_linkage():
    """Two clusters are their cosine distance apart, by average and by Ward."""
    rows = angles(0, 50)
    for linkage in ("average", "ward"):
        tree = merge_tree(rows, [1, 2], linkage)
        assert tree.gaps[2] == pytest.approx(1 - np.cos(np.radians(50)), abs=1e-6)


def test_suggestions_by_hand():
    """Two close pairs are two groups, the one that names more pixels first; the far one is in none."""
    tree = merge_tree(FIVE, [10, 10, 30, 5, 99])
    assert alike_groups(tree, {}) == [(2, 3), (0, 1)]
    assert alike_groups(tree, {2: 0}) == [(0, 1), (2, 3)]  # half named ones last
    assert alike_groups(tree, {2: 0, 3: 1}) == [(0, 1)]  # two classes contradict
    assert alike_groups(tree, {0: 0, 1: 0, 2: 255, 3: 7}) == []  # all named; ignored is a class
    assert alike_groups(tree, {0: 255}) == [(2, 3), (0, 1)]
    assert alike_groups(tree, {}, most=1) == []


def test_identical_clusters_are_suggested():
    """Two equal centroids merge at 0; equal distances everywhere suggest nothing of the rest."""
    assert alike_groups(merge_tree(angles(0, 0, 90), [1, 1, 1]), {}) == [(0, 1)]
    assert alike_groups(merge_tree(np.eye(6, dtype=np.float32), np.ones(6)), {}) == []


@given(st.integers(0, 30), st.dictionaries(st.integers(0, 39), st.sampled_from([0, 1, 2, 255])))
@settings(max_examples=60, deadline=None)
def test_suggestions_never_contradict_names(seed, classes_of):
    """Whatever is named: groups are small, share no cluster, hold one class at most and something without a name."""
    tree = random_tree(seed)
    groups = alike_groups(tree, classes_of)
    clusters = [cluster for group in groups for cluster in group]
    assert len(clusters) == len(set(clusters))
    for group in groups:
        assert 2 <= len(group) <= 8
        assert len({classes_of[cluster] for cluster in group if cluster in classes_of}) <= 1
        assert any(cluster not in classes_of for cluster in group)
    half_named = [any(cluster in classes_of for cluster in group) for group in groups]
    assert half_named == sorted(half_named)


def test_neighbours_are_those_of_scikit_learn():
    """The nearest clusters by cosine, itself left out, at most as many as there are."""
    rows = unit(np.random.default_rng(6).normal(size=(30, 6)))
    distance, ids = NearestNeighbors(n_neighbors=6, metric="cosine").fit(rows).kneighbors(rows[4:5])
    found = nearest(rows, 4, 5)
    assert [cluster for cluster, _ in found] == ids[0, 1:].tolist()
    np.testing.assert_allclose([cosine for _, cosine in found], 1 - distance[0, 1:], atol=1e-6)
    assert len(nearest(FIVE, 0, 99)) == 4 and nearest(FIVE[:1], 0) == []


def test_one_cluster_is_a_tree():
    """K = 1 has no merge, one leaf and nothing to suggest."""
    tree = merge_tree(FIVE[:1], [7])
    assert (tree.linkage.shape, tree.order.tolist(), tree.members) == ((0, 4), [0], [(0,)])
    assert (groups_at(tree, 1), alike_groups(tree, {})) == ([(0,)], [])
    assert dendrogram(tree).x.shape == (0, 4)


def test_inputs_stay_as_they_are():
    """Neither centroids nor counts are changed."""
    rows, counts = FIVE.copy(), np.arange(5)
    merge_tree(rows, counts, "ward")
    np.testing.assert_array_equal(rows, FIVE)
    np.testing.assert_array_equal(counts, np.arange(5))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: merge_tree(FIVE, np.ones(5), "single"), "linkage='single' is unknown: choose one of average, ward"),
        (lambda: merge_tree(FIVE, np.ones(4)), "counts are of 4 clusters, centroids of 5: give one for each"),
        (lambda: groups_at(random_tree(0), 0), "groups=0 must be from 1 to 40"),
        (lambda: groups_at(random_tree(0), 41), "groups=41 must be from 1 to 40"),
        (lambda: nearest(FIVE, 5), "no cluster 5: ids run from 0 to 4"),
    ],
)
def test_refusals(act, message):
    """Each says argument, value, rule."""
    with pytest.raises(SettingError, match=message):
        act()


def test_the_command_says_groups(finished_copy, say):
    """`tree` suggests groups of the clustering in use, `--groups` cuts the tree; shares are of all pixels."""
    said = say("tree", "--workspace", finished_copy.root, "--groups", 3)
    assert said.code == 0, said.err
    assert said.out.count("clusters [") == 3
    assert say("tree", "--workspace", finished_copy.root).code == 0
    refused = say("tree", "--workspace", finished_copy.root, "--groups", 9)
    assert (refused.code, "groups=9 must be from 1 to 6" in refused.err) == (2, True)
