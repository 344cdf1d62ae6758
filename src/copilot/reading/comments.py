"""Text of an entry in; the same with what code says of itself written as items and pipe tables, out.

Sections of docstrings ("Parameters" underlined with its "name : type", "Args:" with its "name (type): text"), settings
within a fence whose comments explain them (YAML, TOML, ini, .env), and the options that `--help` prints in one. A fence
without such comments stays code, and so does each in an entry with numbered steps, which may need it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from copilot.plain import pipe_table
from copilot.reading.markup import FENCE
from copilot.reading.prose import NOTE, balanced

_SECTION = re.compile(
    r"(?:Other |Keyword )?(?:Parameters|Arguments|Args|Attributes)|(?P<back>Returns|Yields)|(?P<errs>Raises|Warns)"
)
_MAY = re.compile(
    r"^[ \t]*(?:`{3}|~{3}|-{3,}[ \t]*$|(?:\w+ )?(?:Parameters|Arguments|Args|Attributes|Raises):?[ \t]*$)", re.M
)
_UNDER = re.compile(r"\s*-{3,}\s*$")
_WORD = r"\*{0,2}[A-Za-z_][\w.]*"
_TYPED = re.compile(rf"(?P<name>{_WORD}(?:, {_WORD})*)(?P<colon> ?: (?P<about>\S.{{0,100}}))?$")
_TYPE = re.compile(r"[A-Za-z_][\w.]*(?:\[[^\]]*\])?(?:(?: or |, ?| ?\| ?)[A-Za-z_][\w.]*(?:\[[^\]]*\])?)*$")
_GOOGLE = re.compile(rf"(?P<name>{_WORD})(?: ?\((?P<about>[^()]*(?:\([^()]*\)[^()]*)*)\))?: +(?P<said>\S.*)$")
_WITH_TYPE = re.compile(r"[A-Za-z_][\w.]*(?:\[[^\]:]*\])?(?: \| \w+)*: +(?=[A-Z`\"])")
_LANGUAGE = re.compile(r"\s*(?:`{3,}|~{3,})[ \t{.]*([\w.+-]*)")
_SETS = re.compile(r"(?:ya?ml|ini|toml|(?:dot)?env|conf(?:ig)?|cfg|properties|te?xt|plain(?:text)?)?$", re.I)
_HELPS = re.compile(r"(?:te?xt|plain(?:text)?|console|shell|bash|sh|help|usage|output|none|terminal)?$", re.I)
_NUMBERED = re.compile(r"\s*(?:\W{0,4}step )?\d{1,2}[.):](?:\*\*)? +\S", re.I)
_KEY = re.compile(
    r"(?P<deep>\s*(?:- +)?)(?:export +)?(?P<name>[A-Za-z_][\w./-]*)\s*(?P<mark>=|:(?=\s|$))\s*(?P<value>.*)$"
)
_PART = re.compile(r"\s*\[{1,2}(?P<name>[\w. \"':/-]+)\]{1,2}$")  # a section of settings
_VALUE = re.compile(r"\s*- +[^\s{\[]|\s+[\w\"'./-]+,?$|\s*\],?$")  # of a list
_HEADS = re.compile(  # a comment above several settings
    r"[=*#~-]{3,}|^(?:an? )?(?:example|sample)\b|\b(?:settings|options|config(?:uration)?|section|variables|file)$",
    re.I,
)
_OFF = re.compile(r"^(\s*)[#;] ?(?=[a-zA-Z][\w.-]* ?= ?\S*(?:\s+[#;].*)?$)")  # a setting that is not set
_CODE = re.compile(r"\w\(|=>|[{(\[;]$|^=|\b(?:lambda|await|new|return)\b")  # of a program
_OPTION = re.compile(r"(?:--?[A-Za-z]\w*|--[A-Za-z][\w-]*)(?:[ =,/|\[].*)?$")
_LISTED = re.compile(r"\s*(?:positional arguments|arguments|(?:\w+ )?(?:sub)?commands):?\s*$", re.I)
_COMMAND = re.compile(r"(?:[a-z][\w-]*(?:, ?[a-z][\w-]*)*|[A-Z][A-Z_]+|<[\w-]+>|\[[\w.-]+\])$")
_DEFAULT = re.compile(r",? ?\bdefault(?:s to| is)?[:=]? ?(\"[^\"]*\"|'[^']*'|`[^`]+`|[^\s,()\[\]{}]+)$", re.I)
_SAYS = re.compile(r"\bdefaults?\b", re.I)
_ENDS = re.compile(  # "[default: 5; required]", "(default 5s)", "Default: 5"
    r"\s*(?:[(\[](?=defa|requ)(?:defaults?(?: to| is)?[:=]? ?(?P<default>[^\s;,()\[\]]+))?(?:[;,] ?)?(?:required)?"
    r"[)\]]|(?<=[.!?,;]) ?Defaults?(?: to)?:? (?P<plain>[^\s;,()]+))\.?$",
    re.I,
)
_NO_TEXT = re.compile(r"(?:or|e\.g\.?|see|same|ditto|todo|fixme|noqa)\b", re.I)
LONGEST = 40  # characters of a value that is shown


def explained(text: str, title: str = "") -> str:
    """`text` with docstrings, settings and options as items and rows; `title` is the last part of the heading path."""
    if not (_MAY.search(text) or _SECTION.fullmatch(title)):
        return text
    lines = text.split("\n")
    out: list[str] = []
    at, steps = 0, sum(bool(_NUMBERED.match(line)) for line in lines) > 1
    documented = False
    while at < len(lines):
        end, told = at + 1, [lines[at]]
        if lines[at].strip().startswith(FENCE):
            close = next((n for n in range(at + 1, len(lines)) if lines[n].strip().startswith(FENCE)), len(lines))
            end, told = close + 1, lines[at : close + 1]
            if not (steps or lines[at][:1].isspace()):
                told = _fenced(lines[at], lines[at + 1 : close]) or told
        elif found := _section(lines, at, title, documented):
            end, told = found
            documented = True
        out += told
        at = end
    return "\n".join(out)


def _fenced(fence: str, body: Sequence[str]) -> list[str]:
    """A table of what the code in a fence says of itself; nothing where it says too little."""
    language = _LANGUAGE.match(fence)
    name = language[1] if language else ""
    rows = _settings(body, named=bool(name)) if _SETS.match(name) else []
    if rows:
        return ["", *pipe_table([["Setting", "Description"], *rows]).splitlines(), ""]
    rows = _options(body) if _HELPS.match(name) else []
    return ["", *pipe_table([["Option", "Description"], *rows]).splitlines(), ""] if rows else []


# --- docstrings


def _section(lines: Sequence[str], at: int, title: str, known: bool) -> tuple[int, list[str]] | None:
    """(line after it, items) of the section of a docstring that begins here; `known` says that one came before."""
    head, deep = lines[at].strip(), _deep(lines[at])
    opens = _SECTION.fullmatch(title) and head and not any(line.strip() for line in lines[:at])
    if opens and (_UNDER.match(head) or (" : " in head and _deep("".join(lines[at + 1 : at + 2])) > deep)):
        named, begin, below = title, at + bool(_UNDER.match(head)), True
    elif _SECTION.fullmatch(head) and _UNDER.match("".join(lines[at + 1 : at + 2])):
        named, begin, below = head, at + 2, True
    elif head.endswith(":") and _SECTION.fullmatch(head[:-1]):
        named, begin, below = head[:-1], at + 1, False
    else:
        return None
    kind = _SECTION.fullmatch(named)
    first = next((line for line in lines[begin:] if line.strip()), "")
    margin = deep if below else _deep(first)
    if not kind or (not below and margin <= deep) or (kind["back"] and not below and not known):
        return None
    end, items = _items(lines, begin, margin, bool(kind["back"] or kind["errs"]), below)
    if kind["back"] and not below:
        end = next((n for n in range(begin, len(lines)) if lines[n].strip() and _deep(lines[n]) < margin), len(lines))
        said = _WITH_TYPE.sub("", " ".join(" ".join(lines[begin:end]).split()), count=1)
        return (end, ["", f"Returns: {said}", ""]) if said else None
    if not items:
        return None
    if kind["back"] and len(items) == 1:
        return end, ["", f"Returns: {items[0][2]}", ""]
    rows = [f"- {', '.join(f'`{n}`' for n in re.split(', ', name))}{about}: {said}" for name, about, said in items]
    return end, ["", f"{named}:", "", *rows, ""]


def _items(
    lines: Sequence[str], at: int, margin: int, types: bool, below: bool
) -> tuple[int, list[tuple[str, str, str]]]:
    """(line after them, (name, type in brackets, text) of each) of what a section tells; none where it is not one.

    `types` says that a type may stand for a name, `below` that the text of each stands below its name.
    """
    out: list[tuple[str, str, str]] = []
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        bare = lines[at].strip()
        if _deep(lines[at]) != margin or NOTE.match(bare) or (at + 1 < len(lines) and _UNDER.match(lines[at + 1])):
            break
        end = at + 1
        while end < len(lines) and (not lines[end].strip() or _deep(lines[end]) > margin):
            end += 1
        said = " ".join(" ".join(lines[at + 1 : end]).split())
        google = None if below else _GOOGLE.match(bare)
        typed = _TYPED.match(bare) if said else None
        if google:
            name, about, said = google["name"], google["about"], f"{google['said']} {said}".strip()
        elif typed and (below or typed["colon"]):
            name, about = typed["name"], typed["about"]
        elif types and said and _TYPE.match(bare):
            name, about = bare, None
        else:
            break
        said = _plainly(said)
        if about and (default := _DEFAULT.search(about)):
            about = about[: default.start()]
            said = said if _SAYS.search(said) else f"{_stopped(said)} The default is {default[1]}."
        out.append((name.replace("*", ""), f" ({about})" if about and balanced(about) else "", said))
        at = end
    whole = at >= len(lines) or below or _deep(lines[at]) < margin
    return (at, out) if whole else (at, [])


def _plainly(said: str) -> str:
    """What is said of a name, with "[default: 5; required]" at its end as sentences."""
    ends = _ENDS.search(said)
    if ends is None:
        return said
    told = said[: ends.start()].rstrip(" .,;")
    default = (ends["default"] or ends["plain"] or "").rstrip(".")
    parts = [f"The default is {default}."] * bool(default) + ["Required."] * ("required" in ends[0].lower())
    return " ".join([_stopped(told), *parts]) if told else said


def _stopped(said: str) -> str:
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _deep(line: str) -> int:
    return len(line) - len(line.lstrip())


# --- settings


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    shown: str  # as it is set; "" where it has no value of its own
    beside: str  # a comment
    above: str  # another
    deep: int
    alone: bool = True  # whether the comment above tells of no other

    @property
    def said(self) -> str:
        """What its comments say."""
        above = self.above if self.alone and " " in self.above and (not self.beside or self.above[-1] == ".") else ""
        return f"{above} {self.beside}".strip()


def _settings(body: Sequence[str], named: bool) -> list[list[str]]:
    """(name, what its comments say) of the settings of a file, half of which and two at least are explained.

    `named` says that the fence names a language.
    """
    found = _set(body, named)
    told = [one for one in found if re.search(r"[A-Za-z]{3}", one.said) and not _NO_TEXT.match(one.said)]
    told = [one for one in told if balanced(one.said)]
    own = sum(bool(one.shown) for one in told)
    if len(told) < 2 or 2 * own < sum(bool(one.shown) for one in found):
        return []
    return [[one.name, _with_value(_plainly(one.said), one.shown)] for one in told]


def _with_value(said: str, shown: str) -> str:
    """What is said of a setting, with how it is set where that is short."""
    if not shown or len(shown) > LONGEST or "`" in shown or "default" in said.lower():
        return said
    return f"{_stopped(said)} Example: `{shown}`."


def _set(body: Sequence[str], named: bool) -> list[_Setting]:
    """Every setting of a file; none where it is of another kind."""
    found: list[_Setting] = []
    above: list[str] = []
    within: list[tuple[int, str]] = []  # (indentation, name) of what the line stands in
    part, hidden, near = "", -1, False  # the section; how far a long value is indented; whether one is right above
    for line in body:
        if hidden >= 0 and (not line.strip() or _deep(line) > hidden):
            continue
        hidden = -1
        code, beside = _parted(_OFF.sub(r"\1", line))
        key = _KEY.match(code)
        if not code.strip():
            above, near = _remarks(above, line), False
        elif key and (named or key["mark"] == ":" or not _CODE.search(key["value"])):
            deep, value = len(key["deep"]), key["value"]
            hidden = _deep(line) if re.match(r"[|>][+-]?\d?$", value) else -1
            within = [outer for outer in within if outer[0] < deep]
            place = f" of `{within[-1][1]}`" if within else f" of `{part}`" if part else ""
            if near and value and not (beside or above) and found[-1].deep == deep:
                found[-1] = replace(found[-1], alone=found[-1].above.endswith("."))
            shown = re.sub(r"^- +", "", code.strip()) if value and hidden < 0 else ""
            found.append(_Setting(f"`{key['name']}`{place}", shown, beside, " ".join(above), deep))
            within += [] if value else [(deep, key["name"])]
            above, near = [], True
        elif named_part := _PART.match(code):
            part, above, near = named_part["name"].strip("\"' "), [], False
        elif not _VALUE.match(code):
            return []
    return found


def _remarks(above: Sequence[str], line: str) -> list[str]:
    """The comments above with this line; none after a blank one, a rule, or the title of several settings."""
    said = re.sub(r"^\s*[#;]+\s*", "", line).strip()
    if re.fullmatch(r"[\w.-]+: ?[\w./-]*", said):
        return [*above]  # what was set once
    return [*above, said] if re.search(r"\w", said) and not _HEADS.search(said) else []


def _parted(line: str) -> tuple[str, str]:
    """(code, comment) of a line."""
    for match in re.finditer(r"\"[^\"]*\"|'[^']*'|(?:^|\s+)[#;]+\s*", line):
        if match[0].strip()[:1] in ("#", ";"):
            return line[: match.start()].rstrip(), line[match.end() :].strip()
    return line.rstrip(), ""


# --- options


def _options(body: Sequence[str]) -> list[list[str]]:
    """(options or command, what it does) of what `--help` prints; none where it tells of fewer than two options."""
    rows: list[list[str]] = []
    deep, listed = -1, False  # how far the last option is indented; whether commands are listed here
    for line in body:
        if line.endswith("\\"):
            return []
        bare = re.sub(r"^(-\w),? +(?=--)", r"\1, ", line.strip())
        head, _, said = re.sub(r"\t+| {2,}", "\t", bare).partition("\t")
        option = _OPTION.match(head) and len(head) < 60 and (line[:1].isspace() or head.startswith("--"))
        command = listed and said and line[:1].isspace() and _COMMAND.match(head) and not 0 <= deep < _deep(line)
        if (option or command) and (not said or re.match(r"[\w(\"'`<\[]", said)):
            rows.append([f"`{head}`", said.replace("\t", " ")])
            deep = _deep(line)
        elif rows and line.strip() and 0 <= deep < _deep(line):
            rows[-1][1] = f"{rows[-1][1]} {' '.join(line.split())}".strip()
        elif line.strip():
            deep, listed = -1, _LISTED.match(line) is not None
    rows = [[name, _plainly(said)] for name, said in rows if said and "`" not in name[1:-1]]
    return rows if sum(row[0].startswith("`-") for row in rows) > 1 else []
