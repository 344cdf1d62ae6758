"""Lines of a documentation entry in; the rows of the table, or the named item, that begins there out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from copilot.answering.lists import ITEM
from copilot.answering.markup import cell

Kind = Literal["", "request", "response", "error"]  # what a list tells; "": it is not said

SHORT = 45  # characters; a line of a wrapped paragraph is longer, a cell that a PDF has put on a line mostly is not

_LABELS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("error", re.compile(r"\b(?:errors?|exceptions?|status(?:es)?|codes?|failures?|raises|throws)\b", re.I)),
    ("response", re.compile(r"\b(?:returns?|responses?|results?|outputs?|answers?|repl(?:y|ies))\b", re.I)),
    (
        "request",
        re.compile(
            r"\b(?:param(?:eter)?s?|arg(?:ument)?s?|options?|fields?|inputs?|request|body|headers?|attributes|keys|"
            r"properties|flags?|settings|variables|query|members|filters?)\b",
            re.I,
        ),
    ),
)
_TYPE = (
    r"(?:array|binary|blob|bool(?:ean)?|bytes?|date(?:time|-time)?|dict|double|enum|file|float|function|int(?:eger)?|"
    r"list|long|map|null|number|object|path|query|string|structure|text|time(?:stamp)?|time|uuid|uri|url)"
)
_CODE = re.compile(r"`?(?:[1-5]\d\d\b|M_[A-Z_]+`|[A-Z]\w*(?:Exception|Error|Fault)\b)")
_FINE = re.compile(r"`?2\d\d\b")
_CAPITAL = re.compile(r"[A-Z][a-z][\w ]{0,38}$|[A-Z]/[A-Z]$")
_NAME = re.compile(
    r"(?![A-Z][a-z]+$)[A-Za-z][\w.{}*\[\]-]*$|[1-5]\d\d(?:(?:,| or) [1-5]\d\d)*$|[A-Z][A-Z\d]+(?: [A-Z\d]+){1,3}$|"
    r"\d{1,4}(?:-\d{1,4})?$"
)
_WORD = r"(?:--?)?[\w$@{<*][\w$.\[\]{}<>*/@-]*(?:::?[\w$.\[\]{}<>*/@-]+)*"
_SPAN = r"(?:\*\*|__)?`[^`\n]+`(?:\*\*|__)?|\*\*[^*\n]+\*\*"
_ABOUT = (  # a type
    r"`[^`\n]*`|<[^>\n]*>|\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\]\n]*\]|\*[^*\n]+\*|\b_[^_\n]+_\b|\{[^{}\n]*\}"
)
_STATUS = re.compile(
    r"(?P<code>`[1-5]\d\d`|(?:\*\*)?[1-5]\d\d(?!\w))(?: [A-Z][A-Za-z' -]{0,40}?)?(?:\*\*)?(?::(?:\*\*)?| [–—-]+) +"
    r"(?P<said>\S.*)$",
    re.S,
)
_NAMED = re.compile(
    rf"(?P<name>(?:{_SPAN}|{_WORD})(?:(?:, | ?\| | / |,? or |,? and )(?:{_SPAN}))*)"
    rf"(?P<about>(?:[ \t]*(?:{_ABOUT}))*)"
    r"(?P<mark>[ \t]*(?::|[–—-]+(?=\s)|=>))?(?:\s+(?P<said>\S.*))?$",
    re.S,
)
_KIND = rf"(?:{_TYPE}s?|integers|binaries|objects?|json|required|optional|mandatory|nullable|read-only|unique)"
_DEFAULT = r"\bdefault(?:s to| value| is)?[:=]? ?(`[^`\n]+`|\"[^\"\n]*\"|[\w.-]*\w)"
_PLAINLY = rf"{_KIND}\b(?:(?:,|;| or| of| and)* (?:{_KIND}\b|{_DEFAULT}))*"  # a type in plain words
_TYPED = re.compile(
    rf"(?P<name>(?:{_SPAN})(?:(?:, | ?\| | / |,? or |,? and )(?:{_SPAN}))*),? (?P<about>{_PLAINLY})"
    r"(?:(?::|;|\.(?= [A-Z`])| [–—-]+(?=\s)) *(?P<said>\S.*)|\.?)$",
    re.S,
)
_KINDLY = re.compile(rf"({_PLAINLY})(?: \([^()]*\))?(?: +[–—-]+|[.;:]) +(?=\S)")
_PLACE = re.compile(rf"(?:path|query|header|body|{_TYPE}|required|optional|yes|no|[\s,|:;`-])+", re.I)
_TELLS = re.compile(  # titles of columns that say what a name is
    r"descri|meaning|explan|comment|purpose|effect|what|reason|cause|remed|solution|action|\bfix\b|\bnotes?\b"
)
_READ = re.compile(  # titles of columns that are told otherwise, or say nothing to a reader
    r"^(?:type|in|required\??|mandatory|default|default value|data ?type|optional|since|version|added|format|example|"
    r"status|nr|no|#|id|location|schema|method|nullable|path|url|endpoint|link)s?$"
)
_SENTENCE = re.compile(
    r"(?:The |Use |Give |Set )?(?:optional |required )?(?:field|value|parameter|option|argument|header|flag|key)? ?"
    r"(?P<name>`[^`\n]+`)(?P<about>(?: \([^()]*\))*):\s+(?P<said>\S.*)$",
    re.S,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A name and what is said of it."""

    name: str  # as it stands, backticks and all
    said: str
    kind: Kind = ""


