"""The text of an entry in; the same without what a web page puts around it, and with dotted lines as values, out.

"Was this page helpful?", links to edit the page, what else to read, and buttons to copy code say nothing of the topic.
"""

import re
from collections.abc import Sequence

from copilot.reading.markup import FENCE, coded

_LINK = r"\[[^\]\n]*\]\([^()\s]*\)"
_READ = r"\d+ min(?:ute)?s? read"
_LEFT = re.compile(  # whole lines
    r"\W*(?:(?:was|did|is) this (?:\w+ ){0,2}(?:helpful|useful|help(?: you)?|answer your question)\W*(?:yes\W+no\W*)?|"
    r"(?:edit|improve|view) (?:this (?:page|doc|article)|on github)(?: on \w+)?\W*|"
    rf"(?:last )?updated:? (?:on )?(?:\d+ \w+ ago|an? \w+ ago|yesterday|today)(?: ?[·|•–—-] ?{_READ})?\W*|"
    rf"{_READ}\W*|copied!|skip to (?:the )?(?:main )?content\W*|search (?:the )?docs\W*(?:⌘?K)?|"
    r"(?:sign|log) in \| .{0,60}|report an issue with this page\W*)",
    re.I,
)
_RELATED = re.compile(
    rf"\W*(?:related|further|more|similar) (?:articles|topics|pages|links|reading)\W*?:[*_]* *{_LINK}", re.I
)
_PAGES = re.compile(  # to the pages before and after
    r"\W*(?:←|«|‹|<-) ?(?:prev(?:ious)?|back)\b.*|\W*next\b.{0,60}(?:→|»|›|->)\W*",
    re.I,
)
_WAY = re.compile(  # crumbs, or a row of links
    rf"\s*{_LINK}(?: *(?:>|›|/|»|→|·|•|\|) *(?:{_LINK}|[\w &-]{{1,40}}))+\s*"
)
_COPY = re.compile(r"\s*(?:copy(?: code| to clipboard)?|copied)\s*", re.I)
_HERE = re.compile(r"[*_ ]*(?:on this page|in this article|table of contents)[*_ ]*", re.I)
_LEADER = re.compile(
    r"(?P<mark> {0,3}[-*+•] +)?(?P<name>[^\W\d][^.|`…]*?[^\s.…]) ?(?:\.{4,}|(?:[.·…] ){3,}[.·…]?|…{2,})"
    r" *(?P<value>[^\s.].{0,60})$"
)


def unscraped(text: str) -> str:
    """The text without such lines; code stays as it is."""
    lines, out = text.split("\n"), list[str]()
    here = False
    for at, (line, code) in enumerate(zip(lines, coded(lines), strict=True)):
        if code:
            here = False
            out.append(line)
            continue
        here = _HERE.fullmatch(line) is not None or (here and (not line.strip() or _listed(line)))
        alone = not "".join([*lines[max(0, at - 1) : at], *lines[at + 1 : at + 2]]).strip(" -\t")
        around = _LEFT.fullmatch(line) or _PAGES.fullmatch(line) or _RELATED.match(line)
        around = around or (_WAY.fullmatch(line) if alone else None)
        out += [""] if around or (_COPY.fullmatch(line) and _beside_code(lines, at)) else [line] * (not here)
    return "\n".join(_values(out))


def _listed(line: str) -> bool:
    return re.match(r"\s*(?:[-*+•]|\d+[.)]) ", line) is not None


def _beside_code(lines: Sequence[str], at: int) -> bool:
    """Whether code or a table begins below the line at `at`, or ends above it."""
    below = next((line for line in lines[at + 1 : at + 3] if line.strip()), "")
    above = next((line for line in reversed(lines[max(0, at - 2) : at]) if line.strip()), "")
    return any(line.lstrip().startswith((*FENCE, "|")) for line in (above, below))


def _values(lines: Sequence[str]) -> list[str]:
    """Dotted lines, "Buckets . . . . 100", as items with a value; those of a table of contents stay."""
    texts = ((at, lines[at]) for at, code in enumerate(coded(lines)) if not code and re.match(r"\W*[A-Z]", lines[at]))
    found = {at: match for at, line in texts if (match := _LEADER.match(line))}
    plain = [match["value"] for match in found.values() if not match["mark"]]
    contents = all(value.strip().isdecimal() for value in plain)
    out = list(lines)
    for at, match in found.items():
        if match["mark"] or not contents:
            out[at] = f"{match['mark'] or '- '}{match['name'].strip()}: {match['value'].strip()}"
    return out
