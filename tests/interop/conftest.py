"""Exports of all cases, written in the environment of the product, and the table of who read them.

make interop     installs the readers into .venv-interop and runs these tests there; elsewhere they are not collected
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS: dict[tuple[str, str, str], list[bool]] = {}
"""Format, library and call -> whether each case was read exactly."""
collect_ignore = [] if importlib.util.find_spec("datumaro") else ["test_readers.py", "test_documents.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which Python has the product, and where the table goes."""
    parser.addoption("--product-python", default=str(ROOT / ".venv/bin/python"), help="Python that has the product")
    parser.addoption("--table", default=None, help="Markdown file to write the table of readers to")


@pytest.fixture(scope="session")
def exports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a case; in each the sources, the truth, and one export a format."""
    out = tmp_path_factory.mktemp("exports") / "cases"
    words = [request.config.getoption("--product-python"), "-m", "tests.interop.write_exports", str(out)]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return out


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Counts the cases that each reader brought back."""
    row = dict(report.user_properties).get("reader")
    if row is not None and (report.when == "call" or report.failed):
        ROWS.setdefault(tuple(row), []).append(report.passed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the table of readers, and writes it where an option says so."""
    if not ROWS:
        return
    lines = ["| format | library | version | read with | result |", "|---|---|---|---|---|"]
    for (form, library, call), passed in ROWS.items():
        result = f"exact in {sum(passed)} of {len(passed)} cases"
        lines.append(f"| `{form}` | {library} | {version(library)} | {call} | {result} |")
    terminalreporter.write_line("\n".join(lines))
    if config.getoption("--table"):
        page = Path(config.getoption("--table"))
        before, mark, _ = page.read_text(encoding="utf-8").partition("<!-- table -->\n")
        page.write_text(before + mark + "\n".join(lines) + "\n", encoding="utf-8")
