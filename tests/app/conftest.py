"""A tiny real workspace, made once through the command line: six generated images, random weights, six clusters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.shared.components import picture
from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.workspace.workspace import Workspace

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


def write_scene(path: Path, seed: int) -> None:
    """Writes one picture of three textures: a smooth band, a striped band and a noisy one."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:72, :96]
    horizon = 24 + 6 * np.sin(x / 15 + seed)
    scene = np.stack([90 + y, 140 + y // 2, 220 - y], -1).astype(float)
    stripes = np.stack([60 + 120 * (x // 4 % 2), 90 + 60 * (x // 4 % 2), 50 + 0 * x], -1)
    scene[y > horizon] = stripes[y > horizon]
    noise = 110 + 40 * rng.standard_normal((72, 96, 1)).repeat(3, 2)
    scene[y > horizon + 24] = noise[y > horizon + 24]
    Image.fromarray(scene.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images/` and the finished workspace `work/`; tests work on copies."""
    root = tmp_path_factory.mktemp("made")
    (root / "images").mkdir()
    for seed in range(6):
        write_scene(root / "images" / f"scene-{seed}.png", seed)
    (root / "images" / "broken.png").write_text("no picture")
    work = str(root / "work")
    embed = ["embed", str(root / "images"), "--workspace", work, "--weights", "none", "--size", "64", "--pixels", "900"]
    assert run_command(COMMANDS, embed) == 0
    assert run_command(COMMANDS, ["cluster", "--workspace", work, "--k", "6"]) == 0
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for what the app may open and makes; no weights are on this machine."""
    monkeypatch.setenv("PICIE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PICIE_ROOTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("PICIE_WORKSPACE", "PICIE_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def workspace(made_once: Path, home: Path) -> Workspace:
    """A copy of the finished workspace with its images."""
    shutil.copytree(made_once, home / "made")
    return Workspace.open(home / "made" / "work")


@pytest.fixture
def open_screen() -> Callable[..., AppTest]:
    """Returns a function that opens a screen of the app as a browser tab would."""

    def open_it(screen: str = "images", workspace: Workspace | None = None, **params: str) -> AppTest:
        tab = AppTest.from_file(str(MAIN), default_timeout=30)
        if workspace is not None:
            tab.query_params["workspace"] = str(workspace.root)
        for name, value in params.items():
            tab.query_params[name] = value
        tab.run()
        return tab if screen == "images" else tab.switch_page(f"{screen}/page.py").run()

    return open_it


def text_of(tab: AppTest) -> str:
    """Returns everything that stands on the page, one element a line."""
    parts = [*tab.markdown, *tab.caption, *tab.subheader, *tab.html, *tab.error, *tab.warning, *tab.info]
    return "\n".join(str(part.value if part.type != "html" else part.proto.body) for part in parts)


def button_labels(tab: AppTest) -> list[str]:
    """Returns the labels of the buttons on the screen, without those of the sidebar."""
    return [button.label for button in tab.main.button]


class Browser:
    """Stands in for the script in the browser: keeps what it was given, and has one button that sends a stroke."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.stroke: Any = None
        self.view: Any = None

    def mount(
        self, key: str, data: dict[str, Any], on_stroke_change: Callable[[], None], on_view_change: Callable[[], None]
    ) -> None:
        """Draws two buttons in place of the picture."""
        self.data = data
        json.dumps(data)  # it has to get there

        def send() -> None:
            st.session_state[key] = SimpleNamespace(stroke=self.stroke)
            on_stroke_change()
            del st.session_state[key]

        def send_view() -> None:
            st.session_state[key] = SimpleNamespace(view=self.view)
            on_view_change()
            del st.session_state[key]

        st.button("stroke", key="send_stroke", on_click=send)
        st.button("view", key="send_view", on_click=send_view)

    def paint(self, tab: AppTest, *points: tuple[int, int]) -> AppTest:
        """Clicks at points of the image that is shown."""
        self.stroke = {"image": self.data["image"], "points": [list(point) for point in points]}
        return tab.button(key="send_stroke").click().run()

    def zoom(self, tab: AppTest, left: float, top: float, width: float) -> AppTest:
        """Zooms to a part of the image that is shown."""
        self.view = {"image": self.data["image"], "left": left, "top": top, "width": width}
        return tab.button(key="send_view").click().run()


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """The picture without a browser."""
    fake = Browser()
    monkeypatch.setattr(picture, "_mount", fake.mount)
    return fake


def names_of(space: Workspace) -> dict[int, str]:
    """The name of each named cluster."""
    found = space.current_run().clustering()
    names = {item.id: item.name for item in space.label_map.classes()} | {255: "ignore"}
    return {cluster: names[owner] for cluster, owner in space.label_map.classes_of(found.key).items()}


def choose(tab: AppTest, space: Workspace, name: str) -> None:
    """Chooses the name of the brush, made known before: the field of the test takes nothing that is not in its list."""
    if name not in {item.name for item in space.label_map.classes()}:
        key, before = space.current_run().clustering().key, names_of(space)
        unnamed = next(cluster for cluster in range(6) if cluster not in before)
        space.label_map.name_clusters(key, [unnamed], name)
        space.label_map.name_clusters(key, [unnamed], None)
        tab.run()
    tab.selectbox(key="brush_name").set_value(name).run()
