"""The curve over K: figures equal to scikit-learn's, stored as they come, gone on with, and read without deciding."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from picie_core.clustering.k_selection import (
    CosineSilhouette,
    KScore,
    adjusted_rand,
    grid_up_to,
    load_scores,
    read_curve,
    score_workspace,
    spread,
)
from picie_core.errors import SettingError
from picie_core.progress import read_status
from tests.hand_made import unit


def blobs(seed: int, centres: int = 4, each: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around a few directions, and which one."""
    rng = np.random.default_rng(seed)
    means = unit(rng.normal(size=(centres, 8)))
    labels = np.repeat(np.arange(centres), each)
    return unit(means[labels] + 0.3 * rng.normal(size=(centres * each, 8))), labels


@pytest.mark.parametrize("seed", range(4))
def test_silhouette_is_scikit_learns(seed):
    """For good, random and uneven labels, ids with gaps, and pixels alone in their cluster."""
    rows, labels = blobs(seed)
    rng = np.random.default_rng(seed)
    compared = CosineSilhouette(rows)
    for one in (labels, rng.integers(0, 9, len(rows)), 5 * labels, np.minimum(np.arange(len(rows)), 7)):
        theirs = silhouette_score(rows, one, metric="cosine")
        assert compared.mean(one) == pytest.approx(theirs, abs=1e-5)


def test_silhouette_of_one_cluster_is_not_known():
    """There is no other cluster to be compared with; nothing is divided by nothing."""
    rows, _ = blobs(0)
    assert CosineSilhouette(rows).mean(np.zeros(len(rows), int)) is None
    assert CosineSilhouette(np.repeat(rows[:1], 4, axis=0)).mean(np.array([0, 0, 1, 1])) == 0


@pytest.mark.parametrize("seed", range(5))
def test_adjusted_rand_is_scikit_learns(seed):
    """Random, related, renumbered and one-cluster labellings."""
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 12, 500)
    for other in (rng.integers(0, 7, 500), one // 2, 11 - one, np.zeros(500, int), np.arange(500)):
        assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other), abs=1e-12)
        assert adjusted_rand(one, other) == pytest.approx(adjusted_rand(other, one), abs=1e-12)
    assert adjusted_rand(np.zeros(9, int), np.zeros(9, int)) == 1
    assert adjusted_rand(np.arange(9), np.arange(9)[::-1]) == 1


def test_a_curve_by_slow_means(finished_copy):
    """Inertia is the mean of 1 - cosine of k-means on these pixels, stability the mean over pairs of seeds."""
    from picie_core.clustering.kmeans import spherical_kmeans

    run = finished_copy.current_run()
    curve = score_workspace(run, [4, 2], seeds=3, pixels=300)
    rows = np.asarray(run.sample().embeddings[spread(600, 300)], np.float32)
    assert [point.k for point in curve.points] == [2, 4] and curve.pixels == 300
    for point in curve.points:
        found = [spherical_kmeans(rows, point.k, seed, iterations=15) for seed in range(3)]
        pairs = [(0, 1), (0, 2), (1, 2)]
        rand = np.mean([adjusted_rand_score(found[a].labels, found[b].labels) for a, b in pairs])
        silhouette = np.mean([silhouette_score(rows, one.labels, metric="cosine") for one in found])
        assert point.inertia == pytest.approx(np.mean([one.inertia for one in found]), abs=1e-6)
        assert point.stability == pytest.approx(rand, abs=1e-6)
        assert point.silhouette == pytest.approx(silhouette, abs=1e-5)


def test_every_k_is_stored_when_it_is_known_and_a_stopped_job_goes_on(finished_copy):
    """What a killed job left is read while it runs, is the same in the end, and is not computed twice."""
    run = finished_copy.current_run()
    assert load_scores(run) is None
    seen: list[tuple[int, ...]] = []

    def stop_after_the_second(progress) -> None:
        known = load_scores(run)
        seen.append(tuple(point.k for point in known.points) if known else ())
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_workspace(run, [2, 3, 5], seeds=2, report=stop_after_the_second)
    assert seen == [(), (), (), (2,), (2,), (2, 3)]
    part = load_scores(run)
    assert [point.k for point in part.points] == [2, 3] and not part.done and part.wanted == (2, 3, 5)
    steps: list[int] = []
    whole = score_workspace(run, [2, 3, 5], seeds=2, report=lambda one: steps.append(one.done))
    assert steps == [4, 5, 6] and whole.done
    assert load_scores(run) == whole
    (run.derived_dir / "scores.json").unlink()
    assert score_workspace(run, [2, 3, 5], seeds=2) == whole


