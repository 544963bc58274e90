"""A workspace: opened, refused, moved, locked; its runs and what is in use."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from picie_core.errors import PicieError, SettingError, WorkspaceBusy
from picie_core.progress import StatusFile
from picie_core.workspace.workspace import RunInfo, Workspace

HOLD = """
import sys
from picie_core.progress import StatusFile
from picie_core.workspace.workspace import Workspace
space = Workspace.open(sys.argv[1])
with space.writer_lock("train"):
    StatusFile(space.job_path("train"), "train")
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(root: Path) -> subprocess.Popen[str]:
    """Another process that holds the writer's lock until its input is closed."""
    command = [sys.executable, "-c", HOLD, str(root)]
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def space(tmp_path: Path, scenes: Path) -> Workspace:
    """A new, scanned workspace beside a copy of the images."""
    shutil.copytree(scenes / "images", tmp_path / "home" / "images")
    made = Workspace.create(tmp_path / "home" / "work", tmp_path / "home" / "images")
    made.scan()
    return made


# -- opening


def test_open_gives_what_create_made(space):
    """A created workspace opens with its images; creating it again opens it."""
    assert len(Workspace.open(space.root).image_list().readable) == 6
    assert Workspace.create(space.root, space.images_root).record == space.record


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"format": "picie-workspace", "version": 2}',
            "has version 2, this program reads up to 1: update the program",
        ),
        ('{"format": "something", "version": 1}', r"is damaged \(not a picie-workspace record\): restore it"),
        ('{"format": "picie-wor', "is damaged"),
        ("[]", "is damaged"),
        ('{"format": "picie-workspace", "version": "1"}', "is damaged"),
        ("\udcff", "is damaged"),
        ("", "is damaged"),
    ],
)
def test_newer_and_damaged_ones_are_refused(space, text, message):
    """The message names the file, what is wrong and what to do; nothing is written."""
    path = space.root / "workspace.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    for use in (lambda: Workspace.open(space.root), lambda: Workspace.create(space.root, space.images_root)):
        with pytest.raises(PicieError, match=message):
            use()
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_what_is_no_workspace_is_refused(space, tmp_path):
    """A folder of something else, a file, nothing, images that are no folder."""
    images = space.images_root
    with pytest.raises(PicieError, match=r"no workspace at .*nothing: make one with `embed IMAGES --workspace"):
        Workspace.open(tmp_path / "nothing")
    with pytest.raises(PicieError, match=r"images exists and is no workspace: give a new or an empty folder"):
        Workspace.create(images, images)
    with pytest.raises(PicieError, match=r"scene-0.png exists and is no workspace"):
        Workspace.create(images / "scene-0.png", images)
    with pytest.raises(PicieError, match=r"nowhere is not a folder: give a folder of images"):
        Workspace.create(tmp_path / "new", tmp_path / "nowhere")
    with pytest.raises(PicieError, match=r"cannot write .*workspace.json: "):
        Workspace.create(images / "scene-0.png" / "below a file", images)
    (tmp_path / "empty").mkdir()
    assert Workspace.create(tmp_path / "empty", images).root == tmp_path / "empty"


# -- where the images are


def test_moved_together(space, tmp_path):
    """A workspace that moved with its images beside it finds them there."""
    shutil.move(tmp_path / "home", tmp_path / "elsewhere")
    moved = Workspace.open(tmp_path / "elsewhere" / "work")
    assert moved.images_root == tmp_path / "elsewhere" / "images"
    assert moved.read_image(0).shape == (64, 96, 3)


def test_moved_alone(space, tmp_path):
    """A workspace that moved without its images finds them at their old place."""
    shutil.move(space.root, tmp_path / "far" / "away" / "work")
    assert Workspace.open(tmp_path / "far" / "away" / "work").images_root == tmp_path / "home" / "images"


def test_images_are_gone(space, tmp_path):
    """Opening still works; using the images says what to run, and their new place is taken over by it."""
    shutil.move(tmp_path / "home" / "images", tmp_path / "new place")
    opened = Workspace.open(space.root)
    assert len(opened.image_list().records) == 6
    with pytest.raises(PicieError, match=r"images of this workspace are gone .*: run `embed NEW_PLACE --workspace"):
        opened.scan()
    followed = Workspace.create(space.root, tmp_path / "new place")
    assert [record.id for record in followed.scan().readable] == list(range(6))
    assert Workspace.open(space.root).images_root == tmp_path / "new place"


