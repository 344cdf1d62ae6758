"""Text of an entry in; the same with grid, simple and AsciiDoc tables written as pipe tables, out.

Of a table of which a passage holds a piece only, the rows that may be cut are left out. Code stays as it is.
"""

import re
from collections import Counter, deque
from collections.abc import Sequence
from itertools import dropwhile, groupby, pairwise

from copilot.reading.cells import Cell, placed, wraps, written
from copilot.reading.markup import FENCE

_BORDER = re.compile(r"\+(?:-{3,}\+)+$|\+(?:={3,}\+)+$")  # of a grid; that of a diagram has narrower columns
_LINE = re.compile(r"[|+].*[|+]$")  # of a grid
_PART = re.compile(r"[+|](?:-{3,}\+|={3,}\+)+|\+(?:-{3,}[+|])+")  # of a border, beside a cell of several rows
_RULED = re.compile(r"\|[\s|:-]*-[\s|:-]*$")  # of markdown
_ORG = re.compile(r"[ \t]*\|-{2,}(?:\+-{2,})+\|[ \t]*$")  # below titles in org-mode
_SIMPLE = re.compile(r" *={2,}(?: +={2,})+ *$")  # a border
_UNDER = re.compile(r" *-{2,}(?: +-{2,})* *$")  # below titles over several columns
_ADOC = re.compile(r"\|={3,}[ \t]*$")
_ABOVE = re.compile(r"\[[^\]\n]*\][ \t]*$|\.[A-Z][^\n]*[^\s.:]$")  # the attributes of a table, or its title
_SPEC = r"(?P<many>(?:\d+(?:\.\d+)?|\.\d+)[+*])?(?:[<^>](?:\.[<^>])?|\.[<^>])?[adehlmsv]?"
_MARK = re.compile(rf"(?:(?<!\S){_SPEC})?(?<!\\)\|")  # what an AsciiDoc cell begins with: "|", "2+|", "a|"
_CELLS = re.compile(rf"{_SPEC}\|(?!=|[\s|:-]*$)(?!.*\|[ \t]*$)")  # a line of them; that of markdown ends in a bar
_TIGHT = re.compile(r"[adehlms]?\|(?=[\w`*\"'<(/])(?!.*[^\s\\]\|)")  # surely a line of them


def gridded(text: str) -> str:
    """`text` with its grid, simple and AsciiDoc tables as pipe tables."""
    if not re.search(r"(?m)^[ \t]*(?:\+[-=]{3}|={2,} +={2}|\S{0,8}\|)", text):
        return text
    lines = _bordered(text.split("\n"))
    at, out = _adoc_piece(lines)
    while at < len(lines):
        end, told = at + 1, [lines[at]]
        if lines[at].strip().startswith(FENCE):
            end = next((n for n in range(at + 1, len(lines)) if lines[n].strip().startswith(FENCE)), len(lines)) + 1
            told = lines[at:end]
        elif _ORG.match(lines[at]):
            told = ["|" + "---|" * (lines[at].count("+") + 1)] if out and out[-1].lstrip().startswith("|") else []
        elif found := _grid(lines, at) or _simple(lines, at) or _asciidoc(lines, at):
            end, told = found
            while _ADOC.match(lines[at]) and out and _ABOVE.match(out[-1]):
                out.pop()
        out += told
        at = end
    return "\n".join(out)


# --- grids


def _grid(lines: Sequence[str], at: int) -> tuple[int, list[str]] | None:
    """(line after it, a pipe table) of the grid that begins here, or of the rest of one at the beginning."""
    if not (_BORDER.match(lines[at].strip()) or _piece(lines, at)):
        return None
    deep = len(lines[at]) - len(lines[at].lstrip())
    run = []
    for line in lines[at:]:
        if line[:deep].strip() or not _LINE.match(bare := line[deep:].rstrip()):
            break
        run.append(bare)
    borders = [n for n, line in enumerate(run) if _BORDER.match(line)]
    if not borders:
        return None
    first, end = run[borders[0]], at + len(run)
    # what stands above the first border are titles where it is one of "=", or else a row that may be cut
    whole = [first.replace("=", "-"), *run] if borders[0] and "=" in first else run[borders[0] :]
    last = len(borders) > 2 or not any(line.strip() for line in lines[end:])
    cut = last and borders[-1] < len(run) - 1
    columns = sorted({n for line in whole for part in _PART.finditer(line) for n in _crossings(part)})
    rows, heads = _printed(whole) or (_read(whole, columns) if len(columns) > 2 else ([], 0))
    if len(rows) == heads and (rows or borders[0]):
        return end, [""]
    told = len(rows) > (not borders[0] and "=" not in first)
    return end, written(rows, heads, cut) if told else list(lines[at:end])


