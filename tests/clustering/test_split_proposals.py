"""Splits of real clusters: proposed, previewed, made, undone; exports, metrics and crops follow them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from picie_core.clustering.exemplars import cluster_facts, exemplars
from picie_core.clustering.split_proposals import preview_split, propose_split, split_between
from picie_core.errors import PicieError, SettingError
from picie_core.export.export_settings import ExportSettings
from picie_core.segmentation.contact_sheet import contact_sheet
from picie_core.workspace.cluster_edits import split_cluster
from picie_core.workspace.masks.mask_export import export_masks
from tests.factories import unit


@pytest.fixture
def split_one(finished_copy):
    """A workspace whose cluster 1, called road, was split into three; before and after."""
    run = finished_copy.current_run()
    before = run.clustering()
    finished_copy.label_map.name_clusters(before.key, [1], "road")
    finished_copy.label_map.name_clusters(before.key, [0, 4], "sky")
    prototypes = propose_split(before, before.sample().embeddings, 1, 3)
    split_cluster(before, 1, prototypes)
    return finished_copy, run, before, run.clustering()


def test_a_proposal_divides_the_cluster_and_nothing_else(finished_copy):
    """Unit prototypes, the largest part first; the preview counts what the split then gives, and stores nothing."""
    run = finished_copy.current_run()
    before = run.clustering()
    prototypes = propose_split(before, before.sample().embeddings, 1, 3)
    np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 1, atol=1e-5)
    shown = preview_split(before, before.sample().embeddings, 1, prototypes)
    assert shown.parts == [1, 6, 7] and sum(shown.counts) == before.counts[1]
    assert shown.counts == sorted(shown.counts, reverse=True) and min(shown.counts) > 0
    assert finished_copy.label_map.version() == 0
    made = split_cluster(before, 1, prototypes)
    assert (made.parts, made.counts, made.clustering.digest) == (shown.parts, shown.counts, shown.clustering.digest)
    np.testing.assert_array_equal(made.clustering.labels, shown.clustering.labels)


def test_whoever_loads_the_clustering_gets_its_splits(split_one):
    """By name, as the one in use, computed again; its name on disk stays; an undo gives the old one, bit by bit."""
    space, run, before, after = split_one
    assert (after.k, after.base_k, after.name, after.key) == (8, 6, "k6-s0", before.key)
    for found in (run.clustering("k6-s0"), run.cluster(6)):
        assert found.digest == after.digest != before.digest
        np.testing.assert_array_equal(found.labels, after.labels)
    np.testing.assert_array_equal(after.labels[before.labels != 1], before.labels[before.labels != 1])
    assert sum(fact.share for fact in cluster_facts(run.sample(), after)) == pytest.approx(1)
    space.label_map.undo()
    again = run.clustering()
    assert again.digest == before.digest
    np.testing.assert_array_equal(again.labels, before.labels)


def test_a_split_of_a_part(split_one):
    """Parts are clusters like any other: they are split with ids after all others."""
    space, _run, _, after = split_one
    part = int(np.argmax(after.counts[[6, 7]])) + 6
    made = split_cluster(after, part, propose_split(after, after.sample().embeddings, part, 2))
    assert made.parts == [part, 8] and sum(made.counts) == after.counts[part]
    assert space.label_map.classes_of(after.key)[8] == space.label_map.classes_of(after.key)[1]


def test_two_sets_of_pixels_give_two_parts(finished_copy):
    """Pixels closer to the first mean keep the id, the others get the new one."""
    run = finished_copy.current_run()
    before, sample = run.clustering(), run.sample()
    members = np.flatnonzero(before.labels == 0)
    a, b = np.asarray(sample.embeddings[members[:3]]), np.asarray(sample.embeddings[members[-3:]])
    prototypes = split_between(a, b)
    made = split_cluster(before, 0, prototypes)
    np.testing.assert_allclose(prototypes, unit(np.stack([unit(a).mean(0), unit(b).mean(0)])), atol=1e-3)
    closer = (np.asarray(sample.embeddings[members], np.float32) @ prototypes.T).argmax(1)
    np.testing.assert_array_equal(made.clustering.labels[members], np.where(closer == 0, 0, 6))


def test_equal_and_empty_sets_are_refused():
    """Where no plane separates two sets of pixels, the message says what to do."""
    embeddings = unit(np.random.default_rng(0).normal(size=(4, 8)))
    with pytest.raises(
        SettingError, match="both parts have the same mean embedding, so no plane separates them: select"
    ):
        split_between(embeddings, embeddings)
    with pytest.raises(SettingError, match="needs pixels of both parts"):
        split_between(embeddings, embeddings[:0])


@pytest.mark.parametrize(
    ("cluster", "parts", "message"),
    [(1, 1, "parts=1 must be from 2 to 8"), (1, 9, "from 2 to 8"), (6, 2, "no cluster 6: ids run from 0 to 5")],
)
def test_impossible_splits_are_refused(finished_copy, cluster, parts, message):
    """Number of parts and cluster are checked before anything is computed."""
    run = finished_copy.current_run()
    with pytest.raises(SettingError, match=message):
        propose_split(run.clustering(), run.clustering().sample().embeddings, cluster, parts)


def test_a_cluster_of_too_few_pixels_is_refused(finished_copy):
    """A single sampled pixel cannot be divided."""
    run = finished_copy.current_run()
    many = run.cluster(300)
    smallest = int(np.argmin(many.counts))
    assert many.counts[smallest] < 2
    with pytest.raises(SettingError, match=f"cluster {smallest} has [01] sampled pixels, too few for 2 parts"):
        propose_split(many, many.sample().embeddings, smallest, 2)


# -- what follows


def masks_of(folder, pattern="masks/*.png"):
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.glob(pattern))}


def near(region: np.ndarray, pixels: int = 4) -> np.ndarray:
    """The region and what is within a stride of it: upsampled borders move with the scores beside them."""
    height, width = region.shape
    padded = np.pad(region, pixels)
    steps = range(2 * pixels + 1)
    return np.any([padded[y : y + height, x : x + width] for y in steps for x in steps], axis=0)


def test_exported_masks_follow_the_splits(split_one, tmp_path):
    """Classes: the same masks while parts share a class, then the part alone moves. Raw: parts divide their cluster."""
    space, run, before, after = split_one

    def export(name, clustering, raw=False):
        export_masks(clustering, "png", tmp_path / name, settings=ExportSettings(raw=raw), device="cpu")
        record = json.loads((tmp_path / name / "export.json").read_text())
        return masks_of(tmp_path / name), record

    same, record = export("same", after)
    raw, raw_record = export("raw", after, raw=True)
    space.label_map.name_clusters(after.key, [6], "sky")
    moved, _ = export("moved", run.clustering())
    space.label_map.undo()
    space.label_map.undo()
    plain, plain_record = export("plain", before)
    raw_plain, _ = export("raw_plain", before, raw=True)
    assert len(same) == 6
    for name in same:
        np.testing.assert_array_equal(same[name], plain[name])
        others = raw_plain[name] != 1
        np.testing.assert_array_equal(raw[name][others], raw_plain[name][others])
        changed = moved[name] != same[name]
        assert not (changed & ~near(raw_plain[name] == 1)).any()
    assert any((moved[name] != same[name]).any() for name in same)
    assert set(np.unique(np.concatenate([mask.ravel() for mask in raw.values()]))) >= {6, 7}
    assert [entry["clusters"] for entry in record["classes"]] == [[1, 6, 7], [0, 4]]
    assert len(raw_record["classes"]) == 8 and record["digest"] != plain_record["digest"]


def test_an_export_of_a_clustering_that_changed_meanwhile_is_refused(split_one, tmp_path):
    """Masks and the names written beside them are never of two states."""
    _space, _run, before, _ = split_one
    with pytest.raises(PicieError, match="k6-s0 was split, or a split undone, at this moment: export again"):
        export_masks(before, "png", tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_metrics_follow_the_splits(split_one, say, scenes):
    """The confusion has a row for each part; together they are the row of the cluster, up to a border's width."""
    space, _, _, _ = split_one
    words = ("evaluate", "--images", scenes / "images", "--masks", scenes / "masks", "--workspace", space.root)
    after = json.loads(say(*words, "--json").out)
    space.label_map.undo()
    before = json.loads(say(*words, "--json").out)
    assert after["k"] == 8 and before["k"] == 6
    rows, old = np.array(after["confusion"]), np.array(before["confusion"])
    assert rows.sum() == old.sum()
    assert rows[[1, 6, 7]].sum() <= old[1].sum() <= 1.1 * rows[[1, 6, 7]].sum()
    assert (rows[[0, 2, 3, 4, 5]] >= old[[0, 2, 3, 4, 5]]).all()
    assert after["accuracy_oracle"] >= before["accuracy_oracle"] - 1


def test_crops_show_the_parts(split_one):
    """Each part has exemplars of its own pixels, the border ones near to another cluster, and a contact sheet."""
    _space, run, _, after = split_one
    source = run.contact_sheet_source()
    for part in (1, 6, 7):
        for kind in ("typical", "border"):
            found = exemplars(source.sample, after, part, kind)
            assert len(found) and (after.labels[found] == part).all()
        assert contact_sheet(source, after, part, per_page=4).total > 0


def test_splits_go_out_and_in_by_a_file(split_one, say, tmp_path):
    """`label export` and `label import` keep splits and the names of parts; those of other clusters are refused."""
    space, run, _, after = split_one
    file = tmp_path / "names.json"
    assert say("label", "export", file, "--workspace", space.root).code == 0
    space.label_map.undo()
    space.label_map.undo()
    said = say("label", "import", file, "--workspace", space.root, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["named_clusters"] == 5
    assert run.clustering().digest == after.digest
    record = json.loads(file.read_text())
    record["splits"][0]["first_new"] = 9
    file.write_text(json.dumps(record))
    said = say("label", "import", file, "--workspace", space.root)
    assert said.code == 2 and "is this map of another" in said.err
