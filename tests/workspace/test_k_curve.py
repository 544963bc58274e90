"""The curve over K of a run: stored as it comes, and gone on with."""

from __future__ import annotations

import json

import pytest

from picie_core.progress import read_status
from picie_core.workspace.k_curve import compute_k_curve, load_k_curve


def test_every_k_is_stored_when_it_is_known_and_a_stopped_job_goes_on(finished_copy):
    """What a killed job left is read while it runs, is the same in the end, and is not computed twice."""
    run = finished_copy.current_run()
    assert load_k_curve(run) is None
    seen: list[tuple[int, ...]] = []

    def stop_after_the_second(progress) -> None:
        known = load_k_curve(run)
        seen.append(tuple(point.k for point in known.points) if known else ())
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_k_curve(run, [2, 3, 5], seeds=2, report=stop_after_the_second)
    assert seen == [(), (), (), (2,), (2,), (2, 3)]
    part = load_k_curve(run)
    assert [point.k for point in part.points] == [2, 3] and not part.done and part.wanted == (2, 3, 5)
    steps: list[int] = []
    whole = compute_k_curve(run, [2, 3, 5], seeds=2, report=lambda one: steps.append(one.done))
    assert steps == [4, 5, 6] and whole.done
    assert load_k_curve(run) == whole
    (run.derived_dir / "scores.json").unlink()
    assert compute_k_curve(run, [2, 3, 5], seeds=2) == whole


def test_other_seeds_start_anew_and_other_k_are_added(finished_copy):
    """Metrics of other numbers of seeds do not mix; K that were asked for before stay on the curve."""
    run = finished_copy.current_run()
    compute_k_curve(run, [2, 3], seeds=2)
    more = compute_k_curve(run, [4], seeds=2)
    assert [point.k for point in more.points] == [2, 3, 4] and more.done
    single = compute_k_curve(run, [3], seeds=1)
    assert [point.k for point in single.points] == [3]
    assert single.points[0].stability is None and single.points[0].silhouette is not None


def test_one_cluster_and_as_many_as_pixels(finished_copy):
    """The ends of what is possible have metrics or None, never a NaN."""
    run = finished_copy.current_run()
    curve = compute_k_curve(run, [1, 60], seeds=2, pixels=60)
    first, last = curve.points
    assert (first.silhouette, first.stability) == (None, 1.0)
    assert last.inertia == pytest.approx(0, abs=1e-3) and last.stability == 1
    text = (run.derived_dir / "scores.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in the file"))
    assert curve.reading


def test_the_command_is_a_job_with_a_status(finished_copy, say):
    """`scores` leaves metrics, reading and a finished job; wrong K are refused before anything is computed."""
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
