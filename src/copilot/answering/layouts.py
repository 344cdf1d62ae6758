"""The lines of an entry in; the same with seldom layouts written as the common ones that `entries` reads, out.

An HTML table becomes a markdown one; "Step 2: ..." a numbered item; of a question with its answer the answer is left; a
name on a line of its own with its type, and text below it, becomes an item; lines of "name: value" or "`name` - text",
two and more, become rows. Code stays as it is.
"""

import re
from collections.abc import Sequence
from itertools import groupby

_FENCE = ("```", "~~~")
_ROW = re.compile(r"<tr\b[^>]*>(.*?)</tr>", re.S | re.I)
_CELL = re.compile(r"<(t[hd])\b[^>]*>(.*?)</\1>", re.S | re.I)
_TABLE = re.compile(r"<table\b[^>]*>.*?(?:</table>|\Z)", re.S | re.I)
_STEP = re.compile(
    r"(?:[-*+] +)?(?:\*\*|__)?step (\d{1,2})\b(?:[.:)]|(?= [–—-] ))?(?:\*\*|__)?[:.]? *(?:[–—-] +)?(?=\S)", re.I
)
_ASKED = re.compile(r"(?:\*\*|__)?(?:Q|Question)[:.]\S* +\S.*\?\W*$")
_ANSWERED = re.compile(r"(?:\*\*|__)?(?:A|Answer)[:.](?:\*\*|__)? +(?=\S)")
_HEAD = re.compile(r"(?:\*\*[\w.\[\]-]+\*\*|`[^`\s]+`|\*\*`[^`\s]+`\*\*):? *[(\[<*_]+ ?[a-z][^()\n]{0,60}[)\]>*_]+:?$")
_KEY = re.compile(
    r"(?!(?:type|required|default|format|since|added|version|method|verb|url|uri|path|endpoint|route|author|date|"
    r"updated|status|note|notes|warning|caution|tip|important|danger|see|example|examples|returns?|raises|throws|yields|"
    r"step|source|license|http|https)\b)"
    r"(?!(?:[\w/()'-]+ )*(?:is|are|was|were|has|have|can|may|must|will|should|does)\b)"
    r"(?P<name>[A-Z][\w/()'-]*(?: [\w/()'-]+){0,4}): +(?P<said>[^\s|][^|]{0,100})$",
    re.I,
)
_OTHER = re.compile(r"\s*(?:[#|>*+-]|\d+\. |\W*`{3}|$)")  # begins something else than text
_TICKED = re.compile(r"(?P<name>`[\w.\[\]{}$@*/-]+`)(?P<about> \([^()]*\))?(?: [–—-]+|:) +(?P<said>[^\s|][^|]*)$")


def usual(text: str) -> list[str]:
    """The lines of `text`, in the layouts that `entries` reads."""
    if "<tr" in text.lower():
        text = _TABLE.sub(_markdown, text)
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.strip().startswith(_FENCE):
            fenced = not fenced
        elif not fenced:
            if begins := _STEP.match(line):
                line = f"{begins[1]}. {line[begins.end() :]}"
            elif begins := _ANSWERED.match(line):
                line = line[begins.end() :]
            elif _ASKED.match(line):
                line = ""
        lines.append(line)
    return _named(_listed(lines))


def _markdown(table: "re.Match[str]") -> str:
    """An HTML table as a markdown one; its first row is the head where its cells are `th`."""
    rows = [_CELL.findall(row) for row in _ROW.findall(table[0])]
    out = []
    for n, row in enumerate(rows):
        cells = [" ".join(re.sub(r"<(?:br|p|li)\b[^>]*>", " ", cell).replace("|", "\\|").split()) for _, cell in row]
        cells = [re.sub(r"</?code>", "`", re.sub(r"<(?!/?code>)[^<>]*>", "", cell)) for cell in cells]
        out.append("| " + " | ".join(cells) + " |")
        if n == 0 and row and all(kind.lower() == "th" for kind, _ in row):
            out.append("|" + "---|" * len(row))
    return "\n\n" + "\n".join(out) + "\n\n"


def _listed(lines: Sequence[str]) -> list[str]:
    """Two and more lines, one below the other, that each tell a value of a name: as rows of a table."""
    out: list[str] = []
    fenced = False

    def kind(line: str) -> str:
        nonlocal fenced
        fenced ^= line.strip().startswith(_FENCE)
        return "" if fenced else "ticked" if _TICKED.match(line) else "key" if _KEY.match(line) else ""

    for told, group in groupby(lines, kind):
        part = list(group)
        if told and len(part) > 1:
            pattern = _TICKED if told == "ticked" else _KEY
            found = [match for line in part if (match := pattern.match(line))]
            if told == "ticked":
                part = [f"- {m['name']}{m['about'] or ''}: {m['said']}" for m in found]
            else:
                part = [f"| {m['name']} | {m['said']} |" for m in found]
        out += part
    return out


def _named(lines: Sequence[str]) -> list[str]:
    """A name with its type on a line of its own, and text right below it: as an item."""
    out: list[str] = []
    at = 0
    while at < len(lines):
        end = at + 1
        if _HEAD.match(lines[at].strip()):
            while end < len(lines) and not _OTHER.match(lines[end]):
                end += 1
        if end > at + 1:
            head = lines[at].strip().rstrip(":")
            out += [f"- {head}: {' '.join(line.strip() for line in lines[at + 1 : end])}", ""]
        else:
            out.append(lines[at])
        at = end
    return out
