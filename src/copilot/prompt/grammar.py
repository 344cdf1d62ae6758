"""Section titles, the names and the words that may be written in; the Lark grammar of an answer out (llguidance's).

One text serves every runtime that takes Lark grammars. It is built for each question, since names and words come from
the passages that were found.
"""

import json
from collections.abc import Mapping, Sequence

from copilot.prompt.sections import MARK

LINES = 6  # of a section, at most
LINE = 200  # characters of a stretch of free prose, at most
WORDS = 40  # words of a stretch of locked prose, at most
SPANS = 8  # backtick spans of a line, at most
NO_ANSWER = "The documents"  # how a refusal begins, in the examples and so in the answers: "... do not say ..."
UNITS = (  # of a quantity; a number stands before one only where the passages have it so
    r"%|percent|ms|milliseconds?|s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|days?|weeks?|months?|years?|bytes?|bits?"
    r"|[KMGT]i?B|(?:kilo|mega|giga|tera)bytes?|characters?|letters?|words?|lines?|pages?|rows?|columns?|cells?|items?"
    r"|entries|entry|records?|files?|contacts?|messages?|requests?|calls?|times?|attempts?|retries|tries|users?|seats?"
    r"|events?|operations?|tokens?|campaigns?|lists?|webhooks?|connections?|subscribers?|recipients?"
    r"|usd|eur|gbp|euros?|dollars?|pounds?|cents?|credits?"
)

_UNSEEN = r"\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # control characters, invisible ones
_HIDDEN = r"\x00-\x1f" + _UNSEEN
_LETTER = rf"[^\x00-\x60\x7b-\x7e{_UNSEEN}\u00b2\u00b3\u00b9\u00bc-\u00be\u0660-\u0669\u06f0-\u06f9\uff00-\uff5e]"
_OPEN, _SHUT, _POINT = "[\"'(*“‘]{0,4}", "[)\"'*”’]{0,4}", "([.,:;!?…–—]|[.]{3}|[?]!)"  # before and after a word
_CLOSE = f"{_SHUT}({_POINT}([)\"'*”’]{{1,4}}{_POINT}?)?)?"  # no mark right after a mark
_STOP = f"[*]{{0,4}}([)\"'”’]{_CLOSE}|{_POINT}{_SHUT})"  # of _CLOSE, what parts a number from the word after it


def answer_grammar(
    titles: Sequence[str],
    names: Sequence[str] | None = None,
    may_refuse: bool = True,
    words: Sequence[str] | None = None,
    numbers: Sequence[str] = (),
    openings: Mapping[int, str] | None = None,
) -> str:
    """Exactly these headings in order, each over 1 to LINES lines, with a blank line between sections.

    A line holds prose and backtick spans. With `names` a span holds one of them and nothing else; None lets it hold
    anything. `may_refuse` False keeps the first line from beginning with NO_ANSWER. With `words` prose is locked: it
    holds plain words (letters, no capital after a small one) and of all others, such as numbers, paths and addresses,
    these alone, and `numbers`, which no unit may follow; None lets it hold anything but backticks. `openings` are
    sentences that sections begin with, by place.
    """
    sections = ' "\\n\\n" '.join(f"section{i}" for i in range(len(titles)))
    rules = [f'start: {sections} "\\n\\n"?']  # a model that goes on to a further section has ended the last
    for i, title in enumerate(titles):
        first = "opening" if i == 0 and not may_refuse else "line"
        if openings and i in openings:
            first = f'{json.dumps(openings[i])} (" " further)?'
        rules.append(f'section{i}: {json.dumps(MARK + title)} "\\n" {first} ("\\n" line){{0,{LINES - 1}}}')
    begin, after = ("BEGIN", "PROSE") if words is None else ("LEAD? WORDS", "more")
    rules += _line("line", begin, after, names)
    if openings:
        rules += _line("further", begin.replace("LEAD? ", ""), after, names, leads=False)
    rules += _free() if words is None else _locked(words, numbers)
    if not may_refuse and words is None:
        rules += [*_line("opening", "ANSWER", after, names), f"ANSWER: BEGIN & ~/{NO_ANSWER}(?s:.*)/"]
    elif not may_refuse:
        rules += [*_line("opening", "first (GAP WORDS? | DONE)? | LEAD WORDS", after, names), *_first()]
    if names is None:
        rules.append(rf"NAME: /[^`{_HIDDEN}]{{1,80}}/")
    elif names:
        rules.append("NAME: " + _choice(names))
    return "\n".join(rules) + "\n"


