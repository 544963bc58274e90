"""The guided way: where a person is in the order in which naming goes fastest, and what they do there.

The order is that of the clusters before any split, so it stands while a person names and splits; where they are is
kept in the workspace, so that they go on there another day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clusters import cluster_facts
from app.clusters.focus import looking_at
from app.clusters.record import CropSplit
from app.session.cache import cached, contact_sheet_source
from app.session.current import unsplit_clustering
from app.session.record import session
from app.shared.naming import class_names, cluster_names
from app.shared.notices import show_errors
from picie_core.data.class_names import IGNORE_NAME, name_key
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.labels.review_queue import Step


def steps_of(run: Run) -> list[Step]:
    """Returns what to look at, in order."""
    return _steps(unsplit_clustering(run))


@cached(8, "Looking for the best order")
def _steps(unsplit: StoredClustering) -> list[Step]:
    from picie_core.labels.review_queue import naming_steps

    return naming_steps(cluster_facts.tree(unsplit, "ward"), cluster_facts.uncertainty(unsplit))


def step_of(clustering: StoredClustering, steps: list[Step]) -> int:
    """Returns where this tab is, 0 to len(looks): where it was left, or at the first group without a name."""
    here = looking_at(clustering)
    if here.step is None:
        stored = clustering.label_map.get_choice(_choice(clustering))
        here.step = int(stored) if stored and stored.isdecimal() else _open_from(clustering, steps, 0)
    here.step = min(here.step, len(steps))
    return here.step


def go_on(clustering: StoredClustering, steps: list[Step]) -> None:
    """Goes to the next thing to look at, past groups that have names already."""
    _go(clustering, _open_from(clustering, steps, step_of(clustering, steps) + 1))


def go_back(clustering: StoredClustering, steps: list[Step]) -> None:
    """Goes to the thing before."""
    _go(clustering, max(0, step_of(clustering, steps) - 1))


def start_anew(clustering: StoredClustering) -> None:
    """Goes to the first thing to look at; names stay."""
    _go(clustering, 0)


def name(clustering: StoredClustering, steps: list[Step], typed: str) -> None:
    """Gives the name to what is looked at: the group, the side, or what the picked crops show; an empty one goes on."""
    words, step, here, record = " ".join(typed.split()), step_of(clustering, steps), looking_at(clustering), session()
    record.names_given += 1
    if not words or step == len(steps):
        go_on(clustering, steps)
        return
    look = steps[step]
    with show_errors():
        if look.kind == "inside" and here.crops:
            _split_crops(clustering, look.parts[0][0], words)
        else:
            clusters = look.parts[here.side if look.kind == "branches" else 0]
            clustering.label_map.name_clusters(clustering.key, clusters, words)
            go_on(clustering, steps)
        if name_key(words) != IGNORE_NAME:
            record.last_name = words


def _split_crops(clustering: StoredClustering, cluster: int, words: str) -> None:
    """Takes the picked crops off the cluster, together with those that were picked for it before: one edit for all."""
    from picie_core.labels.crop_split import crops_to_review, split_crops

    here, source, before = (
        looking_at(clustering),
        contact_sheet_source(clustering.run),
        crop_split_of(clustering),
    )
    base = before.clustering if before else clustering
    called = next(
        (known for known in class_names(clustering.workspace).values() if name_key(known) == name_key(words)), words
    )
    sets = {name: crops - here.crops for name, crops in before.sets.items()} if before else {}
    if called != cluster_names(clustering).get(cluster):  # else they are what the cluster is after all
        sets[called] = sets.get(called, set()) | here.crops
    sets = {name: crops for name, crops in sets.items() if crops}
    if sets:
        crops = crops_to_review(source.sample, base, cluster, source.dense.index)
        event = before.event if before else None
        split_crops(clustering.label_map, source.sample, base, cluster, crops=crops, sets=sets, instead_of=event)
    elif before:
        clustering.label_map.undo(before.event)
    last = clustering.label_map.can_undo()
    here.crops, here.crop_split = set(), None
    if sets and last is not None and last.payload.get("names") == list(sets):
        here.crop_split = CropSplit(base, sets, last.id)


def crop_split_of(clustering: StoredClustering) -> CropSplit | None:
    """Returns what was sorted out of the cluster so far; None when that was undone, or somebody edited since."""
    here = looking_at(clustering)
    if here.crop_split is not None:
        last = clustering.label_map.can_undo()
        if last is None or last.id != here.crop_split.event:
            here.crop_split = None
    return here.crop_split


def choose_side(clustering: StoredClustering, side: int) -> None:
    """Makes the left (0) or right (1) side the one that a name is for."""
    looking_at(clustering).side = side


def pick_crop(clustering: StoredClustering, number: int) -> None:
    """Picks a crop, or lets it go."""
    looking_at(clustering).crops ^= {number}


def _go(clustering: StoredClustering, step: int) -> None:
    here = looking_at(clustering)
    here.step, here.side, here.crops, here.crop_split = step, 1, set(), None
    with show_errors():
        clustering.label_map.set_choice(_choice(clustering), str(step))


def _choice(clustering: StoredClustering) -> str:
    return f"guide {clustering.key}"


def _open_from(clustering: StoredClustering, steps: list[Step], start: int) -> int:
    """The first step from `start` on that is not a group all of whose clusters have names."""
    named = clustering.classes_of()
    for step in range(start, len(steps)):
        if steps[step].kind != "group" or not all(cluster in named for cluster in steps[step].parts[0]):
            return step
    return len(steps)
