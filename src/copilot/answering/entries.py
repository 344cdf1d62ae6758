"""The text of a documentation entry in; its sentences, steps, notes and table rows out, from md, txt, docx and PDF."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

SHORT = 45  # characters; a line of a wrapped paragraph is longer, a cell that a PDF has put on a line mostly is not
_TITLE, _FENCE = re.compile(r"#{1,6} |[-=~]{3,}$"), ("```", "~~~")
_PAGE = re.compile(r"\n*^[^\n|]{0,80}\bpage \d+(?: of \d+)?$\n?", re.I | re.M)  # a page's header or footer
_CODE = re.compile(r"\s*(?:[{}\[\]]|\"[\w.-]+\":|curl |-[HdX] |[$>] )")
_ITEM = re.compile(r"\s*(?:[-*+•▪◦]|\d{1,2}[.)]) +(?=\S)")
_ROW = re.compile(r" {2,}(\S(?: ?\S)*) {2,}(\S.*)")
_NOTE = re.compile(r"(?:>\s*)?\W{0,2}(?:note|warning|caution|tip|important|limits?)\b\W{0,2}:\W{0,2}\s*", re.I)
_CAPITAL = re.compile(r"[A-Z][a-z][\w ]{0,38}$")
_NAME = re.compile(r"(?![A-Z][a-z]+$)[A-Za-z][\w.{}*-]*$")
_PLAIN = re.compile(r"[a-z]+[ ,]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])|(?<=[.!?][\"')])\s+(?=[^a-z\s])")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry taken apart; every text has single spaces and stands once."""

    sentences: tuple[str, ...]  # of the prose, in order
    steps: tuple[str, ...]  # numbered or bulleted sentences
    notes: tuple[str, ...]  # sentences of what is marked as a note or a warning
    fields: tuple[tuple[str, str], ...]  # (first cell, what the row says of it), in order


def read_entry(text: str, whole: bool = True) -> Entry:
    """Take an entry's text apart; `whole` False when it begins in the middle of the entry.

    Code and headings are left out, and so is a sentence that a cut has left without its beginning or end.
    """
    parts: list[tuple[str, str]] = []  # (kind, paragraph)
    fields: list[tuple[str, str]] = []
    lines = _PAGE.sub("\n", text).splitlines()
    at, fenced, open_ = 0, False, False  # open_: the next line may go on with the last paragraph
    while at < len(lines):
        line, taken, rows = lines[at].rstrip(), 1, None
        if line.lstrip().startswith(_FENCE):
            fenced, open_ = not fenced, False
        elif fenced or not line.strip() or _CODE.match(line) or _TITLE.match(line):
            open_ = False
        elif not line.startswith("|") and line.endswith("|"):
            open_ = False  # the end of a row that is cut
        elif found := _table(lines[at:]):
            (taken, rows), open_ = found, False
            fields += rows
        else:
            item, note, broken = _ITEM.match(line), _NOTE.match(line), at > 0 and _fragment(lines[at - 1])
            kind = "step" if item else "note" if note else "cell" if broken and len(line) < SHORT else "prose"
            if open_ and kind == "prose" and not broken and parts[-1][0] != "cell":
                parts[-1] = (parts[-1][0], f"{parts[-1][1]} {line}")
            else:
                parts.append((kind, line[item.end() :] if item else line))
            open_ = not (item and _ends(line) and len(line) < SHORT)
        at += taken
    if not whole and parts and not re.match(r"[A-Z`\"'*]", parts[0][1]):
        parts[0] = (parts[0][0], _SENTENCE.sub("\0", parts[0][1], count=1).partition("\0")[2])
    prose, steps, notes = (_sentences([p for k, p in parts if k == kind]) for kind in ("prose", "step", "note"))
    cells = {_one(name): _one(said) for name, said in fields if _one(name) and _one(said)}
    return Entry(prose, steps, notes, tuple(cells.items()))


def _sentences(paragraphs: Sequence[str]) -> tuple[str, ...]:
    """Whole sentences, each once; a line that leads over to a list is none."""
    parts = (s.strip() for p in paragraphs for s in _SENTENCE.split(_one(_NOTE.sub("", p, count=1))))
    return tuple(dict.fromkeys(s[0].upper() + s[1:] if _PLAIN.match(s) else s for s in parts if _ends(s)))


def _ends(text: str) -> bool:
    return text.rstrip("\"')*`").endswith((".", "!", "?")) and len(text.split()) > 2


def _fragment(line: str) -> bool:
    """Whether a line neither ends a sentence nor is long enough to be wrapped: a title or a cell."""
    return 0 < len(line.strip()) < SHORT and not _ITEM.match(line) and not line.rstrip().endswith((".", "!", "?", "|"))


def _one(text: str) -> str:
    return " ".join(text.replace("**", "").split())


def _table(lines: Sequence[str]) -> tuple[int, list[tuple[str, str]]] | None:
    """(lines, rows) of the table that begins here, if one does: markdown, columns of spaces, or one line a cell."""
    if lines[0].startswith("|"):
        return _markdown(lines)
    if (row := _ROW.match(lines[0])) and not _ITEM.match(lines[0]):
        deep = (i for i, line in enumerate(lines) if i and len(line) - len(line.lstrip()) < row.start(2))
        taken = next(deep, len(lines))
        said = " ".join([row[2], *lines[1:taken]])
        return taken, [] if _CAPITAL.match(row[1]) and _CAPITAL.match(_one(said)) else [(row[1], said)]
    return _lost(lines)


def _markdown(lines: Sequence[str]) -> tuple[int, list[tuple[str, str]]]:
    """A markdown table, or the rest of one; a row that is cut is left out."""
    count = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in lines[:count]]
    rule = next((i for i, row in enumerate(cells) if all(re.fullmatch(r":?-+:?", c) for c in row)), -1)
    width = len(cells[max(rule, 0)])
    rows = [row for row, line in zip(cells, lines, strict=False) if len(row) == width and line.rstrip().endswith("|")]
    return count, _rows(cells[0] if rule > 0 else [""] * width, rows[rule + 1 :])


def _lost(lines: Sequence[str]) -> tuple[int, list[tuple[str, str]]] | None:
    """A table of which a PDF has kept one line a cell: its titles begin with capitals, then comes name after name."""
    width = next((i for i, line in enumerate(lines[:6]) if not _CAPITAL.match(line)), 0)
    rows: list[list[str]] = []
    at = width
    while width > 1 and len(lines) >= at + width and _NAME.match(lines[at]):
        cells, at = list(lines[at : at + width]), at + width
        while len(cells[-1]) > SHORT and not _ends(cells[-1]) and at < len(lines) and not _NAME.match(lines[at]):
            cells[-1] += " " + lines[at]  # a cell of several lines
            at += 1
        rows.append(cells)
    return (at, _rows(lines[:width], rows)) if rows else None


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """(first cell, what is said of it): the column with the most text, or all of them where none holds sentences."""
    if not rows or len(head) < 2:
        return []
    said = max(range(1, len(head)), key=lambda column: sum(len(row[column]) for row in rows))
    if head[0] and len(head) > 2 and 2 * sum(row[said].endswith(".") for row in rows) < len(rows):
        return [(r[0], "; ".join(f"{h}: {c}" for h, c in zip(head[1:], r[1:], strict=True) if c)) for r in rows]
    needed = [i for i, name in enumerate(head) if name.lower() == "required"]
    return [(r[0], r[said] + " Required." * any(r[i].lower() == "yes" for i in needed)) for r in rows]