def label(text: str) -> Kind:
    """What the list after such a heading or line tells."""
    return next((kind for kind, pattern in _LABELS if pattern.search(text)), "")


def settled(row: Row, kind: Kind) -> Row:
    """`row` below a label; a code stays a code wherever it stands."""
    if _CODE.match(row.name):
        return replace(row, kind="error")
    return row if row.kind or kind == "" else replace(row, kind="request" if kind == "error" else kind)


def fine(row: Row) -> bool:
    """Whether it tells a status of success."""
    return _FINE.match(row.name) is not None


def item(text: str, kind: Kind) -> Row | None:
    """The named thing that an item of a list begins with; `kind` is what the list is said to tell."""
    if status := _STATUS.match(text):
        return Row(status["code"].strip("*"), status["said"])
    if row := typed(text):
        return row
    found = _NAMED.match(text)
    if found is None or (found["name"].startswith("**") and found["name"].rstrip("*").endswith((":", "."))):
        return _bold(text)
    name, about, mark, said = found["name"], found["about"].strip(), found["mark"], found["said"] or ""
    ticked = "`" in name or name.startswith("**")
    if not (mark or (about and (ticked or kind)) or (ticked and (not said or re.match("[A-Z]", said)))):
        return None
    if not (ticked or re.search(r"[a-z][A-Z]|[_\d.\[\]<>-]|^[a-z]", name) or (kind and mark)):
        return None
    if mark and mark.strip() == "-" and not (ticked or about or kind):
        return None  # "text - and more of it"
    if " " in name.strip("*`") and not re.search(r"`|^\*\*[\w.]+\*\*$", name):
        return None if not re.search(r"[=<(]|^\*\*[a-z-]", name) else Row(bare(name), _whole(about, said))
    return Row(bare(name), _whole(about, said))


def typed(text: str) -> Row | None:
    """The named thing of an item such as "`size` integer, required: how big it is"; its name may be bold."""
    found = _TYPED.match(text)
    return Row(bare(found["name"]), _whole(found["about"], found["said"] or "")) if found else None


def sentence(text: str) -> Row | None:
    """The named thing of a sentence such as "The field `size` (required): how big it is."."""
    found = _SENTENCE.match(text)
    return Row(bare(found["name"]), _whole(found["about"], found["said"])) if found else None


def several(text: str) -> list[Row]:
    """The rows of "Status codes: 200 no error, 404 no such thing." or of "Errors: `A`: Said. `B`: Said."."""
    head, colon, rest = text.partition(":")
    if not colon or len(head.split()) > 3 or label(head) != "error":
        return []
    if "`" not in rest.lstrip()[:1]:
        parts = re.split(r"[,;] (?=`?[1-5]\d\d\b)", rest.strip().rstrip("."))
        found = [re.match(r"(`?[1-5]\d\d`?)[ :-]+(\S.*)", part.strip()) for part in parts]
        return [Row(m[1], m[2], "error") for m in found if m] if all(found) else []
    parts = re.split(r"(?:^|(?<=[.;,]) )(?=`[^`]+`: )", rest.strip())
    found = [re.match(r"(`[^`]+`): (\S.*)", part.strip()) for part in parts if part.strip()]
    return [Row(m[1], m[2], "error") for m in found if m]


