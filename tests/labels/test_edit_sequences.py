"""Any sequence of edits: undo and redo are exact inverses, and no pixel changes that an edit does not speak of."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from picie_core.clustering.clustering import Clustering, cluster_scores
from picie_core.data.class_names import IGNORE_ID
from picie_core.labels.label_map import LabelMap
from picie_core.labels.label_transfer import transferred_classes
from picie_core.labels.undo_log import Rows
from tests.factories import clustering_of, decisions, unit

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
"""Where each of thousands of edits need not wait for a disk."""
NAMES = ("road", "sky", "Tree", "ignore")
PixelNames = dict[str, list[str | None]]

_RNG = np.random.default_rng(7)
EMBEDDINGS = unit(_RNG.normal(size=(80, 6)))
BASES = {
    key: clustering_of(unit(_RNG.normal(size=(k, 6))), (), EMBEDDINGS, key) for key, k in (("four", 4), ("six", 6))
}

keys = st.sampled_from(sorted(BASES))
numbers = st.integers(0, 10**6)


class Edits(RuleBasedStateMachine):
    """One label map over two clusterings of one sample, and what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.map = LabelMap(Path(self.folder.name) / "labels.sqlite")
        self.done: list[tuple[Rows, Rows]] = []
        self.undone: list[tuple[Rows, Rows]] = []
        self.saved: PixelNames | None = None

    def teardown(self) -> None:
        self.folder.cleanup()

    # -- what is seen

    def rows(self) -> Rows:
        return decisions(self.map)

    def clustering(self, key: str) -> Clustering:
        return BASES[key].with_splits(self.map.splits_of(key), EMBEDDINGS)

    def names(self) -> PixelNames:
        """The class name of every pixel in every clustering, through the scores that masks are made from."""
        known: dict[int, str | None] = {item.id: item.name for item in self.map.classes()} | {IGNORE_ID: "ignore"}
        found: PixelNames = {}
        for key in BASES:
            table = {cluster: known[owner] for cluster, owner in self.map.classes_of(key).items()}
            found[key] = [table.get(int(best)) for best in cluster_scores(EMBEDDINGS, self.clustering(key)).argmax(0)]
        return found

    def annotation(self, path: str) -> list[str | None] | None:
        mask, names = self.map.annotation_mask(path), {one.id: one.name for one in self.map.classes()}
        return None if mask is None else [names.get(one) for one in mask.ravel().tolist()]

    def edit(self, make) -> tuple[PixelNames, PixelNames]:
        """Makes an edit, takes it back and makes it again; returns the names of pixels before and after."""
        before, names = self.rows(), self.names()
        make()
        after, now = self.rows(), self.names()
        if before == after:
            return names, now
        assert self.map.undo() is not None and self.rows() == before and self.names() == names
        assert self.map.redo() is not None and self.rows() == after and self.names() == now
        self.done.append((before, after))
        self.undone.clear()
        return names, now

    # -- edits, each with the pixels that it speaks of

    @rule(key=keys, picks=st.lists(numbers, min_size=1, max_size=3), name=st.sampled_from((*NAMES, None)))
    def name(self, key, picks, name):
        made = self.clustering(key)
        clusters = {pick % made.k for pick in picks}
        before, after = self.edit(lambda: self.map.name_clusters(key, sorted(clusters), name))
        called = next((item.name for item in self.map.classes() if name and item.name.lower() == name.lower()), name)
        spoken_of = np.isin(made.labels, sorted(clusters))
        assert after[key] == [called if spoken else old for spoken, old in zip(spoken_of, before[key], strict=True)]
        assert all(after[other] == before[other] for other in BASES if other != key)

    @rule(key=keys, pick=numbers, parts=st.integers(2, 4), seed=numbers)
    def split(self, key, pick, parts, seed):
        made = self.clustering(key)
        if made.k > 14:
            return
        cluster, prototypes = pick % made.k, unit(np.random.default_rng(seed).normal(size=(parts, 6)))
        before, after = self.edit(lambda: self.map.split_cluster(key, cluster, prototypes, made.k))
        assert after == before
        now = self.clustering(key)
        assert now.k == made.k + parts - 1 and now.key == made.key and now.digest != made.digest
        others = made.labels != cluster
        np.testing.assert_array_equal(now.labels[others], made.labels[others])

    @rule(key=keys, pick=numbers, names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2), seed=numbers)
    def split_crops(self, key, pick, names, seed):
        made = self.clustering(key)
        if made.k > 14:
            return
        cluster, prototypes = pick % made.k, unit(np.random.default_rng(seed).normal(size=(len(names) + 1, 6)))
        before, after = self.edit(lambda: self.map.split_cluster(key, cluster, prototypes, made.k, names=names))
        owners = self.map.classes_of(key)
        known = {item.id: item.name for item in self.map.classes()} | {IGNORE_ID: "ignore"}
        assert [known[owners[made.k + i]].lower() for i in range(len(names))] == [name.lower() for name in names]
        rest = [spot for spot, label in enumerate(self.clustering(key).labels) if label < made.k]
        assert [after[key][spot] for spot in rest] == [before[key][spot] for spot in rest]
        assert all(after[other] == before[other] for other in BASES if other != key)

        last, (old, _) = self.map.can_undo(), self.done[-1]
        again = unit(np.random.default_rng(seed + 1).normal(size=(2, 6)))
        self.map.split_cluster(key, cluster, again, made.k, names=["road"], instead_of=last.id)
        self.done[-1] = (old, self.rows())
        assert self.clustering(key).k == made.k + 1
        assert self.map.undo().id > last.id and self.rows() == old and self.names() == before
        self.map.redo()

    @precondition(lambda self: self.map.classes())
    @rule(pick=numbers, name=st.sampled_from(("rail", "Road", "hill")))
    def rename(self, pick, name):
        classes = self.map.classes()
        chosen = classes[pick % len(classes)]
        if any(item.name.lower() == name.lower() for item in classes if item != chosen):
            return
        before, after = self.edit(lambda: self.map.rename_class(chosen.id, name))
        assert after == {key: [name if old == chosen.name else old for old in before[key]] for key in BASES}

    @precondition(lambda self: self.map.classes())
    @rule(pick=numbers, color=st.sampled_from(("#010101", "#020202", "#030303")))
    def recolor(self, pick, color):
        classes = self.map.classes()
        if color in {item.color for item in classes}:
            return
        before, after = self.edit(lambda: self.map.recolor_class(pick % len(classes), color))
        assert after == before

    @precondition(lambda self: self.map.classes())
    @rule(pick=numbers)
    def delete(self, pick):
        classes = self.map.classes()
        gone = classes[pick % len(classes)]
        before, after = self.edit(lambda: self.map.delete_class(gone.id))
        assert after == {key: [None if old == gone.name else old for old in before[key]] for key in BASES}

    @precondition(lambda self: len(self.map.classes()) > 1)
    @rule(pick=numbers, step=numbers)
    def merge(self, pick, step):
        classes = self.map.classes()
        gone = classes[pick % len(classes)]
        into = classes[(gone.id + 1 + step % (len(classes) - 1)) % len(classes)]
        before, after = self.edit(lambda: self.map.merge_class(gone.id, into.id))
        assert after == {key: [into.name if old == gone.name else old for old in before[key]] for key in BASES}

    @rule(key=keys)
    def transfer(self, key):
        source = next(other for other in BASES if other != key)
        old, new = self.clustering(source), self.clustering(key)
        named = self.map.classes_of(key)
        found = transferred_classes(old, self.map.classes_of(source), new)
        before, after = self.edit(lambda: self.map.transfer_names(key, found, "K"))
        spoken_of = np.isin(new.labels, [cluster for cluster in found if cluster not in named])
        assert all(spoken or was == now for spoken, was, now in zip(spoken_of, before[key], after[key], strict=True))
        assert after[source] == before[source]

    @rule(picks=st.lists(st.tuples(numbers, st.sampled_from(("a.png", "b.png"))), min_size=1, max_size=2))
    def annotate(self, picks):
        masks = {path: np.random.default_rng(seed).choice([0, 1, 2, 3, IGNORE_ID], (2, 3)) for seed, path in picks}
        called = {one.name.lower(): one.name for one in self.map.classes()} | {"ignore": None}
        names = [called.get(name.lower(), name) for name in NAMES]
        self.edit(lambda: self.map.annotate(masks.items(), NAMES, "file"))
        for path, mask in masks.items():
            assert self.annotation(path) == [names[one] if one < 4 else None for one in mask.ravel().tolist()]

    @rule(path=st.sampled_from(("a.png", "b.png")))
    def remove_annotation(self, path):
        self.edit(lambda: self.map.remove_annotations([path]))
        assert self.annotation(path) is None

    @rule(key=keys)
    def import_what_was_exported(self, key):
        record = self.map.export_map(key)
        before, after = self.edit(lambda: self.map.import_map(key, record, BASES[key].k, 6))
        assert after == before and self.map.export_map(key) == record

    @rule()
    def save(self):
        before = self.rows()
        if self.saved is not None:
            self.map.delete_snapshot("one")
        self.map.save_snapshot("one")
        self.saved = self.names()
        assert self.rows() == before

    @precondition(lambda self: self.saved is not None)
    @rule()
    def restore(self):
        _, after = self.edit(lambda: self.map.restore_snapshot("one"))
        assert after == self.saved

    # -- the history

    @rule(count=st.integers(1, 4))
    def undo(self, count):
        for _ in range(count):
            event = self.map.undo()
            assert (event is not None) == bool(self.done)
            if event is not None:
                self.undone.append(self.done.pop())
                assert self.rows() == self.undone[-1][0]

    @rule(count=st.integers(1, 4))
    def redo(self, count):
        for _ in range(count):
            event = self.map.redo()
            assert (event is not None) == bool(self.undone)
            if event is not None:
                self.done.append(self.undone.pop())
                assert self.rows() == self.done[-1][1]

    # -- what always holds

    @invariant()
    def ids_are_dense_at_export(self):
        for key in BASES:
            record = self.map.export_map(key)
            assert [item["id"] for item in record["classes"]] == list(range(len(record["classes"])))
            known = {item["name"] for item in record["classes"]} | {"ignore"}
            assert set(record["clusters"].values()) <= known
            assert all(int(cluster) < self.clustering(key).k for cluster in record["clusters"])

    @invariant()
    def colours_and_names_are_unique(self):
        classes = self.map.classes()
        assert len({item.color for item in classes}) == len({item.name.lower() for item in classes}) == len(classes)

    @invariant()
    def the_history_is_one_line(self):
        assert (self.map.can_undo() is not None, self.map.can_redo() is not None) == (
            bool(self.done),
            bool(self.undone),
        )


