"""The table and the curves of a comparison, by hand."""

from __future__ import annotations

from picie_core.evaluation.comparison.curves import line_of, mean_line, write_curves
from picie_core.evaluation.comparison.table import (
    RowResults,
    RunResult,
    SetResults,
    compare_table,
    seconds_text,
    spread_text,
    table_records,
)


def result(seed: int, accuracy: float, miou: float, epochs: int = 2) -> RunResult:
    """A run of six images and three classes with the same metrics either way of matching."""
    figures = {"accuracy": accuracy, "miou": miou, "accuracy_named": accuracy, "miou_named": miou}
    history = [{"epoch": i + 1, "loss": 2.0 - i, "seconds": 5.0} for i in range(epochs)]
    return RunResult("MDC", "set", seed, "run", {"k3": figures}, 6, 3, 5.0 * epochs, 61.0, history, "", {"k": 3})


def results(*runs: RunResult) -> list[SetResults]:
    """A data set with a row that has these of two runs, and one that has none yet."""
    rows = [RowResults("MDC", "mdc", 2, runs), RowResults("frozen | start", "frozen", 1, [])]
    return [SetResults("set", "6 images to train on, 6 measured", [3], rows)]


def test_a_table_by_hand():
    """Means and deviations over seeds, times, dashes where nothing is measured, notes at the end; bars are escaped."""
    text = compare_table(results(result(0, 50, 20), result(1, 52, 23)), ["set, MDC, seed 1: collapsed in epoch 2"], 1)
    lines = text.splitlines()
    assert "of a run the mean of one clustering." in lines[2]
    assert "**2 of 3 runs are done.** The same command goes on." in lines
    assert "6 images to train on, 6 measured, 3 classes." in lines
    pair = "51.0 ± 1.4 / 21.5 ± 2.1"
    assert f"| MDC | 2 | {pair} | {pair} | – | 5.0 s | 10.0 s | 1 min 1 s |" in lines
    assert "| frozen \\| start | 0 of 1 | – | – | – | – | – | – |" in lines
    assert lines[-1] == "- set, MDC, seed 1: collapsed in epoch 2"


def test_records_by_hand():
    """The same numbers with three digits; a row without a run has none."""
    done, missing = table_records(results(result(0, 50, 20), result(1, 52, 23)))
    assert (done["k3_miou"], done["k3_miou_sd"], done["train_s"], done["total_s"]) == (21.5, 2.121, 10.0, 61.0)
    assert missing == {"row": "frozen | start", "set": "set", "seeds": 0}


def test_a_result_is_stored_with_its_plan(tmp_path):
    """What was written is read again, but not for another plan, nor from a torn file."""
    path = tmp_path / "rows" / "one.json"
    assert RunResult.read(path, {"k": 3}) is None
    result(0, 50, 20).write(path)
    assert RunResult.read(path, {"k": 3}) == result(0, 50, 20)
    assert RunResult.read(path, {"k": 4}) is None
    path.write_text(path.read_text()[:50])
    assert RunResult.read(path, {"k": 3}) is None


def test_spread_and_times_by_hand():
    """2, 4 and 9: mean 5, squares 9 + 1 + 16 over 2 is 13; times read as people say them."""
    assert spread_text([2, 4, 9]) == f"5.0 ± {13**0.5:.1f}"
    assert spread_text([7.5]) == "7.5"
    assert [seconds_text(s) for s in (4.23, 59.96, 65, 3599, 7380)] == [
        "4.2 s", "1 min 0 s", "1 min 5 s", "59 min 59 s", "2 h 3 min"
    ]  # fmt: skip


def test_curves_by_hand():
    """Missing metrics leave no point, the first epoch changes no labels, trainings that end early count until then."""
    history = [{"epoch": 1, "loss": 3.0, "changed_labels": 1.0}, {"epoch": 2, "loss": 1.0, "changed_labels": 0.5}]
    assert line_of(history, "loss") == {1: 3.0, 2: 1.0}
    assert line_of(history, "changed_labels") == {2: 0.5}
    assert line_of(history, "measured_miou") == {}
    assert mean_line([{1: 3.0, 2: 1.0}, {1: 1.0}]) == {1: 2.0, 2: 1.0}


def test_nothing_is_drawn_before_a_training(tmp_path):
    """Frozen runs have no epochs, and then there is no file."""
    assert not write_curves(tmp_path / "curves.png", results(result(0, 50, 20, epochs=0)))
    assert not (tmp_path / "curves.png").exists()
    assert write_curves(tmp_path / "curves.png", results(result(0, 50, 20)))
    assert (tmp_path / "curves.png").stat().st_size > 1000
