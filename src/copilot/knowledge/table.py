"""A passage in; the rows of the table in it, each as a small passage of its own, out.

A cross-encoder that reads a whole table says whether it is about what is asked; row by row it says which row answers.
"""

import re

_RULE = re.compile(r"\|(?: ?:?-+:? ?\|)+[ \t]*$")
_CELL = re.compile(r"\|((?:\\.|[^|\\])*)\|")


def table_rows(passage: str) -> list[tuple[str, str]]:
    """(first cell without its marks, the passage's header with the titles of the table and this row alone)."""
    header, *lines = passage.splitlines()
    titles: list[str] = []
    found = []
    for at, line in enumerate(lines):
        if _RULE.match(line):
            titles = lines[at - 1 : at + 1]
        elif not line.startswith("|"):
            titles = []
        elif not (at + 1 < len(lines) and _RULE.match(lines[at + 1])) and (cell := _CELL.match(line)):
            found.append((bare(cell[1]), "\n".join([header, *titles, line])))
    return [(name, text) for name, text in found if name]


def bare(cell: str) -> str:
    """What a cell says, without marks around it."""
    return cell.strip(" \t`*_\"'")
