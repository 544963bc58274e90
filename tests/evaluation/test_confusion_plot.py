"""The confusion as a picture: which row is which cluster, what is outlined, what is written where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from picie_core.evaluation.confusion_plot import MATCHED_COLOR, confusion_figure, row_order, write_confusion_picture

COUNTS = np.array([[0, 2, 8], [30, 0, 0], [0, 0, 0], [6, 4, 0], [0, 50, 50]])
NAMES = ["sky", "road", "tree"]


def test_rows_are_sorted_by_their_class():
    """By majority class (the first of equal ones), large clusters first; a cluster without pixels comes last."""
    assert row_order(COUNTS).tolist() == [1, 3, 4, 0, 2]


def test_cells_are_shares_of_a_cluster():
    """Every row sums to one, but for the empty cluster; names and shares of all pixels stand beside them."""
    axes = confusion_figure(COUNTS, NAMES, "k5-s0").axes[0]
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown, [[1, 0, 0], [0.6, 0.4, 0], [0, 0.5, 0.5], [0, 0.2, 0.8], [0, 0, 0]])
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES
    expected = ["1  (20.0%)", "3  (6.7%)", "4  (66.7%)", "0  (6.7%)", "2  (0.0%)"]
    assert [label.get_text() for label in axes.get_yticklabels()] == expected
    assert axes.get_title(loc="left") == "k5-s0"
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert numbers == {
        (0, 0): "100",
        (0, 1): "60",
        (1, 1): "40",
        (1, 2): "50",
        (2, 2): "50",
        (1, 3): "20",
        (2, 3): "80",
    }


def test_one_to_one_matches_are_outlined():
    """One cell a class, where the Hungarian matching put it: 1 is sky, 4 road, 0 tree."""
    axes = confusion_figure(COUNTS, NAMES).axes[0]
    cells = [(round(cell.get_x() + 0.5), round(cell.get_y() + 0.5)) for cell in axes.patches]
    assert sorted(cells) == [(0, 0), (1, 2), (2, 3)]


def test_rows_that_are_classes_keep_their_order_and_names():
    """A classifier's rows have the names of the classes, and the diagonal is what should be dark."""
    counts = np.array([[1, 9, 0], [7, 0, 0], [0, 0, 3]])
    axes = confusion_figure(counts, NAMES, row_names=NAMES).axes[0]
    assert [label.get_text().split()[0] for label in axes.get_yticklabels()] == NAMES
    assert sorted((round(cell.get_x() + 0.5), round(cell.get_y() + 0.5)) for cell in axes.patches) == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]


def test_the_file_is_a_picture_of_its_clusters(tmp_path):
    """A PNG, in a folder that is made for it; taller with more clusters, dark and outlined where it should be."""
    few, many = tmp_path / "new" / "few.png", tmp_path / "many.png"
    write_confusion_picture(few, COUNTS, NAMES)
    write_confusion_picture(many, np.tile(COUNTS, (20, 1)), NAMES)
    with Image.open(few) as small, Image.open(many) as large:
        assert (small.format, large.format) == ("PNG", "PNG")
        assert large.height > 2000 > small.height > 300
        colors = {color[:3] for _, color in small.convert("RGB").getcolors(1 << 24)}
    assert tuple(bytes.fromhex(MATCHED_COLOR[1:])) in colors
    assert (8, 48, 107) in colors  # the darkest blue: 100 %


def test_drawing_leaves_no_state_and_needs_no_screen():
    """No pyplot, so nothing is kept between pictures and no window system is asked for."""
    code = (
        "import sys, numpy as np; from picie_core.evaluation.confusion_plot import confusion_figure;"
        "assert 'matplotlib' not in sys.modules; confusion_figure(np.eye(3, dtype=int), list('abc'));"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