def test_other_images_are_refused(space, tmp_path):
    """A folder with none of the known images is not taken for them."""
    (tmp_path / "other").mkdir()
    with pytest.raises(PicieError, match=r"is a workspace of .*images, not of .*other: give another --workspace"):
        Workspace.create(space.root, tmp_path / "other")
    assert Workspace.open(space.root).images_root == space.images_root


def test_a_first_folder_without_images_is_no_trap(tmp_path, scenes):
    """After a wrong, empty folder the right one is taken."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(PicieError, match="no images under"):
        Workspace.create(tmp_path / "work", tmp_path / "empty").scan()
    assert len(Workspace.create(tmp_path / "work", scenes / "images").scan().readable) == 6


# -- the writer's lock


def test_busy_names_the_writer_and_is_over_with_it(space):
    """Another writer is refused with command and pid; when the first one ends, the place is free."""
    with hold(space.root) as process:
        with (
            pytest.raises(
                WorkspaceBusy,
                match=rf"written by `train` \(pid {process.pid}\): wait for it or stop it, "
                "then run embed again",
            ),
            space.writer_lock("embed"),
        ):
            pass
        process.communicate("")
    with space.writer_lock("embed"):
        pass


def test_kill_frees_the_lock(space):
    """After kill -9 of the writer the next one gets in at once, and its job no longer counts as running."""
    with hold(space.root) as process:
        assert space.jobs()["train"].alive
        process.kill()
        process.wait()
    assert not space.jobs()["train"].alive
    with space.writer_lock("embed"):
        pass


def test_the_lock_is_free_after_an_error(space):
    """A job that fails leaves its place."""
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), space.writer_lock("embed"):
            raise ZeroDivisionError


# -- runs


def make_run(space: Workspace, name: str, created: float, state: str = "done") -> RunInfo:
    """Stores a run of that name."""
    info = RunInfo(name, "picie", state, created, {"k": 27}, epochs_done=5)
    space.write_run(info)
    return info


def test_runs_are_listed_newest_first(space):
    """What was stored comes back, and a field that a later program added does no harm."""
    infos = [make_run(space, name, created) for name, created in (("a", 1.0), ("b", 3.0), ("c", 2.0))]
    path = space.run_dir("a") / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "new field": 1}))
    assert space.runs() == [infos[1], infos[2], infos[0]]
    assert infos[0].title == "PiCIE K 27, 5 epochs"
    assert replace(infos[0], method="frozen", settings={"backbone": "resnet18"}).title == "Frozen resnet18"


def test_the_run_in_use(space):
    """The chosen one, else the newest that is done; none is an error that says what to run."""
    with pytest.raises(PicieError, match="has no finished embedder: run `embed` or `train` first"):
        space.current_run()
    make_run(space, "old", 1.0)
    make_run(space, "new", 2.0)
    make_run(space, "unfinished", 3.0, "stopped")
    assert space.current_run().name == "new"
    space.choose_run("old")
    assert Workspace.open(space.root).current_run().name == "old"
    with pytest.raises(SettingError, match=r"no run 'x' in .*: the runs there are (new|old|unfinished), "):
        space.choose_run("x")


def test_a_run_whose_process_died_is_stopped(space):
    """`running` is believed only while a job of that run is alive."""
    make_run(space, "r", 1.0, "running")
    assert space.run_info("r").state == "stopped"
    job = StatusFile(space.job_path("train"), "train")
    job.name_run("r")
    assert space.run_info("r").state == "running"
    job.finish("failed", "disk full")
    assert space.run_info("r").state == "stopped"


def test_damaged_run_is_named(space):
    """A run record that cannot be read is an error with the file's name, not a traceback."""
    make_run(space, "r", 1.0)
    (space.run_dir("r") / "run.json").write_text("{")
    with pytest.raises(PicieError, match=r"r/run.json is damaged: delete the folder"):
        space.runs()


def test_sizes_add_up(finished):
    """Each part is listed with the bytes of its files."""
    sizes = finished.sizes()
    run = finished.current_run()
    assert sizes[f"runs/{run.name}"] == sum(p.stat().st_size for p in run.folder.rglob("*") if p.is_file())
    assert sizes["cache"] > 6 * 64 * 96 * 3
    assert "labels.sqlite" in sizes