def name_of(title: str) -> str:
    """The name that a heading is, such as "queue.max_jobs"; "" where it is words."""
    found = re.fullmatch(r"`?((?:--?)?[A-Za-z][\w-]*(?:[._][\w-]+)+|[a-z]+[A-Z]\w*)`?", title.strip("#¶: "))
    return found[1] if found else ""


def bare(name: str) -> str:
    """A name without bold marks, and without the value that may follow it: `query=<string>` is `query`."""
    if "`" not in name:
        name = re.sub(r"\*\*|__(?=$)|^__", "", name).strip()
        name = name.rstrip("?") if re.match(r"[a-z]\w*\?$", name) else name
    name = re.sub(r"`\s*([^`]*?)\s*`", r"`\1`", name.removeprefix("**").removesuffix("**").replace("[source]", ""))
    if len(name) > 50 and re.match(r"`[^`(]+\([^`]*`$", name):
        name = name.partition("(")[0] + "`"  # a function without its arguments
    return re.sub(r"(?<=[\w\]])=(?:<[^`=]*>|\.{3}|[A-Za-z]+)(?=`|$)", "", name)


def _bold(text: str) -> Row | None:
    """An item whose bold or quoted name ends with its colon: "**size:** how big"."""
    found = re.match(r"\*\*`?([\w.$\[\]<>-]+)`?:\*\*\s+(\S.*)", text, re.S)
    return Row(f"`{found[1]}`" if "`" in text[:4] else found[1], found[2]) if found else None


def _whole(about: str, said: str) -> str:
    """What is said of a name, with "Required." if brackets say so; its type where nothing else is said."""
    inner = re.sub(r"^[\s(<\[{`*]+|[\s)>\]}`*]+$", "", about)
    said = re.sub(r"^(?:[–—:-]+|\((?:required|optional)\))\s+", "", said.strip())
    if typed := re.match(rf"(<[^>\n]+>|`[^`]+`|\((?:{_TYPE})[^)]*\))(?:\s+[–—:-]+)?\s+(?=[A-Z`\"])", said):
        inner, said = f"{inner} {typed[1]}".strip(), said[typed.end() :]
    if slanted := re.match(r"([*_])\(?([a-z][^*_\n]{0,60}?)\)?\1 +[–—:-]+ +(?=\S)", said):
        about, inner, said = f"{about} {slanted[2]}", f"{inner} {slanted[2]}", said[slanted.end() :]
    if plainly := _KINDLY.match(said):
        about, inner, said = f"{about} {plainly[0]}", f"{inner} {plainly[0]}", said[plainly.end() :]
    needed = re.search(r"\b(?:required|mandatory)\b", inner, re.I) and not re.search(r"not required", inner, re.I)
    if not said:
        said = inner.strip("*_ ")
        return f"{said[0].upper()}{said[1:]}." if said and len(said.split()) < 9 else ""
    said = _needing(said, bool(needed))
    if (default := re.search(_DEFAULT, about)) and "default" not in said.lower():
        return f"{said if said.endswith(('.', '!', '?')) else said + '.'} The default is {default[1]}."
    return said


def _needing(said: str, needed: bool) -> str:
    if not needed or re.search(r"\brequired\b", said, re.I):
        return said
    return f"{said if said.endswith(('.', '!', '?')) else said + '.'} Required."


def table(lines: Sequence[str], kind: Kind) -> tuple[int, list[Row]] | None:
    """(lines, rows) of the table that begins here, if one does: markdown, columns of spaces, or one line a cell."""
    if lines[0].startswith("|") and lines[0].rstrip().endswith("|") and len(lines[0].strip()) > 1:
        return _markdown(lines)
    if lines[0].rstrip().endswith("|"):
        return _apart(lines)
    if not ITEM.match(lines[0]) and (row := re.match(r"( *)(\S(?: ?\S)*) {2,}(\S.*)", lines[0])):
        return _spaced(lines, row, kind)
    return _lost(lines)


