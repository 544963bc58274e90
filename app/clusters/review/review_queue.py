"""The review queue: at which step a person is, and what an answer does.

Its order is that of the clusters before any split, so it stays while a person names and splits; the step is kept in the
workspace, so that they go on there another day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clusters import cluster_facts
from app.clusters.record import CropSplit, record_of
from app.session.cache import cached, contact_sheet_source
from app.session.current import unsplit_clustering
from app.session.record import session
from app.shared.layout.notices import attempt, show_errors
from app.shared.naming import class_names, class_of_name, cluster_names, remember_name
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.labels.review_queue import Step


def steps_of(run: Run) -> list[Step]:
    """Returns the steps in order."""
    return _steps(unsplit_clustering(run))


@cached(8, "Looking for the best order")
def _steps(unsplit: StoredClustering) -> list[Step]:
    from picie_core.labels.review_queue import naming_steps

    return naming_steps(cluster_facts.tree(unsplit, "ward"), cluster_facts.uncertainty(unsplit))


def position_in(clustering: StoredClustering, steps: list[Step]) -> int:
    """Returns the step of this tab, 0 to len(steps): where it was left, or the first group without a name."""
    here = record_of(clustering)
    if here.step is None:
        stored = clustering.label_map.get_choice(_choice(clustering))
        here.step = int(stored) if stored and stored.isdecimal() else _open_from(clustering, steps, 0)
    here.step = min(here.step, len(steps))
    return here.step


def go_on(clustering: StoredClustering, steps: list[Step]) -> None:
    """Goes to the next step, past groups that have names already."""
    go_to_step(clustering, _open_from(clustering, steps, position_in(clustering, steps) + 1))


def go_back(clustering: StoredClustering, steps: list[Step]) -> None:
    """Goes to the step before."""
    go_to_step(clustering, max(0, position_in(clustering, steps) - 1))


def go_to_step(clustering: StoredClustering, step: int) -> None:
    """Goes to a step and keeps it in the workspace; names stay."""
    here = record_of(clustering)
    here.step, here.side, here.crops, here.crop_split = step, 1, set(), None
    attempt(clustering.label_map.set_choice, _choice(clustering), str(step))


def _choice(clustering: StoredClustering) -> str:
    return f"guide {clustering.key}"  # the spelling of workspaces since version 0.2


def _open_from(clustering: StoredClustering, steps: list[Step], start: int) -> int:
    """The first step from `start` on that is not a group all of whose clusters have names."""
    named = clustering.classes_of()
    for number in range(start, len(steps)):
        if steps[number].kind != "group" or not all(cluster in named for cluster in steps[number].parts[0]):
            return number
    return len(steps)


def name(clustering: StoredClustering, steps: list[Step], typed: str) -> None:
    """Names what the step asks for: the group, the side, or what the picked crops show; an empty name goes on."""
    words, number, here = " ".join(typed.split()), position_in(clustering, steps), record_of(clustering)
    session().names_given += 1
    if not words or number == len(steps):
        go_on(clustering, steps)
        return
    step = steps[number]
    with show_errors():
        if step.kind == "inside" and here.crops:
            _split_crops(clustering, step.parts[0][0], words)
        else:
            clusters = step.parts[here.side if step.kind == "branches" else 0]
            clustering.label_map.name_clusters(clustering.key, clusters, words)
            go_on(clustering, steps)
        remember_name(words)


def _split_crops(clustering: StoredClustering, cluster: int, words: str) -> None:
    """Splits the picked crops off the cluster, together with those that were picked before: one edit for all."""
    from picie_core.labels.crop_split import crops_to_review, split_crops

    here, before = record_of(clustering), crop_split_of(clustering)
    source, label_map = contact_sheet_source(clustering.run), clustering.label_map
    base = before.clustering if before else clustering
    known = class_of_name(clustering.workspace, words)
    called = words if known is None else class_names(clustering.workspace)[known]
    sets = {name: crops - here.crops for name, crops in before.sets.items()} if before else {}
    if called != cluster_names(clustering).get(cluster):  # else they show what the cluster is called
        sets[called] = sets.get(called, set()) | here.crops
    sets = {name: crops for name, crops in sets.items() if crops}
    if sets:
        crops = crops_to_review(source.sample, base, cluster, source.dense.index)
        event = before.event if before else None
        split_crops(label_map, source.sample, base, cluster, crops=crops, sets=sets, instead_of=event)
    elif before:
        label_map.undo(before.event)
    last = label_map.can_undo()
    here.crops, here.crop_split = set(), None
    if sets and last is not None and last.payload.get("names") == list(sets):
        here.crop_split = CropSplit(base, sets, last.id)


def crop_split_of(clustering: StoredClustering) -> CropSplit | None:
    """Returns the split that was made in this step; None when it was undone, or when there is a later edit."""
    here = record_of(clustering)
    if here.crop_split is not None:
        last = clustering.label_map.can_undo()
        if last is None or last.id != here.crop_split.event:
            here.crop_split = None
    return here.crop_split


def choose_side(clustering: StoredClustering, side: int) -> None:
    """Makes the left (0) or right (1) side the one that a name is for."""
    record_of(clustering).side = side


def pick_crop(clustering: StoredClustering, number: int) -> None:
    """Picks a crop, or no longer picks it."""
    record_of(clustering).crops ^= {number}
