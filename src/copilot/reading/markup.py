"""The text of an entry in; the same without what markdown and HTML hide from a reader, out.

Quotes and alerts become paragraphs, below a line "Warning" or "Note" where they are one; entities become characters;
tags, footnote marks, struck text and lists of links within the page go. Code stays as it is.
"""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from copilot.plain import pipe_table
from copilot.reading.prose import small

FENCE = ("```", "~~~")  # what a line of code begins or ends with
_NOTES, _WARNINGS = r"note|info|tip|hint|abstract|important|seealso", r"warning|caution|danger|attention|error|alert"
_KINDS = f"{_NOTES}|{_WARNINGS}"
_MARKED = re.compile(  # what begins an alert: "[!NOTE]", ":::tip Title", "!!! danger", ".. warning::"
    rf"(?:\[!(?P<hub>{_KINDS})\]|:::+ *\{{?\.?(?P<box>{_KINDS})\}}?|"
    rf"(?:!!!|\?\?\?\+?) +(?P<mk>{_KINDS})\b|\.\. +(?P<rst>{_KINDS})::)(?P<rest>.*)$",
    re.I,
)
_BOX = re.compile(
    rf"<(div|p|aside|blockquote)\b[^>]*\bclass=[\"'][^\"'>]*\b(?P<kind>{_KINDS})\b[^\"'>]*[\"'][^>]*>(?P<said>.*?)(?:</\1>|\Z)",
    re.S | re.I,
)
_SIGN = re.compile(  # a sign before a line, or before what is bold at its beginning
    r"^([-*+] +|\d+[.)] +)?(?:\*\*(?=\S+ (?:\w+ ?){1,3}:\*\*))?"
    r"((?:[\u2139\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?)+)[ \t]*(?=\S)"
)
_NO = "\u274c\u2716\u2717\u2718\U0001f6ab"
_YES = ("\u2705", "\u2714", "\u2714\ufe0f", "\u2713", "\u2611", "\u2611\ufe0f")
_ALARM, _ADVICE = "\u26a0\u26d4\u2757\u203c\U0001f6a8\U0001f6d1\U0001f525", "\u2139\U0001f4a1\U0001f4dd\U0001f4cc"
_MDX = re.compile(r"<(Note|Warning|Tip|Info|Caution|Danger|Callout|Alert|Hint|Important)\b[^<>]*>(.*?)</\1>", re.S)
_PLEASE = re.compile(r"[*_]{0,2}Please note(?: that)?,? +(?=[^\W\d])")
_PARAM = re.compile(r"<(ParamField|ResponseField)\b([^<>]*)>(.*?)</\1>", re.S)
_SPANS = (  # tags, and the marks that they become
    ("**", r"</?(?:b|strong)\b[^<>]*>"),
    ("`", r"</?(?:code|tt|samp)>"),
    ("", r"</?(?:kbd|ins|em|i|u|mark)\b[^<>]*>"),
)
_BOXED = re.compile(r"([ \t]*)(\d)\ufe0f?\u20e3[.)]?[ \t]*(?=\S)")
_TABBED = re.compile(r"([ \t]*(?:[-*+•]|\d+[.)]))\t[ \t]*")
_DECIMAL = re.compile(r"\d+\.(\d+)\.? (?=[A-Z`*])")
_ROMAN = re.compile(r"([ \t]*)(i{1,3}|iv|vi{0,3}|ix|x)[.)] +(?=[A-Z`*])")
_SPELT = re.compile(r"(?:\*\*)?step (one|two|three|four|five|six|seven|eight|nine|ten)\b", re.I)
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ROMANS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_UNTABLED = re.compile(r"[ \t|#]|(?:[-*+•]|\d+[.)])\t|$")
_RULE = re.compile(r"[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)+$")  # of a table without outer pipes
_ELSEWHERE = re.compile(r"[ \t]*\[[^\]^]+\]:[ \t]+\S")  # where a link leads to
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|\{/\*.*?\*/\}", re.S)
_QUOTE = re.compile(r"(?: {0,3}> ?)++")  # within quotes too
_LINKED = re.compile(r"[ \t]*(?:[-*+]|\d+[.)]) +\[[^\]]*\]\(#[^)]*\)[ \t]*$")  # to a place of the same page
_FOOTNOTE = re.compile(r"^\[\^[\w-]+\]:[ \t]*")
_TAG = re.compile(
    r"</?(?:p|div|details|summary|section|article|aside|center|font|ul|ol|dl|tbody|thead|Badge|Highlight)\b[^<>]*>",
    re.I,
)
_ENTITY = re.compile(r"&(?:#\d+|#x[\da-f]+|[a-z]\w+);", re.I)
_HIDDEN = re.compile(r"\[\^[\w-]+\]|~~[^~\n]+~~[ \t]*|[ \t]*\{[:{]?[ \t]*[#.<%][^{}\n]*\}+")  # "{#install}"
_BRIGHT = re.compile(r"==(?=\S)([^=\n]+)(?<=\S)==")
_NUMBERED = re.compile(r"[ \t]*\((?:\[?#\d+\]?(?:\([^()]*\))?(?:, )?)+\)[ \t]*$")  # "(#412)", of a list of changes
_IMAGE = re.compile(r"^[ \t]*(?:\[?!\[[^\]]*\]\([^()]*\)(?:\]\([^()]*\))?[ \t]*)+$")  # alone on its line
_APART = re.compile(rf"\s|#|\||[-*+] |\d+[.)] |:::|\W{{0,4}}(?:{_KINDS})\W{{0,4}}$|(?:{_MARKED.pattern})", re.I)
_DOTS = re.compile(r"\.{5,}[ \t]*\d*[ \t]*$")  # of a table of contents
_TASK = re.compile(r"^([ \t]*)[-*+] +\[[ xX]\] +")  # to be done, and so a step


