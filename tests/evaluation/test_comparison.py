"""The page and the curves of a comparison, by hand."""

from __future__ import annotations

import json

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


def metrics(accuracy: float, miou: float) -> dict[str, float]:
    """One-to-one, named and oracle metrics that are told apart by their first digits."""
    found = {}
    for number, way in enumerate(("", "_own", "_named", "_oracle")):
        found |= {f"accuracy{way}": accuracy + 10 * number, f"miou{way}": miou + 10 * number}
    return found


def result(
    seed: int, accuracy: float, miou: float, epochs: int = 2, row: str = "MDC", absent: tuple[str, ...] = ()
) -> RunResult:
    """A run of six images and three classes, measured at K = 3 and 9 and with a classifier, each a point higher."""
    figures = {part: metrics(accuracy + i, miou + i) for i, part in enumerate(("k3", "k9", "head"))}
    history = [{"epoch": i + 1, "loss": 2.0 - i, "seconds": 5.0} for i in range(epochs)]
    return RunResult(
        row, "set", seed, "run", figures, list(absent), 6, 3, 5.0 * epochs, 61.0, history, "", {"k": 3}
    )  # fmt: skip


def results(*runs: RunResult, named: bool = True) -> list[SetResults]:
    """A data set with a row that has these of two runs, and one that has none yet."""
    rows = [RowResults("MDC", "mdc", 2, runs), RowResults("frozen | start", "frozen", 1, [])]
    return [SetResults("set", "6 own images to train on, 6 others to measure on", [3, 9], rows, named)]


def test_a_page_by_hand():
    """The best row first, then a table for each K, the largest first; means and deviations over seeds, times, notes."""
    absent = ("No own image shows mouse.",)
    sets = results(result(0, 50, 20, absent=absent), result(1, 52, 23, absent=absent))
    text = compare_table(sets, ["set, MDC, seed 1: collapsed in epoch 2"], 1)
    lines = text.splitlines()
    assert "in percent of whole images" in lines[2] and "of a run the mean of one clustering." in lines[2]
    assert "**2 of 3 runs are done.** The same command goes on." in lines
    assert text.index("## Masks from 9 named clusters") < text.index("## set\n")
    own, others = "62.0 ± 1.4 / 32.5 ± 2.1", "72.0 ± 1.4 / 42.5 ± 2.1"
    assert f"- set, K = 9: **MDC** gives {own} on own images, {others} on others." in lines
    assert lines[lines.index("| row | set, own | set, others |") + 2] == "| MDC | 32.5 ± 2.1 | 42.5 ± 2.1 |"
    assert "6 own images to train on, 6 others to measure on, 3 classes. No own image shows mouse." in lines
    nine, three, head = (lines.index(one) for one in (
        "K = 9 clusters, named:", "K = 3 clusters, named:",
        "Labels of the classifiers that methods learn, named from the own images unless they learnt the classes:",
    ))  # fmt: skip
    assert nine < three < head
    assert lines[nine + 2] == "| row | seeds | own images | other images | oracle |"
    assert lines[nine + 4] == f"| MDC | 2 | {own} | {others} | 82.0 ± 1.4 / 52.5 ± 2.1 |"
    assert lines[nine + 5] == "| frozen \\| start | 0 of 1 | – | – | – |"
    assert lines[three + 2] == "| row | seeds | own images | other images | oracle | one-to-one |"
    assert lines[three + 4].endswith("| 51.0 ± 1.4 / 21.5 ± 2.1 |")
    assert lines[head + 4] == "| MDC | 2 | 63.0 ± 1.4 / 33.5 ± 2.1 | 73.0 ± 1.4 / 43.5 ± 2.1 |"
    assert lines[head + 5] == ""  # a frozen start has no classifier
    assert "| MDC | 5.0 s | 10.0 s | 1 min 1 s |" in lines and "| frozen \\| start | – | – | – |" in lines
    assert lines[-1] == "- set, MDC, seed 1: collapsed in epoch 2"


def test_rows_that_learn_from_masks_are_never_the_best():
    """Nobody who names clusters has them: the best row is one without masks, the others stay in the tables."""
    rows = [
        RowResults("PiCIE", "picie", 1, [result(0, 50, 20, row="PiCIE")]),
        RowResults("supervised", "supervised", 1, [result(0, 60, 40, row="supervised")]),
    ]
    text = compare_table([SetResults("set", "6 images", [3, 9], rows, named=True)], [], 1)
    assert "- set, K = 9: **PiCIE** gives 61.0 / 31.0 on own images, 71.0 / 41.0 on others." in text
    assert "| supervised | 51.0 | 61.0 |" in text


def test_a_set_without_masks_of_its_own_images():
    """The page says so, and has neither named columns nor a best row; the oracle and one-to-one stay."""
    text = compare_table(results(result(0, 50, 20), named=False), [], 2, centre_square=True)
    assert "the centre square at 320 px" in text and "the mean of 2 clusterings." in text
    assert "Nothing is named here, as its own images have no masks: give the set `masks` in the plan." in text
    assert "## Masks from" not in text
    tables = text[text.index("## set") :]
    assert "K = 3 clusters:\n\n| row | seeds | oracle | one-to-one |" in tables
    assert "| row | seeds | other images |\n| --- | --- | --- |\n| MDC | 1 of 2 | 52.0 / 22.0 |" in tables
    assert "own images |" not in tables


def test_records_by_hand():
    """The same numbers with three digits; a row without a run has none."""
    done, missing = table_records(results(result(0, 50, 20), result(1, 52, 23)))
    assert (done["k3_miou"], done["k3_miou_sd"], done["train_s"], done["total_s"]) == (21.5, 2.121, 10.0, 61.0)
    assert (done["k9_miou_own"], done["head_accuracy_named"]) == (32.5, 73.0)
    assert missing == {"row": "frozen | start", "set": "set", "seeds": 0}


def test_a_result_is_stored_with_its_plan(tmp_path):
    """What was written is read again, but not for another plan, of another version, or from a torn file."""
    path = tmp_path / "rows" / "one.json"
    assert RunResult.read(path, {"k": 3}) is None
    result(0, 50, 20).write(path)
    assert RunResult.read(path, {"k": 3}) == result(0, 50, 20)
    assert RunResult.read(path, {"k": 4}) is None
    older = {name: one for name, one in json.loads(path.read_text()).items() if name != "absent"}
    path.write_text(json.dumps(older))
    assert RunResult.read(path, {"k": 3}) is None
    result(0, 50, 20).write(path)
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
