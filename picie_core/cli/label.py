"""`label`: names in and out, edits of them, and their history."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from picie_core.atomic_files import write_json
from picie_core.cli.label_history import history, redo, snapshot, undo
from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.errors import PicieError, SettingError
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.labels.label_map import LabelMap

ACTIONS = (
    "name",
    "unname",
    "rename",
    "recolor",
    "delete",
    "merge",
    "split",
    "vocabulary",
    "undo",
    "redo",
    "history",
    "snapshot",
)


@dataclass(frozen=True)
class _Wish:
    """What was asked for, beside the workspace."""

    name: str | None
    to: str | None
    clusters: str | None
    parts: int
    seed: int
    preview: bool
    crops: str | None
    restore: bool
    delete: bool
    last: int | None
    run: str | None
    clustering: str | None


def label(
    workspace_root: WorkspaceOption,
    action: Annotated[str | None, Option(f"one of {', '.join(ACTIONS)}", positional=True, choices=ACTIONS)] = None,
    name: Annotated[
        str | None, Option("of the class, of the snapshot, or file of the vocabulary", positional=True)
    ] = None,
    import_path: Annotated[Path | None, Option("read names from this JSON file", flag="--import")] = None,
    export_path: Annotated[Path | None, Option("write names to this JSON file", flag="--export")] = None,
    clusters: Annotated[str | None, Option("to name, unname or split, such as 3,7,12")] = None,
    to: Annotated[str | None, Option("new name (rename), colour #rrggbb (recolor) or class (merge)")] = None,
    parts: Annotated[int, Option("of a split", low=2)] = 2,
    seed: Annotated[int, Option("of a split", low=0)] = 0,
    preview: Annotated[bool, Option("only say what the split would give")] = False,
    crops: Annotated[
        str | None, Option("split off what looks like these of the random crops, and call it NAME")
    ] = None,
    restore: Annotated[bool, Option("return to the snapshot")] = False,
    delete: Annotated[bool, Option("delete the snapshot")] = False,
    last: Annotated[int | None, Option("how many edits to list (20), to undo or to redo (1)", low=1)] = None,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Name clusters, from a file or one by one; split them; undo, redo; keep snapshots.

    The file: {"classes": [{"id": 0, "name": "road", "color": "#804080"}], "clusters": {"0": "road", "1": "ignore"}}.
    Advice: --export first gives a file with the right shape; clusters that are left out stay unnamed. `label name road
    --clusters 3,7` names two clusters, `label split --clusters 3 --parts 2` takes one apart, `label split car
    --clusters 3 --crops 5,8` takes off what crops 5 and 8 show (`mosaic --clusters 3 --kind random` draws them, counted
    from 0), `label undo` takes the last edit of anyone back, `label history` lists edits, `label snapshot NAME` keeps
    what there is, and with --restore returns to it; without NAME it lists them. `label merge sea --to water` makes one
    class of two. `label vocabulary FILE` sets the names that the app offers, one a line; without FILE it lists them.
    """
    if (action is not None) + (import_path is not None) + (export_path is not None) != 1:
        actions = ", ".join(ACTIONS)
        raise SettingError(f"label needs one of --import FILE, --export FILE and an action: {actions}")
    workspace = Workspace.open(workspace_root)
    wish = _Wish(name, to, clusters, parts, seed, preview, crops, restore, delete, last, run_name, clustering_name)
    return _files(workspace, import_path, export_path, wish) if action is None else _ACTIONS[action](workspace, wish)


# -- files


def _files(workspace: Workspace, import_path: Path | None, export_path: Path | None, wish: _Wish) -> dict[str, Any]:

    found = _clustering(workspace, wish)
    if import_path is not None:
        workspace.label_map.import_map(found.key, _read_json(import_path), found.base_k, found.centroids.shape[1])
        found = found.reload()
    if export_path is not None:
        write_json(export_path, workspace.label_map.export_map(found.key))
    return _state(found)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise PicieError(f"{path} cannot be read ({error.strerror}): give an existing JSON file") from error
    except ValueError as error:
        raise PicieError(f"{path} is no JSON ({error}): see `label --help` for the shape") from error


# -- edits


