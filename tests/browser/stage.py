"""What it takes to look at the app as a person does: the documented command in a process, and headless Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SOFTWARE_GL = ["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
START_S = 60
POLL_S = 0.05
# Streamlit looks for its server below the address of the screen first and finds it one step up; and a picture that
# the next run of the script replaces before the browser fetched it is gone (404, and a line by its ImageList).
OWN_NOISE = ("/_stcore/", "/media/", "/ImageList.")


@dataclass(frozen=True)
class Server:
    """The app as a person started it, with a place of its own for what it makes."""

    url: str
    home: Path
    """What PICIE_HOME is set to."""
    log: Path
    process: psutil.Popen


def find_chromium() -> str | None:
    """Returns the path of a Chromium or Chrome, None where there is none."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


@contextmanager
def headless_chromium(executable: str) -> Iterator[Browser]:
    """Gives a browser whose WebGL is drawn by the processor."""
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=executable, args=SOFTWARE_GL)
        yield launched
        launched.close()


@contextmanager
def running_app(
    folder: Path, arguments: Sequence[str] = (), extra: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Gives the app, started as the README says; it and every job that it started end with the block.

    folder: for its home and its log. arguments: what follows `--`. extra: more environment variables. No weights
    are found on this machine, so that figures are the same everywhere.
    """
    log, port = folder / "server.log", _free_port()
    command = [str(Path(sys.executable).with_name("streamlit")), "run", "app/main.py"]
    command += ["--server.port", str(port), "--server.headless", "true", *(["--", *arguments] if arguments else [])]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PICIE_", "STREAMLIT_"))}
    places = {"PICIE_HOME": str(folder / "home"), "TORCH_HOME": str(folder / "torch")}
    with open(log, "wb") as output:
        environment = {**kept, **places, **(extra or {})}
        process = psutil.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_up(process, port, log)
        yield Server(f"http://localhost:{port}", folder / "home", log, process)
    finally:
        _end_family(process)


def wait_until_drawn(page: Page) -> None:
    """Waits until no run of the script is under way: what comes in the middle of one may be lost."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.wait_for_load_state("networkidle")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_until_up(process: psutil.Popen, port: int, log: Path) -> None:
    """Returns once the server answers. Raises RuntimeError with its log when it ends before, or never answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(round(START_S / POLL_S)):
        try:
            direct.open(f"http://localhost:{port}/_stcore/health", timeout=5).close()
            return
        except OSError:  # nobody listens yet
            try:
                process.wait(POLL_S)
            except psutil.TimeoutExpired:
                continue
            break
    raise RuntimeError(f"the app did not start:\n{log.read_text()}")


def _end_family(process: psutil.Popen) -> None:
    """Ends the server and its jobs, which have process groups of their own."""
    family = [*process.children(recursive=True), process] if process.is_running() else []
    for member in family:
        try:
            member.terminate()
        except psutil.NoSuchProcess:
            continue
    for member in psutil.wait_procs(family, timeout=10)[1]:
        member.kill()
        member.wait(10)


class Watch:
    """Collects what must not happen in any tab: errors on the console, and requests to other machines."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        source = message.location.get("url", "")
        if message.type == "error" and not any(part in source for part in OWN_NOISE):
            self.complaints.append(f"console: {message.text} ({source})")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("http://localhost:", "blob:", "data:")):
            self.complaints.append(f"request to another machine: {request.url}")
