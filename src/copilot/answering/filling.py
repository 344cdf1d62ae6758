"""A question, its hits and what is said of it in; the text of a section that a model left empty out, copied by rule.

The sentences and rows are those that the extractive baseline would take: of the entry that the answer is about, and for
warnings of the other passages too, named where they stand. None was said before, and all pass the check of an answer.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from copilot.answering.abstained import abstained
from copilot.answering.asked import Asked, read_question
from copilot.answering.check import passes
from copilot.answering.citations import best_hit
from copilot.answering.identifiers import in_text, is_pair
from copilot.answering.ranking import Found, best_entry
from copilot.answering.wording import WARNS, Said, can_stand, leaning, row
from copilot.config import AnswerPart
from copilot.prompt.sections import MARK
from copilot.types import Hit

SUMMARY, HOW, FIELDS, TIPS = range(4)  # places of sections; those after them are filled as the last
MOST = (1, 5, 5, 3)  # items of each
LEAST = 0.1  # share of what is asked that another entry must hold for its warnings to be told
SAME = 0.6  # share of a sentence's runs of three words that stand in the answer: it is said already
LONGEST = 400  # characters of an item
_DEFINED = re.compile(r"^ *(?:[-*] )?`([^`\n]+)`", re.M)  # a name that a line begins with


@dataclass(frozen=True, slots=True)
class Filling:
    """Fills the sections of one answer: called with the place of a section and what is shown before it."""

    question: str
    hits: Sequence[Hit]
    config: AnswerPart

    def __call__(self, place: int, shown: str) -> str:
        """The text; "" where the passages have nothing new, or where the answer says that they do not tell."""
        if not self.hits or abstained(shown):
            return ""
        asked, kind = read_question(self.question, self.hits), min(max(place, SUMMARY), TIPS)
        told = "\n".join(line for line in shown.splitlines() if not line.startswith(MARK))
        own, *others = _entries(asked, self.hits, told)
        new = self._chooser(told)
        items = new(_fitting(own, asked, kind, told), MOST[kind])
        if not items and kind == TIPS:
            pairs = ((found, text) for found in others for text in _warnings(found) if asked.likeness(text) > 0)
            items = new((f"“{found.heading}”: {text}" for found, text in pairs), MOST[kind])
        items = items or new(_rest(own), 2)
        if kind in (FIELDS, TIPS):
            return "\n".join(f"- {item}" for item in items)
        steps = [item for item in items if item.replace("`", "") in (s.replace("`", "") for s in own.entry.steps)]
        prose = [item for item in items if item not in steps][:3]
        return "\n".join([" ".join(prose)] * bool(prose) + [f"{n}. {step}" for n, step in enumerate(steps, 1)])

    def _chooser(self, told: str) -> Callable[[Iterable[str], int], list[str]]:
        """What takes the first few texts that are not said yet and that an answer may hold."""
        said = _runs(told)

        def choose(texts: Iterable[str], most: int) -> list[str]:
            chosen: list[str] = []
            for text in texts:
                fits = can_stand(text.strip(), LONGEST) and not _known(text, said)
                if len(chosen) < most and fits and passes(text, self.hits, self.question, self.config):
                    chosen.append(text)
                    said.update(_runs(text))
            return chosen

        return choose


def _entries(asked: Asked, hits: Sequence[Hit], told: str) -> list[Found]:
    """The entries among the hits: the one that the answer is about, then the others by rank."""
    groups: dict[tuple[str, str], list[Hit]] = {}
    for hit in hits:
        groups.setdefault((hit.chunk.document, hit.chunk.heading), []).append(hit)
    found = {key: entry for key, group in groups.items() if (entry := best_entry(asked, group))}
    cited = best_hit(told, hits)
    if cited is None:
        first = max(found, key=lambda key: found[key].score)
    else:
        first = (hits[cited].chunk.document, hits[cited].chunk.heading)
    return [found[first], *(f for key, f in found.items() if key != first and f.covered >= LEAST)]


def _fitting(found: Found, asked: Asked, kind: int, told: str) -> Iterator[str]:
    """What an entry has for a section of this kind, the likeliest first."""
    entry, said = found.entry, Said.over(found.context)
    prose = leaning(entry)
    if kind == SUMMARY:
        yield from map(said.ticked, prose)
    elif kind == HOW:
        calls = [name for name in in_text(f"{found.heading}\n{' '.join(prose[:1])}") if is_pair(name)][:1]
        yield from (f"Call `{call}`." for call in calls if call not in told)
        yield from map(said.ticked, entry.steps)
        if not entry.steps:
            yield from (said.ticked(text) for text in prose if not WARNS.search(text))
    elif kind == FIELDS:
        named, defined = set(in_text(told)), set(_DEFINED.findall(told))
        rows = [pair for pair in entry.fields if pair[0].strip("`") not in defined]
        rows.sort(key=lambda pair: (pair[0].strip("`") in named, -asked.likeness(row(pair))))
        yield from map(row, rows)
        for text in () if entry.fields else prose:
            if (name := said.naming(text)) and name not in named:
                yield f"`{name}`: {said.ticked(text)}"
    else:
        yield from map(said.ticked, _warnings(found))


def _warnings(found: Found) -> list[str]:
    """The entry's notes, and its sentences about errors and limits."""
    return [*found.entry.notes, *(text for text in leaning(found.entry) if WARNS.search(text))]


def _rest(found: Found) -> Iterator[str]:
    """Whatever else an entry says in sentences."""
    said = Said.over(found.context)
    yield from (said.ticked(text) for text in (*found.entry.notes, *leaning(found.entry), *found.entry.steps))


def _known(text: str, said: set[tuple[str, ...]]) -> bool:
    """Whether one of its sentences is said already, or most of one."""
    runs = [_runs(part) for part in re.split(r"(?<=[.!?])\s+", text)]
    return any(len(own & said) >= SAME * len(own) for own in runs if own)


def _runs(text: str) -> set[tuple[str, ...]]:
    """The runs of three words in each line of a text; of a shorter line all its words."""
    lines = (re.findall(r"\w+", line.lower()) for line in text.splitlines())
    return {tuple(words[i : i + 3]) for words in lines if words for i in range(max(len(words) - 2, 1))}