Edits.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None, derandomize=True)
TestEdits = pytest.mark.slow(Edits.TestCase)


@pytest.mark.slow
def test_two_processes_that_edit_at_once_lose_nothing(tmp_path):
    """Names, splits and snapshots of two processes are all there, each once, and can all be undone."""
    path = tmp_path / "labels.sqlite"
    program = (
        "import sys, numpy as np; from picie_core.labels.label_map import LabelMap\n"
        "path, mine = sys.argv[1], int(sys.argv[2])\n"
        "label_map = LabelMap(path)\n"
        "sys.stdin.readline()\n"
        "for index in range(12):\n"
        "    label_map.name_clusters('key', [2 * index + mine], f'class {index % 5} of {mine}')\n"
        "    if index % 3 == 0:\n"
        "        parts = label_map.split_cluster('key', 2 * index + mine, np.eye(3, 4, index % 2), 24)\n"
        "        print(*parts)\n"
        "label_map.save_snapshot(f'of {mine}')\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    both = [subprocess.Popen([*command, str(mine)], stdin=-1, stdout=-1, text=True, cwd=ROOT) for mine in (0, 1)]
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=60)[0].split("\n") for one in both]
    assert [one.returncode for one in both] == [0, 0]
    label_map = LabelMap(path)
    splits = label_map.splits_of("key")
    parts = {int(line.split()[0]): [int(word) for word in line.split()] for lines in said for line in lines if line}
    assert {one.cluster: one.parts for one in splits} == parts and len(splits) == 8
    assert sorted(part for one in splits for part in one.parts[1:]) == list(range(24, 40))
    names = {item.id: item.name for item in label_map.classes()}
    expected = {2 * index + mine: f"class {index % 5} of {mine}" for index in range(12) for mine in (0, 1)}
    expected |= {part: expected[cluster] for cluster, found in parts.items() for part in found}
    assert {cluster: names[owner] for cluster, owner in label_map.classes_of("key").items()} == expected
    assert len(label_map.snapshots()) == 2 and label_map.version() == 2 * (12 + 4 + 1)
    count = 0
    while label_map.undo():
        count += 1
    assert count == 32 and label_map.classes() == [] and label_map.splits_of("key") == []
