"""The paragraphs of an entry in; of each what it is out: prose, something to do, a note, an item, or rows."""

import re
from collections.abc import Sequence
from itertools import groupby

from copilot.reading.prose import ACTS, CUT, balanced, closed, ends
from copilot.reading.rows import Row, sentence, several

_WITHIN = re.compile(r"(?<=[.!?])\s+((?:\*\*|__)?(?:warning|caution|danger|important|note)\b(?:\*\*|__)?:\S* +)", re.I)
_NEGATED = re.compile(r"(?:Do not|Don['’]t|Never) \w")
_TOLD = re.compile(
    r"\b(?:is|are|was|were|has|have|may|can|cannot|will|must|should|does|do|get|gets|goes|means?|shows?)\b|^[`\d]| = "
)
_STATES = re.compile(r"\b(?:is|are|was|were|has|cannot|will)\b")
DO = re.compile(
    r"(?!(?:The|An?|All|Any|Each|Every|No|If|When|For|In|On|At|By|With|To|It|This|That|These|Some|Only|Both|As|"
    r"\w+ing|\w+[^s]s)\b)[A-Z][a-z]+ (?:in |out |up |on |off )?"
    r"(?:(?:the|an?|your|this|that|it|them|if|with|to|all|each|any|both|every|one)\b|[A-Z`])"
)


def warned(kind: str, paragraph: str) -> list[tuple[str, str]]:
    """A paragraph; where a sentence within begins with "Warning:", what stands before it, and it with all after it."""
    found = _WITHIN.search(paragraph) if kind == "prose" else None
    if found is None:
        return [(kind, paragraph)]
    return [(kind, paragraph[: found.start()]), ("note", paragraph[found.end() - len(found[1]) :])]


def _sort(kind: str, paragraph: str) -> str:
    """The kind of a paragraph; of an item of a list what it is: a note, something to do, a sentence, or an item."""
    if kind not in ("item", "tip"):
        return kind
    if _NEGATED.match(paragraph) or kind == "tip":
        return "note"
    told = _STATES.search(" ".join(paragraph.split()[:8])) and not ACTS.match(paragraph)  # "Text that is left out ..."
    return "do" if DO.match(paragraph) and not told else "told" if _says(paragraph) else "item"


def kinds(texts: Sequence[tuple[str, str]]) -> list[str]:
    """The kinds of paragraphs; in a list where half of the items and more tell what to do, the others do too."""
    found = [_sort(kind, paragraph) for kind, paragraph in texts]
    for listed, group in groupby(range(len(texts)), lambda n: texts[n][0] == "item"):
        run = [n for n in group if found[n] in ("do", "item")] if listed else []
        if 1 < sum(found[n] == "do" for n in run) >= len(run) / 2:
            for n in run:
                found[n] = "do"
    return found


def stopped(kind: str, paragraph: str) -> str:
    """A paragraph without a full stop that is a sentence all the same, or a warning: with one."""
    tells = kind == "note" or (kind == "prose" and len(paragraph.split()) > 3 and re.match("[A-Z`\"]", paragraph))
    cut = paragraph.endswith((":", "?")) or CUT.search(paragraph) or not balanced(paragraph)
    return closed(paragraph) if tells and not cut else paragraph


def named(paragraph: str, listed: bool) -> list[Row]:
    """The rows of a paragraph that names fields or errors in sentences."""
    if rows := several(paragraph):
        return rows
    if listed:
        return []
    found = [sentence(text) for text in re.split(r"(?<=[.!?]) (?=(?:The |Use |Give |Set )[\w ]{0,24}`)", paragraph)]
    return [row for row in found if row is not None] if all(found) else []


def _says(item: str) -> bool:
    """Whether an item of a list is a sentence of its own, not something to do or a part of a whole."""
    return ends(item) and _TOLD.search(" ".join(item.split()[:5])) is not None
