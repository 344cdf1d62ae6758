"""A document's headings in; for each the heading of the entry that it belongs to out: itself, or one above it.

"Parameters" and "Common mistakes" below "Create an order" tell of that, so the topic is read and answered as a whole.
"""

import re
from collections import Counter
from collections.abc import Sequence

from copilot.types import Heading

STEP = re.compile(r"(?:step|schritt) (\d{1,2})\b[:.) –—-]*(.*)", re.I)
_BEFORE = re.compile(r"[\W\d_]+")  # a number, a sign or the like before the words
_AFTER = re.compile(r"\W+$")
_SUMMARY = r"(?:short )?(?:summary|overview|introduction|description|purpose|what (?:it|this) (?:does|is)|in short)"
_ALWAYS = (
    r"(?:(?:request|response|query|path|body|url|uri|header|return|input|output|form|error|status|http|optional|"
    r"required|common|key|main|important|payload|example|sample|code|\d{3}) ?)*"
    r"(?:parameters?|arguments?|options|fields?|body|headers?|values?|responses?|request|returns?|results?|attributes|"
    r"properties|examples?|samples?|notes?|remarks|description|syntax|synopsis|usage)|key points|(?:short )?summary|"
    r"how (?:it|this) works|what happens next|steps|step by step|"
    r"(?:simple |plain )?explanation|what (?:it|this) does|why (?:it|this) matters|"
    r"in (?:short|plain words|simple terms)|how to (?:(?:use|configure|enable|install) (?:it|this)|set (?:it|this) up)"
)
_MOSTLY = (  # such a title may also be a topic of its own
    rf"{_ALWAYS}|(?:(?:common|typical|frequent|known|usual|error|status|http|response|important|best|good|main) ?)*"
    r"(?:errors?|codes?|limits|limitations|permissions|mistakes|pitfalls|problems|issues|practices|causes|"
    rf"reasons|tips|warnings|settings)|troubleshooting|(?:typical )?use cases?|when to use(?: it| this)?|{_SUMMARY}|"
    r"(?:(?:authori[sz]ation|required|oauth) )?scopes|key terms|"
    r"workflow|set-?up|prerequisites|requirements|what to do|good to know|(?:things )?to remember|cautions?"
)
_JOINED = r"(?: ?(?:/|&|,|and|or) ?)"  # "Common mistakes or troubleshooting tips"
_KIND = r"(?:troubleshooting )?"
_PART = re.compile(rf"{_KIND}(?:{_ALWAYS})(?:{_JOINED}{_KIND}(?:{_ALWAYS}))*", re.I)
_MAYBE = re.compile(rf"{_KIND}(?:{_MOSTLY})(?:{_JOINED}{_KIND}(?:{_MOSTLY}))*", re.I)
_OPENS = re.compile(_SUMMARY, re.I)
_TELLS = re.compile(
    rf"{_SUMMARY}|steps|step by step|how (?:it|this) works|how to (?:\w+ )+(?:it|this)(?: up)?|workflow|set-?up", re.I
)


def bare(title: str) -> str:
    """`title` without the number or the sign before its words and what stands after them."""
    words = _AFTER.sub("", _BEFORE.sub("", title, count=1) if _BEFORE.match(title) else title)
    return words if re.search(r"[^\W\d_]", words) else title.strip()


def is_part(title: str, surely: bool = False) -> bool:
    """Whether a title such as "Parameters" or "2.3 Common mistakes" says nothing without the topic that it is of.

    `surely` leaves out those that may be topics of their own, such as "Errors".
    """
    return (_PART if surely else _MAYBE).fullmatch(bare(title)) is not None


def tells(title: str) -> bool:
    """Whether a part says what its topic is or how it works, so that the topic is not told without it."""
    return STEP.match(title) is not None or _TELLS.fullmatch(bare(title)) is not None


def entries(headings: Sequence[Heading]) -> list[int]:
    """For each heading the number of the one that its entry begins with, -1 where that is the document itself.

    A title that may be a topic too, such as "Errors", is a part where most headings beside it are parts. What stands
    right below the document's title is none, unless it opens with a summary and all beside it are parts.
    """
    above = _above(headings)
    level = [(parent, heading.level) for parent, heading in zip(above, headings, strict=True)]
    maybe = [is_part(heading.title) for heading in headings]
    beside, parts = Counter(level), Counter(key for key, part in zip(level, maybe, strict=True) if part)
    sure = Counter(key for key, head in zip(level, headings, strict=True) if is_part(head.title, surely=True))
    only = bool(headings) and headings[0].level == 1 and sum(heading.level == 1 for heading in headings) == 1
    told = only and any(_OPENS.fullmatch(bare(heading.title)) for heading in headings[1:2])
    out: list[int] = []
    for n, heading in enumerate(headings):
        parent, key = above[n], level[n]
        part = STEP.match(heading.title) is not None
        if parent >= 0 and not part and maybe[n]:
            if only and parent == 0:
                part = told and beside[key] == parts[key] > 2 and sure[key] > 1
            else:
                mostly = 2 * parts[key] > beside[key] and (headings[parent].level > 1 or sure[key] > 0)
                part = is_part(heading.title, surely=True) or mostly
        out.append(n if not part else out[parent] if parent >= 0 else -1)
    return out


def _above(headings: Sequence[Heading]) -> list[int]:
    """The number of the heading that each is below; -1 for none."""
    out: list[int] = []
    path: list[int] = []
    for n, heading in enumerate(headings):
        while path and headings[path[-1]].level >= heading.level:
            path.pop()
        out.append(path[-1] if path else -1)
        path.append(n)
    return out