def _piece(lines: Sequence[str], at: int) -> bool:
    """Whether the rest of a grid may begin here: at the beginning, or below another piece of one."""
    if lines[at][:1] != "|" or "".join(lines[at - 1 : at]).strip():
        return False
    return not any(line.strip() for line in lines[:at]) or any(_BORDER.match(line) for line in lines[:at])


def _crossings(part: "re.Match[str]") -> list[int]:
    return [part.start() + n for n, char in enumerate(part[0]) if char in "+|"]


def _printed(run: Sequence[str]) -> tuple[list[list[str]], int] | None:
    """(rows, lines of titles) of what a database prints: one border below the titles, and each line a row."""
    parts = [list(part) for border, part in groupby(run, lambda line: bool(_BORDER.match(line))) if not border]
    if len(parts) != 2 or len(parts[0]) != 1 or len(parts[1]) < 2:
        return None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (*parts[0], *parts[1])]
    goes_on = any(wraps(a[-1], b[-1]) for a, b in pairwise(rows[1:]))
    told = all(row[0] and len(row) == len(rows[0]) for row in rows) and not goes_on
    return (rows, 1) if told else None


def _read(run: Sequence[str], columns: Sequence[int]) -> tuple[list[list[str]], int]:
    """(rows, how many are titles) of a grid whose columns are parted at `columns`; no rows where it has none."""
    spans = list(pairwise(columns))
    rows: list[list[list[str]]] = []
    cells: list[list[str]] = [[] for _ in spans]  # of this row, line by line; one of several rows or columns is shared
    heads, begun = 0, False
    for line in run:
        line = line.ljust(columns[-1] + 1)
        closes = [bool(re.fullmatch(r"-+|=+", line[a + 1 : b])) for a, b in spans]
        border = _BORDER.match(line.rstrip()) or (any(closes) and _PART.search(line))
        if border:
            rows += [list(cells)] if begun else []
            heads = len(rows) if "=" in line and begun and not heads else heads
        texts = _texts(line, columns)
        if not texts:
            return [], 0
        for first, last, text in texts:
            if border and all(closes[first:last]):
                cells[first:last] = [[] for _ in range(first, last)]
            elif not border or not any(closes[first:last]):
                cells[first].append(text)
                cells[first:last] = [cells[first]] * (last - first)
        begun = not border
    rows += [list(cells)] if begun else []
    told = [[" ".join(" ".join(cell).split()) for cell in row] for row in rows]
    over = [len({id(cell) for cell in row}) == 1 and len(row) > 1 for row in rows]
    return [row[:1] if alone else row for row, alone in zip(told, over, strict=True)], heads


def _texts(line: str, columns: Sequence[int]) -> list[tuple[int, int, str]]:
    """(first column, column after the last, text) of each cell of a line; none where it fits no columns."""
    bounds = [n for n, at in enumerate(columns) if line[at] in "|+"]
    if bounds[:1] == [0] and bounds[-1:] == [len(columns) - 1] and not line[columns[-1] + 1 :].strip():
        return [(a, b, line[columns[a] + 1 : columns[b]].strip()) for a, b in pairwise(bounds)]
    cells = line.strip().strip("|").split("|")  # letters of other widths
    return [(n, n + 1, cell.strip()) for n, cell in enumerate(cells)] if len(cells) == len(columns) - 1 else []


# --- simple tables