def plain(text: str) -> str:
    """`text` as it is read, line by line."""
    return "\n".join(_lines(text))


def cell(text: str) -> str:
    """A cell of a table: breaks and items of lists become commas and semicolons, tags and escapes go."""
    text = re.sub(r"\s*<br\s*/?>\s*[*_(]{0,3}(required|optional)[*_)]{0,3}\s*$", r" (\1)", text, flags=re.I)
    text = re.sub(r"(?<=`)\s*<br\s*/?>\s*(?=`)", ", ", text)
    text = re.sub(r"(?<=[^\s.:;,!?>])\s*<br\s*/?>\s*(?=[^\s<])(?!\d+[.)] )", "; ", text)
    text = re.sub(r"(?:\s|<br\s*/?>|&nbsp;)+", " ", re.sub(r"</?(?:ul|ol|p)\b[^<>]*>", "", text)).strip()
    text = re.sub(r"\s*</li>\s*(?=<li)", "; ", text)
    text = re.sub(r"</?li\b[^<>]*>", "", text).replace("\\|", "|").strip()
    return "Yes" if text in _YES else "No" if text and text[0] in _NO and len(text) < 3 else text


def _lines(text: str) -> Iterator[str]:
    """The lines outside code as they are read, those of code as they are."""
    lines = text.split("\n")
    for inside, group in groupby(zip(coded(lines), lines, strict=True), itemgetter(0)):
        part = [line for _, line in group]
        yield from part if inside else _read("\n".join(part)).split("\n")


def coded(lines: Sequence[str]) -> list[bool]:
    """For each line whether it is of a block of code, or begins or ends one."""
    fenced, found = False, list[bool]()
    for line in lines:
        fence = line.strip().startswith(FENCE)
        fenced ^= fence
        found.append(fenced or fence)
    return found


def _read(text: str) -> str:
    """A part without code."""
    text = re.sub(r"<dt\b[^>]*>(.*?)</dt>\s*<dd\b[^>]*>(.*?)(?:</dd>|$)", r"\n\1\n: \2\n", text, flags=re.S | re.I)
    text = _COMMENT.sub("", text)
    text = _PARAM.sub(_param, text)
    text = _MDX.sub(lambda box: f"\n\n{_title(box[1])}\n{_flat(box[2])}\n\n", text)
    text = _noted(text)
    text = _BOX.sub(lambda box: f"\n\n{_title(box['kind'])}\n{_flat(box['said'])}\n\n", text)
    text = _unlisted(text)
    lines = _alerted(list(_unquoted(text.split("\n"))))
    unseen = (_LINKED, _IMAGE, _ELSEWHERE)
    read = [line for line in _piped(list(lines)) if not any(pattern.match(line) for pattern in unseen)]
    roman = sum(bool(_ROMAN.match(line)) for line in read) > 1
    parted = re.search(r"(?m)^\d+\.1\.? [A-Z`*].*\n\d+\.2\.? [A-Z`*]", text) is not None
    signs = {sign[2][0] for line in read if (sign := _SIGN.match(line))}
    listed = bool(signs & {*_NO} and signs & {yes[0] for yes in _YES})
    return "\n".join(_line(_counted(line, roman, parted), listed) for line in read if not _DOTS.search(line))


