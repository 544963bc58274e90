"""Workspaces that 0.2.0 and 0.3.0 left open as they were: nothing that a person decided is lost or changed.

`fixtures/make_fixture.py` made them with the code of those versions, which also said what is in them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie_core.clustering.splits import Split
from picie_core.labels.vocabulary import read_vocabulary
from picie_core.workspace.masks.mask_export import export_masks
from picie_core.workspace.projections import load_projection
from picie_core.workspace.trainings.training_history import read_history
from picie_core.workspace.workspace import Workspace

FIXTURES = Path(__file__).parents[1] / "fixtures"
AGREEMENT = 0.02
"""Share of pixels by which masks of the network, in another precision, may differ more than they did then."""


class Old:
    """A copy of an old workspace to edit, and what its own code saw in it."""

    def __init__(self, root: Path, expected: dict[str, Any]):
        self.root, self.expected = root, expected
        self.space = Workspace.open(root)

    def decisions(self) -> dict[str, Any]:
        """Classes, and by key of a clustering the class of each cluster and the splits, as the record has them."""
        names = self.space.label_map
        keys = [one["key"] for found in self.expected["clusterings"].values() for one in found.values()]
        return {
            "classes": [[one.id, one.name, one.color] for one in names.classes()],
            "named": {key: {str(cluster): owner for cluster, owner in names.classes_of(key).items()} for key in keys},
            "splits": {key: [_split_record(one) for one in names.splits_of(key)] for key in keys},
        }

    def export(self, name: str, out: Path) -> Path:
        """Writes the masks of k5-s0 from the stored features, which are the same on every machine."""
        run = self.space.run(name)
        dense, cache = run.dense_features(), run.image_cache()
        stored = {cache.get(one.id).tobytes(): dense.get(one.id) for one in self.space.image_list().readable}

        def features(images: np.ndarray) -> np.ndarray:
            return np.stack([stored[one.tobytes()] for one in images])

        export_masks(run.clustering("k5-s0"), "png", out, feature_source=features)
        return out / "masks"


@pytest.fixture(params=["0.2.0", "0.3.0"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """A copy to edit, whose images lie beside it."""
    source = FIXTURES / f"workspace-{request.param}"
    shutil.copytree(source, tmp_path / "old")
    return Old(tmp_path / "old" / "workspace", json.loads((source / "expected.json").read_text(encoding="utf-8")))


def test_all_is_there(old: Old) -> None:
    space, expected = old.space, old.expected
    names, run = space.label_map, expected["current_run"]
    before = names.path.read_bytes()
    assert old.decisions() == expected["decisions"]
    assert names.version() == expected["version"]
    found = [{"id": one.id, "kind": one.kind, "payload": one.payload} for one in names.history(1000)]
    assert found == expected["history"]
    assert all(one.words for one in names.history(1000))
    undo, redo = names.can_undo(), names.can_redo()
    assert (undo and undo.id) == _first(expected["undone"])
    assert (redo and redo.id) == _first(expected["redone"])
    assert [[one.name, one.classes, one.clusters] for one in names.snapshots()] == expected["snapshots"]
    assert read_vocabulary(space.vocabulary_path) == expected["vocabulary"]
    assert {key: names.get_choice(key) for key in expected["choices"]} == expected["choices"]
    assert space.current_run().name == run
    current = space.run(run).clustering()
    assert {"name": current.name, "digest": current.digest} == expected["current_clustering"]
    assert names.path.read_bytes() == before, "only an edit brings the file up to date"


def test_runs_and_clusterings_are_there(old: Old) -> None:
    space, expected = old.space, old.expected
    for one, record in zip(space.runs(), expected["runs"], strict=True):
        assert {name: getattr(one, name) for name in record} == record
        assert read_history(space, one.id) == expected["epochs"][one.id]
        run = space.run(one.id)
        found = {name: run.clustering(name) for name in run.clusterings()}
        assert expected["clusterings"][one.id] == {
            name: {"key": one.key, "digest": one.digest, "k": one.k, "counts": one.counts.tolist()}
            for name, one in found.items()
        }
    umap = load_projection(space.current_run(), "umap") if expected["umap"] else None
    assert (umap and {"name": umap.name, "places": _sha(umap.xy.tobytes())}) == expected["umap"]


def test_images_keep_their_ids_where_they_lie_now(old: Old) -> None:
    assert old.space.images_root == old.root.parent / "images"
    for listed in (old.space.image_list(), old.space.scan()):
        assert [one.path for one in listed.readable] == old.expected["images"]
        assert [one.id for one in listed.readable] == list(range(len(old.expected["images"])))
        assert not listed.problems


def test_masks_are_the_same_pixel_by_pixel(old: Old, tmp_path: Path) -> None:
    for run, wanted in old.expected["masks"].items():
        masks = old.export(run, tmp_path / run)
        found = {path.relative_to(masks).as_posix(): _mask_digest(path) for path in masks.rglob("*.png")}
        assert found == wanted, run


def test_the_stored_network_makes_the_masks_too(old: Old, tmp_path: Path, say: Callable[..., Any]) -> None:
    for run, before in old.expected["network_agreement"].items():
        stored, out = old.export(run, tmp_path / "stored" / run), tmp_path / "network" / run
        words = ["--workspace", old.root, "--out", out, "--run", run, "--clustering", "k5-s0", "--device", "cpu"]
        assert say("export", *words).code == 0
        paths = [path.relative_to(stored) for path in stored.rglob("*.png")]
        same = [_pixels(stored / path) == _pixels(out / "masks" / path) for path in paths]
        assert np.mean([one.mean() for one in same]) > before - AGREEMENT, run


def test_every_edit_can_be_undone_and_redone(old: Old) -> None:
    names, undone, redone = old.space.label_map, old.expected["undone"], old.expected["redone"]
    now = old.expected["decisions"]
    assert _steps(old, names.undo) == undone
    assert names.undo() is None
    later = [now, *(decisions for _, decisions in undone)][: len(undone)]  # the state that each undo left
    again = [[event, decisions] for (event, _), decisions in zip(undone, later, strict=True)][::-1]
    assert _steps(old, names.redo) == again + redone
    assert names.redo() is None
    for _ in redone:
        names.undo()
    assert old.decisions() == now


def test_snapshots_can_be_returned_to(old: Old) -> None:
    names = old.space.label_map
    for name, decisions in old.expected["restored"]:
        names.restore_snapshot(name)
        assert old.decisions() == decisions
    while (event := names.can_undo()) and event.kind == "restore":
        names.undo()
    assert old.decisions() == old.expected["decisions"]


def test_work_goes_on(old: Old, say: Callable[..., Any]) -> None:
    names, version = old.space.label_map, old.expected["version"]
    key = old.space.current_run().clustering().key
    names.name_clusters(key, [4], "  Cafe\u0301 ")  # the class `café` in another spelling
    named = old.decisions()
    assert named["classes"] == old.expected["decisions"]["classes"]
    assert named["named"][key]["4"] == 2
    names.name_clusters(key, [0], "bridge")
    bridge = old.decisions()
    assert [one[1] for one in bridge["classes"]][-1] == "bridge"
    assert names.version() == version + 2 and names.can_redo() is None
    names.undo()
    assert old.decisions() == named
    names.undo()
    assert old.decisions() == old.expected["decisions"]
    names.redo()
    names.redo()
    old.space = Workspace.open(old.root)
    assert old.decisions() == bridge
    assert [one.id for one in old.space.label_map.history(1000)][-version:] == [
        one["id"] for one in old.expected["history"]
    ]
    assert say("label", "split", "--workspace", old.root, "--clusters", 1).code == 0
    assert say("cluster", "--workspace", old.root, "--k", 6).code == 0  # with label transfer
    assert old.space.current_run().clustering().classes_of()
    for command in ("info", "tree", "next"):
        assert say(command, "--workspace", old.root).code == 0


def _split_record(one: Split) -> list[Any]:
    return [one.cluster, one.first_new, one.parts, _sha(one.centroids.tobytes())]


def _steps(old: Old, step: Callable[[], Any]) -> list[list[Any]]:
    steps = []
    while (event := step()) is not None:
        steps.append([event.id, old.decisions()])
    return steps


def _first(steps: list[list[Any]]) -> int | None:
    return steps[0][0] if steps else None


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as mask:
        return np.asarray(mask)


def _mask_digest(path: Path) -> str:
    with Image.open(path) as mask:
        return _sha(f"{mask.mode} {mask.size}".encode() + mask.tobytes())


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
