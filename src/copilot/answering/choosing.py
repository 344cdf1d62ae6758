"""What an entry says in; which of it answers the question out: by the reranker, or by the words they share."""

import re
from collections.abc import Mapping, Sequence

from copilot.answering.asked import Asked, stems
from copilot.answering.identifiers import supported
from copilot.answering.ranking import Found, best_entry, next_entry
from copilot.answering.wording import LEANS, leaning, row, uncounted
from copilot.knowledge.asking import is_name
from copilot.knowledge.table import bare
from copilot.types import Hit

SURE = 0.6  # log odds that a text answers, and by how much more than the first one, from where it is told
APART = 1.0  # of the log odds: what has so much more than the next one stands out
LEAST = -1.5  # log odds of what is told for that
SAME = 0.25  # of the log odds: what differs by less answers as well
JUDGED = 14  # texts that are read one by one
UNSURE = 9.0  # more than any log odds
RIVALS, ALIKE = 3, 0.3  # entries that are read beside the best one, and how much less they may fit
READ = 0.1  # what one of the log odds weighs beside a likeness
_BETTER = 0.25  # of likeness, about half of one rare word in a sentence
NAMES = re.compile(r"\w+, [^.;]*\w,? (?:and|or) \w")  # what names several
_MANY = r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|once|twice|unlimited|no limit)\b"
_AMOUNTS = tuple(  # what asks for an amount, and what tells one
    (re.compile(asks, re.I), re.compile(tells, re.I))
    for asks, tells in (
        (
            r"\bhow (?:long|often|soon|old)\b",
            rf"(?:{_MANY}).{{0,12}}\b(?:ms|milli\w+|seconds?|minutes?|hours?|days?|weeks?|months?|years?|times)\b",
        ),
        (
            r"\b(?:costs?|prices?|how expensive)\b|\bhow much (?:is|are|does|do|would|will)\b",
            r"[$€£¥]|\bprices?\b|\bfree\b|\bcosts?\b",
        ),
        (r"\bhow (?:many|much|big|large|fast)\b|\b(?:limits?|max\w*|min\w*|quotas?)\b", _MANY),
    )
)


def asked_for(rows: Mapping[tuple[str, str], str], asked: Asked, fit: Mapping[str, float]) -> tuple[str, bool]:
    """(the row whose name the question has, whether it asks for nothing else); "" without one."""
    alone = [text for (name, _), text in rows.items() if asked.is_for(name)]
    named = [text for (name, _), text in rows.items() if any(supported(one, name) for one in asked.names)]
    return max(alone or named, key=lambda text: fit[text], default=""), bool(alone)


def answering_row(found: Found, rows: Mapping[tuple[str, str], str], asked: Asked) -> str:
    """The row that answers, by the reranker, which needs no word of it to be in the question; "" without one.

    Of a call's own fields it has to hold a word of the question that the heading does not, unless that is direct: "How
    do I delete a contact?" does not ask for `contactId`.
    """
    text = next((text for (name, _), text in rows.items() if asked.row and bare(name) == asked.row), "")
    known = set(stems(found.hits[0].chunk.header))
    shared = any(word in asked.weight and word not in known for word in stems(text))
    return text if shared or asked.direct or not found.entry.calls else ""


def amounts(asked: Asked) -> re.Pattern[str] | None:
    """What tells an amount, where one is asked for."""
    return next((found for kind, found in _AMOUNTS if kind.search(asked.question)), None)


def answering_sentence(first: str, telling: Sequence[str], asked: Asked, fit: Mapping[str, float]) -> str:
    """The sentence of `telling` that answers a direct question clearly better than `first` does; "" without one.

    Where two things are compared, the one that says most of them beside `first`.
    """
    if not asked.direct and not asked.compares:
        return ""
    counts = amounts(asked)
    worth = {text: fit.get(text, 0.0) + _BETTER * bool(counts and counts.search(text)) for text in (first, *telling)}
    others = [text for text in telling if text != first and not LEANS.match(text)]
    best = max(others, key=lambda text: worth[text], default="")
    least = 0.0 if asked.compares else worth[first] + _BETTER
    return best if best and worth[best] > least else ""


def read_by(found: Found, first: str, texts: Sequence[str], asked: Asked, most: int = JUDGED) -> dict[str, float]:
    """Text → log odds that it answers, by the reranker: of `first` and of those that say most of what is asked.

    Nothing without a reranker.
    """
    if asked.judge is None or not texts:
        return {}
    likely = sorted(dict.fromkeys(texts), key=lambda text: (text != first, -asked.likeness(text)))[:most]
    header = found.hits[0].chunk.header
    return dict(zip(likely, asked.judge([f"{header}\n{text}" for text in likely]), strict=True))


