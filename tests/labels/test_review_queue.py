"""The order of naming: every pixel soon has a name, every branch and cluster comes once, uncertain ones first."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.clustering.hierarchy import groups_at, merge_tree
from picie_core.errors import SettingError
from picie_core.labels.review_queue import naming_steps
from tests.clustering.test_hierarchy import FIVE, random_tree
from tests.hand_made import unit


def test_the_order_by_hand():
    """Two groups of five clusters, then a wide branch with many pixels, then what is in it, by pixels x uncertainty."""
    tree = merge_tree(FIVE, [10, 10, 30, 5, 99])
    steps = naming_steps(tree, np.array([0.5, 0.1, 0.9, 0.0, 0.01]), groups=2)
    assert [(step.kind, step.parts) for step in steps] == [
        ("group", ((4,),)),
        ("group", ((0, 1, 2, 3),)),
        ("branches", ((2, 3), (0, 1))),
        ("inside", ((4,),)),  # 99 x 0.01, above the close pairs: 35 x 0.002 and 20 x 0.0006
        ("branches", ((2,), (3,))),
        ("inside", ((2,),)),
        ("branches", ((0,), (1,))),
        ("inside", ((0,),)),
        ("inside", ((1,),)),
        ("inside", ((3,),)),  # none of its pixels is uncertain
    ]


@pytest.mark.parametrize("linkage", ["average", "ward"])
@pytest.mark.parametrize("groups", [1, 10, 40, 99])
def test_every_branch_and_cluster_comes_once(linkage, groups):
    """The groups are a partition; every branch below them and every cluster comes once, after what it is part of."""
    tree = random_tree(1, linkage=linkage)
    steps = naming_steps(tree, np.random.default_rng(0).random(tree.k), groups)
    first = [step.parts[0] for step in steps if step.kind == "group"]
    assert first == groups_at(tree, min(groups, 40)) and steps[0].kind == "group"
    assert sorted(step.parts[0][0] for step in steps if step.kind == "inside") == list(range(40))
    branches = [step.parts for step in steps if step.kind == "branches"]
    assert len(branches) == len(set(branches)) == 40 - min(groups, 40)
    shown = set(first)
    for step in steps:
        if step.kind == "branches":
            assert tuple(sorted(step.parts[0] + step.parts[1])) in shown
            shown |= set(step.parts)
        elif step.kind == "inside":
            assert step.parts[0] in shown


def test_more_uncertainty_comes_earlier():
    """With all clusters apart from the start, what is next goes by pixels x uncertainty alone."""
    counts, uncertainty = np.array([10, 20, 30, 40]), np.array([0.9, 0.1, 0.2, 0.05])
    tree = merge_tree(unit(np.random.default_rng(0).normal(size=(4, 5))), counts)
    inside = [step.parts[0][0] for step in naming_steps(tree, uncertainty, 4) if step.kind == "inside"]
    assert inside == np.argsort(-counts * uncertainty).tolist()


def test_refusals():
    """Uncertainty of another clustering, and no group at all."""
    tree = random_tree(0)
    with pytest.raises(
        SettingError, match="the uncertainty is of 39 clusters, the tree of 40: make both from one clustering"
    ):
        naming_steps(tree, np.zeros(39))
    with pytest.raises(SettingError, match="groups=0 must be from 1 to 40"):
        naming_steps(tree, np.zeros(40), 0)


def test_the_command_says_the_order(finished_copy, say):
    """`tree --steps` says the first steps after the groups; without it there is no order."""
    said = say("tree", "--workspace", finished_copy.root, "--steps", 7)
    assert said.code == 0, said.err
    assert said.out.count("  step ") == 7 and "step inside" in said.out
    assert "step" not in say("tree", "--workspace", finished_copy.root).out
