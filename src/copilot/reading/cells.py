"""Rows of a table's cells in; a pipe table out, and so of an HTML table, or of a pipe table that names a row but once.

A cell over several columns or rows is said in each of them; one over a whole row is a label above the rest. A row
whose first cell is empty goes on with the row above it.
"""

import re
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from copilot.plain import pipe_row, pipe_table
from copilot.reading.markup import coded

Cell = tuple[str, int, int]  # its text, and over how many columns and rows it stands

_ROW = re.compile(r"<tr\b[^>]*>(.*?)</tr>", re.S | re.I)
_HTML = re.compile(r"<table\b[^>]*>.*?(?:</table>|\Z)", re.S | re.I)
_CELL = re.compile(r"<(t[hd])\b([^>]*)>(.*?)</\1>", re.S | re.I)
_SPAN = re.compile(r"\b(col|row)span\s*=\s*[\"']?(\d{1,3})", re.I)
RULE = re.compile(r"\|(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*$")
_TITLE = re.compile(
    r"[`*]{0,2}(?:(?:error|field|parameter|status|http|data) )?(?:name|field|parameter|option|setting|key|property|"
    r"column|variable|argument|flag|code|status|error|description|meaning|type|default|required|values?|notes?|example|"
    r"purpose)[`*]{0,2}$",
    re.I,
)
_FLAG = re.compile(  # a first cell that marks some rows, so that an empty one says no
    r"\W*(?:[xyn]|yes|no|true|false|new|beta|deprecated|required|optional|[pf]k|n/?a|default)?\W*$", re.I
)
_NAMES = re.compile(r"\b(?:name|field|parameter|key|option|column|setting|code|property)\b", re.I)
_APART = re.compile(r"\W*(?:(?:sub|grand )?total|sum)\b|\*\*[^*]*\*\*$", re.I)  # a sum, or a title


def written(rows: Sequence[Sequence[str]], heads: int, cut: bool = False) -> list[str]:
    """Rows as a pipe table, the first `heads`, or one of known titles, above it; a row of one cell is a label.

    `cut` says that the last row may not be whole: it is left out.
    """
    width = max(map(len, rows), default=0)
    heads = heads or (len(rows) > 1 and len(rows[0]) == width > 1 and all(map(_TITLE.match, rows[0])))
    titles = [row for row in rows[:heads] if len(row) == width]
    head = [" ".join(dict.fromkeys(filter(None, cells))) for cells in zip(*titles, strict=True)]
    out: list[str] = []
    for alone, group in groupby(rows[len(titles) if head else 0 :], lambda row: len(row) == 1 < width):
        part = list(group)
        if alone:
            label = part[-1][0].strip("*: ")
            out += ["", f"{label}:"] if re.fullmatch(r"[A-Z][\w'` /-]{1,60}", label) and len(label.split()) < 6 else []
        else:
            out += ["", *(pipe_table([head, *part]).splitlines() if head else map(pipe_row, part))]
    return [*(out[:-1] if cut else out), ""]


def placed(waiting: deque[Cell], hanging: dict[int, tuple[int, str]], width: int) -> list[str]:
    """The next row: the cells that hang down from rows above, and the next ones; one alone where that is all of it."""
    row: list[str] = []
    while len(row) in hanging or (waiting and len(row) < width):
        if held := hanging.pop(len(row), None):
            if held[0] > 1:
                hanging[len(row)] = held[0] - 1, held[1]
            row.append(held[1])
            continue
        text, across, down = waiting.popleft()
        if across >= width > 1 and not row:
            return [text]
        for _ in range(across):
            if down > 1:
                hanging[len(row)] = down - 1, text
            row.append(text)
    return row


def from_html(text: str) -> str:
    """`text` with its HTML tables as pipe tables; the first rows are the titles where their cells are `th`."""
    return _HTML.sub(_markdown, text) if "<tr" in text.lower() else text


def _markdown(table: "re.Match[str]") -> str:
    rows = [cells for row in _ROW.findall(table[0]) if (cells := _CELL.findall(row))]
    waiting = [deque(_spanned(about, said) for _, about, said in row) for row in rows]
    width = max((sum(across for _, across, _ in row) for row in waiting), default=0)
    heads = next((n for n, row in enumerate(rows) if any(kind.lower() == "td" for kind, _, _ in row)), 1)
    hanging: dict[int, tuple[int, str]] = {}
    return "\n".join(["", *written([placed(row, hanging, width) for row in waiting], heads), ""])


def _spanned(about: str, said: str) -> Cell:
    """A cell of an HTML table."""
    said = " ".join(re.sub(r"<(?:br|p|li)\b[^>]*>", " ", said).split())
    over = {kind.lower(): int(many) for kind, many in _SPAN.findall(about)}
    text = re.sub(r"</?code>", "`", re.sub(r"<(?!/?code>)[^<>]*>", "", said))
    return text, max(1, min(20, over.get("col", 1))), max(1, min(99, over.get("row", 1)))


def continued(lines: Sequence[str]) -> list[str]:
    """The lines, a row of a pipe table whose first cell is empty put to the one above it, or below its name."""
    out: list[str] = []
    rows = [line.startswith("|") and not code for line, code in zip(lines, coded(lines), strict=True)]
    for table, group in groupby(zip(rows, lines, strict=True), itemgetter(0)):
        part = [line for _, line in group]
        out += _filled(part) if table and any(re.match(r"\|[ \t]*\|", line) for line in part[2:]) else part
    return out


def _filled(table: Sequence[str]) -> list[str]:
    """The rows of a pipe table with titles, none of which goes on with the one above it."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in table]
    head, body = cells[0], [row for row in cells[2:] if len(row) == len(cells[0])]
    names = [row[0] for row in body if row[0]]
    columns = [(title, [row[n] for row in body]) for n, title in enumerate(head)]
    named = any(_NAMES.search(title) and all(c) and len(set(c)) == len(c) for title, c in columns[1:])
    whole = all(line.rstrip().endswith("|") for line in table[:-1]) and RULE.match(table[1])
    if not whole or named or len(set(names)) < len(names) or any(map(_FLAG.match, names)):
        return [*table]
    out, above, name = [*table[:2]], list[str](), ""
    for line, row in zip(table[2:], cells[2:], strict=True):
        filled = [n for n, cell in enumerate(row) if re.search(r"\w", cell)]
        if len(row) != len(head) or row[0] or not above or not filled or any(_APART.match(row[n]) for n in filled):
            out, above, name = [*out, line], row if len(row) == len(head) else [], row[0]
        elif line.rstrip().endswith("|") and (len(filled) == 1 or all(wraps(above[n], row[n]) for n in filled)):
            above = [_together(a, b) if n in filled else a for n, (a, b) in enumerate(zip(above, row, strict=True))]
            out[-1] = f"| {' | '.join(above)} |"
        else:
            above = [name, *row[1:]]
            out.append(f"| {' | '.join(above)} {'|' * line.rstrip().endswith('|')}")
    return out


def wraps(above: str, text: str) -> bool:
    """Whether a cell goes on with the sentence of the one above it."""
    open_ = len(above.split()) > 2 and not above.endswith((".", "!", "?", ":", ";"))
    return open_ and re.match(r"[a-z(]", text) is not None


def _together(above: str, text: str) -> str:
    """Two cells as one."""
    apart = above and not above.endswith((".", "!", "?", ":", ",", ";")) and not wraps(above, text)
    return f"{above}{';' * bool(apart)} {text}".strip()
