"""What is asked and hits in; the entry among the hits that fits it best, out. No language model."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise

from copilot.answering.asked import Asked, joined, phrase, read_question, stems
from copilot.answering.identifiers import supported
from copilot.knowledge.asking import is_name
from copilot.knowledge.parts import STEP, bare, is_part, tells
from copilot.knowledge.questions import unasked
from copilot.reading.entries import read_entry
from copilot.reading.entry import Entry, join
from copilot.reading.glossary import is_glossary
from copilot.types import Chunk, Hit

_BEFORE = re.compile(r"(?:</?\w+[^<>]*>|\?\?\?\+? \w+ \"|[#*=\s])*")  # the title of a section
_ASKED = re.compile(r"(?:Q|Question)(?: ?\d+)?[:.][*_]* *")  # before the title of a question
_AFTER = re.compile(r"\A(?:\*\*|__|[ \t]+[#=]+|[ \t]*\{[^{}\n]*\}|</\w+>|\")*[ \t]*(?=\n|$)")  # the title of a section
_UNDERLINE = re.compile(r"\n~{3,}[ \t]*(?=\n|$)")  # below a title without a mark; elsewhere code begins so
_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*).*$", re.M)
_RULE = re.compile(r"^\|(?: ?:?-+:? ?\|)+[ \t]*$", re.M)  # below the titles of a table
_TITLES = re.compile(r"^\|.*\|[ \t]*\n\|(?: ?:?-+:? ?\|)+[ \t]*\n", re.M)
_CLOSE = 0.15  # how much less an entry may fit to be what another is compared with
_BOTH = 0.3  # what it weighs that a heading has all that is compared
_ALL = 0.99  # share of what is asked that is all of it
_DOUBT = 0.1  # how much less an entry may fit to be meant instead: about every second best entry is wrong then
_READ = 2  # how much farther apart entries are where a reranker has read them
UNCUT = 800  # characters; a passage with fewer ends where its section or a paragraph does
_KIND = re.compile(  # what a heading may call a thing before it names it
    r"(?:(?:resource|object|type|enum|method|module|class|function|endpoint|event|command) ?:|"
    r"(?:topic|chapter|section|part) \d+ ?[:.)–-]) *",
    re.I,
)
_DEFINES = re.compile(  # "A flow is a chain of modules."
    r"\W*(?:(?:an?|the)\b\W*)?(?P<name>\w[\w /-]{1,40}?)\W*?(?: \([^()]{2,40}\)\W*)? "
    r"(?:(?:is|are) (?:an?|the|any|one|what|how|when|where|like)|means?|refers? to|stands? for|describes?|lets?)\b",
    re.I,
)
_REFERS = re.compile(
    r"(?:see|refer to)(?: also)?(?: the)?(?: (?:chapter|section|topic|page))? \W?(.{1,60}?)\W?\.", re.I
)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry among the hits."""

    entry: Entry
    heading: str  # the last part of its heading path, or the document's title
    hits: tuple[Hit, ...]  # its passages, in the order of the document
    covered: float  # share of what is asked that it holds, in [0, 1]
    score: float  # the higher, the likelier it answers

    @property
    def whole(self) -> bool:
        """Whether it holds all that is asked."""
        return self.covered > _ALL

    @property
    def context(self) -> str:
        """Its passages as they were found."""
        return "\n".join(hit.chunk.passage for hit in self.hits)


def best_entry(asked: Asked, hits: Sequence[Hit]) -> Found | None:
    """The entry that fits best, its chunks put together; the weights were chosen on the training questions."""
    entries: dict[tuple[str, str], list[Hit]] = {}
    first: dict[tuple[str, str], int] = {}  # its place among the hits
    for rank, hit in enumerate(hits):
        key = _place(hit)
        entries.setdefault(key, []).append(hit)
        first.setdefault(key, rank)
    found, total = [], sum(asked.weight.values()) or 1.0
    for key, parts in entries.items():
        own = tuple(sorted(parts, key=lambda hit: hit.chunk.start))
        title = key[1].rpartition(" › ")[2]
        context = "\n".join(hit.chunk.passage for hit in own)
        shares = [sum(asked.weight.get(word, 0.0) for word in stems(text)) / total for text in (title, context)]
        named = sum(supported(name, context) for name in asked.names)
        entry = _read(tuple(hit.chunk for hit in own))
        score = max(2 * hit.fit for hit in parts) + 0.1 * shares[0] + 0.3 * shares[1] + 0.3 * named - 0.05 * first[key]
        score += 0.05 * bool(entry.calls) + 0.2 * bool(entry.sentences or entry.fields or entry.steps)
        score += _BOTH * (bool(asked.pair) and all(one in phrase(title) for one in asked.pair))
        score += _explains(entry, title, asked) * (2 if is_glossary(title) else 1)
        score -= 2 * any(other != key and refers_to(entry, other[1]) for other in entries)
        below = any(path == key[0] and header.startswith(f"{key[1]} › ") for path, header in entries)
        score -= 0.2 * (below and len({call.rpartition(" ")[2] for call in entry.calls}) != 1)  # it leads over to them
        found.append(Found(entry, title, own, min(1.0, shares[1] + named), score))
    return max(found, key=lambda f: f.score, default=None)