def surest(found: Found, asked: Asked, most: int = JUDGED) -> float:
    """The log odds of what of an entry answers best, of `most` texts; -UNSURE without a reranker."""
    entry = found.entry
    rows = [row(pair) for pair in (*entry.fields, *entry.codes)]
    texts = [*leaning(entry), *entry.notes, *entry.steps, *entry.points, *rows]
    return max(read_by(found, "", texts, asked, most).values(), default=-UNSURE)


def likeliest(found: Found, asked: Asked, hits: Sequence[Hit]) -> Found:
    """`found`, or of the entries that fit about as well the one that holds what clearly answers better.

    Not where something is compared, or a name alone is asked for; nor of calls: what they are stands in their names.
    """
    left, best = list(hits), found
    if asked.judge is None or asked.compares or is_name(asked.alone) or found.entry.calls:
        return found
    for _ in range(RIVALS):
        left = [hit for hit in left if hit not in best.hits]
        other = best_entry(asked, left)
        if other is None or other.score < found.score - ALIKE:
            break
        odds = -UNSURE if other.entry.calls else surest(other, asked)
        if odds > SURE and odds > surest(found, asked) + SURE:  # what is sure of nothing spares the second reading
            return other
        best = other
    return found


def elsewhere(found: Found, asked: Asked, hits: Sequence[Hit], least: float) -> str:
    """What the entry that fits next says, below its name, where that answers a direct question by the reranker.

    Its log odds are twice SURE and `least` at least. Of calls nothing: "Or is it ...?" tells them.
    """
    other = next_entry(asked, found, hits)
    if other is None or asked.compares or not asked.direct or found.entry.calls or other.entry.calls:
        return ""
    entry = other.entry
    rows = [row(pair) for pair in (*entry.fields, *entry.codes)]
    read = read_by(other, "", [*leaning(entry), *entry.notes, *rows], asked)
    best = max(read, key=lambda text: read[text], default="")
    sure = best and read[best] >= max(least, 2 * SURE) and not LEANS.match(best)
    return f"“{uncounted(other.heading)}”: {best}" if sure else ""


def tellable(texts: Sequence[str], steps: Sequence[str], odds: Mapping[str, float], asked: Asked) -> list[str]:
    """The texts and the steps, of which one may be told alone.

    Who asks how it is done, or for all there is, wants all steps, unless one of them stands out: for them only what
    answers better than each step does.
    """
    read = sorted((odds[text] for text in steps if text in odds), reverse=True)
    if len(read) > 1 and read[0] <= read[1] + APART and (asked.how or asked.several):
        return [text for text in texts if odds.get(text, 0.0) > read[0]]
    return [*texts, *(text for text in steps if text in odds)]


def judged(
    first: str, sentences: Sequence[str], rows: Sequence[str], odds: Mapping[str, float], asked: Asked
) -> tuple[str, bool]:
    """(the text that clearly answers better than `first` by `odds`, whether it stands alone as `first` is no answer).

    Of several that do about as well, the one that says most of what is asked. No row to who asks what there is, and so
    wants them all. ("", False) where none does.
    """
    if asked.compares or (first and first not in odds and not asked.direct):  # an overview, for who asks what there is
        return "", False
    own, telling = odds.get(first, 0.0), [*sentences, *(rows if asked.direct or not asked.several else ())]
    naming = [text for text in sentences if NAMES.search(text) and odds.get(text, 0.0) > max(own - 1, 0.0)]
    if asked.lists and naming and not NAMES.search(first):
        return max(naming, key=lambda text: odds[text]), own < 0
    clear = [text for text in telling if odds.get(text, 0.0) >= max(own, 0.0) + SURE and not LEANS.match(text)]
    if not clear and own < 0 and not asked.lists:
        clear = [text for text in _alone(odds) if text in telling and not LEANS.match(text)]
    least = max((odds[text] for text in clear if text != first), default=0.0) - SAME
    alike = [text for text in clear if text != first and odds[text] > least]
    best = max(alike, key=asked.likeness, default="")
    return best, best != "" and (own < 0 or (first != "" and first not in odds and best in sentences))


def _alone(odds: Mapping[str, float]) -> list[str]:
    """The text that says so much more of what is asked than all others that it answers, though that is not sure."""
    best, *others = sorted(odds, key=lambda text: -odds[text])
    return [best] if others and odds[best] > max(LEAST, odds[others[0]] + APART) else []
