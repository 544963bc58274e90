"""Clusterings of a workspace: loaded as they were stored, never under other centroids or another sample."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from picie_core.cli.embed import embed
from picie_core.clustering.clustering import cluster_scores, clustering_name
from picie_core.clustering.kmeans import assign
from picie_core.data.images.image_file import resize_image
from picie_core.errors import PicieError, SettingError
from picie_core.models.embedder import load_embedder
from picie_core.models.inference import FrozenEmbedder, embed_image
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.stored_clusterings import compute_clustering
from picie_core.workspace.workspace import Run, Workspace
from tests.factories import clustering_of, position_labels


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
    """Clusterings belong to their sample: another sample has none of them, the same sample again has them."""
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


def test_feature_maps_in_8_bit_get_the_labels_of_their_embeddings(finished):
    """Labels from stored int8 feature maps agree with those from float embeddings at 99 of 100 positions."""
    run = finished.current_run()
    made = run.clustering("k6-s0")
    network, size_px = load_embedder(run.folder / "embedder")
    engine, dense = FrozenEmbedder(network, "cpu"), run.dense_features()
    agree = []
    for image in range(6):
        exact = embed_image(engine, resize_image(finished.read_image(image), size_px))
        agree.append(position_labels(dense.get(image), made) == position_labels(exact, made))
    assert np.mean(agree) >= 0.99


def test_the_best_score_by_hand():
    """The best cosine wins, whatever the length of the embedding."""
    embeddings = np.array([[100, 1], [0, 3], [-5, 0], [1, 2]], np.int8)
    made = clustering_of(np.array([[1, 0], [0, 1], [-1, 0]], np.float32))
    assert cluster_scores(embeddings, made).argmax(0).tolist() == [0, 1, 2, 1]
    assert cluster_scores(embeddings * np.float32(0.01), made).argmax(0).tolist() == [0, 1, 2, 1]


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
def test_an_impossible_k_stores_nothing(finished_copy, k, message):
    """K is checked against the sample before anything is computed or written."""
    with pytest.raises(SettingError, match=message):
        finished_copy.current_run().cluster(k)
    assert finished_copy.current_run().clusterings() == ["k6-s0"]


def test_of_two_that_cluster_at_once_the_first_stays(finished_copy):
    """Names that were given to the first one's clusters do not end up under other centroids of the same name."""
    run = finished_copy.current_run()
    first, folder = run.cluster(9), run.derived_dir / "k9-s0"
    compute_clustering(folder, run.sample().embeddings, k=9, seed=1)  # as another process does
    assert run.clustering("k9-s0").key == first.key != run.cluster(9, seed=1).key
    assert not list((finished_copy.root / "runs").rglob(".k9-s0*"))
