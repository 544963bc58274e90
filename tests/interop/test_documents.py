"""The Python of the pages about formats runs as it stands, on real exports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "docs" / "formats"
WITH_CODE = sorted(page.name for page in PAGES.glob("*.md") if "```python" in page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_runs(exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    """A reader who copies the blocks in order, in the folder that has the export `out`, gets no error."""
    (tmp_path / "out").symlink_to(exports / "plain")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page, "exec"), names)


def test_every_page_has_code() -> None:
    """Each target tool has a sample that runs."""
    assert {page.name for page in PAGES.glob("*.md")} - set(WITH_CODE) == {"README.md", "interop.md"}
