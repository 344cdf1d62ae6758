"""The lines of an entry in; the same with seldom layouts written as the common ones that `entries` reads, out.

Any table becomes one of markdown (`grids`, `cells`), and what code says of itself rows (`comments`); "Step 2: ..." a
numbered item; of a question with its answer the answer is left; a name on a line of its own with its type, or with its
value ("beep = on") or arguments ("ship FILE"), and text below it, becomes an item; lines of "name: value", "sign = what
it means" or "`name` - text", two and more, become rows, and so do columns that spaces hold apart. Other code
stays as it is.
"""

import re
from collections.abc import Sequence
from itertools import groupby

from copilot.plain import pipe_table
from copilot.reading.blocks import together
from copilot.reading.cells import continued, from_html
from copilot.reading.commands import in_sentences
from copilot.reading.comments import explained
from copilot.reading.grids import gridded
from copilot.reading.grouped import grouped
from copilot.reading.lists import folded
from copilot.reading.markup import FENCE, plain
from copilot.reading.named import items, terms
from copilot.reading.procedures import procedures
from copilot.reading.prose import MISTAKEN
from copilot.reading.scraped import unscraped

_STEP = re.compile(
    r"(?:[-*+] +)?(?:\*\*|__)?step (\d{1,2})\b(?:[.:)]|(?= [–—-] ))?(?:\*\*|__)?[:.]? *(?:[–—-] +)?(?=\S)", re.I
)
_ASKED = re.compile(r"(?:\*\*|__)?(?:Q|Question)[:.]\S* +\S.*\?\W*$")
_SAYS = re.compile(r"(?:\*\*)?(?:Purpose|Description|What it does|Summary|Overview)(?::\*\*|(?:\*\*)?:) +(?=[A-Z`])")
_ANSWERED = re.compile(r"(?:\*\*|__)?(?:A|Answer)[:.](?:\*\*|__)? +(?=\S)")
_HEAD = re.compile(r"(?:\*\*[\w.\[\]-]+\*\*|`[^`\s]+`|\*\*`[^`\s]+`\*\*):? *[(\[<*_]+ ?[a-z][^()\n]{0,60}[)\]>*_]+:?$")
_KEY = re.compile(
    r"(?!(?:type|required|default|format|since|added|version|method|verb|url|uri|path|endpoint|route|author|date|"
    r"updated|status|note|notes|warning|caution|tip|important|danger|see|example|examples|returns?|raises|throws|yields|"
    r"step|source|license|http|https)\b)"
    r"(?!(?:[\w/()'-]+ )*(?:is|are|was|were|has|have|can|may|must|will|should|does)\b)"
    r"(?P<name>[A-Z][\w/()'-]*(?: [\w/()'-]+){0,4}|[A-Z][\w/'-]*(?: [\w/'-]+){0,2},(?: [\w/'-]+){1,3}(?=.{1,90}$)): +"
    r"(?P<said>[^\s|][^|]{0,240})$",
    re.I,
)
_OTHER = re.compile(r"\s*(?:[#|>*+-]|\d+\. |\W*`{3}|$)")  # begins something else than text
_SET = re.compile(r"(?P<name>[A-Za-z][\w.-]*)[ \t]*=[ \t]*(?P<value>\S[^\n]{0,40})?$")  # a line of a file of settings
_COMMAND = re.compile(
    r"(?:[~/.]*[a-z][\w./-]*|--?[a-z][\w-]*)(?:,? (?>[\[<{(-]\S*|[A-Z][A-Z_.|]*\S*|\.{3}|\S*[\])}|]))*+$"
)
_TITLES = re.compile(r"[A-Z][\w/()-]*(?: [\w/()-]+){0,3}")
_SPHINX = re.compile(r"\s*:(?:param|arg|raises?|exception) (?:\w+ )?(?P<name>[\w.*]+): (?P<said>.+)$")
_BACK = re.compile(r"\s*:returns?: +(?=\S)")
_TICKED = re.compile(r"(?P<name>`[\w.\[\]{}$@*/-]+`)(?P<about> \([^()]*\))?(?: [–—-]+|:) +(?P<said>[^\s|][^|]*)$")
_LEGEND = re.compile(  # "red, blinking = battery low"; no code
    r" {0,3}(?P<name>[^\s#|>*+=:`\"{}\[\]-][^=:`\"{}\[\]|\n]{0,40}?) += (?![^=]*\w[(\[])"
    r"(?P<said>[^\s=`\"'{}|][^=`{}|]{0,90}(?<![;\\]))$"
)

_PARTED = re.compile(  # "Help desk    ext. 4410    Monday to Friday"; what stands at the right margin is none
    r"(?!\d+[.)] )(?P<name>[\w\"“`(]\S*(?: {1,2}\S+){0,7})(?<![.:;,]) {3,24}(?:[–—-] +)?(?![=:{(|])"
    r"(?P<said>\S+(?: {1,2}\S+)*)(?: {3,24}(?P<more>\S+(?: {1,2}\S+)*))?\s*$"
)

_LINES = {"ticked": _TICKED, "key": _KEY, "legend": _LEGEND, "parted": _PARTED}  # one below the other they are rows


