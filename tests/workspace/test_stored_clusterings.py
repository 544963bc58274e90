"""Clusterings of a workspace: stored and reloaded equal, never mixed up with other centroids or samples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from picie_core.cli.embed import embed
from picie_core.clustering.clustering import cell_labels, clustering_name
from picie_core.clustering.kmeans import assign
from picie_core.data.image_file import resize_image
from picie_core.errors import PicieError, SettingError
from picie_core.models.embedder import FrozenEmbedder, embed_image, load_embedder
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace import stored_clusterings
from picie_core.workspace.workspace import Run, Workspace
from tests.hand_made import clustering_of


def same(one: object, other: object) -> bool:
    """Whether two clusterings agree in every field, arrays bit by bit."""
    return all(np.array_equal(getattr(one, part.name), getattr(other, part.name)) for part in dataclasses.fields(one))


def test_stored_and_loaded_equal(finished_copy):
    """What is computed, what is loaded by name and what a second computation finds are one clustering."""
    run = finished_copy.current_run()
    made = run.cluster(5, seed=3)
    assert made.name == "k5-s3" == clustering_name(5, 3)
    assert same(made, run.clustering("k5-s3"))
    assert same(made, run.cluster(5, seed=3))


def test_labels_are_those_of_the_sample(finished):
    """Labels, similarity, counts and inertia belong to the rows of the embedding sample."""
    run = finished.current_run()
    made, sample = run.clustering("k6-s0"), run.sample()
    labels, similarity = assign(sample.embeddings, made.centroids)
    np.testing.assert_array_equal(made.labels, labels)
    np.testing.assert_allclose(made.similarity, similarity, atol=1e-3)
    np.testing.assert_array_equal(made.counts, np.bincount(labels, minlength=6))
    assert (np.diff(made.counts) <= 0).all()
    assert made.inertia == pytest.approx(1 - similarity.mean(), abs=1e-4)


def test_key_belongs_to_the_centroids(finished_copy):
    """Equal centroids have equal keys, in another workspace too; another K or seed has another."""
    run = finished_copy.current_run()
    keys = {run.cluster(k, seed).key for k, seed in ((5, 0), (5, 1), (6, 0))}
    assert len(keys) == 3
    before = run.clustering("k6-s0").key
    for path in run.derived_dir.glob("k6-s0/*"):
        path.unlink()
    run.derived_dir.joinpath("k6-s0").rmdir()
    assert run.cluster(6).key == before


def test_another_sample_drops_stale_clusterings(scenes, tmp_path):
    """Embedding again with other pixels forgets the clusterings of the old sample; with equal ones it keeps them."""
    network, sampling = EmbedderSettings(weights="none", dim=8), SampleSettings(size_px=64, pixels=600)
    embed(tmp_path / "w", network, sampling, scenes / "images")
    run = Workspace.open(tmp_path / "w").current_run()
    run.cluster(4)
    embed(tmp_path / "w", network, sampling)
    assert run.clusterings() == ["k4-s0"]
    (run.folder / "sample" / "digest.txt").write_text("of another sample")
    assert run.clusterings() == []
    with pytest.raises(SettingError, match=r"no clustering 'k4-s0' \(there: none\): run `cluster --k K`"):
        run.clustering("k4-s0")
    embed(tmp_path / "w", network, sampling)
    assert run.clusterings() == ["k4-s0"]


def test_cells_in_8_bit_get_the_label_of_their_embedding(finished):
    """Labels from the stored int8 cells agree with labels from float embeddings on 99 of 100 cells."""
    run = finished.current_run()
    made = run.clustering("k6-s0")
    network, size_px = load_embedder(run.folder / "embedder")
    engine, dense = FrozenEmbedder(network, "cpu"), run.dense_features()
    agree = []
    for image in range(6):
        exact = embed_image(engine, resize_image(finished.read_image(image), size_px))
        agree.append(cell_labels(dense.get(image), made) == cell_labels(exact, made))
    assert np.mean(agree) >= 0.99


def test_cell_labels_by_hand():
    """The best cosine wins, whatever the length of the cell."""
    cells = np.array([[[100, 1], [0, 3]], [[-5, 0], [1, 2]]], np.int8)
    made = clustering_of(np.array([[1, 0], [0, 1], [-1, 0]], np.float32))
    labels = cell_labels(cells, made)
    assert labels.tolist() == [[0, 1], [2, 1]]
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(cell_labels(cells * np.float32(0.01), made), labels)


def test_the_one_in_use(finished_copy):
    """The chosen clustering is in use, else the one made last; a choice that is gone is no obstacle."""
    run = finished_copy.current_run()
    for k in (3, 12, 4):
        run.cluster(k)
    assert run.clusterings() == ["k3-s0", "k4-s0", "k6-s0", "k12-s0"]
    finished_copy.label_map.set_choice("clustering", "k12-s0")
    assert run.clustering().k == 12
    finished_copy.label_map.set_choice("clustering", "k99-s0")
    assert run.clustering().k == 4


def test_no_clustering_yet(finished_copy):
    """The message says what to run; a run without a sample has none and says so."""
    run = finished_copy.current_run()
    for path in run.derived_dir.glob("k6-s0/*"):
        path.unlink()
    with pytest.raises(PicieError, match=rf"run {run} has no clustering yet: run `cluster --workspace .* --k K`"):
        run.clustering()
    assert Run(finished_copy, "other").clusterings() == []


@pytest.mark.parametrize(("k", "message"), [(0, "k=0 is too small"), (601, "k=601 needs at least 601 .* got 600")])
def test_impossible_k_is_refused(finished_copy, k, message):
    """K is checked against the sample before anything is computed or written."""
    with pytest.raises(SettingError, match=message):
        finished_copy.current_run().cluster(k)
    assert finished_copy.current_run().clusterings() == ["k6-s0"]


def test_of_two_that_cluster_at_once_the_first_stays(finished_copy, monkeypatch):
    """Names that were given to the first one's clusters are not orphaned by other clusters under the same name."""
    run, find, first = finished_copy.current_run(), stored_clusterings.spherical_kmeans, []

    def slow(rows, k, seed, *others, **named):
        monkeypatch.setattr(stored_clusterings, "spherical_kmeans", find)
        first.append(run.cluster(k, seed))
        return find(rows, k, seed + 1, *others, **named)

    monkeypatch.setattr(stored_clusterings, "spherical_kmeans", slow)
    late = run.cluster(9)
    assert late.key == first[0].key == run.clustering("k9-s0").key
    assert not list((finished_copy.root / "runs").rglob(".k9-s0*"))
