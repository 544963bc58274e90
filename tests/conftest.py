"""A tiny real workspace for all tests of the core: six drawn scenes with ground truth, random weights, six clusters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from threadpoolctl import threadpool_limits

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.workspace.workspace import Workspace
from tests.factories import TINY, draw_scene, embedded, write_scenes  # noqa: F401 (test files import draw_scene)

# Before torch and faiss load, and for the loaded numpy: sums of one thread repeat bit by bit, here and in processes
# that tests start, and other test processes keep their core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
_one_thread = threadpool_limits(1)


class Said(NamedTuple):
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--film docs/loop.webp` stores the pictures of the whole way as one animated picture."""
    parser.addoption("--film", default=None, help="animated picture of the browser's whole way to write")


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options that make `embed` and `train` take a second on the scenes."""
    return TINY


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images/ and masks/ of six scenes; no test writes there."""
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="session")
def finished(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An embedded workspace of the scenes with the clustering k6-s0; no test writes there."""
    workspace = embedded(tmp_path_factory.mktemp("finished") / "work", scenes / "images")
    assert run_command(COMMANDS, ["cluster", "--workspace", str(workspace.root), "--k", "6"]) == 0
    return workspace


@pytest.fixture
def finished_copy(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished workspace to write in; its images are those of `scenes`."""
    shutil.copytree(finished.root, tmp_path / "work")
    return Workspace.open(tmp_path / "work")


@pytest.fixture(scope="session")
def seven(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An embedded workspace of six scenes and a file that cannot be decoded any more; no test writes there.

    In batches of 3 the last one has a single image: less than one a process.
    """
    root = tmp_path_factory.mktemp("seven")
    shutil.copytree(scenes, root / "in")
    image = root / "in" / "images" / "scene-6.png"
    shutil.copy(root / "in" / "images" / "scene-5.png", image)
    workspace = embedded(root / "w", root / "in" / "images", "--stages", "2")
    image.write_bytes(image.read_bytes()[:1000])
    shutil.rmtree(root / "w" / "cache")
    return workspace


@pytest.fixture
def copies(seven: Workspace, tmp_path: Path) -> Callable[[str], Workspace]:
    """Returns a function that makes a named copy of the workspace to write in."""

    def copy(name: str) -> Workspace:
        shutil.copytree(seven.root, tmp_path / name)
        return Workspace.open(tmp_path / name)

    return copy


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Returns a function that runs a command line in this process, such as `say("info", "--workspace", root)`."""

    def run(*words: object) -> Said:
        capsys.readouterr()
        try:
            code = run_command(COMMANDS, [str(word) for word in words])
        except SystemExit as wish:  # argparse leaves this way
            code = int(wish.code or 0)
        return Said(code, *capsys.readouterr())

    return run
