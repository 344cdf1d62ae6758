"""Lines of a documentation entry in; the rows of the table that begins there, out: of markdown, spaces or a PDF."""

import re
from collections.abc import Sequence
from dataclasses import replace

from copilot.reading.lists import ITEM
from copilot.reading.markup import cell
from copilot.reading.prose import unique
from copilot.reading.rows import CODE, SHORT, TYPE, Kind, Row, bare, label, needing, untyped

_CAPITAL = re.compile(r"[A-Z][a-z][\w ]{0,38}$|[A-Z]/[A-Z]$")
_NAME = re.compile(
    r"(?![A-Z][a-z]+$)[A-Za-z][\w.{}*\[\]-]*$|[1-5]\d\d(?:(?:,| or) [1-5]\d\d)*$|[A-Z][A-Z\d]+(?: [A-Z\d]+){1,3}$|"
    r"\d{1,4}(?:-\d{1,4})?$"
)
_PLACE = re.compile(rf"(?:path|query|header|body|{TYPE}|required|optional|yes|no|[\s,|:;`-])+", re.I)
_TELLS = re.compile(  # titles of columns that say what a name is
    r"descri|meaning|explan|comment|purpose|effect|what|reason|cause|remed|solution|action|\bfix\b|\bnotes?\b"
)
_ERRS = re.compile(r"error|fault|reason|cause|remed|what to do|solution|problem|meaning|what it means")
_STATE = re.compile(r"deprecat|removed|retired|obsolete|beta|preview|experimental|planned|not (?:yet )?available", re.I)
_TURNS = re.compile(  # titles without which a cell would say the opposite
    r"\b(?:not?|never|without|except|excluded|forbidden|missing|unsupported|skipped|blocked|denied|until|before|after|old|"
    r"new|wrong|right|myth|fact|unless|when|replaced|instead)\b",
    re.I,
)
_SIDES = re.compile(
    r"(?:not )?(?:allowed|permitted|included(?: in .*)?|supported|recommended)|forbidden|prohibited|do['’]?s?|"
    r"do not|don['’]?ts?|don['’]t['’]?s|good|bad|pros?|cons?|advantages?|disadvantages?|can|cannot|can['’]t|yes|no"
)
_CHANGES = re.compile(r"(?:before|after|old|new|wrong|right|myth|fact|instead of|incorrect|correct|previous|current)\b")
_DITTO = re.compile(r"[\"″〃“”]|(?:the )?same as above|ditto|as above", re.I)
_EMPTY = re.compile(r"n/?a|tbd", re.I)
_CODED = re.compile(r"code|status|error|http|respon|result|exception|answer|value|number|return")
LONGEST = 120  # characters of a cell that is told beside another
_READ = re.compile(  # titles of columns that are told otherwise, or say nothing to a reader
    r"^(?:type|in|required\??|mandatory|default|default value|data ?type|optional|since|version|added|format|example|"
    r"nr|no|#|id|location|schema|method|nullable|path|url|endpoint|link)s?$"
)


def table(lines: Sequence[str], kind: Kind) -> tuple[int, list[Row]] | None:
    """(lines, rows) of the table that begins here, if one does: markdown, columns of spaces, or one line a cell."""
    if lines[0].startswith("|") and lines[0].rstrip().endswith("|") and len(lines[0].strip()) > 1:
        return _markdown(lines, kind)
    if lines[0].rstrip().endswith("|"):
        return _apart(lines)
    if not ITEM.match(lines[0]) and (row := re.match(r"( *)(\S(?: ?\S)*) {2,}(\S.*)", lines[0])):
        return _spaced(lines, row, kind)
    return _lost(lines)


def _spaced(lines: Sequence[str], row: "re.Match[str]", kind: Kind) -> tuple[int, list[Row]] | None:
    """A row of columns that spaces hold apart, over as many lines as go on to the right."""
    cells = re.split(r"(?<![.!?:,]) {2,}", row[3].strip())
    if row[2].endswith((".", "!", "?", ":", ",")) or (
        len(row[1]) < 2
        and not (kind and re.match(r"[\w.-]+$", row[2]))
        and not (_NAME.match(row[2]) and (len(cells) > 1 or re.search(r"\w[._]\w|[a-z][A-Z]", row[2])))
    ):
        return None
    deep = (i for i, line in enumerate(lines) if i and len(line) - len(line.lstrip()) < row.start(3))
    taken = next(deep, len(lines))
    said = " ".join([cells[-1], *(line.strip() for line in lines[1:taken])])
    if _CAPITAL.match(row[2]) and all(_CAPITAL.match(cell) for cell in [*cells[:-1], said]):
        return taken, []  # titles
    middle = " ".join(cells[:-1])
    if middle and not _PLACE.fullmatch(middle):
        said = " ".join([row[3], *lines[1:taken]])
    return taken, [Row(row[2], needing(said, "required" in middle.lower()))]


