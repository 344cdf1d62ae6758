"""A PDF's bytes and the text of its pages in; the same text with its ruled tables as pipe tables out.

Where the cells are, pdfplumber tells from the lines around them; where they stand in the text, their letters do. A
table whose letters do not stand there one cell after the other stays as it is.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from copilot.plain import pipe_table

ROUND = 3  # points by which two edges may differ and be the same
_LINES = re.compile(rb"(?<![\w.])(?:re|l|v|c)\s")  # what draws lines in a page's content
_WITHIN = re.compile(r"(?<=\d)\n(?=\d)|(?<=[_/])\n(?=\w)")  # the end of a line within a number or a name


@dataclass(frozen=True, slots=True)
class _Table:
    edges: tuple[float, ...]  # left edges of its columns, in points
    rows: tuple[tuple[str, ...], ...]


def with_tables(data: bytes, pages: Sequence[str], drawn: Sequence[bool]) -> list[str]:
    """The texts with tables; `drawn` says of each page whether it holds any lines.

    A table that goes on at the top of the next page gets its titles there again.
    """
    if not any(drawn):
        return list(pages)
    import pdfplumber

    out: list[str] = []
    before: _Table | None = None  # the last of the page before
    with pdfplumber.open(BytesIO(data)) as file:
        for page, text, lined in zip(file.pages, pages, drawn, strict=False):
            tables = list(_tables(page)) if lined else []
            for n, table in enumerate(tables):
                goes_on = n == 0 and before is not None and _same(before, table) and before.rows[0] != table.rows[0]
                rows = (before.rows[0], *table.rows) if goes_on and before else table.rows
                text = _replaced(text, table, rows)
                tables[n] = _Table(table.edges, rows)
            before = tables[-1] if tables else None
            out.append(text)
            page.close()
    return [*out, *pages[len(out) :]]


def draws(content: bytes) -> bool:
    """Whether a page's content draws as many lines as a table has."""
    return len(_LINES.findall(content)) > 3


def _tables(page: Any) -> Iterator[_Table]:
    """The tables of a page with two columns and two rows at least."""
    for found in page.find_tables():
        rows = tuple(tuple(" ".join(_WITHIN.sub("", cell or "").split()) for cell in row) for row in found.extract())
        if len(rows) > 1 and len(rows[0]) > 1 and sum(bool(cell) for row in rows for cell in row) > len(rows):
            yield _Table(tuple(sorted({cell[0] for cell in found.cells})), rows)


def _same(one: _Table, other: _Table) -> bool:
    """Whether two tables have the same columns."""
    pairs = zip(one.edges, other.edges, strict=False)
    return len(one.edges) == len(other.edges) and all(abs(a - b) < ROUND for a, b in pairs)


def _replaced(text: str, table: _Table, rows: Sequence[Sequence[str]]) -> str:
    """`text` with the table's letters written as `rows` of a pipe table; as it is where they stand otherwise."""
    letters = [(i, c) for i, c in enumerate(text) if not c.isspace()]
    wanted = re.sub(r"\s+", "", "".join(cell for row in table.rows for cell in row))
    at = "".join(c for _, c in letters).find(wanted)
    if at < 0 or not wanted:
        return text
    start, end = letters[at][0], letters[at + len(wanted) - 1][0] + 1
    return f"{text[:start].rstrip()}\n\n{pipe_table(rows)}\n\n{text[end:].lstrip()}"
