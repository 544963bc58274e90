"""What a command prints: its result as lines and Markdown tables that a person reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from picie_core.workspace.workspace import Run


class MarkdownTable(list[dict[str, Any]]):
    """Rows of a result that people read as a Markdown table; JSON has them as a plain list."""

    def __str__(self) -> str:
        names = list(self[0]) if self else []
        rows = [["-" if row[name] is None else plain(row[name]).replace("|", "\\|") for name in names] for row in self]
        return "\n".join(f"| {' | '.join(row)} |" for row in [names, ["---"] * len(names), *rows])


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
            lines += [indent + "  " + "  ".join(f"{key} {plain(one)}" for key, one in row.items()) for row in value]
        elif isinstance(value, list) and value and isinstance(value[0], list):
            lines.append(f"{indent}{name}: {len(value)} x {len(value[0])} numbers, see --json")
        else:
            lines.append(f"{indent}{name}: {plain(value)}")
    return "\n".join(lines)


def plain(value: Any) -> str:
    """Returns a value as text, a fraction with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run_result(run: Run) -> dict[str, Any]:
    """Returns the result of a command that made a run."""
    listed, info = run.workspace.image_list(), run.info  # read now: decoding may have found problems
    return {
        "workspace": str(run.workspace.root),
        "run": run.name,
        "images": len(listed.readable),
        "unreadable": len(listed.problems),
        "seconds": info.seconds,
        **{name: value for name, value in info.sample.items() if name != "images"},
    }