def _markdown(lines: Sequence[str], kind: Kind) -> tuple[int, list[Row]]:
    """A markdown table, or the rest of one; a row that is cut is left out."""
    count = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    cells = [[cell(c) for c in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in lines[:count]]
    rule = next((i for i, row in enumerate(cells) if all(re.fullmatch(r":?-+:?", c) for c in row)), -1)
    width = len(cells[max(rule, 0)])
    rows = [row for row, line in zip(cells, lines, strict=False) if len(row) == width and line.rstrip().endswith("|")]
    head = cells[0] if rule > 0 else [""] * width
    # a table of several pages may repeat its titles
    told = [row for row in rows[rule + 1 :] if row != head and not all(re.fullmatch(r":?-+:?", c) for c in row)]
    return count, _merged(_rows(head, _nested(_undittoed(told)), kind))


def _merged(rows: Sequence[Row]) -> list[Row]:
    """Each name once, with all that the table says of it: "Viewer: read, yes" and "Viewer: delete, no"."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.name, []).append(row)
    out = []
    for same in found.values():
        texts = unique(row.said for row in same)
        out.append(replace(same[0], said=" ".join(_ended(text, "") for text in texts) if len(texts) > 1 else texts[0]))
    return out


def _undittoed(rows: Sequence[list[str]]) -> list[list[str]]:
    """Cells that say "the same as above" with what stands above."""
    out: list[list[str]] = []
    for row in rows:
        above = out[-1] if out else []
        out.append([above[n] if n < len(above) and _DITTO.fullmatch(text) else text for n, text in enumerate(row)])
    return out


def _nested(rows: Sequence[list[str]]) -> list[list[str]]:
    """Rows whose names stand below others by "»", as "`zip` of `to`"."""
    above: list[str] = []
    for row in rows:
        deep = len(row[0]) - len(row[0].lstrip("»")) if row else 0
        if deep:
            name = row[0].lstrip("» ").strip("`")
            above = [*above[: deep - 1], name]
            row[0] = f"`{name}` of `{above[-2]}`" if len(above) > 1 else f"`{name}`"
    return [*rows]


def _apart(lines: Sequence[str]) -> tuple[int, list[Row]] | None:
    """A row whose cells are paragraphs: "`size` = `5` |", then "(Integer) How big |"."""
    below = next((i for i, line in enumerate(lines[1:4], 1) if line.strip()), 0)
    name = re.match(r"\|?\s*`([\w.-]+)`(?: = `([^`]*)`)?\s*\|$", lines[0].strip())
    said = re.match(r"(?:\([A-Z]\w+(?:\([^()]*\))?\) )?(\S.*?)\s*\|$", lines[below].strip()) if below else None
    if name is None or said is None:
        return None
    default = f" The default is `{name[2]}`." if name[2] and name[2] not in ("None", "<>") else ""
    return below + 1, [Row(f"`{name[1]}`", (said[1] if said[1].endswith(".") else said[1] + ".") + default, "request")]


def _lost(lines: Sequence[str]) -> tuple[int, list[Row]] | None:
    """A table of which a PDF has kept one line a cell: its titles begin with capitals, then comes name after name."""
    width = next((i for i, line in enumerate(lines[:6]) if not _CAPITAL.match(line)), 0)
    rows: list[list[str]] = []
    at = width
    while width > 1 and len(lines) >= at + width and _NAME.match(lines[at]):
        cells, at = _cells(lines, at, width)
        while len(cells[-1]) > SHORT and not cells[-1].rstrip().endswith((".", "!", "?")) and at < len(lines):
            if _NAME.match(lines[at]) or _CAPITAL.match(lines[at]):
                break
            cells[-1] += " " + lines[at]  # a cell of several lines
            at += 1
        rows.append(cells)
    return (at, _rows(lines[:width], rows)) if rows else None


def _cells(lines: Sequence[str], at: int, width: int) -> tuple[list[str], int]:
    """(the cells of a row, the line after them); a line of words that begins small goes on with the cell before."""
    cells: list[str] = []
    while at < len(lines) and lines[at].strip():
        line = lines[at]
        goes_on = cells and len(cells[-1].split()) > 2 and not cells[-1].endswith((".", "!", "?"))
        if goes_on and re.match(r"[a-z]+\.$|[a-z]+,? [a-z]", line):
            cells[-1] += f" {line}"
        elif len(cells) == width:
            break
        else:
            cells.append(line)
        at += 1
    return [*cells, *[""] * (width - len(cells))], at


def _ended(text: str, title: str) -> str:
    """A cell as a sentence; its title comes first where it is too short to be understood alone."""
    if text.endswith((".", "!", "?")):
        return text
    return f"{text}." if len(text.split()) > 1 or not title else f"{title}: {text}."


def _tells(title: str, text: str) -> bool:
    """Whether a short cell says something that no rule below reads."""
    if title == "status" and not _STATE.search(text):
        return False
    return bool(title and not _READ.search(title) and re.search(r"\w", text) and len(text) <= LONGEST)


def _coded(title: str, cells: Sequence[str]) -> bool:
    """Whether a column beside a status holds the names of errors, each another."""
    named = re.search(r"\b(?:code|error|name|type|exception)\b", title)
    return bool(named and all(re.fullmatch(r"`?[A-Za-z][\w.-]*`?", c) for c in cells) and len(set(cells)) == len(cells))


def _turned(head: Sequence[str], titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Row]:
    """The rows of a table whose titles turn round its cells: "Allowed" beside "Forbidden" or "Old" and "New"."""
    if len(head) == 2 and all(map(_SIDES.fullmatch, titles)):  # two lists, side by side
        return [Row(head[i], "; ".join(row[i].rstrip(".") for row in rows if row[i]) + ".") for i in (0, 1)]
    if len(head) == 2 and all(map(_CHANGES.match, titles)):
        return [Row(f"{row[0].rstrip('.')} ({titles[0]})", f"{head[1]}: {row[1]}") for row in rows]
    if {"yes", "no"} <= {*titles[1:]}:
        pairs = [(row[0].rstrip("?"), zip(head[1:], row[1:], strict=False)) for row in rows]
        return [Row(name, " ".join(f"{title}: {_ended(c, '')}" for title, c in cells if c)) for name, cells in pairs]
    if len(head) == 2 and all(row[0] in ("Yes", "No") for row in rows):
        return [Row(row[1].rstrip("."), f"{head[0]}: {row[0]}." if head[0] else f"{row[0]}.") for row in rows]
    return []


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]], below: Kind = "") -> list[Row]:
    """(name, what is said of it): the column with the most text, or all of them where none holds sentences."""
    if not rows or len(head) < 2 or [*head[:2], *rows[0][:2]][-2:] == ["Version", "Changes"] or head[0] == "Version":
        return []
    titles = [re.sub(r"[*`_]", "", title).strip().lower() for title in head]
    likely = (i for i, t in enumerate(titles) if re.search(r"\b(?:name|field|parameter|key|option|column)\b", t))
    if turned := _turned(head, titles, rows):
        return turned
    named = next((i for i in likely if i == 0 or len({row[i] for row in rows if row[i]}) == len(rows)), 0)
    field = re.search(r"\b(?:field|parameter|argument|attribute|property)\b", titles[named])
    others = [i for i in range(len(head)) if i != named]
    told = [i for i in others if _TELLS.search(titles[i])]
    said = told[0] if told else max(others, key=lambda column: sum(len(row[column]) for row in rows))
    kind = label(head[named])
    codes = titles[named] == "code" and below != "error" and not any(_ERRS.search(title) for title in titles)
    kind = "" if codes and not all(CODE.match(row[named]) for row in rows) else kind  # of services, settings ...
    kind = "response" if kind == "request" and "response" in titles[named] else kind
    remedied = any(re.search(r"what to do|remed|solution|action|\bfix\b|cause|reason", title) for title in titles)
    if titles[named] in ("status", "state") and not remedied and not any(CODE.match(row[named]) for row in rows):
        kind = ""  # of an order, a job ...
    coded = next((i for i in others if i != said and kind == "error" and _coded(titles[i], [r[i] for r in rows])), -1)
    if any(head) and len(head) > 2 and not told and 2 * sum(row[said].endswith(".") for row in rows) < len(rows):
        pairs = [(r[named], "; ".join(f"{head[i]}: {r[i]}" for i in others if r[i])) for r in rows]
        return [Row(bare(name), text, kind) for name, text in pairs]
    needed = [i for i, title in enumerate(titles) if title in ("required", "required?", "mandatory")]
    typed = [i for i, title in enumerate(titles) if title in ("type", "in")]
    given = next((i for i, title in enumerate(titles) if title in ("default", "default value")), -1)
    found: list[Row] = []
    for row in rows:
        must = any(row[i].lower().strip("`*") in ("yes", "true", "required", "x", "y") for i in needed)
        must = must or any(re.search(r"(?<!not )\brequired\b", row[i], re.I) for i in typed)
        if marked := re.search(r" \((required|optional)\)$", row[named], re.I):
            row = [text[: marked.start()] if i == named else text for i, text in enumerate(row)]
            must = marked[1].lower() == "required"
        text = " ".join(_ended(row[i], head[i]) for i in told if row[i]) if len(told) > 1 else row[said]
        for i in others:
            if i not in (*told, said, coded) and text and _tells(titles[i], row[i]):
                text = f"{_ended(text, head[said])} {head[i]}: {row[i].rstrip('.')}."
        if len(told) < 2 and text == row[said] and text and _TURNS.search(titles[said]):
            text = f"{head[said]}: {text}"
        text = needing(untyped(text), must) if text else ""
        default = row[given] if given >= 0 and given != said else ""
        if text and re.search(r"[\w\"]", default) and not _EMPTY.fullmatch(default) and "default" not in text.lower():
            text = f"{text if text.endswith(('.', '!', '?')) else text + '.'} The default is {default}."
        name = f"{bare(row[coded])} ({row[named].strip('`*')})" if coded >= 0 else bare(row[named])
        listed = kind or ("request" if titles[named] and not _CODED.search(titles[named]) else "")
        if name.endswith(":"):
            continue  # a property of the whole: "Rate-limited: | Yes"
        found.append(Row(f"`{name}`" if (field or typed) and re.fullmatch("[A-Z][a-z]+", name) else name, text, listed))
    return found
