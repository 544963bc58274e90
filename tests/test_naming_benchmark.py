"""The simulated person: actions are counted as documented, names are true majorities, the workspace stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.naming import ACTIONS, Counter, Person, simulate, suggested
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.evaluation.sampled_truth import cluster_truth, map_truth
from picie_core.labels.review_queue import Step
from picie_core.workspace.ground_truth import look_up_truth
from picie_core.workspace.masks.mask_export import network_features


def test_milestones_have_the_most_edits_that_fit():
    """An edit that would go beyond a milestone comes after its figures; an edit of no action changes nothing."""
    state = {"edits": 0}
    counter = Counter(lambda: dict(state), milestones=(2, 3, 5))
    for cost in (1, 0, 2, 1, 2):
        counter.before(cost)
        state["edits"] += 1
    assert counter.figures == {
        2: {"edits": 2, "actions": 1},
        3: {"edits": 3, "actions": 3},
        5: {"edits": 4, "actions": 4},
    }
    assert counter.full and counter.actions == 6


def test_a_person_names_groups_and_corrects_branches(finished_copy, scenes):
    """One action for a group, one for each branch that is something else, none for looking."""
    run = finished_copy.current_run()
    made, truth = run.clustering(), look_up_truth(run, scenes / "masks")
    best = [one.class_id for one in cluster_truth(made, truth)]
    person = Person(finished_copy, run, made, truth, dict)
    person.answer(Step("group", (tuple(range(6)),)))
    assert person.named.actions == 1 and len(set(finished_copy.label_map.classes_of(made.key).values())) == 1
    whole = int(np.bincount(truth.labels).argmax())
    other = next(cluster for cluster in range(6) if best[cluster] != whole)
    same = next(cluster for cluster in range(6) if best[cluster] == whole)
    person.answer(Step("branches", ((same,), (other,))))
    assert (person.named.actions, person.split.actions, person.steps) == (2, 2, 2)
    named = finished_copy.label_map.classes()[finished_copy.label_map.classes_of(made.key)[other]].name
    assert named == truth.class_names[best[other]]


def test_sorting_out_splits_and_counts_both_ways(finished_copy, scenes):
    """Picked crops come off as new clusters with their names: an action a class, and one more for the split."""
    run = finished_copy.current_run()
    made, truth = run.clustering(), look_up_truth(run, scenes / "masks")
    mixed = min(cluster_truth(made, truth), key=lambda one: one.purity)
    assert mixed.purity < 0.85
    person = Person(finished_copy, run, made, truth, dict)
    person.answer(Step("inside", ((mixed.cluster,),)))
    assert person.named.actions == 0  # without a name there is nothing to sort out of
    person.answer(Step("group", ((mixed.cluster,),)))
    person.answer(Step("inside", ((mixed.cluster,),)))
    picked = person.clustering.k - made.k
    assert picked >= 1 and (person.named.actions, person.split.actions) == (1 + picked, 2 + picked)
    label_map = finished_copy.label_map
    names = [item.name for item in label_map.classes()]
    after = map_truth(person.clustering, label_map.classes_of(made.key), names, truth)
    assert after.accuracy > mixed.purity * (made.labels == mixed.cluster).mean()


@pytest.mark.parametrize("order", ["review", "area"])
def test_a_whole_simulation(finished_copy, scenes, order):
    """All milestones have figures of exported masks, far above chance at the end, and no name is left behind."""
    run = finished_copy.current_run()
    before = finished_copy.label_map.version()
    root, label_map = finished_copy.root, finished_copy.label_map
    truth = look_up_truth(run, scenes / "masks")
    val = open_labelled_set(scenes / "images", scenes / "masks")
    person = simulate(finished_copy, run, 6, order, truth, val, network_features(run, "cpu"))
    assert tuple(person.named.figures) == tuple(person.split.figures) == ACTIONS
    assert person.named.figures[200]["accuracy"] > 60 and person.named.figures[200]["miou"] > 40
    assert label_map.version() == before and not (root / "exports").exists()


def test_what_is_suggested_covers_every_cluster(finished):
    """Either order looks into every cluster once."""
    run = finished.current_run()
    made = run.clustering()
    for order in ("review", "area"):
        inside = [step.parts[0][0] for step in suggested(finished, run, made, order) if step.kind == "inside"]
        assert len(inside) == len(set(inside)) and set(inside) <= set(range(6))