def _simple(lines: Sequence[str], at: int) -> tuple[int, list[str]] | None:
    """The same of a simple table: columns below "=====  =====", and between two of them its titles."""
    if not _SIMPLE.match(lines[at]) or "".join(lines[at - 1 : at]).strip():
        return None
    border = lines[at].rstrip()
    starts = [match.start() for match in re.finditer("=+", border)]
    same = [n for n in range(at + 1, len(lines)) if lines[n].rstrip() == border]
    closed = next((n for n in same if not "".join(lines[n + 1 : n + 2]).strip()), 0)
    end = closed or next((n for n in range(at + 1, len(lines)) if not _goes_on(lines[n], starts, border)), len(lines))
    cut = not closed and not any(line.strip() for line in lines[end:])
    titled = next((n for n in same if n < end), 0)
    if not (closed or (titled and titled < at + 4)):
        return None
    rows: list[list[str]] = []
    for n, line in enumerate(lines[at + 1 : end], at + 1):
        if not line.strip() or n in same or _UNDER.match(line):
            continue
        if not _fits(line, starts):
            return None
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        if not cells[0] and not lines[n - 1].strip():
            continue  # of a row that may be another, where two passages meet
        if rows and n != titled + 1 and (not cells[0] or n < titled):
            rows[-1] = [" ".join(filter(None, pair)) for pair in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(["" if cell == "\\" else cell for cell in cells])
    heads = 1 if titled else 0
    if len(rows) < 2:  # what may be titles alone
        return None if any(line.strip() for line in lines[end + 1 :]) else (end + 1, [""])
    return end + bool(closed), written(rows, heads, cut)


def _fits(line: str, starts: Sequence[int]) -> bool:
    """Whether no word stands where a column begins."""
    return not line[: starts[0]].strip() and not any(line[start - 1 : start].strip() for start in starts[1:])


def _goes_on(line: str, starts: Sequence[int], border: str) -> bool:
    """Whether a line is of a simple table that none closes."""
    cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
    row = _fits(line, starts) and (not cells[0] or sum(map(bool, cells)) > 1)
    return line.rstrip() == border or not line.strip() or row


def _bordered(lines: Sequence[str]) -> list[str]:
    """The lines, those of a simple table whose first border was cut off with one; it ends in another.

    Columns below titles that are underlined alone are read by `layouts`.
    """
    at = next((n for n, line in enumerate(lines) if _SIMPLE.match(line)), 0)
    last = next((n for n in range(len(lines) - 1, at, -1) if lines[n].rstrip() == lines[at].rstrip()), at)
    if "".join(lines[last + 1 : last + 2]).strip():
        return [*lines]
    starts = [match.start() for match in re.finditer("=+", lines[at])]
    above = list(dropwhile(lambda line: not line.strip(), lines[:at]))
    fits = above and all(_goes_on(line, starts, lines[at].rstrip()) for line in above)
    return [lines[at], *above, *lines[at:]] if fits else [*lines]


# --- AsciiDoc


def _asciidoc(lines: Sequence[str], at: int) -> tuple[int, list[str]] | None:
    """The same of a table between two lines "|==="; its columns are told above it, or by its first line."""
    if not _ADOC.match(lines[at]):
        return None
    end = next((n for n in range(at + 1, len(lines)) if _ADOC.match(lines[n])), len(lines))
    about = " ".join(line for line in lines[max(0, at - 2) : at] if _ABOVE.match(line) and line[0] == "[")
    body = lines[at + 1 : end]
    cells = _cells("\n".join(body))
    width = _columns(about) or _width(body)
    if width < 2 or len(cells) < width:
        return (end + 1, ["", *(f"- {text}" for text, _, _ in cells if text), ""]) if cells else None
    apart = len(body) > 1 and "noheader" not in about and not body[1].strip()
    told = re.search(r"%header|\boption\w*=[\"']?[\w,]*\bheader", about) is not None
    headed = told or (apart and sum(across for _, across, _ in _cells(body[0])) == width)
    return end + 1, written(_rows(body, cells, width), 1 if headed else 0, cut=end == len(lines))


def _rows(body: Sequence[str], cells: Sequence[Cell], width: int) -> list[list[str]]:
    """The cells as rows; where few parts between blank lines have too few, as where passages meet, without those."""
    parts = re.split(r"\n\s*\n(?=[^\s|]{0,8}\|)", "\n".join(body))
    wrong = sum(len(_cells(part)) % width > 0 for part in parts)
    if 0 < wrong < min(3, len(parts)) and all(cell[1:] == (1, 1) for cell in cells):
        told = [_cells(part) for part in parts]
        lines = [[_cells(line) for line in part.split("\n")] for part in parts]
        whole = [[c for row in rows if len(row) == width for c in row] for rows in lines]
        cells = [c for a, b in zip(told, whole, strict=True) for c in (b if len(a) % width else a)]
    waiting, hanging, rows = deque(cells), dict[int, tuple[int, str]](), list[list[str]]()
    while waiting:
        rows.append(placed(waiting, hanging, width))
    return [row for row in rows if len(row) in (1, width)]


def _cells(text: str) -> list[Cell]:
    """The cells that stand in `text`, one repeated by "3*|" as often."""
    marks, out = list(_MARK.finditer(text)), list[Cell]()
    for mark, after in zip(marks, [*marks[1:], None], strict=False):
        said = re.sub(r" \+\n|\n[ \t]*\*+ +", "; ", text[mark.end() : after.start() if after else None].strip())
        said = " ".join(said.replace("\\|", "|").split()).removeprefix("* ")
        across, _, down = (mark["many"] or "1+")[:-1].partition(".")
        times = min(20, int(across or 1))
        over = (1, 1) if (mark["many"] or "").endswith("*") else (times, min(99, int(down or 1)))
        out += [(said, *over)] * (times if over == (1, 1) else 1)
    return out


def _columns(about: str) -> int:
    """How many columns the attributes of a table tell of; 0 where they tell of none."""
    found = re.search(r"\bcols=(?:\"([^\"]*)\"|'([^']*)'|([\w*]+))", about)
    parts = re.split(r"[,;]", next(filter(None, found.groups()), "")) if found else []
    return min(50, sum(int(many[1]) if (many := re.match(r"\s*(\d{1,2})\*", part)) else 1 for part in parts))


def _width(body: Sequence[str]) -> int:
    """How many cells stand in the first line, or where each has a line of its own, up to each blank one."""
    first = sum(across for _, across, _ in _cells(next((line for line in body if line.strip()), "")))
    groups = [len(_cells(group)) for group in re.split(r"\n\s*\n", "\n".join(body)) if group.strip()]
    return groups[0] if first == 1 and all(size % groups[0] == 0 for size in groups) else first


def _adoc_piece(lines: Sequence[str]) -> tuple[int, list[str]]:
    """(line after it, a pipe table) of the rest of an AsciiDoc table whose beginning was cut off; 0 where none is."""
    end = next((n for n, line in enumerate(lines) if _ADOC.match(line)), len(lines))
    found = [n for n in range(end) if _CELLS.match(lines[n])]
    coded = any(line.strip().startswith(FENCE) or _RULED.match(line) for line in lines[:end])
    last = "\n".join(lines[:end]).rstrip().rpartition("\n\n")[2].split("\n")
    closed = end < len(lines) and any(map(_CELLS.match, last)) and not _ABOVE.match(last[-1])
    tight = end == len(lines) and sum(bool(_TIGHT.match(lines[n])) for n in found) > 2
    if coded or not (closed or tight):
        return 0, []
    text = "\n".join(lines[found[0] : end])
    rows = [_cells(row) for row in re.split(r"\n(?=\S{0,8}\|)", text)]
    if max(map(len, rows)) < 2:
        rows = [_cells(group) for group in re.split(r"\n\s*\n", text)]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    told = [[cell[0] for cell in row] for row in rows if len(row) == width > 1]
    if tight and len(rows) < 2:
        return 0, []
    return end + closed, [*(lines[: found[0]] if tight else ()), *(written(told, 0, cut=tight) if told else [""])]