def _spaced(lines: Sequence[str], row: "re.Match[str]", kind: Kind) -> tuple[int, list[Row]] | None:
    """A row of columns that spaces hold apart, over as many lines as go on to the right."""
    cells = re.split(r" {2,}", row[3].strip())
    if (
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
    return taken, [Row(row[2], _needing(said, "required" in middle.lower()))]


def _markdown(lines: Sequence[str]) -> tuple[int, list[Row]]:
    """A markdown table, or the rest of one; a row that is cut is left out."""
    count = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    cells = [[cell(c) for c in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in lines[:count]]
    rule = next((i for i, row in enumerate(cells) if all(re.fullmatch(r":?-+:?", c) for c in row)), -1)
    width = len(cells[max(rule, 0)])
    rows = [row for row, line in zip(cells, lines, strict=False) if len(row) == width and line.rstrip().endswith("|")]
    head = cells[0] if rule > 0 else [""] * width
    told = [row for row in rows[rule + 1 :] if row != head and not all(re.fullmatch(r":?-+:?", c) for c in row)]
    return count, _rows(head, told)  # a table of several pages may repeat its titles


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
    return f"{text}." if len(text.split()) > 1 else f"{title}: {text}."


def _tells(title: str, text: str) -> bool:
    """Whether a short cell says something that no rule below reads."""
    return bool(title and not _READ.search(title) and re.search(r"\w", text) and len(text) <= SHORT)


def _coded(title: str, cells: Sequence[str]) -> bool:
    """Whether a column beside a status holds the names of errors, each another."""
    named = re.search(r"\b(?:code|error|name|type|exception)\b", title)
    return bool(named and all(re.fullmatch(r"`?[A-Za-z][\w.-]*`?", c) for c in cells) and len(set(cells)) == len(cells))


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Row]:
    """(name, what is said of it): the column with the most text, or all of them where none holds sentences."""
    if not rows or len(head) < 2 or [*head[:2], *rows[0][:2]][-2:] == ["Version", "Changes"] or head[0] == "Version":
        return []
    titles = [re.sub(r"[*`_]", "", title).strip().lower() for title in head]
    named = next((i for i, t in enumerate(titles) if re.search(r"\b(?:name|field|parameter|key|option)\b", t)), 0)
    field = re.search(r"\b(?:field|parameter|argument|attribute|property)\b", titles[named])
    others = [i for i in range(len(head)) if i != named]
    told = [i for i in others if _TELLS.search(titles[i])]
    said = told[0] if told else max(others, key=lambda column: sum(len(row[column]) for row in rows))
    kind = label(head[named])
    kind = "error" if kind == "error" and all(_CODE.match(row[named]) for row in rows) else kind
    kind = "response" if kind == "request" and "response" in titles[named] else kind
    coded = next((i for i in others if i != said and kind == "error" and _coded(titles[i], [r[i] for r in rows])), -1)
    if any(head) and len(head) > 2 and not told and 2 * sum(row[said].endswith(".") for row in rows) < len(rows):
        pairs = [(r[named], "; ".join(f"{head[i]}: {r[i]}" for i in others if r[i])) for r in rows]
        return [Row(bare(name), text, kind) for name, text in pairs]
    needed = [i for i, title in enumerate(titles) if title in ("required", "required?", "mandatory")]
    typed = [i for i, title in enumerate(titles) if title in ("type", "in")]
    given = next((i for i, title in enumerate(titles) if title in ("default", "default value")), -1)
    found: list[Row] = []
    for row in rows:
        must = any(row[i].lower().strip("`*") in ("yes", "true", "required", "✓", "x") for i in needed)
        must = must or any(re.search(r"(?<!not )\brequired\b", row[i], re.I) for i in typed)
        text = " ".join(_ended(row[i], head[i]) for i in told if row[i]) if len(told) > 1 else row[said]
        for i in others:
            if i not in (*told, said, coded) and text and _tells(titles[i], row[i]):
                text = f"{_ended(text, head[said])} {head[i]}: {row[i].rstrip('.')}."
        text = _needing(text, must) if text else ""
        default = row[given] if given >= 0 and given != said else ""
        if text and re.search(r"[\w\"]", default) and "default" not in text.lower():
            text = f"{text if text.endswith(('.', '!', '?')) else text + '.'} The default is {default}."
        name = f"{bare(row[coded])} ({row[named].strip('`*')})" if coded >= 0 else bare(row[named])
        if name.endswith(":"):
            continue  # a property of the whole: "Rate-limited: | Yes"
        found.append(Row(f"`{name}`" if (field or typed) and re.fullmatch("[A-Z][a-z]+", name) else name, text, kind))
    return found
