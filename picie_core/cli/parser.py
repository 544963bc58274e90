"""The command line: a function is a command, its docstring the help, its parameters and settings the options."""

from __future__ import annotations

import argparse
import inspect
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from picie_core.cli.job import answer_signals
from picie_core.cli.output import readable
from picie_core.errors import PicieError, SettingError, Stopped
from picie_core.settings import EmbedderSettings, option_name
from picie_core.training.recipes import CHANGES, RECIPES, SUPERVISED, recipe_values, usual_recipe
from picie_core.training.settings import TrainSettings

Command = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Group:
    """Commands that share their first word, such as `label name`; the meaning is the help, as a docstring is."""

    meaning: str
    commands: Mapping[str, Command]


@dataclass(frozen=True)
class Option:
    """How a plain parameter of a command is spelt: its meaning, and whether it comes without a dash."""

    meaning: str
    positional: bool = False
    choices: Sequence[Any] | None = None
    flag: str | None = None
    low: float | None = None


class _Parameter(NamedTuple):
    name: str
    kind: Any
    option: Option | None
    """None where the parameter is a settings dataclass."""
    default: Any


def build_parser(commands: Mapping[str, Command | Group]) -> argparse.ArgumentParser:
    """Returns a parser with one sub-command per function; those of a group are one level below it."""
    parser = argparse.ArgumentParser(
        prog="python -m picie_core",
        description="Discover at pixel level what is in a folder of images, name it, export masks.",
        epilog="Usually: embed, cluster, label (or name in the app), export. COMMAND --help gives advice.",
    )
    _add_commands(parser, commands)
    return parser


def _add_commands(parser: argparse.ArgumentParser, commands: Mapping[str, Command | Group], before: str = "") -> None:
    choices = parser.add_subparsers(required=True, metavar="ACTION" if before else "COMMAND")
    for name, command in commands.items():
        text = command.meaning if isinstance(command, Group) else inspect.getdoc(command) or ""
        sub = choices.add_parser(
            name,
            help=text.split("\n", 1)[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if isinstance(command, Group):
            _add_commands(sub, command.commands, f"{name} ")
        else:
            sub.set_defaults(command=command, words=before + name)
            _add_options(sub, command)


def _add_options(parser: argparse.ArgumentParser, command: Command) -> None:
    for name, kind, option, default in _parameters(command):
        if option is not None:
            _add(parser, name, kind, option, default)
            continue
        group = parser.add_argument_group((kind.__doc__ or "").split(";")[0].rstrip("."))
        for one in fields(kind):
            more = Option(one.metadata["help"], choices=one.metadata["choices"])
            _add(group, one.name, type(one.default), more, one.default, in_recipes=_has_recipes(command))
    if _has_recipes(command):
        meaning = (
            "settings to start from: the best that we know (default), the paper's, or for transformers, whose last "
            "blocks train at low rates (vit); other options change single ones (default: what fits the backbone)"
        )
        parser.add_argument("--recipe", choices=RECIPES, help=meaning)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")


def _add(
    parent: argparse._ActionsContainer, name: str, kind: Any, option: Option, default: Any, *, in_recipes: bool = False
) -> None:
    """Adds one option; one that is not given is not among the parsed values, so that functions alone give defaults.

    in_recipes: its help says the values that recipes give it.
    """
    required = default is inspect.Parameter.empty
    text = option.meaning
    if not (required or default is None or default is False or default == ()):
        shown = [f"default: {' '.join(default) if isinstance(default, list) else default}"]
        recipes = {**CHANGES, "supervised": SUPERVISED} if in_recipes else {}
        shown += [f"{recipe}: {values[name]}" for recipe, values in recipes.items() if name in values]
        text += f" ({'; '.join(shown)})"
    how: dict[str, Any] = {"help": text, "choices": option.choices}
    if isinstance(kind, UnionType):  # `int | None`: None is what stands for an option that is not given
        kind = get_args(kind)[0]
    if option.positional:
        nargs = None if required else "?"
        parent.add_argument(name, type=kind, nargs=nargs, metavar=name.upper(), **how)
        return
    flag = option.flag or "--" + option_name(name)
    if kind is bool:
        parent.add_argument(flag, dest=name, action="store_true", default=argparse.SUPPRESS, help=text)
        return
    if get_origin(kind) is list or kind is tuple:
        how |= {"type": get_args(kind)[0] if get_args(kind) else str, "nargs": "+"}
    else:
        how |= {"type": kind}
    if option.choices is None:
        how["metavar"] = flag.removeprefix("--").replace("-", "_").upper()
    parent.add_argument(flag, dest=name, required=required, default=argparse.SUPPRESS, **how)


def _parameters(command: Command) -> Iterator[_Parameter]:
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind, option = hints[name], None
        if get_origin(kind) is Annotated:
            kind, option = get_args(kind)
        assert option is not None or is_dataclass(kind), f"{name} is neither an option nor settings"
        yield _Parameter(name, kind, option, parameter.default)


def _has_recipes(command: Command) -> bool:
    """Whether a command trains, so that its settings may start from a recipe."""
    return any(parameter.kind is TrainSettings for parameter in _parameters(command))


def call_arguments(command: Command, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what `command` is called with: options over the chosen recipe over the defaults of the settings.

    Raises SettingError for a value outside its range.
    """
    given = vars(arguments)
    if _has_recipes(command):
        about = {name: given[name] for name in ("method", "backbone", "dataset") if name in given}
        recipe = arguments.recipe or usual_recipe(given.get("backbone", EmbedderSettings.backbone))
        given = {**recipe_values(recipe, **about), **given}
    values = {}
    for name, kind, option, _ in _parameters(command):
        if option is None:
            of_kind = {one.name: given[one.name] for one in fields(kind) if one.name in given}
            # a list of words is a tuple in a frozen record
            values[name] = kind(**{key: tuple(one) if isinstance(one, list) else one for key, one in of_kind.items()})
        elif name in given:
            values[name] = given[name]
            for one in given[name] if isinstance(given[name], list) else [given[name]]:
                if option.low is not None and not one >= option.low:
                    raise SettingError(f"{option_name(name)}={one} is too small: give at least {option.low:g}")
    return values


def run_command(commands: Mapping[str, Command | Group], argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0 when it is done, 1 when it failed or was stopped, 2 for wrong usage."""
    arguments = build_parser(commands).parse_args(argv)
    code, message = 0, ""
    with answer_signals(signal.default_int_handler, signal.SIGTERM):
        try:
            result = arguments.command(**call_arguments(arguments.command, arguments))
            if result:  # only rank 0 of a training has a result
                print(json.dumps(result) if arguments.json else readable(result))
        except SettingError as error:
            code, message = 2, str(error)
        except (PicieError, Stopped) as error:
            code, message = 1, str(error)
        except KeyboardInterrupt:
            code, message = 1, "stopped; nothing half-written was left"
    if code:
        print(f"{arguments.words}: {message}", file=sys.stderr)
    return code
