"""A question and its hits in; the sentences, steps and rows out of which a small model may put its answer together.

A model of a few million parameters copies, but into sentences that say nothing, and from neighbouring entries. Held to
quotes it chooses instead: which sentences and steps of the entry answer the question, and which are left out. The entry
and the candidates are those of the extractive baseline; the headings, the entry's call, its fields and the words where
it has nothing are written by the program.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from copilot.answering.asked import Asked, Judge, read_question
from copilot.answering.check import passes
from copilot.answering.choosing import (
    APART,
    READ,
    SURE,
    UNSURE,
    amounts,
    answering_row,
    answering_sentence,
    asked_for,
    elsewhere,
    judged,
    likeliest,
    read_by,
    surest,
    tellable,
)
from copilot.answering.comparing import column, compared, sides
from copilot.answering.ranking import Found, best_entry
from copilot.answering.wording import (
    ALARM,
    WARNS,
    Said,
    beside,
    calling,
    can_stand,
    described,
    leaning,
    listed,
    listing,
    overview,
    pointed,
    row,
    shortened,
    uncounted,
    warned,
)
from copilot.config import AnswerPart
from copilot.prompt.quotes import Part
from copilot.reading.glossary import is_glossary
from copilot.types import Hit

_WARNED = re.compile(  # a question for all of the last section
    r"\b(?:pitfalls?|mistakes?|tips?|avoid|limitations?|best practices?|problems?|troubleshoot\w*|goe?s? wrong|"
    r"warnings?|risks?|disadvantages?|cons|drawbacks?|watch out|careful|should(?:n['’]t| (?:i|we|one|you) not)|"
    r"not (?:to )?do|don['’]ts)\b",
    re.I,
)
_SAYS_SO = re.compile(r"(?:Yes|No)[.,!;:]")  # begins the answer to a question that is a heading
LONGEST = 240  # characters of a quote
SENTENCES, FIELDS, TIPS = 5, 8, 6  # quotes of a section to choose from, at most
ROOM = 480  # characters of the fields, and of steps, so that the section after them arrives whole
BESIDE = 2  # sentences that stand above a list
MORE = "More steps follow in the sources."  # below those that there is room for
OTHERS = "More names follow in the sources."  # below the fields that there is room for
BOTH = 720  # of the two
NOTHING = ("", "", "- No field is listed for this.", "The documents name no special warning for this.")


def offered(question: str, hits: Sequence[Hit], config: AnswerPart, judge: Judge | None = None) -> list[Part] | None:
    """What each section may hold, in the order of the document; None where the hits hold no entry.

    `judge` tells which sentence answers. An entry that has nothing to quote, such as a heading alone, is passed over
    where another has.
    """
    asked, left, first = read_question(question, hits, judge), list(hits), None
    everything = "\n".join(hit.chunk.passage for hit in hits)
    while found := best_entry(asked, left):
        found = likeliest(found, asked, left) if first is None else found
        parts = _offered(found, asked, everything, question, hits, config)
        if any(part.quotes for part in parts) or parts[0].opening != described(found.heading, "", ()):
            whole = 4 if _WARNED.search(question) else 3
            return [_written(part) if 0 < n < whole else part for n, part in enumerate(parts)]
        first, left = first or parts, [hit for hit in left if hit not in found.hits]
    return first


def _offered(
    found: Found, asked: Asked, everything: str, question: str, hits: Sequence[Hit], config: AnswerPart
) -> list[Part]:
    """The same of one entry; `everything` is all passages."""
    call = " ".join(calling(found.entry, asked, found.context, everything))
    parts = _parts(found, asked, call)
    sure = surest(found, asked) if asked.direct and not asked.compares and not call else 0.0
    other = elsewhere(found, asked, hits, sure + SURE if parts[1].quotes else 0.0) if not call else ""
    other = other or ("" if sure >= 3 * SURE else beside(asked, found, hits, everything))
    kept = _sound([other, *(text for part in parts for text in part.quotes)], question, hits, config)
    if not _sound([parts[0].opening], question, hits, config, 2 * LONGEST):
        parts[0] = replace(parts[0], opening=described(found.heading, "", ()))
    parts = [_kept(part, kept, none) for part, none in zip(parts, NOTHING, strict=True)]
    parts = _led(parts, asked)
    if not parts[1].quotes and not parts[1].opening:
        parts[1] = Part(f"Read “{found.heading}” in the sources.")
    if other in kept:
        apart = "\n\n" if parts[1].joint == "\n" else " "
        parts[1] = replace(parts[1], closing=f"{apart}{other}")
    return [*parts, *[Part("No more is said.")] * (len(config.sections) - 4)][: len(config.sections)]


def _parts(found: Found, asked: Asked, call: str) -> list[Part]:
    """The four parts with all that the entry has; the summary opens with its first sentence, which none repeats."""
    entry, said = found.entry, Said.over(found.context)
    first, *prose = leaning(entry) or [""]
    rows = {pair: shortened(row(pair), LONGEST, asked) for pair in (*entry.fields, *entry.codes)}
    texts = [first, *prose, *entry.notes, *entry.steps, *entry.points, *rows.values()]
    fit = {text: asked.likeness(text) for text in texts}
    both = [asked, *([asked.second] if asked.second else [])]
    odds = [read_by(found, first, texts, one) for one in both]
    for one, read in zip(both, odds, strict=True):
        for text in set(read).difference(entry.steps, () if one.direct else rows.values()):
            fit[text] += READ * max(read[text], 0.0)
    if is_glossary(found.heading):
        rows = {pair: text for pair, text in rows.items() if fit[text]}
    first, told, prose, rows = _opening(found, asked, call, first, prose, rows, fit, odds)
    first = shortened(first, LONGEST, asked) if told else first
    points = [text for text in entry.points if text not in told]
    notes = [text for text in entry.notes if text not in told]
    telling = [*prose, *notes, *(text for text in points if not text.endswith(":"))]
    summary = sorted(telling, key=lambda text: -fit[text])[:SENTENCES]
    how = [text for text in prose if not WARNS.search(text)] or prose
    done = [shortened(text, LONGEST - 10) for text in entry.steps]
    every = [f"{n}. {said.ticked(text)}" for n, text in enumerate(done, entry.begin)]
    wide = ROOM if rows else BOTH
    steps = every if len("\n".join(every)) <= wide else _first(every, wide - len(MORE) - 1)
    steps += [MORE] * (len(steps) < len(every))
    steps = steps or [said.ticked(text) for text in pointed(points)]
    room = min(ROOM, BOTH - len("\n".join(steps))) - len(OTHERS) - 3
    fields = _within(listed([rows[pair] for pair in entry.fields if pair in rows], fit, FIELDS), fit, room)
    alarms = [text for text in prose if ALARM.search(text)]
    left = len(fields) < len([pair for pair in entry.fields if pair in rows])
    tips = warned([*notes, *alarms], [rows[pair] for pair in entry.codes if pair in rows], fit, TIPS)
    if not fields and (fields := said.named([text for text in prose if text not in tips], [], 3, fit)):
        how = [text for text in how if not any(said.ticked(text) in one for one in fields)]
    above = [] if entry.steps or not steps else sorted(how, key=lambda text: -fit[text])[:BESIDE]
    call = " ".join([call, *(said.ticked(text) for text in how if text in above and len(text) <= LONGEST)]).strip()
    places = {text: n for n, text in enumerate(entry.steps, entry.begin)}

    def counted(text: str) -> str:
        """A step with its place, since it stands there too, and no sentence stands twice."""
        return f"Step {places[text]}: {text}" if text in places else text

    alone = how[:1] if len(how) == 1 and not (call or steps) else []  # nothing else is left for the part below
    summary = [text for text in telling if text in summary and text not in alone]
    return [
        Part(described(found.heading, said.ticked(first), _ticked(said, map(counted, told))), _ticked(said, summary)),
        Part(call, tuple(steps), "\n") if steps else Part(call, _ticked(said, _within(how, fit, ROOM - len(call)))),
        Part("", (*(f"- {text}" for text in _ticked(said, fields)), *[f"- {OTHERS}"] * left), "\n"),
        Part("", tuple(f"- {text}" for text in _ticked(said, tips)), "\n"),
    ]


def _opening(
    found: Found,
    asked: Asked,
    call: str,
    first: str,
    prose: list[str],
    rows: dict[tuple[str, str], str],
    fit: Mapping[str, float],
    odds: Sequence[Mapping[str, float]],
) -> tuple[str, list[str], list[str], dict[tuple[str, str], str]]:
    """What the summary opens with, what it tells beside that, and the prose and the rows that are left.

    Beside what the thing is stand the rows that are compared, the row that is asked for, and what answers a direct
    question.
    """
    entry, explains, two = found.entry, is_glossary(found.heading), compared(rows, asked, LONGEST)
    if entry.trails and not call and not explains and (entry.steps or len(rows) > 2):
        first, prose = "", _below(first, prose)
    best = rows[max(rows, key=lambda pair: (asked.is_for(pair[0]), fit[rows[pair]]))] if rows else ""
    if not first and not call and not explains and not two:
        first = overview(found, rows, best, asked)
    if not first and not call and not two and len(rows) > 1 - explains and fit.get(best):
        first, rows = best, {pair: text for pair, text in rows.items() if text != best}
    own, alone = ("", False) if explains or first == best or two else asked_for(rows, asked, fit)
    if own and alone:
        first, prose, own = own, _below(first, prose), ""
        rows = {pair: text for pair, text in rows.items() if text != first}
    told = two or [text for text in dict.fromkeys((own, answering_row(found, rows, asked))) if text and text != first]
    if len(two) > 1:
        first, prose = "", _below(first, prose)
    if not call and (said := column(rows, asked, LONGEST)):
        first, prose, told = "", _below(first, prose), [said]
    elif not two and (two := sides([first, *prose, *entry.notes, *rows.values()], odds[0], asked)):
        told = [text for text in two if text != first]
        if first not in two and not call:
            first, prose = "", _below(first, prose)
    elif not two:
        said_best = max([first, *told], key=lambda text: fit.get(text, 0.0))
        free = [text for text in (*prose, *entry.notes, *entry.items) if text not in told]
        least = SURE + APART if entry.calls and not asked.direct else -UNSURE  # few of a call's fields are asked for
        others = [text for text in rows.values() if text not in told and odds[0].get(text, 0.0) >= least]
        if amounts(asked):  # an amount is no error
            failed = {rows.get(pair) for pair in entry.codes}
            others = [text for text in others if text not in failed]
        free = tellable(free, entry.steps, odds[0], asked)
        answer, alone = judged(said_best, free, others, odds[0], asked)
        field = answer.startswith("`") and answer in [rows.get(pair) for pair in entry.fields]  # of what is told first
        if alone and said_best == first and not call and not field and not _SAYS_SO.match(first):
            first, prose = "", [*[first] * (first in fit), *prose]
        told += filter(None, [answer or answering_sentence(said_best, [*free, *others], asked, fit)])
        if asked.second:
            besides, _ = judged(said_best, free, others, odds[1], asked.second)
            told += [besides] * bool(besides and besides not in told)
    if not told and first in ("", *leaning(entry)) and (names := listing(entry, rows, asked)):
        told = [names]
    if not first and not told and not call and entry.steps:
        first = f"“{uncounted(found.heading)}” is done in the steps below."
    prose = [text for text in prose if text not in told]
    return first, told, prose, {pair: text for pair, text in rows.items() if text not in told}


def _below(first: str, prose: list[str]) -> list[str]:
    """The prose with the sentence before it that opens the summary no more."""
    return [first, *prose] if first else prose


def _led(parts: list[Part], asked: Asked) -> list[Part]:
    """The parts with the warning that says most of what is asked written by the program, and told in no other part.

    A small model may leave it out.
    """
    fields = {text.removeprefix("- ") for text in parts[2].quotes}
    free = [text for text in parts[3].quotes if text.removeprefix("- ") not in fields]
    if not free:
        return parts
    best = max(free, key=asked.likeness)
    apart = best.removeprefix("- ")
    parts = [replace(p, quotes=tuple(q for q in p.quotes if q.removeprefix("- ") != apart)) for p in parts]
    return [*parts[:3], replace(parts[3], opening="\n".join(filter(None, (parts[3].opening, best))))]


def _within(rows: Sequence[str], fit: Mapping[str, float], room: int) -> list[str]:
    """The rows that there is room for, those that are asked for first; in the order of the document."""
    kept: list[str] = []
    for text in sorted(rows, key=lambda text: -fit[text]):
        if not kept or len("\n- ".join([*kept, text])) + 2 <= room:
            kept.append(text)
    return [text for text in rows if text in kept]


def _first(lines: Sequence[str], room: int) -> list[str]:
    """The first lines that there is room for."""
    return [line for n, line in enumerate(lines) if n == 0 or len("\n".join(lines[: n + 1])) <= room]


def _ticked(said: Said, texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(said.ticked(text) for text in texts))


def _kept(part: Part, kept: set[str], none: str) -> Part:
    """The part with the quotes that can stand in an answer; none begins as another one, so that each can end."""
    quotes = [text for text in part.quotes if text in kept]
    whole = [text for text in quotes if not any(text != other and text.startswith(other) for other in quotes)]
    return Part(part.opening or ("" if whole else none), tuple(whole), part.joint)


def _written(part: Part) -> Part:
    """A part that is written whole, as far as there is room: where a small model chooses, most of it is left out."""
    texts = _first(part.quotes, BOTH) if part.joint == "\n" else part.quotes
    return Part(part.joint.join([part.opening] * bool(part.opening) + [*texts]), closing=part.closing)


def _sound(
    texts: Sequence[str], question: str, hits: Sequence[Hit], config: AnswerPart, longest: int = LONGEST
) -> set[str]:
    """Those that can stand in a line of an answer and pass its check, whatever the document holds."""
    bare = {text: text.removeprefix("- ").strip() for text in texts}
    fine = [text for text, said in bare.items() if said and can_stand(said, longest)]
    if passes("\n".join(fine), hits, question, config):
        return set(fine)
    return {text for text in fine if passes(text, hits, question, config)}