def next_entry(asked: Asked, found: Found, hits: Sequence[Hit]) -> Found | None:
    """The entry that fits best but for `found`."""
    return best_entry(asked, [hit for hit in hits if hit not in found.hits])


def explained(asked: Asked, found: Found) -> bool:
    """Whether it asks for a name alone, and a heading, row or code of the entry is called so.

    Or compares two that are rows of it.
    """
    names = {phrase(name) for name, _ in (*found.entry.fields, *found.entry.codes)}
    return (bool(asked.pair) and names.issuperset(asked.pair)) or _explains(found.entry, found.heading, asked) > 0


def _explains(entry: Entry, title: str, asked: Asked) -> float:
    """How surely it is what is asked for alone: 1 by its heading or a name of its own shape, less by a plain word.

    A heading has to be these words in any form: "confirming orders" asks for "Confirm an order". But "What about
    contacts?" asks for none that is called "About contacts".
    """
    title = bare(_KIND.sub("", title))
    same = joined(title).rstrip("s") == joined(asked.alone).rstrip("s")
    if asked.alone and (same or (phrase(title) == phrase(asked.alone) and phrase(title).strip())):
        return 1.0
    named = any(asked.is_for(name) for name, _ in (*entry.fields, *entry.codes))
    named = named or any((told := _DEFINES.match(text)) and asked.is_for(told["name"]) for text in entry.sentences)
    return (1.0 if is_name(asked.alone) else 0.8) * named


def refers_to(entry: Entry, header: str) -> bool:
    """Whether an entry says nothing but that another one is to be read: by its heading, or the number of that."""
    if len(entry.sentences) != 1 or entry.steps or entry.fields or not (to := _REFERS.fullmatch(entry.sentences[0])):
        return False
    title = header.rpartition(" › ")[2]
    number = re.match(r"[\d.]*\d", title)
    return to[1] == (number[0] if number else "") or phrase(bare(title)) == phrase(bare(to[1]))


def rival(asked: Asked, found: Found, hits: Sequence[Hit]) -> Found | None:
    """The entry that fits next, if it fits nearly as well: what `found` is compared with, or what is meant instead.

    None where two things are compared and `found` holds all of it, unless the other is the heading of an entry too.
    """
    if asked.pair and phrase(found.heading) in asked.pair:
        own = [hit for hit in hits if hit not in found.hits and _headed(hit) in asked.pair]
        if own:
            return best_entry(asked, own)
    if asked.compares and found.whole:
        return None
    other = next_entry(asked, found, hits)
    near = (_CLOSE if asked.compares else _DOUBT) * (_READ if any(hit.logit is not None for hit in hits) else 1)
    return other if other and other.score > found.score - near else None


def _headed(hit: Hit) -> str:
    """The words of the heading of a hit's entry."""
    return phrase(_place(hit)[1].rpartition(" › ")[2])


def focused(question: str, hits: Sequence[Hit], of_document: Callable[[str], list[Hit]]) -> list[Hit]:
    """The hits with those of the best entry first, as the document has them: a small model goes by what it reads first.

    Where the call of it, or of one that may be meant instead, stands in an opening that was not found, or the titles of
    a table whose rows were, that takes the place of the last hit. The first hit is right for more questions than it is
    without (benchmarks/retrieval.py).
    """
    asked = read_question(question, hits)
    found = best_entry(asked, hits)
    if found is None:
        return list(hits)
    other = rival(asked, found, hits)
    of_document = lru_cache(of_document)  # which looks through the whole index
    to = [hit for hit in of_document(found.hits[0].chunk.document) if refers_to(found.entry, hit.chunk.whole)]
    if to and to[0] not in hits:
        return [*to[:1], *hits][: len(hits)]
    whole = _whole(found, of_document)
    first = [*_opening(found, whole), *_titles(found, of_document), *_rest(whole, len(hits)), *_asked(question, whole)]
    own = [*dict.fromkeys([*first, *found.hits]), *(_opening(other, _whole(other, of_document)) if other else ())]
    return [*own, *(hit for hit in hits if hit not in own)][: len(hits)]


