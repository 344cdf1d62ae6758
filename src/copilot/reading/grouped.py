"""The lines of an entry in; the same with several labels in bold, each above a short list, as rows of a table, out.

A list says whose it is only by the label above it: "**Free** (0 €)" with "- up to 5 people" and "- no export" below.
"""

import re
from collections.abc import Sequence

from copilot.plain import pipe_row
from copilot.reading.lists import ITEM
from copilot.reading.markup import coded
from copilot.reading.prose import ACTS, ADVICE, ALERT, DOES, MISTAKES, NOTE, closed
from copilot.reading.rows import label

_LABEL = re.compile(r"(?:\*\*|__)(?P<name>\w[^*_\n:`]{0,40}?):?(?:\*\*|__)(?P<about> \([^()\n]{1,60}\))?:?\s*$")
_OTHERWISE = re.compile(  # labels of what is to be done or not, or when: `procedures` and `named` know of these
    r"(?:if|when|before|after|from|since|until|without|otherwise|on|for|in|using|step|option|do|don['’]ts?|pros?|cons?|"
    r"advantages?|disadvantages?|benefits|drawbacks?|strengths|weaknesses|good|bad|never|avoid|examples?|prerequisites?|"
    r"requirements?|you need|notes?|see also)\b",
    re.I,
)
_NAMED = re.compile(r"[-*+•] +(?:`[^`]+`|\*\*[^*]+\*\*|[\w.]+_\w+)[^.]{0,30}?(?::| [–—-]) ")  # a row of its own
_ITEM = 100  # characters of an item
_ALL = 400  # and of those of a label together


def grouped(lines: Sequence[str]) -> list[str]:
    """The lines, two and more labels with their lists as rows."""
    found = {at: one for at, code in enumerate(coded(lines)) if not code and (one := _group(lines, at))}
    if len(found) < 2:
        return list(lines)
    out: list[str] = []
    at = 0
    while at < len(lines):
        end, row = found.get(at, (at + 1, lines[at]))
        out += ["", row] if at in found else [row]
        at = end
    return out


def _group(lines: Sequence[str], at: int) -> tuple[int, str] | None:
    """(the line after its list, the row) of a label at `at`; None where none stands there."""
    match = _LABEL.match(lines[at])
    if match is None or (at and lines[at - 1].strip() and not ITEM.match(lines[at - 1])):
        return None
    name = match["name"].strip()
    if label(name) or len(name.split()) > 5 or _OTHERWISE.match(name) or ACTS.match(name):
        return None
    if any(pattern.match(name) for pattern in (ALERT, NOTE, MISTAKES, ADVICE)):
        return None
    end = at + 1 + (at + 1 < len(lines) and not lines[at + 1].strip())
    items: list[str] = []
    while end < len(lines) and re.match(r"[-*+•] +\S", lines[end]):
        items.append(lines[end])
        end += 1
    after = lines[end] if end < len(lines) else ""
    said = "; ".join(ITEM.sub("", item, count=1).strip().rstrip(".;,") for item in items)
    if not items or len(said) > _ALL or any(len(item) > _ITEM for item in items) or after.startswith((" ", "\t")):
        return None
    if any(_apart(item) for item in items):
        return None
    return end, pipe_row([f"{name}{match['about'] or ''}", closed(said)])


def _apart(item: str) -> bool:
    """Whether an item tells what to do, or is a row or the beginning of a list of its own."""
    said = ITEM.sub("", item, count=1)
    acts = said[:1].isupper() and ACTS.match(said)
    return bool(acts or DOES.match(said) or _NAMED.match(item) or item.rstrip().endswith(":"))
