"""The lines of an entry in; the same with what tells a value or a meaning of a name in words as rows of a table, out.

Items such as "**Row with headers** (optional): ..." or "Write requests: 600 per minute", lines of "**Term**: ..." one
below the other, and fields, or ranges and defaults, said in one line.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from copilot.plain import pipe_row
from copilot.reading.blocks import OTHER
from copilot.reading.lists import ITEM
from copilot.reading.markup import FENCE, coded
from copilot.reading.prose import ACTS, ALERT, DOES, NOTE, SENTENCE, closed, ends
from copilot.reading.rows import TYPE, name_of

_BULLET = re.compile(  # "- **Row with headers** (optional): The range"
    r"[-*+•] +(?P<name>(\*\*|__)[^\W\d][^*\n:`]{1,48}\2)(?P<about> \((?P<kind>[^()\n]{2,60})\))?"
    r"(?::| [–—-]+(?= )) *(?P<said>\S.*?)\s*$"
)
_KIND = re.compile(
    rf"(?:(?:{TYPE}s?|integer|required|optional|mandatory|array of \w+|default:? \S+)(?:, ?|; ?| or |$))+", re.I
)
_FIELDS = re.compile(r"(?:\w+ ){0,2}(?:fields?|parameters?|params|properties|attributes|inputs?|columns)", re.I)
_FEW = re.compile(  # several in one line
    r"(?:\*\*)?(?:\w+ )?(?:fields|parameters|inputs|arguments|properties)(?::\*\*|\*\*:|:) +(?P<said>.*)$", re.I
)
_NEEDED = re.compile(r"(?P<name>`?[A-Za-z][\w .\[\]-]{0,30}`?) \((?P<kind>(?:required|optional)\b[^()]*)\)", re.I)
_VALUED = re.compile(  # "- Write requests: 600 per minute"
    r"[-*+•] +(?:\*\*)?(?!(?:step|see|example|examples|type|required|source|https?|version|date|updated?|q|a)\b)"
    r"(?P<name>[A-Z][\w/'’-]*(?: [\w/()'’-]+){0,5})(?:\*\*)?:(?:\*\*)? +(?P<said>[^\s|][^|]{0,140}?)\s*$",
    re.I,
)
_VALUE = re.compile(  # that begins with a number, or says that there is none
    r"(?:(?:up to|at (?:most|least)|about|around|max(?:\.|imum)?|min(?:\.|imum)?|no more than|from|between|over|under)"
    r"\s+|[~≈≤≥<>=+–-]\s*)*[$€£¥]? ?\d|(?:unlimited|none|no limit|infinite|on|off|enabled|disabled)\b(?!,? \w+ \w+ \w)",
    re.I,
)
_SAYS = re.compile(r"\b(?:is|are|was|were|can|may|must|will|should|has|have)\b", re.I)
_PROS = re.compile(r"[*_#]*\s*(?:pros|advantages|benefits|strengths)\s*:?[*_]*:?\s*$", re.I)
_CONS = re.compile(r"[*_#]*\s*(?:cons|disadvantages|drawbacks|weaknesses)\s*:?[*_]*:?\s*$|Warning: Cons", re.I)
_TERM = re.compile(r"(\*\*?|__?)(?P<name>\w[^*_\n:`]{1,40})(?:\1:|:\1)[ \t]+(?P<said>\S.*?)\s*$")
_PART = re.compile(  # what such lines begin with that are no terms
    r"(?:problem|symptom|issue|cause|reason|solution|fix|remedy|answer|question|q|a|example|analogy|pro|con|purpose|"
    r"description|output|input|return|limitation|type|required|default|author|owner|date|status|version|updated?|"
    r"last updated|created|source|licen[cs]e|method|url|endpoint|path|see|see also|step|before|after|goal|result|"
    r"base url|request|response|connection|field|summary|audience|contact|tag|team|reviewed(?: by)?|permission|"
    r"customer|agent|user|assistant|caller|client|you|me|system|"
    r"error|scope|prerequisite|requirement|use case|when to use|how it works|what it does|in short|note)s?$",
    re.I,
)
_GLOSSARY = re.compile(
    r"(?:.*[\s*])?(?:terminology|definitions|glossary|(?:key|important) terms)\b[^.:]{0,24}:?\W*$", re.I
)
_KEYS = (
    r"(?:(?:allowed |valid |usual |typical |recommended )?(?:range|values?)|default(?: value)?|min(?:imum)?|"
    r"max(?:imum)?|typical|recommended|usual|units?|common values|type)"
)
_FACT = re.compile(rf"[*_]*(?P<key>{_KEYS})[*_]*:[*_]* *(?P<said>[^\s*].*)$", re.I)
_NEXT = re.compile(rf"(?:(?<=[.;,|·])|(?<=[\w)`] [|·])) +(?=[*_]*{_KEYS}[*_]*:[*_]* )", re.I)


def terms(lines: Sequence[str], title: str = "") -> list[str]:
    """The lines, those of a term and its meaning, or of a range and a default, as rows; `title` is the heading's."""
    facts = {at: found for at, code in enumerate(coded(lines)) if not code and (found := _facts(lines, at, title))}
    if len(facts) == 1:  # of several it is not known what each is of
        [(at, (end, rows))] = facts.items()
        lines = [*lines[:at], "", *rows, "", *lines[end:]]
    out: list[str] = []
    glossary = False
    for begin, end in _paragraphs(lines):
        part = list(lines[begin:end])
        meant = _meanings(part, glossary) or (_inline(part[0]) if len(part) == 1 else [])
        glossary = bool(_GLOSSARY.match(part[-1])) or (glossary and (bool(meant) or not part[0].strip()))
        out += meant or part
    return out