def _param(match: "re.Match[str]") -> str:
    """A field that is told by a tag, as an item."""
    named = re.search(r"\b(?:path|query|body|header|name)=[\"'{]+([\w.\[\]-]+)", match[2])
    kind = re.search(r"\btype=[\"'{]+([^\"'}]+)", match[2])
    about = ([kind[1]] if kind else []) + ["required"] * bool(re.search(r"\brequired\b(?!=)", match[2]))
    told = f" ({', '.join(about)})" if about else ""
    return f"\n\n- `{named[1]}`{told}: {_flat(match[3])}\n\n" if named else match[3]


def _counted(line: str, roman: bool, parted: bool) -> str:
    """A line with a usual mark where it begins with a digit in a box, "Step two", "ii.", "1.2" or a mark and a tab."""
    if found := _BOXED.match(line):
        return f"{found[1]}{found[2]}. {line[found.end() :]}"
    if found := _TABBED.match(line):
        return f"{found[1]} {line[found.end() :]}"
    if parted and (found := _DECIMAL.match(line)):
        return f"{found[1]}. {line[found.end() :]}"
    if found := _SPELT.match(line):
        return f"Step {_NUMBERS.index(found[1].lower()) + 1}{line[found.end() :].removeprefix('**')}"
    if roman and (found := _ROMAN.match(line)):
        return f"{found[1]}{_ROMANS.index(found[2]) + 1}. {line[found.end() :]}"
    return line


def _title(kind: str) -> str:
    return "Warning" if re.fullmatch(_WARNINGS, kind, re.I) else "Note"


def _flat(text: str) -> str:
    """HTML within a box as one paragraph."""
    flat = " ".join(_TAG.sub(" ", text).split())
    return re.sub(rf"^(?:<(?:b|strong)>)?\W*(?:{_KINDS})\b\W*?(?:</(?:b|strong)>)[:!]?\s*", "", flat, flags=re.I)


def _noted(text: str) -> str:
    """Short footnotes where they are referred to, in brackets."""
    notes = dict(re.findall(r"(?m)^\[\^([\w-]+)\]:[ \t]*(\S.{3,120})$", text))
    for mark, said in notes.items():
        if f"[^{mark}]" in re.sub(r"(?m)^\[\^.*$", "", text):
            text = re.sub(rf"(?m)^\[\^{re.escape(mark)}\]:.*\n?", "", text)
            told = f" ({small(said).rstrip().rstrip('.')})"
            text = re.sub(rf"([.!?]?)\[\^{re.escape(mark)}\]", lambda m, told=told: told + m[1], text)  # type: ignore[misc]
    return text


def _piped(lines: Sequence[str]) -> list[str]:
    """The lines, those of a table without outer pipes, or with tabs between its cells, with them."""
    out: list[str] = []
    for tabs, group in groupby(lines, lambda line: 0 if _UNTABLED.match(line) else line.rstrip().count("\t")):
        part = list(group)
        if tabs and len(part) > 1:
            rows = [[cell.strip() for cell in line.split("\t")] for line in part]
            head = tabs > 1 and all(re.fullmatch(r"[A-Z][^\d.]{0,30}", cell) for cell in rows[0])
            table = pipe_table(rows).splitlines()
            part = ["", *(table if head else [table[0], *table[2:]]), ""] if all(map(any, rows)) else part
        out += part
    at = 1
    while at < len(out):
        if _RULE.match(out[at]) and "|" in out[at - 1] and not out[at - 1].startswith("|"):
            width = len(re.findall(r"(?<!\\)\|", out[at]))
            for n in range(at - 1, len(out)):
                if len(re.findall(r"(?<!\\)\|", out[n])) != width:
                    break
                out[n] = f"| {out[n].strip()} |"
        at += 1
    return out


def _unlisted(text: str) -> str:
    """Items of HTML lists, outside tables, as lines of their own."""
    if "<li" not in text.lower():
        return text

    def items(match: "re.Match[str]") -> str:
        told = [" ".join(item.split()) for item in re.split(r"</?li\b[^<>]*>", match[2], flags=re.I) if item.strip()]
        marks = (f"{n}. " if match[1].lower() == "ol" else "- " for n, _ in enumerate(told, 1))
        return "\n\n" + "\n".join(f"{mark}{item}" for mark, item in zip(marks, told, strict=True)) + "\n\n"

    return re.sub(r"(?m)^[ \t]*<(ul|ol)\b[^<>]*>(.*?)</\1>", items, text, flags=re.S | re.I)


