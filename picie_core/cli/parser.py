"""The machinery of the command line: options from settings dataclasses, a progress bar, job status and exit codes."""

from __future__ import annotations

import argparse
import inspect
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from tqdm import tqdm

from picie_core.data.datasets import DataChoice
from picie_core.data.image_selection import store_selection
from picie_core.errors import PicieError, SettingError, Stopped
from picie_core.progress import Progress, StatusFile
from picie_core.settings import TrainSettings
from picie_core.training.recipes import PAPER, RECIPES, recipe_values
from picie_core.workspace.workspace import Workspace

Command = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Option:
    """How a plain parameter of a command is spelt: its meaning, and whether it comes without a dash."""

    meaning: str
    positional: bool = False
    choices: tuple[str, ...] | None = None
    flag: str | None = None
    low: float | None = None


class MarkdownTable(list[dict[str, Any]]):
    """Rows of a result that people read as a Markdown table; JSON has them as a plain list."""

    def __str__(self) -> str:
        names = list(self[0]) if self else []
        rows = [names, ["---"] * len(names), *([_cell(row[name]) for name in names] for row in self)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def build_parser(commands: dict[str, Command]) -> argparse.ArgumentParser:
    """Returns a parser with one sub-command per function: docstring to help, parameters and settings to options."""
    parser = argparse.ArgumentParser(
        prog="python -m picie_core",
        description="Discover at pixel level what is in a folder of images, name it, export masks.",
        epilog="Usually: embed, cluster, look (app), label, export. COMMAND --help gives advice.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in commands.items():
        text = inspect.getdoc(function) or ""
        sub = subparsers.add_parser(
            name,
            help=text.split("\n", 1)[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for parameter in _parameters(function):
            _add(sub, parameter)
        if _has_recipes(function):
            sub.add_argument(
                "--recipe",
                choices=RECIPES,
                default="default",
                help="settings to start from: the best that we know, or the paper's; other options change single ones",
            )
        sub.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    return parser


@dataclass(frozen=True)
class _Parameter:
    name: str
    kind: Any
    option: Option | None
    default: Any


def _parameters(function: Command) -> list[_Parameter]:
    hints = get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, option = hints[name], None
        if get_origin(kind) is Annotated:
            kind, option = get_args(kind)
        found.append(_Parameter(name, kind, option, parameter.default))
    return found


def _add(parser: argparse.ArgumentParser, parameter: _Parameter) -> None:
    if is_dataclass(parameter.kind):
        group = parser.add_argument_group((parameter.kind.__doc__ or "").split(";")[0].rstrip("."))
        for one in fields(parameter.kind):
            paper = f"; paper: {PAPER[one.name]}" if one.name in PAPER else ""
            text = f"{one.metadata['help']} (default: {one.default}{paper})"
            kind = type(one.default)
            choices = one.metadata["choices"]
            group.add_argument(
                _flag(one.name), dest=one.name, type=kind, default=argparse.SUPPRESS, choices=choices, help=text
            )
    elif parameter.option is not None:
        _add_plain(parser, parameter, parameter.option)


def _add_plain(parser: argparse.ArgumentParser, parameter: _Parameter, option: Option) -> None:
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    text = option.meaning if default in (None, False) else f"{option.meaning} (default: {default})"
    kind = next((arg for arg in get_args(parameter.kind) if arg is not type(None)), parameter.kind)
    if option.positional:
        parser.add_argument(
            parameter.name,
            type=kind,
            help=text,
            metavar=parameter.name.upper(),
            nargs=None if required else "?",
            choices=option.choices,
        )
    elif kind is bool:
        parser.add_argument(option.flag or _flag(parameter.name), dest=parameter.name, action="store_true", help=text)
    else:
        flag = option.flag or _flag(parameter.name)
        several = get_origin(kind) is list
        parser.add_argument(
            flag,
            dest=parameter.name,
            type=get_args(kind)[0] if several else kind,
            nargs="+" if several else None,
            default=default,
            required=required,
            help=text,
            choices=option.choices,
        )


def _has_recipes(function: Command) -> bool:
    """Whether a command trains, so that its settings may start from a recipe."""
    return any(parameter.kind is TrainSettings for parameter in _parameters(function))


def _flag(name: str) -> str:
    return "--" + name.removesuffix("_px").replace("_", "-")


def run_command(commands: dict[str, Command], argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0 when it is done, 1 when it failed or was stopped, 2 for wrong usage."""
    arguments = build_parser(commands).parse_args(argv)
    function = commands[arguments.command]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        result = function(**call_arguments(function, arguments))
    except SettingError as error:
        return _say(f"{arguments.command}: {error}", 2)
    except (PicieError, Stopped) as error:
        return _say(f"{arguments.command}: {error}", 1)
    except KeyboardInterrupt:
        return _say(f"{arguments.command}: stopped; nothing half-written was left", 1)
    if result:  # the other processes of a training have nothing to say
        print(json.dumps(result) if arguments.json else readable(result))
    return 0


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def call_arguments(function: Command, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what `function` is called with: options over the chosen recipe over the defaults of the settings."""
    values = {}
    base = recipe_values(arguments.recipe, arguments.method) if _has_recipes(function) else {}
    given = {**base, **vars(arguments)}
    for parameter in _parameters(function):
        if is_dataclass(parameter.kind) and isinstance(parameter.kind, type):
            names = [one.name for one in fields(parameter.kind) if one.name in given]
            make: Callable[..., Any] = parameter.kind
            values[parameter.name] = make(**{name: given[name] for name in names})
        else:
            values[parameter.name] = _in_range(parameter, getattr(arguments, parameter.name))
    return values


def _in_range(parameter: _Parameter, value: Any) -> Any:
    """Returns `value`. Raises SettingError when it is below the least that the parameter makes sense with."""
    low = parameter.option.low if parameter.option else None
    for one in value if isinstance(value, list) else [value]:
        if low is not None and one is not None and not one >= low:
            raise SettingError(f"{parameter.name.replace('_', '-')}={one} is too small: give at least {low:g}")
    return value


def readable(result: dict[str, Any], indent: str = "") -> str:
    """Returns a result as lines that a person reads: numbers rounded, tables below their name."""
    lines = []
    for name, value in result.items():
        if isinstance(value, MarkdownTable):
            lines += [f"{indent}{name}:", "", str(value), ""]
        elif isinstance(value, dict):
            lines += [f"{indent}{name}:", readable(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{name}:")
            lines += [indent + "  " + "  ".join(f"{key} {_plain(one)}" for key, one in row.items()) for row in value]
        elif isinstance(value, list) and value and isinstance(value[0], list):
            lines.append(f"{indent}{name}: {len(value)} x {len(value[0])} numbers, see --json")
        else:
            lines.append(f"{indent}{name}: {_plain(value)}")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    """A value in a Markdown table: a bar would end its cell."""
    return "-" if value is None else _plain(value).replace("|", "\\|")


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Job:
    """A running command: a progress bar on a terminal, a status file in the workspace; use as a context."""

    def __init__(self, workspace: Workspace, command: str):
        self.status = StatusFile(workspace.job_path(command), command)
        self.bar: tqdm | None = None

    def __call__(self, progress: Progress) -> None:
        """Shows and stores one step."""
        self.status(progress)
        if self.bar is None or self.bar.desc.rstrip(": ") != progress.phase:
            self._close()
            self.bar = tqdm(
                total=progress.total,
                desc=progress.phase,
                unit="step" if self.status.status.command in ("project", "scores") else "image",
                file=sys.stderr,
                mininterval=_refresh_s(),
            )
        self.bar.n = progress.done
        if progress.metrics:
            self.bar.set_postfix({name: _plain(value) for name, value in progress.metrics.items()}, refresh=False)
        self.bar.update(0)
        if progress.done == progress.total:
            self.bar.refresh()

    def note(self, line: str) -> None:
        """Says a line in the log, without tearing the bar."""
        tqdm.write(line, file=sys.stderr)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> Job:
        return self

    def done(self, result: dict[str, Any]) -> dict[str, Any]:
        """Stores the result as the last word of the job and returns it."""
        self.status.finish("done", **result)
        return result

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._close()
        if isinstance(error, (KeyboardInterrupt, Stopped)):
            self.status.finish("stopped", str(error))
        elif error is not None:
            self.status.finish("failed", str(error) or type(error).__name__)


def _refresh_s() -> float:
    """Seconds between two drawings of the bar: often on a terminal, seldom in a log."""
    return 0.2 if sys.stderr.isatty() else 10.0


def open_or_create(workspace: Path, images: Path | None, data: DataChoice | None = None) -> Workspace:
    """Returns the workspace at `workspace`; made for `images`, or for those that `data` names, when one is given."""
    if data is None:
        return Workspace.open(workspace) if images is None else Workspace.create(workspace, images)
    chosen = data.images()
    space = Workspace.create(workspace, chosen.images_root)
    store_selection(space.root, chosen.names)
    return space
