"""The library as a program sees it: its names, what importing it leaves alone, the examples of the README."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import picie_core

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = "faiss, lightning_fabric, matplotlib, numpy, PIL.Image, scipy, sklearn, torch, torchvision"
"""What the core builds on: they may change what they like while they load, before the first snapshot."""

SNAPSHOT = """
def snapshot():
    import logging, os, signal, sys, threading, warnings
    import PIL.Image, PIL.ImageFile, numpy, torch
    handlers = {number.name: str(signal.getsignal(number)) for number in signal.Signals}
    pillow = {
        f"{module.__name__}.{name}": repr(getattr(module, name))
        for module in (PIL.Image, PIL.ImageFile)
        for name in vars(module)
        if name.isupper() and not isinstance(getattr(module, name), dict)
    }
    return {
        "environment": dict(os.environ),
        "signals": handlers,
        "warnings": [str(one) for one in warnings.filters],
        "pillow": pillow,
        "hooks": [repr(one) for one in (sys.excepthook, sys.stdout, sys.stderr, threading.excepthook)],
        "logging": [logging.root.level, repr(logging.root.handlers)],
        "numbers": [torch.get_num_threads(), str(torch.get_default_dtype()), torch.initial_seed(), numpy.geterr()],
        "random": numpy.random.get_state()[1].tolist(),
        "folder": os.getcwd(),
    }
"""


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a fresh process of this library gives for `code`, run in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment)


def test_every_public_name_is_there():
    """Each name of `__all__` has a value, a docstring and a place in `dir`; an unknown name is an AttributeError."""
    for name in picie_core.__all__:
        assert getattr(picie_core, name).__doc__ or name == "__version__", name
        assert name in dir(picie_core)
    with pytest.raises(AttributeError, match="module 'picie_core' has no attribute 'nothing'"):
        picie_core.nothing  # noqa: B018


def test_importing_has_no_side_effect(tmp_path):
    """In a fresh process, neither the import nor the use of any public name changes what belongs to the program."""
    code = f"""
import json
import {LIBRARIES}
{SNAPSHOT}
before = snapshot()
import picie_core
after_import = snapshot()
for name in picie_core.__all__:
    getattr(picie_core, name)
print(json.dumps([before, after_import, snapshot()]))
"""
    done = run_python(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    before, after_import, after_names = json.loads(done.stdout)
    assert before["pillow"]["PIL.Image.MAX_IMAGE_PIXELS"] != "None"
    assert after_import == before
    assert after_names == before
    assert list(tmp_path.iterdir()) == []


def examples() -> list[str]:
    """The Python blocks of the README."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", examples())
def test_examples_of_the_readme_run(example, tmp_path):
    """Each block runs as it stands beside the sample images, in a process of its own, and prints what it made."""
    assert len(example.splitlines()) <= 12
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    done = run_python(example, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