def _unquoted(lines: Sequence[str]) -> Iterator[str]:
    """Block quotes without their marks; a console's prompts stay."""
    for quoted, group in groupby(lines, lambda line: bool(_QUOTE.match(line))):
        part = list(group)
        if quoted:
            told = [_QUOTE.sub("", line, count=1) for line in part]
            first = next((line for line in told if line.strip()), "")
            if re.match(r"[A-Z\d\[*_`\"'“(:!|#-]|[^\x00-\x7f]", first) or any(re.search(r"[.!?:]$", t) for t in told):
                part = ["", *_unwrapped(told), ""]
        yield from part


def _unwrapped(lines: Sequence[str]) -> Iterator[str]:
    """Each paragraph on one line; lists, tables and what begins an alert stay as they are."""
    for text, group in groupby(lines, lambda line: bool(line.strip() and not _APART.match(line))):
        part = list(group)
        yield from [" ".join(part)] if text else part


def _alerted(lines: Sequence[str]) -> Iterator[str]:
    """What begins an alert becomes a line that `entries` knows; its text loses its indentation."""
    at = 0
    while at < len(lines):
        found = _MARKED.match(lines[at].strip())
        at += 1
        if not found:
            yield "" if re.match(r":::+ *$", lines[at - 1].strip()) else lines[at - 1]
            continue
        kind = next(kind for kind in (found["hub"], found["box"], found["mk"], found["rst"]) if kind)
        rest = re.sub(r"^[ \t:|-]+|^[ \t]*\[.*\]$", "", found["rest"]).strip(" \"'")
        yield from ("", _title(kind), *[rest] * (len(rest.split()) > 3))
        begun = at
        while (found["mk"] or found["rst"]) and at < len(lines) and re.match(r"[ \t]|$", lines[at]):
            at += 1
        yield from _unwrapped([line.strip() for line in lines[begun:at]])


def _line(line: str, listed: bool = False) -> str:
    """A line without what is not seen; `listed` says that there are signs of yes beside those of no."""
    line = _NUMBERED.sub("", _TASK.sub(r"\g<1>1. ", _FOOTNOTE.sub("", line)))
    if not line.startswith("|"):
        line = re.sub(r"(?<=[.!?])<br\s*/?>(?=\S)", " ", _outside(line, lambda part: _TAG.sub("", part)))
        for mark, tag in _SPANS:
            line = _outside(line, lambda part, mark=mark, tag=tag: re.sub(tag, mark, part))  # type: ignore[misc]
    line = _ENTITY.sub(lambda match: html.unescape(match[0]).replace("\xa0", " "), _outside(line, _shown))
    if asked := _PLEASE.match(line):
        line = f"Note: {line[asked.end()].upper()}{line[asked.end() + 1 :].rstrip('*_')}"
    sign = _SIGN.match(line)
    if not sign:
        return line
    rest = (sign[1] or "") + line[sign.end() :]
    alarm, advice = sign[2][0] in _ALARM, sign[2][0] in _ADVICE
    if named := re.match(rf"([-*+] +|\d+[.)] +)?\W*({_KINDS})\b\W*:\W*(?=\w)", rest, re.I):
        return f"{named[1] or ''}{_title(named[2])}: {rest[named.end() :]}"
    if re.match(rf"\W*(?:{_KINDS})\b", rest, re.I):
        return rest
    if sign[2][0] in _NO:
        forbids = re.search(r"\b(?:not?|never|cannot|without)\b|n['’]t\b|^\w+ing\b", line[sign.end() :], re.I)
        return f"{sign[1] or ''}Warning: {'' if forbids else 'No: ' if listed else 'Avoid: '}{line[sign.end() :]}"
    return f"{sign[1] or ''}{'Warning' if alarm else 'Note'}: {line[sign.end() :]}" if alarm or advice else rest


def _shown(part: str) -> str:
    part = re.sub(r"(?<=\w)\\_(?=\w)", "_", re.sub(r"(?<![\w:\\])\\([_*$<>#\[\](){}~.!+-])", r"\1", part))
    part = re.sub(r"\[([^\[\]]+)\]\[[^\[\]]*\]|<(https?://[^<>\s]+)>", lambda m: m[1] or m[2], part)
    return _BRIGHT.sub(r"\1", _HIDDEN.sub("", part))


def _outside(line: str, change: Callable[[str], str]) -> str:
    """`line` with what stands outside backticks changed."""
    spans = line.split("`")
    if len(spans) % 2 == 0:
        return change(line)
    return "`".join(span if i % 2 else change(span) for i, span in enumerate(spans))
