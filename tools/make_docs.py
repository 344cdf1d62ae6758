"""The code's own config model and commands in; docs/config.md and docs/cli.md out (`--check`: exit 1 when stale)."""

import sys
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from copilot.cli import app
from copilot.config import Config

DOCS = Path(__file__).parent.parent / "docs"
NOTE = "<!-- Made by `make docs` from the code; do not edit. -->\n"


def config_page() -> str:
    """Every key of the YAML with type, default and effect."""
    lines = ["# The YAML, key by key\n", NOTE, "Keys in the order data flows. `extends: other.yaml` lays a file over another."]
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
        text = kind.__name__ if isinstance(kind, type) and "[" not in str(kind) else str(kind)
        text = text.replace("typing.", "").replace("pydantic.types.", "").replace("|", "\\|")
        default = repr(field.default).replace("|", "\\|").replace("\n", "\\n")
        rows.append(f"| `{prefix}{name}` | {text} | `{default}` | {field.description} |")
    return rows


def cli_page() -> str:
    """Every command with its arguments and options."""
    lines = ["# The commands\n", NOTE]
    _command(typer.main.get_command(app), "copilot", lines)
    lines.append("Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 stale or missing artefact, 4 a quality gate")
    lines.append("failed, 130 Ctrl-C.")
    return "\n".join(lines) + "\n"


def _command(command: Any, name: str, lines: list[str]) -> None:
    lines += [f"## `{name}`\n", (command.help or "").strip() + "\n"]
    parameters = [p for p in command.params if p.name != "help"]
    for parameter in parameters:
        names = ", ".join(f"`{o}`" for o in parameter.opts) if parameter.param_type_name == "option" else f"`{parameter.name}`"
        lines.append(f"- {names}: {getattr(parameter, 'help', '') or ''}".rstrip())
    if parameters:
        lines.append("")
    for child, sub in getattr(command, "commands", {}).items():
        _command(sub, f"{name} {child}", lines)


def main() -> None:
    """Write both pages, or compare them."""
    pages = {DOCS / "config.md": config_page(), DOCS / "cli.md": cli_page()}
    if "--check" in sys.argv:
        stale = [str(p.relative_to(DOCS.parent)) for p, t in pages.items() if not p.is_file() or p.read_text("utf-8") != t]
        if stale:
            sys.exit(f"stale: {', '.join(stale)}; run `make docs` and commit them")
        print("docs are up to date")
        return
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
