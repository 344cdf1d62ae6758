"""The text of a documentation entry in; its sentences, steps, notes and named rows out, from md, txt, docx and PDF."""

import re
from collections.abc import Sequence
from dataclasses import replace

from copilot.prompt.grammar import VERBS
from copilot.reading.calls import endpoints, function
from copilot.reading.entry import Entry, once
from copilot.reading.glossary import terms
from copilot.reading.layouts import usual
from copilot.reading.lists import ITEM
from copilot.reading.markup import FENCE
from copilot.reading.paragraphs import DO, kinds, named, stopped, warned
from copilot.reading.prose import (
    ADVICE,
    ALERT,
    CUT,
    MISTAKEN,
    MISTAKES,
    NOTE,
    PAST,
    SENTENCE,
    balanced,
    done,
    ends,
    one,
    sentences,
    short,
    unique,
    whole_note,
)
from copilot.reading.rows import (
    SHORT,
    Kind,
    Row,
    fine,
    item,
    label,
    name_of,
    settled,
    typed,
)
from copilot.reading.tables import table

_TITLE = re.compile(r"#{1,6} |[-=~^]{3,}$")
_PAGE = re.compile(r"\n*^[^\n|]{0,80}\bpage \d+(?: of \d+)?$\n?", re.I | re.M)  # a page's header or footer
_CODE = re.compile(
    r"\s*(?:[{}\[\]](?!\w+\}?`? )|\"[\w.-]+\":(?! \S+(?: [a-z]+){3})|curl |-[HdX] |[$>] (?!\*\*)|>>>|</?\w+>)"
)
_CALL = re.compile(rf"[\s*`\[]*(?:{VERBS})[*`\s:\]]+\S+(?: HTTP/\S+)?\s*$|[\s*`]*(?:{VERBS})[\s*`]*$")
_LABEL = re.compile(r"(?:\*\*|__)?[A-Z][\w'` /-]{1,60}?(?::(?:\*\*|__)?|(?:\*\*|__):?)$")
_FACT = re.compile(r"\W{0,3}(Type|Default(?: value)?|Possible values|Allowed values)\W{0,3}:\W{0,3}? (.{1,120}?)\\?$")
_BACK = re.compile(
    r"`?\W{0,2}(Returns?|Return value|Raises|Throws|Yields)\b:?[`*]*:? +(?:[<{][^<>{}]*[>}] *)?(.*)", re.S
)
_OWNING = re.compile(
    r"`[^`]*\(|`(?:class|method|function|attribute|property|classmethod|exception|coroutine|data|type) "
)
_DEFINED = re.compile(
    r"(?:`[^`\n]+`(?: \([^()\n]*\))?|--?[a-z][\w-]*(?:[ =][<\[]?[\w|]+[>\]]?)?(?:, --?[\w-]+(?:[ =]\S+)?)*)$"
)
_RUN = re.compile(r"(?:`{3}|~{3})\s*(?:bash|sh|shell|console|zsh|cmd|powershell)\b", re.I)
_FETCHES = re.compile(r"curl|wget|http\b|https?:|#")  # a sample of a call, or a remark
_SHELL = re.compile(  # a fence with a command
    r"(?:`{3}|~{3})\s*(?:(?:bash|sh|shell|console|zsh|cmd|powershell)\s+[a-z]|\s*(?:npm|npx|pip3?|docker|kubectl|git|"
    r"python3?|make|brew|apt|sudo|systemctl|aws|az|gcloud|terraform|helm|ssh|java|mvn|go|cargo|dotnet|php|composer) )"
    r"[\w./-]*(?: ?[\w./<>{}$=:\"'@-]++)++$"
)


