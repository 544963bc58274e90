"""The file tree of the README: every module of both packages with the first line of its docstring.

python docs/file_tree.py --write     puts it into README.md, between the lines of its code block
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- file tree -->\n```\n", "```\n<!-- end of file tree -->\n"
REST = {
    "sample_data/": "48 generated scenes with exact ground truth, and the script that draws them",
    "benchmarks/": "speed, memory and quality, as tables",
    "tests/": "mirrors both packages; app/ drives each screen, browser/ goes the whole way in Chromium",
    "docs/": "architecture, results, screenshots",
}
COLUMN = 28


def phrase(path: Path) -> str:
    """Returns the first line of a module's docstring, without the full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].rstrip(".")


def lines_of(folder: Path, depth: int = 0) -> list[str]:
    """Returns the lines of a package: its own phrase, its modules, then its folders."""
    lines = [_line(f"{folder.name}/", phrase(folder / "__init__.py"), depth)]
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            lines.append(_line(path.name, phrase(path), depth + 1))
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        lines += lines_of(inner, depth + 1)
    return lines


def _line(name: str, text: str, depth: int) -> str:
    return f"{'  ' * depth + name:<{COLUMN}}{text}".rstrip()


def file_tree() -> str:
    """Returns the tree as it stands in the README."""
    lines = [line for package in ("app", "picie_core") for line in lines_of(ROOT / package)]
    return "\n".join([*lines, *(_line(name, text, 0) for name, text in REST.items())]) + "\n"


def main() -> None:
    """Prints the tree, or writes it into the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put it into README.md")
    if not parser.parse_args().write:
        print(file_tree())
        return
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    readme.write_text(before + START + file_tree() + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
