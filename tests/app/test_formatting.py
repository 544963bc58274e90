"""Numbers and names as they stand on the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.shared.formatting import (
    about,
    count,
    duration,
    home_path,
    literal,
    percent,
    pixels,
    progress_line,
    size,
    whole_eta_s,
)
from picie_core.progress import Progress


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (count(1, "image"), "1 image"),
        (count(12000, "image"), "12,000 images"),
        (count(2, "class", "classes"), "2 classes"),
        (percent(0.1119), "11.2 %"),
        (percent(0.0001), "< 0.1 %"),
        (percent(0), "0.0 %"),
        (duration(59.4), "59 s"),
        (duration(250), "4 min 10 s"),
        (duration(7500), "2 h 05 min"),
        (about(38), "≈ 40 s"),
        (about(720), "≈ 12 min"),
        (size(12_400_000), "12.4 MB"),
        (home_path(Path.home() / "camvid"), "~/camvid"),
        (home_path("/data/camvid"), "/data/camvid"),
        (pixels([(480, 360), (480, 360)]), "480 × 360 px"),
        (pixels([(4000, 3000), (320, 240)]), "320 × 240 to 4000 × 3000 px"),
    ],
)
def test_numbers_have_their_unit_and_no_false_precision(written: str, wanted: str) -> None:
    """Each kind of number is written in one way everywhere."""
    assert written == wanted


def test_the_time_left_of_a_training_counts_all_epochs() -> None:
    """In epoch 2 of 5 with 10 s left of it and 20 s an epoch, 70 s are left."""
    progress = Progress("epoch 2/5", 50, 100, rate=5.0, eta_s=10.0)
    assert whole_eta_s(progress) == 70
    assert progress_line(progress).endswith("5.0 images/s · 1 min 10 s left in all")
    assert whole_eta_s(Progress("embed", 50, 100, 5.0, 10.0)) is None


def test_a_name_is_shown_as_it_was_typed() -> None:
    """Markdown in the name of a class makes neither a picture nor a link nor a colour."""
    assert literal("![x](http://y)") == r"\!\[x\]\(http\://y\)"
    assert literal("road") == "road"


def test_the_first_page_loads_no_heavy_library() -> None:
    """torch, faiss, sklearn and umap are imported when they are used, not with the app."""
    heavy = ["torch", "faiss", "sklearn", "umap", "torchvision", "lightning_fabric"]
    code = (
        "import sys, app.session.clustering, app.shared.layout.elements;"
        "import app.shared.layout.notices, app.shared.layout.sidebar;"
        "import app.session.record, app.session.current, app.session.cache, app.session.estimates;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