class _Parts:
    """What was read so far."""

    def __init__(self, kind: Kind, title: str) -> None:
        self.title = title  # of the entry
        self.texts: list[tuple[str, str]] = []  # (kind, paragraph)
        self.rows: list[Row] = []
        self.kind = kind  # what the last label says of a list
        self.label = ""  # the last label, where it says nothing of the kind
        self.open = False  # the next line may go on with the last paragraph
        self.fenced = False
        self.alert = False  # the next paragraph is a note
        self.owned = False  # what follows belongs to the last row
        self.trails = False  # rows came before any sentence
        self.warns = self.tips = False  # below the last label or heading stands what goes wrong, or advice

    def add(self, *rows: Row) -> None:
        """Rows below the last label."""
        self.trails = self.trails or not any(kind == "prose" for kind, _ in self.texts)
        for row in (replace(settled(row, self.kind), place=self.label) for row in rows):
            self.rows.append(replace(row, kind="error") if self.warns else row)

    def below(self, line: str) -> None:
        """What follows stands below this label or heading; below a label it is still the entry's."""
        headings = [line] if line.startswith("#") else [line, self.title]
        titles = [re.sub(r"^[\W\d_]+|[\W_]+$", "", heading) for heading in headings]
        self.warns, self.tips = any(map(MISTAKES.fullmatch, titles)), any(map(ADVICE.fullmatch, titles))


def read_entry(text: str, whole: bool = True, header: str = "", ended: bool = False) -> Entry:
    """Take an entry's text apart; `whole` False when it begins in the middle, `header` is its heading path.

    `ended` says that the last line is not cut.

    Code and headings are left out, and so is a sentence that a cut has left without its beginning or end.
    """
    title = header.rpartition(" › ")[2]
    if explains := terms(title, text):
        return Entry((), (), (), tuple((one(name), one(said)) for name, said in explains))
    lines = usual(_PAGE.sub("\n", text), title)
    parts = _Parts(label(title) if " › " in header else "", title)
    parts.below("")
    at = 0
    while at < len(lines):
        at += _line(lines, at, parts)
    texts = [(kind, one(paragraph)) for kind, paragraph in parts.texts]
    if not whole and texts and not re.match(r"[A-Z`\"'*{]", texts[0][1]):
        texts[0] = (texts[0][0], SENTENCE.sub("\0", texts[0][1], count=1).partition("\0")[2])
    left: list[tuple[str, str]] = []
    for kind, paragraph in texts:
        found = [] if kind == "note" else named(paragraph, kind == "item")
        parts.rows += found
        left += [] if found else [(kind, paragraph)]
    left = [part for kind, paragraph in left for part in warned(kind, paragraph)]
    last = len(left) if ended else len(left) - 1  # the paragraph from which on the text may be cut
    told = [stopped(k, p) if n < last else p for n, (k, p) in enumerate(left)]
    left = list(zip(kinds(left), told, strict=True))
    prose = sentences((p for k, p in left if k in ("prose", "told")), header.endswith("?"))
    facts = [p for k, p in left if k == "fact"]
    if (name := name_of(title)) and facts:
        parts.rows.insert(0, Row(f"`{name}`", " ".join(facts)))
    else:
        prose = unique([*prose[:1], *(p for p in facts if not p.startswith("Type")), *prose[1:]])
    doing = (done(p, k == "step", n >= last) for n, (k, p) in enumerate(left) if k in ("step", "do"))
    steps = unique(filter(None, doing))
    notes = unique(text for k, p in left if k == "note" for text in whole_note(sentences([p], True)))
    points = _points([(k, p) for k, p in left if k in ("lead", "item")])
    calls = endpoints(header, text)
    if not calls and (name := function(header, prose[0] if prose else "", lines)):
        calls = (name,)
    rows = [replace(row, name=one(row.name), said=short(one(row.said))) for row in parts.rows]
    rows = [*rows[:-1], *(row for row in rows[-1:] if ended or not CUT.search(row.said))]  # the last may be cut
    good = [r for r in rows if re.search(r"\w", r.name) and re.search(r"\w", r.said) and balanced(r.name + r.said)]
    given = [row for row in good if row.kind in ("", "request")] + [row for row in good if row.kind == "response"]
    codes = [row for row in good if row.kind == "error"]
    first = next((int(mark[1]) for line in lines if (mark := re.match(r"\s*(\d{1,2})[.)] +\S", line))), 1)
    before = [k for k, _ in left][: next((n for n, (k, _) in enumerate(left) if k == "prose"), 0)]
    errors, trails = once(sorted(codes, key=fine)), parts.trails or sum(k in ("step", "do") for k in before) > 1
    return Entry(prose, steps, notes, once(given), errors, points, calls, first, trails=trails)


