"""Who may import whom: every import of both packages, lazy and typing ones too, against the table of rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP = ("atomic_files", "colors", "errors", "progress", "published_backbones", "settings", "version")
CORE = {
    "top": set(),
    "data": {"top"},
    "models": {"top", "data"},
    "clustering": {"top", "data"},
    "training": {"top", "data", "models", "clustering"},
    "segmentation": {"top", "data", "models", "clustering"},
    "estimators": {"top", "data", "models", "clustering", "training", "segmentation", "evaluation"},
    "evaluation": {"top", "data", "models", "clustering", "segmentation"},
    "labels": {"top", "data", "clustering"},
    "export": {"top", "data", "segmentation", "labels", "clustering"},
    "distillation": {"top", "data", "models", "training", "segmentation", "evaluation"},
    "workspace": {"top", "data", "models", "clustering", "training", "segmentation", "evaluation", "labels", "export"},
    "cli": {"top", "data", "models", "clustering", "training", "segmentation", "evaluation", "labels", "export",
            "distillation", "workspace"},
}  # fmt: skip
"""Room of `picie_core/` -> the rooms that its files may import, besides files of its own."""
SCREENS = ("images", "train", "clusters", "map", "masks", "export")
APP = {
    "session": set(),
    "shared": {"session"},
    **{screen: {"session", "shared"} for screen in SCREENS},
    "main": {"session", "shared"},
}
"""Folder of `app/` -> the folders that its files may import: no screen imports another."""
TABLES = {"picie_core": CORE, "app": APP}


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name; a package is the name of its `__init__`."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    assert len(found) > 50
    return found


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules among `known` that a file imports anywhere, whatever the import looks like."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name:
                yield name


def room(module: str) -> str:
    """The room of a module: `data` of `picie_core.data.images.image_file`, `top` of `picie_core.errors`."""
    package, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    return "top" if package == "picie_core" and first in TOP else first


def edges(package: str) -> dict[str, set[str]]:
    """Module -> modules that it imports, `__init__` and `__main__` of the package left out: they stand above all."""
    known = modules(package)
    above = (package, f"{package}.__main__")
    return {
        module: {other for other in imported(path, known) if other not in (module, *above)}
        for module, path in known.items()
        if module not in above
    }


@pytest.mark.parametrize("package", TABLES)
def test_rooms_import_only_what_the_table_allows(package: str) -> None:
    """A lower room knows nothing of a higher one."""
    table = TABLES[package]
    assert {room(module) for module in edges(package)} == set(table)
    wrong = [
        f"{module} imports {other}"
        for module, others in edges(package).items()
        for other in sorted(others)
        if room(other) != room(module) and room(other) not in table[room(module)]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", TABLES)
def test_nothing_imports_in_a_circle(package: str) -> None:
    """No two files need each other, not even lazily or for types."""
    try:
        TopologicalSorter(edges(package)).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", TABLES)
def test_names_come_from_the_file_that_defines_them(package: str) -> None:
    """No file but an `__init__` hands on a name that it has from another file."""
    known = modules(package)
    wrong = []
    for path in known.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in known and known[node.module].name != "__init__.py":
                defined = _defined(known[node.module])
                wrong += [
                    f"{path.relative_to(ROOT)} takes {alias.name} from {node.module}"
                    for alias in node.names
                    if alias.name not in defined
                ]
    assert not wrong, "\n".join(wrong)


def _defined(path: Path) -> set[str]:
    """The names that a file binds itself, other than by an import."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names