def test_other_seeds_start_anew_and_other_k_are_added(finished_copy):
    """Figures of other numbers of seeds do not mix; K that were asked for before stay on the curve."""
    run = finished_copy.current_run()
    score_workspace(run, [2, 3], seeds=2)
    more = score_workspace(run, [4], seeds=2)
    assert [point.k for point in more.points] == [2, 3, 4] and more.done
    single = score_workspace(run, [3], seeds=1)
    assert [point.k for point in single.points] == [3]
    assert single.points[0].stability is None and single.points[0].silhouette is not None


def test_one_cluster_and_as_many_as_pixels(finished_copy):
    """The ends of what is possible have figures or None, never a NaN."""
    run = finished_copy.current_run()
    curve = score_workspace(run, [1, 60], seeds=2, pixels=60)
    first, last = curve.points
    assert (first.silhouette, first.stability) == (None, 1.0)
    assert last.inertia == pytest.approx(0, abs=1e-3) and last.stability == 1
    text = (run.derived_dir / "scores.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in the file"))
    assert curve.reading


def points(**figures: tuple[float, float]) -> list[KScore]:
    """A curve from k5=(inertia, stability)."""
    return [KScore(int(name[1:]), inertia, 0.1, stability) for name, (inertia, stability) in figures.items()]


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (
            points(k5=(0.5, 0.4), k20=(0.4, 0.7), k40=(0.35, 0.69), k100=(0.28, 0.5)),
            "Between K = 20 and 40 the clusters repeat best between seeds; more still separates finer things: "
            "inertia falls by 20 % from K = 40 to 100.",
        ),
        (
            points(k5=(0.5, 0.9), k20=(0.4, 0.7)),
            "At K = 5 the clusters repeat best between seeds; inertia falls by 20 % from K = 5 to 20.",
        ),
        (points(k5=(0.5, 0.5), k20=(0.4, 0.8)), "At K = 20 the clusters repeat best between seeds."),
        (
            points(k5=(0.5, 0.7), k20=(0.4, 0.7)),
            "The clusters repeat about equally well between seeds at every K from 5 to 20.",
        ),
        (points(k5=(0.5, 0.7)), "One K is no curve yet: more are needed to compare."),
        ([], "One K is no curve yet: more are needed to compare."),
    ],
)
def test_the_reading(curve, words):
    """What the figures show, in words that choose nothing."""
    assert read_curve(curve) == words
    assert not any(word in words.lower() for word in ("choose", "should", "optimal", "recommend"))


def test_a_curve_of_one_seed_has_a_reading():
    """Without stability the sentence speaks of what is known."""
    curve = [dataclasses.replace(one, stability=None) for one in points(k5=(0.5, 0), k20=(0.4, 0), k40=(0.3, 0))]
    words = "More clusters fit tighter; more still separates finer things: inertia falls by 40 % from K = 5 to 40."
    assert read_curve(curve) == words


def test_the_usual_k():
    """Denser where curves bend, and the wish itself at the end."""
    assert grid_up_to(100) == [5, 10, 15, 20, 30, 40, 50, 60, 80, 100]
    assert grid_up_to(27) == [5, 10, 15, 20, 27]
    assert grid_up_to(500)[-5:] == [150, 200, 300, 400, 500]
    with pytest.raises(SettingError, match="up-to=1 is too small: give at least 2"):
        grid_up_to(1)


def test_the_command_is_a_job_with_a_status(finished_copy, say):
    """`scores` leaves figures, reading and a finished job; wrong K are refused before anything is computed."""
    said = say("scores", "--workspace", finished_copy.root, "--ks", 3, 5, "--seeds", 2)
    assert said.code == 0, said.err
    assert "| K | inertia | silhouette | stability |" in said.out and "reading: " in said.out
    status = read_status(finished_copy.job_path("scores"))
    assert (status.state, status.run) == ("done", finished_copy.current_run().name)
    assert (status.progress.done, status.progress.total) == (4, 4)
    assert [row["K"] for row in status.result["scores"]] == [3, 5]
    for words, message in (
        (("--ks", "0", "4"), "ks=0 is too small: give at least 1"),
        (("--ks", "601"), "k=601 needs at least 601 sampled pixels, got 600"),
        (("--up-to", "1"), "up-to=1 is too small"),
    ):
        refused = say("scores", "--workspace", finished_copy.root, *words)
        assert refused.code == 2 and message in refused.err
