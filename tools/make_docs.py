"""The code's own config model and commands in; docs/config.md and docs/cli.md out (`--check`: exit 1 when stale)."""

import json
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from copilot.cli import app
from copilot.config import Config

DOCS = Path(__file__).parent.parent / "docs"
NOTE = "<!-- Made by `make docs` from the code; do not edit. -->\n"
NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", SecretStr: "secret"}
NAMES |= {type(None): "null", dict[str, float]: "names with numbers"}
BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
CODES = (
    "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 stale or missing artefact, 4 a quality gate failed,\n"
    "130 Ctrl-C."
)


def config_page() -> str:
    """Every key of the YAML with type, default and effect."""
    lines = ["# The YAML, key by key\n", NOTE]
    lines.append("Keys in the order data flows. `extends: other.yaml` lays a file over another.")
    lines.append("`${NAME}` and `${NAME:-default}` are filled from the environment.\n")
    lines += ["| Key | Type | Default | Effect |", "|---|---|---|---|"]
    lines += _rows(Config, "")
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows: list[str] = []
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            rows += _rows(kind, f"{prefix}{name}.")
            continue
        default = json.dumps(field.default, ensure_ascii=False)
        cells = (f"`{prefix}{name}`", type_name(kind) + _bounds(field), f"`{default}`", field.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def type_name(kind: Any) -> str:
    """A type as people say it: `list of text`, `text or null`, the values of a choice."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(type_name(part) for part in get_args(kind))
    if get_origin(kind) is Annotated:
        return type_name(get_args(kind)[0])
    if get_origin(kind) is list:
        return f"list of {type_name(get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    return NAMES[kind]


def _bounds(field: FieldInfo) -> str:
    """The range of a number, e.g. ` (at least 0, below 1)`."""
    found = [
        f"{words} {getattr(mark, name):g}"
        for mark in field.metadata
        for name, words in BOUNDS
        if getattr(mark, name, None) is not None
    ]
    return f" ({', '.join(found)})" if found else ""


def cli_page() -> str:
    """Every command with its arguments and options."""
    lines = ["# The commands\n", NOTE]
    _command(typer.main.get_command(app), "copilot", lines)
    lines.append(CODES)
    return "\n".join(lines) + "\n"


def _command(command: Any, name: str, lines: list[str]) -> None:
    lines += [f"## `{name}`\n", (command.help or "").strip() + "\n"]
    parameters = [p for p in command.params if p.name != "help"]
    for parameter in parameters:
        option = parameter.param_type_name == "option"
        names = ", ".join(f"`{o}`" for o in parameter.opts) if option else f"`{parameter.name}`"
        lines.append(f"- {names}: {getattr(parameter, 'help', '') or ''}".rstrip())
    if parameters:
        lines.append("")
    for child, sub in getattr(command, "commands", {}).items():
        _command(sub, f"{name} {child}", lines)


def main() -> None:
    """Write both pages, or compare them."""
    pages = {DOCS / "config.md": config_page(), DOCS / "cli.md": cli_page()}
    if "--check" in sys.argv:
        stale = [
            str(path.relative_to(DOCS.parent))
            for path, text in pages.items()
            if not path.is_file() or path.read_text("utf-8") != text
        ]
        if stale:
            sys.exit(f"stale: {', '.join(stale)}; run `make docs` and commit them")
        print("docs are up to date")
        return
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