def _name(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    found = _clustering(workspace, wish)
    workspace.label_map.name_clusters(found.key, _numbers(wish, found), _need(wish.name, "name NAME --clusters 3,7"))
    return _state(found)


def _unname(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    found = _clustering(workspace, wish)
    workspace.label_map.name_clusters(found.key, _numbers(wish, found), None)
    return _state(found)


def _rename(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    wanted = _need(wish.to, "rename NAME --to OTHER")
    workspace.label_map.rename_class(_class_id(workspace.label_map, wish), wanted)
    return {"classes": [one.name for one in workspace.label_map.classes()]}


def _recolor(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    wanted = _need(wish.to, "recolor NAME --to '#rrggbb'")
    workspace.label_map.recolor_class(_class_id(workspace.label_map, wish), wanted)
    return {"colors": {one.name: one.color for one in workspace.label_map.classes()}}


def _delete(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    workspace.label_map.delete_class(_class_id(workspace.label_map, wish))
    return {"classes": [one.name for one in workspace.label_map.classes()]}


def _merge(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    other = _class_id(workspace.label_map, replace(wish, name=_need(wish.to, "merge NAME --to OTHER")))
    workspace.label_map.merge_class(_class_id(workspace.label_map, wish), other)
    return {"classes": [one.name for one in workspace.label_map.classes()]}


def _vocabulary(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    from picie_core.labels.vocabulary import read_text, read_vocabulary, set_vocabulary

    path = workspace.vocabulary_path
    names = set_vocabulary(path, read_text(Path(wish.name)), wish.name) if wish.name else read_vocabulary(path)
    return {"file": str(path), "names": names}


def _split(workspace: Workspace, wish: _Wish) -> dict[str, Any]:
    from picie_core.clustering.split_proposals import preview_split, propose_split
    from picie_core.workspace.cluster_edits import split_cluster

    found = _clustering(workspace, wish)
    numbers = _numbers(wish, found)
    if len(numbers) != 1:
        raise SettingError(f"clusters={wish.clusters} are {len(numbers)}: split one at a time")
    if wish.crops is not None:
        return _split_crops(found, numbers[0], wish)
    embeddings = found.sample().embeddings
    prototypes = propose_split(found, embeddings, numbers[0], wish.parts, seed=wish.seed)
    if wish.preview:
        made = preview_split(found, embeddings, numbers[0], prototypes)
    else:
        made = split_cluster(found, numbers[0], prototypes)
    rows = [
        {"cluster": part, "pixels": count, "share": count / len(found.labels)}
        for part, count in zip(made.parts, made.counts, strict=True)
    ]
    return {
        "run": found.run.name,
        "clustering": found.name,
        "k": made.clustering.k,
        "split": not wish.preview,
        "parts": rows,
    }


def _split_crops(found: StoredClustering, cluster: int, wish: _Wish) -> dict[str, Any]:
    from picie_core.labels.crop_split import crops_to_review, split_crops

    name, source = _need(wish.name, "split NAME --clusters 3 --crops 5,8"), found.run.contact_sheet_source()
    crops = crops_to_review(source.sample, found, cluster, source.dense.index)
    picked = [int(word) if word.isdecimal() else -1 for word in re.split(r"[,\s]+", (wish.crops or "").strip())]
    part = split_crops(found.label_map, source.sample, found, cluster, crops=crops, sets={name: picked})[0]
    made = found.reload()
    rows = [{"cluster": one, "pixels": int(made.counts[one])} for one in dict.fromkeys((cluster, part))]
    return {"run": found.run.name, "clustering": found.name, "k": made.k, "split": part != cluster, "parts": rows}


_ACTIONS: dict[str, Callable[[Workspace, _Wish], dict[str, Any]]] = {
    "name": _name,
    "unname": _unname,
    "rename": _rename,
    "recolor": _recolor,
    "delete": _delete,
    "merge": _merge,
    "split": _split,
    "vocabulary": _vocabulary,
    "undo": lambda workspace, wish: undo(workspace, wish.last or 1),
    "redo": lambda workspace, wish: redo(workspace, wish.last or 1),
    "history": lambda workspace, wish: history(workspace, wish.last or 20),
    "snapshot": lambda workspace, wish: snapshot(workspace, wish.name, wish.restore, wish.delete),
}


# -- what was given


def _clustering(workspace: Workspace, wish: _Wish) -> StoredClustering:
    return workspace.pick_run(wish.run).clustering(wish.clustering)


def _state(found: StoredClustering) -> dict[str, Any]:
    named = [cluster for cluster in found.classes_of() if cluster < found.k]
    return {
        "run": found.run.name,
        "clustering": found.name,
        "classes": len(found.label_map.classes()),
        "named_clusters": len(named),
        "named_share": found.named_share(),
    }


def _numbers(wish: _Wish, found: StoredClustering) -> list[int]:
    words = re.split(r"[,\s]+", _need(wish.clusters, "--clusters 3,7").strip())
    wrong = [word for word in words if not (word.isdecimal() and int(word) < found.k)]
    if wrong:
        raise SettingError(f"clusters={wish.clusters}: {wrong[0]!r} is no cluster, ids run from 0 to {found.k - 1}")
    return [int(word) for word in words]


def _class_id(label_map: LabelMap, wish: _Wish) -> int:
    from picie_core.data.class_names import name_key

    wanted = _need(wish.name, "the NAME of a class after the action")
    classes = label_map.classes()
    for one in classes:
        if name_key(one.name) == name_key(wanted):
            return one.id
    raise SettingError(f"no class {wanted!r}: there are {', '.join(one.name for one in classes) or 'none'}")


def _need(value: str | None, usage: str) -> str:
    if value is None:
        raise SettingError(f"something is missing: give {usage}")
    return value
