"""Who may import whom: the first page stays light, the core knows no screen, parts know no workspace."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "torch",
    "torchvision",
    "faiss",
    "sklearn",
    "umap",
    "numba",
    "scipy",
    "matplotlib",
    "streamlit",
    "plotly",
    "pandas",
)
SCREEN = ("streamlit", "plotly", "pandas")
NETWORK = ("torch", "torchvision", "faiss", "sklearn", "umap", "lightning_fabric")
LIGHT = ("workspace.workspace", "data.images.image_index", "labels.label_map", "progress", "segmentation.contact_sheet",
         "segmentation.masks", "clustering.clustering", "data.embedding_sample", "settings", "cli.commands",
         "clustering.uncertainty", "clustering.confidence", "labels.review_queue", "clustering.k_selection",
         "clustering.hierarchy", "workspace.ground_truth", "evaluation.sampled_truth",
         "workspace.k_curve")  # fmt: skip


def sources(folder: str) -> list[Path]:
    """All Python files of a package."""
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, also inside functions, as a dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(paths: list[Path], *forbidden: str) -> list[str]:
    """The files that import something forbidden, with what it is."""
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in imports(path)
        if any(name == one or name.startswith(f"{one}.") for one in forbidden)
    ]


def loaded_by(statement: str) -> set[str]:
    """The heavy modules that a fresh process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize("modules", ["picie_core", ", ".join(f"picie_core.{name}" for name in LIGHT)])
def test_first_page_loads_nothing_heavy(modules):
    """What the app and `--help` need at once loads no network, no clustering, no screen."""
    assert loaded_by(f"import {modules}") == set()


def test_the_probe_sees_what_is_loaded():
    """The test above can fail: a module that needs torch is seen."""
    assert "torch" in loaded_by("import picie_core.models.embedder")


def test_core_knows_no_screen():
    """No streamlit, plotly or pandas in the core, not even inside a function."""
    assert offenders(sources("picie_core"), *SCREEN, "app") == []


def test_app_runs_no_network():
    """No torch, faiss, scikit-learn or umap in the app: jobs do that in processes of their own."""
    assert offenders(sources("app"), *NETWORK) == []


def test_nobody_imports_tests():
    """What a user runs stands without the tests and their libraries."""
    shipped = [path for folder in ("picie_core", "app", "sample_data") for path in sources(folder)]
    assert offenders(shipped, "tests", "conftest", "pytest", "hypothesis", "torchmetrics") == []


def test_nothing_is_read_through_pickle():
    """No pickle module, no torch.load without weights_only, no numpy file that may hold objects."""
    shipped = [path for folder in ("picie_core", "app") for path in sources(folder)]
    assert offenders(shipped, "pickle", "cPickle", "dill", "joblib", "shelve", "marshal") == []
    for path in shipped:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            assert options.get("allow_pickle", "False") == "False", path
            if ast.unparse(node.func) == "torch.load":
                assert options.get("weights_only") == "True", f"{path}: line {node.lineno}"