def _opening(found: Found, whole: Sequence[Hit]) -> list[Hit]:
    """The passage of an entry that tells its call, if none of those found does: its opening, or a part of it."""
    if found.entry.calls:
        return []
    parts = [hit for hit in whole[1:] if is_part(_title(hit), surely=True)]
    return next(([hit] for hit in (*whole[:1], *parts) if _read((hit.chunk,)).calls), [])


def _asked(question: str, whole: Sequence[Hit]) -> list[Hit]:
    """The passages of those parts of an entry that the question names, such as "Query parameters"."""
    words = set(stems(question))
    parts = [hit for hit in whole if is_part(_title(hit))]
    return [hit for hit in parts if (named := set(stems(_title(hit)))) and named <= words]


def _whole(found: Found, of_document: Callable[[str], list[Hit]]) -> list[Hit]:
    """All passages of an entry, in order."""
    entry = _place(found.hits[0])
    return [hit for hit in of_document(entry[0]) if _place(hit) == entry]


def _title(hit: Hit) -> str:
    """The last heading above a passage."""
    return hit.chunk.header.rpartition(" › ")[2]


def _titles(found: Found, of_document: Callable[[str], list[Hit]]) -> list[Hit]:
    """The passage with the titles of the table in the middle of which the first passage begins."""
    first = found.hits[0].chunk
    if not first.text.startswith("|") or _RULE.search(first.text):
        return []
    same = [hit for hit in of_document(first.document) if hit.chunk.heading == first.heading]
    return [hit for hit in same if hit.chunk.start < first.start and _RULE.search(hit.chunk.text)][-1:]


def _rest(whole: Sequence[Hit], room: int) -> list[Hit]:
    """All passages of an entry in steps, each below a heading; and, where there is room, of one that parts tell."""
    titles = [title for title, _ in groupby(map(_title, whole))]
    told = any(map(tells, titles[1:])) or (whole[0].chunk.header != whole[0].chunk.whole and len(titles) > 1)
    return [*whole] if sum(bool(STEP.match(title)) for title in titles) > 1 or (told and len(whole) <= room) else []


def _place(hit: Hit) -> tuple[str, str]:
    """The entry of a hit: its document, and the header of the whole that a part such as "Request body" is of."""
    return hit.chunk.document, hit.chunk.whole


@lru_cache(maxsize=64)  # hits are put in order, then quoted from, then filled from
def _read(chunks: tuple[Chunk, ...]) -> Entry:
    """The chunks of one entry: those of each section put together, what they share once."""
    sections: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        sections.setdefault(chunk.heading, []).append(chunk)
    return join([_section(parts) for parts in sections.values()])


def _section(chunks: Sequence[Chunk]) -> Entry:
    title = chunks[0].header.rpartition(" › ")[2]
    begun = _ASKED.sub("", _BEFORE.sub("", chunks[0].text, count=1), count=1)
    begun = begun if begun.startswith(title) else begun.removeprefix("__")
    below = _AFTER.match(begun.removeprefix(title)) if begun.startswith(title) else None
    answer = unasked(chunks[0].text, title)
    begins = below is not None or answer != chunks[0].text
    text = begun[len(title) + below.end() :] if below else _opened(answer)
    text = _UNDERLINE.sub("", text, count=1) if chunks[0].text.startswith(title) and _UNDERLINE.match(text) else text
    for before, chunk in pairwise(chunks):
        apart = chunk.start > before.end
        titles = _TITLES.findall(text) if apart and chunk.text.startswith("|") and not _RULE.search(chunk.text) else []
        text += _closed(text) + "".join(titles[-1:]) if apart else ""
        text += _opened(chunk.text) if apart else chunk.text[max(0, before.end - chunk.start) :]
    if step := STEP.match(title):
        named = f"{step[2].rstrip(' .:')}.\n\n" if step[2] else ""
        lines = "\n".join(f"   {line}" for line in f"{named}{text.strip()}\n".splitlines())
        return read_entry(f"{step[1]}. {lines.strip()}\n", True, chunks[0].header, True)
    return replace(read_entry(text, begins, chunks[0].header, len(chunks[-1].text) < UNCUT), opens=begins)


def _opened(text: str) -> str:
    """A text that may begin within code: then the code begins with it."""
    first = _FENCE.search(text)
    return f"```\n{text}" if first and not first[1] and re.match(r"\n\s*(?:\n|$)|$", text[first.end() :]) else text


def _closed(text: str) -> str:
    """What ends `text` before another passage."""
    return "\n```\n\n" if len(_FENCE.findall(text)) % 2 else "\n\n"
