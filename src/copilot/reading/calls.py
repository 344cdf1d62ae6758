"""An entry's heading path and text in; the endpoints that it is about, or the function, out."""

import re
from itertools import pairwise

from copilot.prompt.grammar import VERBS
from copilot.reading.prose import ALERT

_HOST = r"(?:https?://[\w.{}<>$-]+(?::\d+)?|\{[\w-]*(?:url|host|server|endpoint)\})"
_PATH = r"/(?:[\w/{}<>.:%+~$*@-]|\[[\w-]+\])*[\w}>*/]"
_CALL = re.compile(rf"(?<![\w/-])({VERBS})[\s`*:|]{{1,6}}(?:{_HOST})?({_PATH}|/(?=[\s`]))(?![\w-])")
_LINE = re.compile(
    rf"(?<![ \t])[ \t]*(?:[-*+] +)?[*`\[(]*({VERBS})[*`\])]*[ \t:]+[*`]*(?:{_HOST})?({_PATH}|/)"
    r"(?:\?\S*)?[`*]*(?: HTTP/[\d.]+)?[ \t]*$",
    re.M,
)
_PARTS = re.compile(
    rf"^\W*(?:HTTP )?(?:verb|method)\W+({VERBS})\b[\s\S]{{0,60}}?"
    rf"^\W*(?:path|url|uri|endpoint|route)\W+(?:{_HOST})?({_PATH})",
    re.M | re.I,
)
_ROW = re.compile(rf"^\|[ \t]*`?({VERBS})`?[ \t]*\|[ \t]*`?(?:{_HOST})?({_PATH})`?[ \t]*\|", re.M)
_CURL = re.compile(rf"curl\b[^\n]*?(?:\\\n[^\n]*?)*?[\"' ](?:{_HOST})({_PATH})")
_STEP = re.compile(r"^(?:[ \t]*\d+[.)] |[#*_ ]*Step \d)", re.M)
_GONE = re.compile(  # a sentence about a call that should not be used
    r"\b(?:is|are|was|were) (?:deprecated|removed|obsolete|no longer (?:available|supported))\b"
)
_FETCHES = re.compile(r" -[a-zA-Z]*[oO]\b| --output\b| --remote-name\b")  # a file, not an answer
MENTIONED = 8  # words beside a call; a line with more, after the first paragraph, is about another
_METHOD = re.compile(rf"(?:-X ?|--request[ =])[\"']?({VERBS})\b")
_MODULE = re.compile(
    r"(?:The \w+ |Use )?`?([a-z]+(?:[A-Z]\w*|_\w+)|(?<=`)[\w$]+(?:[.-]\w+)*(?:\(\))?(?=`))`?(?![\w(.])"
)
_ALONE = re.compile(r"(?:\*\*(?![A-Z][a-z]+\*)|`)([\w$]+(?:[.:-]\w+)*(?:\([^`*\n]*\))?)(?:\*\*|`)$")
_COMMAND = re.compile(r"([a-z]+(?:[-._][a-z]+)+)$")
_FUNCTION = re.compile(r"(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*\([\w\s,.=\[\]'\"{}$:*|-]*\)$")


def endpoints(header: str, text: str) -> tuple[str, ...]:
    """What the entry documents, as `VERB /path`: of the most telling place that has any, in order.

    The heading path from its end; lines, tables and labels that hold a call and nothing else; the first sentences; an
    example with curl, where the entry has no steps, of which it shows one.
    """
    for title in reversed(header.split(" › ")):
        if found := _all(_CALL, title.replace("`", "")):
            return found
    for pattern in (_LINE, _ROW, _PARTS):
        if found := _all(pattern, text):
            return found
    prose = re.sub(r"```.*?(?:```|\Z)|^#.*$", "", text, flags=re.S | re.M)
    prose = "".join(part for part in re.split(r"((?<=[.!?])\s|\n)", prose) if not _GONE.search(part))
    listed = {call for line in prose.splitlines() if line.startswith("|") for call in _all(_CALL, line)}
    if len(listed) > 1:  # each of them is another thing's
        prose = re.sub(r"^\|.*$", "", prose, flags=re.M)
    opening, *rest = re.split(r"\n\s*\n", prose.strip())
    below = [line for part in rest for line in part.splitlines()]
    told = [line for line in below if line.startswith("|") or len(_CALL.sub("", line).split()) < MENTIONED]
    if found := _all(_CALL, "\n".join([opening, *told])):
        return found[:1]
    for example in _CURL.finditer(text) if len(_STEP.findall(text)) < 2 else ():
        shown = example[0]
        if _FETCHES.search(shown) or re.match(r"\S*[\"']? *\| *(?:sudo )?(?:ba|z)?sh\b", text[example.end() :]):
            continue
        verb = _METHOD.search(shown)
        return (f"{verb[1] if verb else 'GET'} {example[1].rstrip('/')}",)
    return ()


def function(header: str, first: str, lines: list[str]) -> str:
    """The function, module or command that the entry is about; "" where it names none."""
    title = re.sub(r"[#¶\s]+$", "", header.rpartition(" › ")[2]).strip()
    title = title.removeprefix("`").removesuffix("`")
    if _FUNCTION.match(title):
        return title
    if match := _MODULE.match(first):
        return match[1]
    lines = [line for line in lines if not ALERT.match(line.strip())]
    alone = [line.strip() for line, below in pairwise([*lines, ""]) if line.strip() and not below.startswith(": ")][:4]
    return next((match[1] for line in alone if (match := _ALONE.match(line) or _COMMAND.match(line))), "")


def _all(pattern: "re.Pattern[str]", text: str) -> tuple[str, ...]:
    found = (
        f"{match[1].upper()} {match[2].rstrip('.:') if match[2] != '/' else '/'}" for match in pattern.finditer(text)
    )
    return tuple(dict.fromkeys(found))