def _line(lines: Sequence[str], at: int, parts: _Parts) -> int:
    """Take the line at `at`, and those that belong to it; their number."""
    line = lines[at].rstrip()
    bare, defined = line.strip(), "".join(lines[at + 1 : at + 2]).startswith(": ")
    if bare.startswith(FENCE):
        parts.fenced, parts.open = not parts.fenced, False
        if parts.fenced:
            _lead(lines, at, parts)
            _shown(lines, at, parts)
    elif parts.fenced or not bare:
        parts.open = False
    elif _TITLE.match(line) or (_LABEL.match(bare) and len(bare.split()) < 7 and not (defined or NOTE.match(bare))):
        parts.open, parts.owned, parts.alert = False, False, bool(ALERT.match(bare))
        if not re.match(r"[-=~^]{3,}$", bare):
            parts.kind = label(bare)
            parts.label = "" if parts.kind or ALERT.match(bare) else one(bare).strip("#*_: ")
            parts.below(line)
    elif fact := _FACT.match(bare):
        parts.texts.append(("fact", f"{fact[1]}: {fact[2].rstrip('.')}."))
        parts.open = False
    elif _CALL.match(line):
        _lead(lines, at, parts)
        parts.open = False
    elif ALERT.match(bare):
        parts.open, parts.alert = False, True
    elif _CODE.match(line) or PAST.match(bare):
        parts.open = False
    elif found := table(lines[at:], parts.kind):
        parts.open = False
        parts.add(*found[1])
        return found[0]
    elif not line.startswith("|") and line.endswith("|"):
        parts.open = False  # the end of a row that is cut
    elif taken := _definition(lines, at, parts):
        return taken
    elif ITEM.match(line):
        return _item(lines, at, parts)
    else:
        _prose(lines, at, parts)
    return 1


def _lead(lines: Sequence[str], at: int, parts: _Parts) -> None:
    """A call follows: what leads over to it, "Evaluates an expression:", is the entry's description."""
    before = next((line for line in reversed(lines[:at]) if line.strip()), "")
    shown = any(_CALL.match(line) for line in lines[at : at + 2])
    if shown and parts.texts and parts.texts[-1][0] == "prose" and before.rstrip().endswith(":"):
        last = parts.texts[-1][1].rstrip()
        if last.endswith(":") and len(last.split()) > 2:
            parts.texts[-1] = ("prose", last[:-1] + ".")


def _shown(lines: Sequence[str], at: int, parts: _Parts) -> None:
    """One line of code follows: it ends the sentence that leads over to it."""
    end = next((i for i in range(at + 1, len(lines)) if lines[i].strip().startswith(FENCE)), 0)
    code = [line.strip().removeprefix("$ ").removeprefix(">>> ") for line in lines[at + 1 : end] if line.strip()]
    if len(code) != 1 or len(code[0]) > 100 or "`" in code[0] or code[0][0] in "{[<":
        return
    if not parts.texts and not parts.rows and _SHELL.match(lines[at].strip() + " " + code[0]):
        parts.texts.append(("prose", f"Run `{code[0]}`."))
    if parts.texts and parts.texts[-1][0] in ("prose", "item", "step") and parts.texts[-1][1].endswith(":"):
        parts.texts[-1] = (parts.texts[-1][0], f"{parts.texts[-1][1]} `{code[0]}`.")
    elif parts.texts and parts.texts[-1][0] == "prose" and ends(parts.texts[-1][1]) and _RUN.match(lines[at].strip()):
        parts.texts += [("prose", f"Run `{code[0]}`.")] * (not _FETCHES.match(code[0]))


def _definition(lines: Sequence[str], at: int, parts: _Parts) -> int:
    """The lines of a name that stands alone, with its text below; 0 where there is none."""
    below = lines[at + 1] if at + 1 < len(lines) else ""
    if not (_DEFINED.match(lines[at].strip()) or (below.startswith(": ") and len(lines[at]) < 60)):
        return 0
    deep = len(lines[at]) - len(lines[at].lstrip())
    first = next((i for i in range(at + 1, min(at + 3, len(lines))) if lines[i].strip()), len(lines))
    end = first
    while end < len(lines) and lines[end].strip():
        inner = len(lines[end]) - len(lines[end].lstrip())
        if inner <= deep and not lines[end].startswith(": "):
            break
        end += 1
    if end == first:
        return 0
    said = " ".join(line.strip().removeprefix(": ") for line in lines[first:end])
    parts.add(Row(lines[at].strip().strip("*+"), said))
    parts.open = False
    return end - at


