"""An export that stops: nothing under its name, and the same call goes on to the same files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from picie_core.errors import Stopped
from picie_core.export.export_settings import ExportSettings
from picie_core.progress import Progress
from picie_core.workspace.masks.mask_export import export_masks
from tests.export.odd_images import no_network, picture, save


class StopAfter:
    """A feature source that is interrupted after so many batches, and counts the images that it sees."""

    def __init__(self, batches: int):
        self.batches, self.images = batches, 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.batches == 0:
            raise KeyboardInterrupt
        self.batches -= 1
        self.images += len(images)
        return no_network(images)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for i in range(60):
        save(tmp_path / "in" / f"{i:02d}.jpg", picture(i))
    return tmp_path / "in"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("formats", ["png", ("png", "voc")])
def test_a_stopped_export_goes_on_to_the_same_files(made, images, tmp_path, formats):
    """After a stop there is no export; the second call segments only what is left, and all bytes are equal."""
    whole = StopAfter(-1)
    export_masks(made[2], formats, tmp_path / "whole", images=images, feature_source=whole)
    stopped, rest, events = StopAfter(5), StopAfter(-1), list[Progress]()
    out = tmp_path / "sub" / "out"
    with pytest.raises(Stopped, match=r"the same command goes on with it"):
        export_masks(made[2], formats, out, images=images, feature_source=stopped)
    assert not out.exists() and [path.name for path in (tmp_path / "sub").iterdir()] == [".out.unfinished"]
    export_masks(made[2], formats, out, images=images, feature_source=rest, report=events.append)
    assert 0 < events[0].done == whole.images - rest.images < 60
    assert files(out) == files(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["out"]


def test_an_unfinished_export_of_other_settings_begins_anew(made, images, tmp_path):
    """Masks of two settings never mix."""
    with pytest.raises(Stopped):
        export_masks(made[2], "png", tmp_path / "out", images=images, feature_source=StopAfter(5))
    everything = StopAfter(-1)
    settings = ExportSettings(confidence="png")
    export_masks(made[2], "png", tmp_path / "out", images=images, feature_source=everything, settings=settings)
    assert everything.images == 60 == len(list((tmp_path / "out" / "confidence").iterdir()))


def test_a_torn_line_of_the_journal_is_written_again(made, images, tmp_path):
    """A kill in the middle of a line loses one image at most, and it is exported again."""
    with pytest.raises(Stopped):
        export_masks(made[2], "png", tmp_path / "out", images=images, feature_source=StopAfter(5))
    journal = tmp_path / ".out.unfinished" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])
    report = export_masks(made[2], "png", tmp_path / "out", images=images, feature_source=no_network)
    assert report.images == 60 and json.loads((tmp_path / "out" / "export.json").read_text())["images"] == 60


@pytest.mark.slow
def test_a_killed_command_goes_on(made, images, tmp_path):
    """`export` is killed with SIGKILL while it writes; the same command then finishes, and nothing else is left."""
    words = [sys.executable, "-m", "picie_core", "export", "--workspace", str(made[0].root), "--out"]
    words += [str(tmp_path / "out"), "--images", str(images), "--clustering", made[2].name, "--device", "cpu", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ})
    journal = tmp_path / ".out.unfinished" / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not (tmp_path / "out").exists()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["images"] == 60
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
