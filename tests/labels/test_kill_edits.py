"""What benchmarks/kill_edits.py does fifty times, five times: kill -9 of editor and job loses no printed edit."""

from __future__ import annotations

import pytest

from benchmarks.kill_edits import check, play_rounds


@pytest.mark.slow
def test_no_edit_is_lost_when_editor_and_job_are_killed(finished_copy):
    """Five kills in a row: each time the workspace opens with every edit that was printed."""
    rounds = play_rounds(finished_copy, 5, seed=1, longest_s=0.4)
    assert sum(one.told for one in rounds) >= 5 and len(finished_copy.label_map.history(10**6)) >= 5


def test_the_check_sees_a_lost_edit(finished_copy):
    """The check can fail: on a printed edit that is missing, and on decisions that are not the printed ones."""
    finished_copy.label_map.name_clusters("key", [0], "road")
    with pytest.raises(KeyError):
        check(finished_copy.root, [[7, "named cluster 1 sky", "?"]])
    with pytest.raises(AssertionError, match="not those after the last edit"):
        check(finished_copy.root, [[1, "named cluster 0 road", "?"]])