def usual(text: str, title: str = "") -> list[str]:
    """The lines of `text`, in the layouts that `entries` reads; `title` is the last part of its heading path."""
    lines: list[str] = []
    fenced = False
    for line in continued(from_html(plain(explained(gridded(unscraped(text)), title))).splitlines()):
        if line.strip().startswith(FENCE):
            fenced = not fenced
        elif not fenced:
            line = line if lines and lines[-1].strip() else _SAYS.sub("", line)
            if begins := _STEP.match(line):
                line = f"{begins[1]}. {line[begins.end() :]}"
            elif begins := _ANSWERED.match(line):
                line = line[begins.end() :]
            elif _ASKED.match(line):
                line = ""
            elif begins := _SPHINX.match(line):
                line = f"- `{begins['name']}`: {begins['said']}"
            elif begins := _BACK.match(line):
                line = f"Returns: {line[begins.end() :]}"
        lines.append(line)
    lines = _named(_listed(_columns(together(terms(grouped(in_sentences(lines, title)), title), title))))
    return items(folded(procedures(_defined(lines), title)), title)


def _listed(lines: Sequence[str]) -> list[str]:
    """Two and more lines, one below the other, that each tell a value of a name: as rows of a table."""
    lines = _whole(lines)
    out: list[str] = []
    fenced = False

    def kind(line: str) -> str:
        nonlocal fenced
        fenced ^= line.strip().startswith(FENCE)
        if fenced or MISTAKEN.match(line):
            return ""
        legend = _LEGEND.match(line)
        code = legend and not (" " in legend["name"] + legend["said"] or legend["name"][0].isupper())
        return "" if code else next((name for name, pattern in _LINES.items() if pattern.match(line)), "")

    for told, group in groupby(lines, kind):
        part = list(group)
        if told and len(part) > 1:
            found = [match for line in part if (match := _LINES[told].match(line))]
            if told == "ticked":
                part = [f"- {m['name']}{m['about'] or ''}: {m['said']}" for m in found]
            else:
                more = [f", {m['more']}" if told == "parted" and m["more"] else "" for m in found]
                part = [f"| {m['name']} | {m['said']}{rest} |" for m, rest in zip(found, more, strict=True)]
        out += part
    return out


def _whole(lines: Sequence[str]) -> list[str]:
    """The lines, those of "name: value" with the line that goes on with the value, where it begins small."""
    out: list[str] = []
    for line in lines:
        if out and re.match(r"[a-z]", line) and _KEY.match(out[-1]) and not _KEY.match(line) and len(out[-1]) > 40:
            out[-1] += f" {line}"
        else:
            out.append(line)
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


def _columns(lines: Sequence[str]) -> list[str]:
    """Columns that spaces hold apart, below titles that begin where they do: as a markdown table."""
    out: list[str] = []
    at = 0
    while at < len(lines):
        titles = list(re.finditer(r"\S+(?: \S+)*", lines[at]))
        starts = [title.start() for title in titles]
        rows: list[list[str]] = []
        end = at + 1
        if len(titles) > 1 and all(_TITLES.fullmatch(title[0]) for title in titles) and "  " in lines[at].strip():
            while end < len(lines) and (row := _row(lines[end], starts, rows)):
                rows, end = row, end + 1
        if len(rows) > 1:
            out += ["", *pipe_table([[title[0] for title in titles], *rows]).splitlines(), ""]
        else:
            end = at + 1
            out.append(lines[at])
        at = end
    return out


def _row(line: str, starts: Sequence[int], rows: Sequence[list[str]]) -> list[list[str]]:
    """The rows with those of this line, or with what it goes on to say in their last; none where it is no row."""
    if not line.strip() or set(line.strip()) <= set("-= "):
        return [*rows] if line.strip() else []
    cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], len(line)], strict=True)]
    apart = all(line[max(0, start - 2) : start].strip() == "" for start in starts[1:])
    if not apart or line[: starts[0]].strip():
        return []
    if cells[0] and sum(map(bool, cells)) > 1:
        return [*rows, cells]
    if cells[0] or not rows:
        return []
    return [*rows[:-1], [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]]


def _defined(lines: Sequence[str]) -> list[str]:
    """A setting with its value, or a command with its arguments, above text that is indented: as an item."""
    out: list[str] = []
    at, fenced = 0, False
    while at < len(lines):
        fenced ^= lines[at].strip().startswith(FENCE)
        bare, deep, end = lines[at].strip(), len(lines[at]) - len(lines[at].lstrip()), at + 1
        setting = _SET.match(bare)
        if not fenced and bare and (setting or (deep and len(bare) < 80 and _COMMAND.match(bare))):
            while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > deep + 1:
                end += 1
        said = " ".join(line.strip() for line in lines[at + 1 : end])
        if said and (setting or re.match(r"[A-Z\d\"'(`]", said)):
            name = f"`{setting['name']}`" if setting else f"`{bare}`"
            shown = f" Example: `{bare}`." if setting and setting["value"] and len(said) < 250 else ""
            out += [f"- {name}: {said}{shown}", ""]
        else:
            end = at + 1
            out.append(lines[at])
        at = end
    return out