def _paragraphs(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(first line, line after the last) of each paragraph of text; of each other line."""
    begin = 0
    told = zip(lines, coded(lines), strict=True)
    texts = [not code and bool(line.strip()) and not line.startswith((" ", "|", "\t")) for line, code in told]
    while begin < len(lines):
        end = begin + 1
        while texts[begin] and end < len(lines) and texts[end]:
            end += 1
        yield begin, end
        begin = end


def _meanings(part: Sequence[str], glossary: bool) -> list[str]:
    """The paragraph with its terms as rows, two and more, or any in a `glossary`; nothing where it has none."""
    found = [_TERM.match(line) for line in part]
    first = next((n for n, match in enumerate(found) if match), -1)
    lead = part[:first] if first > 0 else []
    pairs: list[list[str]] = []
    for line, match in zip(part[first:], found[first:], strict=True):
        if match:
            pairs.append([match["name"].strip(), match["said"]])
        elif OTHER.match(line):
            return []
        elif pairs:
            pairs[-1][1] += f" {line.strip()}"
    if len(pairs) < 2 - glossary or (lead and not lead[-1].rstrip("*_ ").endswith(":")):
        return []
    if any(ALERT.match(name) or len(name.split()) > 4 for name, _ in pairs) or any(map(NOTE.match, part)):
        return []
    if not glossary and any(_PART.match(pair[0]) or any(map(ACTS.match, pair)) for pair in pairs):
        return []
    return [*lead, *[""] * bool(lead), *map(pipe_row, pairs)]


def _inline(line: str) -> list[str]:
    """The rows of "Fields: Query (required), Limit (optional; default 20)."; none where anything else is said."""
    head = _FEW.match(line.strip())
    pieces = re.split(r"(?<=\)), (?:and )?", head["said"].rstrip(".")) if head else []
    found = [_NEEDED.fullmatch(piece) for piece in pieces]
    if len(found) < 2 or not all(found):
        return []
    about = [(match["name"], re.split(r"[;,] ", match["kind"])) for match in found if match]
    rows = [[name, " ".join(f"{text[0].upper()}{text[1:]}." for text in kinds if text)] for name, kinds in about]
    return ["", *map(pipe_row, rows), ""]


def _facts(lines: Sequence[str], at: int, title: str) -> tuple[int, list[str]] | None:
    """(line after them, rows) of the facts that begin at `at`, two and more, with what else is said below them.

    What stands below a name of its own is told of that.
    """
    above = lines[at - 1] if at else ""
    if not _FACT.match(lines[at]) or _FACT.match(above) or (above.strip() and not ends(above)):
        return None
    before = next((line.strip() for line in reversed(lines[:at]) if line.strip()), "")
    if before and not ends(before.rstrip("|")) and not before.startswith(("#", "|", "-", "=", *FENCE)):
        return None
    end = next((n for n in range(at + 1, len(lines)) if not _FACT.match(lines[n])), len(lines))
    if end < len(lines) and lines[end].strip() and not lines[end - 1].rstrip().endswith((".", "!")):
        return None  # it goes on
    parts = [text for line in lines[at:end] for text in SENTENCE.split(line.strip())]
    pieces = [_NEXT.split(text) for text in parts]
    count = next((n for n, told in enumerate(pieces) if not all(map(_FACT.match, told))), len(parts))
    found = [match for told in pieces[:count] for piece in told if (match := _FACT.match(piece))]
    keys = {match["key"].lower() for match in found}
    if not 1 < len(keys) == len(found) or keys <= {"type", "default", "default value"}:
        return None
    if any(_SAYS.search(match["said"].partition("(")[0]) for match in found):
        return None
    pairs = [(match["key"].capitalize(), f"{match['said'].strip().rstrip('.;,|· ')}.") for match in found]
    if name := name_of(title):
        rows = [f"- `{name}`: {' '.join(f'{key}: {said}' for key, said in pairs)}"]
    else:
        rows = [pipe_row([*pair]) for pair in pairs]
    return end, [*rows, *["", " ".join(parts[count:])] * (count < len(parts))]


def items(lines: Sequence[str], title: str = "") -> list[str]:
    """The lines, items that tell a value or a meaning of a name in words as rows; `title` is the heading's."""
    out: list[str] = []
    bullets = {at: match for at, code in enumerate(coded(lines)) if not code and (match := _BULLET.match(lines[at]))}
    apart = [match for match in bullets.values() if match["about"] and not _KIND.fullmatch(match["kind"])]
    several = len(apart) > 1 and not any(ACTS.match(m[0]) or DOES.match(m["name"].strip("*_")) for m in apart)
    valued = _valued(lines)
    fields, good, at = bool(_FIELDS.fullmatch(title)), "", 0
    weighed = any(map(_CONS.match, lines))
    while at < len(lines):
        line, end = lines[at], at + 1
        fields = bool(_FIELDS.fullmatch(line.strip("#*_: "))) if _heads(line) else fields
        match = bullets.get(at)
        name = _name(match, fields, several and not _deeper(lines, at)) if match else ""
        if (match and name) or at in valued:
            match = match if name else _VALUED.match(line)
            while end < len(lines) and not OTHER.match(lines[end]):
                end += 1
        said = " ".join([match["said"] if match else "", *(text.strip() for text in lines[at + 1 : end])])
        good = (_PROS.match(line) or [""])[0].strip("*_: ") if weighed and _heads(line) else good
        if match and (name or at in valued):
            out.append(pipe_row([name, said] if name else [match["name"], closed(said)]))
        else:
            out.append(f"{mark[0]}{good}: {line[mark.end() :]}" if good and (mark := ITEM.match(line)) else line)
        at = end
    return out


def _heads(line: str) -> bool:
    """Whether a line is a heading or a label."""
    return bool(line.startswith("#") or re.fullmatch(r"(?:\*\*|__)[^*]+(?:\*\*|__):?|[A-Z][\w ]{2,40}:", line.strip()))


def _deeper(lines: Sequence[str], at: int) -> bool:
    """Whether items stand below the item at `at`."""
    below = next((line for line in lines[at + 1 :] if line.strip()), "")
    return below.startswith((" ", "\t")) and ITEM.match(below) is not None


def _name(match: "re.Match[str]", fields: bool, several: bool) -> str:
    """The name of a row that an item in bold is, "" where it is none: what it is called, and what brackets say.

    It is one where these tell its type or that it may be left out, below a label such as "Fields" (`fields`), and where
    `several` items have other brackets; a name of one word is read otherwise.
    """
    name, kind = match["name"], match["kind"] or ""
    words = len(name.split())
    if not 1 < words < 6 or ALERT.match(name) or NOTE.match(match[0][2:]):
        return ""
    typed = kind and _KIND.fullmatch(kind) and (fields or not ACTS.match(match["said"]))
    if typed or (fields and not kind and not DOES.match(name.strip("*_"))):
        return f"{name} (required)" if re.search(r"\b(?:required|mandatory)\b", kind, re.I) else name
    return f"{name}{match['about']}" if kind and several else ""


def _valued(lines: Sequence[str]) -> set[int]:
    """The items that tell a number, or that there is none, of a name; two and more, each of another name.

    In a list of nothing but names with short values the others are rows too.
    """
    found: set[int] = set()
    names: Counter[str] = Counter()
    for run in _runs(lines):
        told = {at: match for at in run if (match := _VALUED.match(lines[at])) and _plain(match)}
        numbers = [at for at, match in told.items() if _VALUE.match(match["said"])]
        names.update(match["name"].lower() for match in told.values())
        if any(DOES.match(match["name"]) for match in told.values()):
            continue
        whole = len(told) == len(run) and not any(ACTS.match(m["said"]) or len(m["said"]) > 80 for m in told.values())
        found.update(told if whole and len(numbers) > 1 else numbers if len(numbers) > 1 else ())
    return found if not names or max(names.values()) == 1 else set()


def _plain(match: "re.Match[str]") -> bool:
    """Whether an item is a name and a value of one sentence."""
    return not (_SAYS.search(match["name"]) or NOTE.match(match[0][2:]) or SENTENCE.search(match["said"]))


def _runs(lines: Sequence[str]) -> list[list[int]]:
    """The items of each list, those that stand below none and have none below them."""
    runs: list[list[int]] = [[]]
    for at, (line, code) in enumerate(zip(lines, coded(lines), strict=True)):
        if not code and re.match(r"[-*+•] +\S", line) and not _deeper(lines, at):
            runs[-1].append(at)
        elif code or (line.strip() and not line.startswith((" ", "\t"))):
            runs.append([])
    return runs