def _item(lines: Sequence[str], at: int, parts: _Parts) -> int:
    """An item of a list with the lines that go on with it."""
    mark = ITEM.match(lines[at])
    deep = mark.end() if mark else 0
    said, taken = [lines[at][deep:].strip()], 1
    for line in lines[at + 1 :]:
        inner = len(line) - len(line.lstrip())
        whole = ends(said[-1]) and inner < 2
        if not line.strip() or ITEM.match(line) or line.startswith(("|", "#", *FENCE)) or _CALL.match(line):
            break
        if (whole and len(said[-1]) < SHORT) or (inner < 2 and _LABEL.match(line.strip())) or _CODE.match(line):
            break
        if NOTE.match(line.strip()) or ALERT.match(line.strip()) or PAST.match(line.strip()):
            break
        said.append(line.strip())
        taken += 1
    text = " ".join(said)
    parts.open, back = False, _BACK.match(one(text))
    if back:
        parts.texts += [("prose", f"{back[1]}: {back[2]}")] * ends(back[2])
        return taken
    row = typed(text) or item(one(text), parts.kind) if not NOTE.match(text) else None
    parts.owned = row is not None and _OWNING.match(row.name) is not None
    if row is None:
        numbered = re.match(r"\s*\d", lines[at])
        told = "step" if numbered else "tip" if parts.tips else "item"
        told = "note" if parts.warns and not (numbered and DO.match(text)) else told
        if told == "item" and parts.texts and parts.texts[-1][0] == "prose" and parts.texts[-1][1].endswith((":", "?")):
            lead = SENTENCE.split(parts.texts[-1][1])[-1]
            parts.texts[-1] = ("prose", parts.texts[-1][1].removesuffix(lead))
            parts.texts.append(("lead", f"{lead.rstrip(':?')}:"))
        parts.texts.append(("note" if NOTE.match(text) or MISTAKEN.match(text) else told, text))
    elif row.said:
        parts.add(row)
    elif at + taken + 1 < len(lines) and not lines[at + taken].strip() and lines[at + taken + 1][:1].strip():
        below = lines[at + taken + 1]  # a name whose text is the paragraph below it
        apart = not ITEM.match(below) and not below.startswith(("|", "#", *FENCE))
        if ends(below) and apart and not _told_beside(lines[:at], parts.kind):
            parts.add(Row(row.name, below))
            taken += 2
    return taken


def _told_beside(lines: Sequence[str], kind: Kind) -> bool:
    """Whether an item of the list that `lines` end in has its text on its line, so that what is below is of no item."""
    for line in filter(str.strip, reversed(lines)):
        mark = ITEM.match(line)
        row = item(one(line[mark.end() :]), kind) if mark else None
        if mark and (row is None or row.said or line is lines[-1]):
            return True
        if not mark and not line.startswith((" ", "\t")):
            return False
    return False


def _prose(lines: Sequence[str], at: int, parts: _Parts) -> None:
    """A line of a paragraph, or one that begins another."""
    line = lines[at].rstrip()
    if parts.owned and parts.rows and not parts.alert:
        parts.rows[-1] = replace(parts.rows[-1], said=f"{parts.rows[-1].said} {line.strip()}")
        return
    note, broken = parts.alert or NOTE.match(line) or MISTAKEN.match(line), at > 0 and _fragment(lines[at - 1])
    kind = "note" if note else "cell" if broken and len(line) < SHORT and not ends(line) else "prose"
    if parts.open and kind != "note" and not broken and parts.texts[-1][0] not in ("cell", "item"):
        parts.texts[-1] = (parts.texts[-1][0], f"{parts.texts[-1][1]} {line.strip()}")
    else:
        parts.texts.append((kind, line.strip()))
    parts.open, parts.alert = True, False


def _points(texts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Items that are whole, after the line that leads over to them if that is known."""
    told = (text if kind == "lead" and text.endswith(":") else done(text) for kind, text in texts)
    return unique(filter(None, told))


def _fragment(line: str) -> bool:
    """Whether a line neither ends a sentence nor is long enough to be wrapped: a title or a cell."""
    text = line.strip().rstrip("*_")
    return (
        0 < len(text) < SHORT and not ITEM.match(line) and not text.endswith((".", "!", "?", "|", ":", "```", "~~~"))
    )