def _line(rule: str, begin: str, after: str, names: Sequence[str] | None, leads: bool = True) -> list[str]:
    """A line that begins with prose of its own kind, or with a span, and unless it `leads` with no marker."""
    if names is not None and not names:
        return [f"{rule}: {begin}"]
    span = '"`" NAME "`"'
    rest = f"({after} {span}){{0,{SPANS - 1}}} {after}?"
    lead = "LEAD? " if after == "more" and leads else ""
    return [f"{rule}: ({begin}) ({span} {rest})? | {lead}{span} {rest}"]


def _first() -> list[str]:
    """The first word of locked prose, or the first two, that are not NO_ANSWER."""
    the, documents = NO_ANSWER.split()
    return [
        f'first: FIRST | "{the}" GAP SECOND',
        f"DONE: /{_SHUT}{_POINT}{_SHUT}|[)\"'*”’]{{1,4}}/",
        f"FIRST: PLAIN & ~/{the}/ | WORD",
        f"SECOND: PLAIN & ~/{documents}.*/ | WORD",  # whatever follows: one that may not refuse is turned off here
    ]


def _free() -> list[str]:
    """Prose that holds anything but backticks and what nobody sees."""
    return [
        rf"BEGIN: /[^`#\s{_HIDDEN}][^`{_HIDDEN}]{{0,{LINE - 1}}}/",
        rf"PROSE: /[^`{_HIDDEN}]{{1,{LINE}}}/",
    ]


def _locked(words: Sequence[str], numbers: Sequence[str]) -> list[str]:
    """Prose of plain words, and of these words where another shape is needed.

    Words stand apart by GAP; after a number that is a space only where no unit follows, since a quantity that the
    passages hold is one of the words, unit and all. LEAD begins a line before its first word or span. After a span,
    perhaps with an ending such as 's, JOIN leads to more words or the next span and SHUT does not.
    """
    gap = rf"/{_CLOSE} +{_OPEN}|['(]/"
    word, counted = "(PLAIN | WORD)", "(OTHER | WORD)"
    rules = [
        rf"PLAIN: /([A-Z]+{_LETTER}*|{_LETTER}+)(-{_LETTER}+|-[A-Z]+)*|--?/",
        "WORD: " + _choice([*words, "e.g", "i.e", "and/or"]),
        f"GAP: {gap}",
    ]
    step, last = f"{word} GAP", word
    if numbers:
        rules += [
            "NUMBER: " + _choice(numbers),
            f"OTHER: PLAIN & ~/(?i:{UNITS})/",
            rf"STOP: /{_STOP} +{_OPEN}/",
        ]
        space = r"/\** +\**/"
        after = f"{space} (WORD GAP | OTHER (STOP | {space} {counted} GAP))"  # nor two words on: "30 more minutes"
        step = f"({word} GAP | NUMBER ({after} | STOP))"
        last = f"({word} | NUMBER ({space} (WORD | OTHER ({space} {counted})?))?)"
    end = rf"/{_CLOSE}( +{_OPEN})?/"
    return [
        *rules,
        f"WORDS: ({step}){{0,{WORDS}}} {last} {end}",
        rf"LEAD: /(- |\* |[1-9][.)] ){_OPEN}|[\"'(*“‘]{{1,4}}/",
        "more: JOIN WORDS? | SHUT",
        f"JOIN: /('s|[a-z]{{1,3}}|-[a-z]+)?({_CLOSE} +{_OPEN}|[(–—])/",
        f"SHUT: /('s|[a-z]{{1,3}}|-[a-z]+)?({_SHUT}{_POINT}{_SHUT}|[)\"'*”’]{{1,4}})|'s|[a-z]{{1,3}}|-[a-z]+/",
    ]


def _choice(texts: Sequence[str]) -> str:
    return " | ".join(json.dumps(text, ensure_ascii=False) for text in texts)
