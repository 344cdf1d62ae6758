"""Lines of a documentation entry in; the rows of the table, or the named item, that begins there out."""

import re
from dataclasses import dataclass, replace
from typing import Literal

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
TYPE = (
    r"(?:array|binary|blob|bool(?:ean)?|bytes?|date(?:time|-time)?|dict|double|enum|file|float|function|int(?:eger)?|"
    r"list|long|map|null|number|object|path|query|string|structure|text|time(?:stamp)?|time|uuid|uri|url)"
)
CODE = re.compile(r"`?(?:[1-5]\d\d\b|M_[A-Z_]+`|[A-Z]\w*(?:Exception|Error|Fault)\b)")
_CAPITALS = re.compile(r"[`*]*[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+[`*]*")
_FINE = re.compile(r"`?2\d\d\b")
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
_KIND = rf"(?:{TYPE}s?|integers|binaries|objects?|json|required|optional|mandatory|nullable|read-only|unique)"
_DEFAULT = r"\bdefault(?:s to| value| is)?[:=]? ?(`[^`\n]+`|\"[^\"\n]*\"|[\w.-]*\w)"
_PLAINLY = rf"{_KIND}\b(?:(?:,|;| or| of| and)* (?:{_KIND}\b|{_DEFAULT}))*"  # a type in plain words
_TYPED = re.compile(
    rf"(?P<name>(?:{_SPAN})(?:(?:, | ?\| | / |,? or |,? and )(?:{_SPAN}))*),? (?P<about>{_PLAINLY})"
    r"(?:(?::|;|\.(?= [A-Z`])| [–—-]+(?=\s)) *(?P<said>\S.*)|\.?)$",
    re.S,
)
_KINDLY = re.compile(rf"({_PLAINLY})(?: \([^()]*\))?(?: +[–—-]+|[.;:]) +(?=\S)")
_TYPE_FIRST = re.compile(rf"^(?:`(?:{TYPE}|integer)s?(?: ?\([^()`]*\))?`|(?:{TYPE}|integer)\.) +(?=[A-Z`](?!\w*`? =))")
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
    place: str = ""  # the label that it stands below


def label(text: str) -> Kind:
    """What the list after such a heading or line tells."""
    return next((kind for kind, pattern in _LABELS if pattern.search(text)), "")


def settled(row: Row, kind: Kind) -> Row:
    """`row` below a label; a code stays a code wherever it stands, and below "Errors" NO_PHONE is one."""
    if kind == "error" and _CAPITALS.fullmatch(row.name):
        return replace(row, kind="error")
    if CODE.match(row.name) and not (row.kind == "request" and row.name.strip("`").isdecimal()):
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
    if typed := re.match(rf"(<[^>\n]+>|`[^`]+`|\((?:{TYPE})[^)]*\))(?:\s+[–—:-]+)?\s+(?=[A-Z`\"])", said):
        inner, said = f"{inner} {typed[1]}".strip(), said[typed.end() :]
    if slanted := re.match(r"([*_])\(?([a-z][^*_\n]{0,60}?)\)?\1 +[–—:-]+ +(?=\S)", said):
        about, inner, said = f"{about} {slanted[2]}", f"{inner} {slanted[2]}", said[slanted.end() :]
    if plainly := _KINDLY.match(said):
        about, inner, said = f"{about} {plainly[0]}", f"{inner} {plainly[0]}", said[plainly.end() :]
    needed = re.search(r"\b(?:required|mandatory)\b", inner, re.I) and not re.search(r"not required", inner, re.I)
    if not said:
        said = inner.strip("*_ ")
        return f"{said[0].upper()}{said[1:]}." if said and len(said.split()) < 9 else ""
    said = needing(said, bool(needed))
    if (default := re.search(_DEFAULT, about)) and "default" not in said.lower():
        return f"{said if said.endswith(('.', '!', '?')) else said + '.'} The default is {default[1]}."
    return said


def untyped(said: str) -> str:
    """A cell without the type that it begins with: "`string` The name"."""
    return _TYPE_FIRST.sub("", said)


def needing(said: str, needed: bool) -> str:
    """What is said of a name, with "Required." where it has to be given."""
    if not needed or re.search(r"\brequired\b", said, re.I):
        return said
    return f"{said if said.endswith(('.', '!', '?')) else said + '.'} Required."
