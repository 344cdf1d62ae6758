"""Section titles, the names and the words that may be written in; the Lark grammar of an answer out (llguidance's).

One text serves every runtime that takes Lark grammars. It is built for each question, since names and words come from
the passages that were found.
"""

import json
import re
from collections.abc import Sequence

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

VERBS = "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS"  # of an endpoint
_ENDS_IN_VERB = re.compile(rf"(?<!\w)(?:{VERBS})\W*$")
_BEGINS_WITH_PATH = re.compile(r"\W*?(?:https?://|/(?:[A-Za-z_{<:]|-/))")
_PAIRED = re.compile(r"`([^`]+)`([^`]+)`([^`]+)`")

_UNSEEN = r"\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # control characters, invisible ones
_HIDDEN = r"\x00-\x1f" + _UNSEEN
_LETTER = rf"[^\x00-\x60\x7b-\x7e{_UNSEEN}\p{{N}}\uff00-\uff5e]"
_WORD = rf"([A-Z]+{_LETTER}*(-{_LETTER}+)*|{_LETTER}+(-{_LETTER}+|-[A-Z]+)*)|--?"  # that needs no other shape
_SPACE = r"/\** +\**/"
_OPEN, _SHUT, _POINT = "[\"'(*“‘]{0,4}", "[)\"'*”’]{0,4}", "([.,:;!?…–—]|[.]{3}|[?]!)"  # before and after a word
_CLOSE = f"{_SHUT}({_POINT}([)\"'*”’]{{1,4}}{_POINT}?)?)?"  # no mark right after a mark
_STOP = f"[*]{{0,4}}([)\"'”’]{_CLOSE}|{_POINT}{_SHUT})"  # of _CLOSE, what parts a number from the word after it


def answer_grammar(
    titles: Sequence[str],
    names: Sequence[str] | None = None,
    may_refuse: bool = True,
    words: Sequence[str] | None = None,
    numbers: Sequence[str] = (),
) -> str:
    """Exactly these headings in order, each over 1 to LINES lines, with a blank line between sections.

    A line holds prose and backtick spans. With `names` a span holds one of them and nothing else; None lets it hold
    anything. `may_refuse` False keeps the first line from beginning with NO_ANSWER. With `words` prose is locked: it
    holds plain words (letters, no capital after a small one) and of all others, such as numbers, paths and addresses,
    these alone, and `numbers`, which no unit may follow; None lets it hold anything but backticks. No path follows a
    verb such as GET, in prose or spans, but where one of the words has both ("GET /x", "GET `/x`", "`GET` `/x`").
    """
    guarded = words is not None and bool(names) and any(map(begins_with_path, (*words, *(names or ()))))
    below = "below" if guarded else "line"
    sections = ' "\\n\\n" '.join(f"section{i}" for i in range(len(titles)))
    rules = [f'start: {sections} "\\n\\n"?']  # a model that goes on to a further section has ended the last
    for i, title in enumerate(titles):
        first = "opening" if i == 0 and not may_refuse else "line"
        rules.append(f'section{i}: {json.dumps(MARK + title)} "\\n" {first} ("\\n" {below}){{0,{LINES - 1}}}')
    if words is not None and names and guarded:
        return "\n".join([*rules, *_paired(words, numbers, names, may_refuse)]) + "\n"
    begin, after = ("BEGIN", "PROSE") if words is None else ("LEAD? WORDS", "more")
    rules += _line("line", begin, after, names)
    words = [word for word in words if "`" not in word] if words is not None else None
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


def _line(rule: str, begin: str, after: str, names: Sequence[str] | None) -> list[str]:
    """A line that begins with prose of its own kind, or with a span."""
    if names is not None and not names:
        return [f"{rule}: {begin}"]
    span = '"`" NAME "`"'
    rest = f"({after} {span}){{0,{SPANS - 1}}} {after}?"
    lead = "LEAD? " if after == "more" else ""
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
        f"PLAIN: /{_WORD}/",
        "WORD: " + _choice([*words, "e.g", "i.e", "and/or"]),
        f"GAP: {gap}",
    ]
    step, last = f"{word} GAP", word
    if numbers:
        rules += [
            "NUMBER: " + _choice(numbers),
            f"OTHER: PLAIN & ~/(?i:{UNITS})/",
            rf"STOP: /{_STOP} +{_OPEN}/",
            f"HALT: /{_STOP}/",
        ]
        after = f"{_SPACE} {counted} (STOP | {_SPACE} {counted} GAP)"  # nor two words on: "30 more minutes"
        step = f"({word} GAP | NUMBER ({after} | STOP))"
        last = f"({word} | NUMBER ({_SPACE} {counted} ({_SPACE} {counted} | HALT) | HALT))"  # a span may be a unit too
    end = rf"/{_CLOSE}( +{_OPEN})?/"
    return [
        *rules,
        f"WORDS: ({step}){{0,{WORDS}}} {last} {end}",
        rf"LEAD: /(- |\* |[1-9][.)] ){_OPEN}|[\"'(*“‘]{{1,4}}/",
        "more: JOIN WORDS? | SHUT",
        f"JOIN: /('s|[a-z]{{1,3}}|-[a-z]+)?({_CLOSE} +{_OPEN}|[(–—])/",
        f"SHUT: /('s|[a-z]{{1,3}}|-[a-z]+)?({_SHUT}{_POINT}{_SHUT}|[)\"'*”’]{{1,4}})|'s|[a-z]{{1,3}}|-[a-z]+/",
    ]


def ends_in_verb(text: str) -> bool:
    """Whether a path that comes next would be read with the verb at the end of `text`."""
    return _ENDS_IN_VERB.search(text) is not None


def begins_with_path(text: str) -> bool:
    """Whether a verb that stands before `text` would be read with its path."""
    return _BEGINS_WITH_PATH.match(text) is not None


def _paired(words: Sequence[str], numbers: Sequence[str], names: Sequence[str], may_refuse: bool) -> list[str]:
    """Lines of locked prose and spans where no path comes after a verb of another pair.

    Terminals that begin with FREE go on after anything but a verb, those with BOUND after a verb: no path comes first.
    FREEVERB ends in one, and nothing but the end of a line follows. A line below another begins with no
    path, unless there is a marker before it.
    """
    pairs = [match for word in words if (match := _PAIRED.fullmatch(word))]
    words = [word for word in words if not word.startswith("`")]
    paths, verbs, others = _parted(names)
    routes, calls, plainer = _parted(words)
    rules, spans = [], {}
    for rule, texts in (("NAME", others), ("PATH", paths), ("VERBAL", verbs)):
        if texts:
            rules.append(f"{rule}: {_choice(texts)}")
            spans[rule] = f'"`" {rule} "`"'
    plain = [rule for rule in ("NAME", "PATH") if rule in spans]
    tied = [(f"TIED{i}", f"TO{i}", *group) for i, group in enumerate(_by_verb(pairs))]
    for verb, path, name, held in tied:
        rules += [f"{verb}: {json.dumps(name)}", f"{path}: {_choice(held)}"]
    for left in range(SPANS):
        again = left + 1 < SPANS
        free = [f"{spans[rule]} rest{left}?" for rule in plain]
        bound = [f"{spans[rule]} rest{left}?" for rule in plain if rule == "NAME"]
        after = [f"{spans[rule]} after{left}?" for rule in spans if rule == "VERBAL"]
        after += [f'"`" {verb} "`" JOIN "`" {path} "`" rest{left}?' for verb, path, _, _ in tied]
        rules.append(f"span{left}: " + " | ".join([*free, *after]))
        if bound or after:
            rules.append(f"bare{left}: " + " | ".join([*bound, *after]))
        go = f" span{left + 1}" if again else ""
        rules.append(
            f"rest{left}: JOIN | SHUT | JOIN FREE | JOIN FREEVERB" + (f" | (JOIN | SHUT | JOIN FREE){go}" if go else "")
        )
        if "VERBAL" in spans:
            tail = f" | (JOIN | SHUT) bare{left + 1} | JOIN BOUND{go}" if again and (bound or after) else ""
            rules.append(f"after{left}: JOIN | SHUT | JOIN BOUND" + tail)
    first = "LEAD? FREE span0? | LEAD? FREEVERB | LEAD? span0"
    bare = " | bare0" if any(rule.startswith("bare0") for rule in rules) else ""
    rules += [
        f"line: {first}",
        f"below: LEAD FREE span0? | LEAD FREEVERB | LEAD span0 | BOUND span0?{bare}",
    ]
    if not may_refuse:
        the, documents = NO_ANSWER.split()
        route = " | ROUTE" if routes else ""
        rules += [
            "opening: first (GAP | DONE)? | first GAP FREE span0? | first GAP? span0 | first GAP FREEVERB"
            " | CALL span0? | LEAD FREE span0? | LEAD FREEVERB | LEAD? span0",
            f'first: FIRST | "{the}" GAP SECOND',
            f"DONE: /{_SHUT}{_POINT}{_SHUT}|[)\"'*”’]{{1,4}}/",
            f"FIRST: PLAIN & ~/{the}/ | WORD{route}",
            f"SECOND: PLAIN & ~/{documents}.*/ | WORD{route}",
            "CALL: (VERB GAP)+ BOUND",
        ]
    return rules + _prose(routes, calls, plainer, numbers)


def _parted(texts: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """(those that begin with a path, those that end in a verb, the others); what does both can stand nowhere."""
    kinds = [(begins_with_path(text), ends_in_verb(text), text) for text in texts]
    return (
        [text for path, verb, text in kinds if path and not verb],
        [text for path, verb, text in kinds if verb and not path],
        [text for path, verb, text in kinds if not path and not verb],
    )


def _by_verb(pairs: Sequence[re.Match[str]]) -> list[tuple[str, list[str]]]:
    """The verbs of pairs in spans of their own, each with its paths."""
    held: dict[str, list[str]] = {}
    for match in pairs:
        held.setdefault(match[1], []).append(match[3])
    return list(held.items())


def _prose(routes: Sequence[str], verbs: Sequence[str], others: Sequence[str], numbers: Sequence[str]) -> list[str]:
    """As `_locked`, in parts: what begins with no path (BOUND) or may, and what ends in a verb or does not."""
    shared = ("GAP:", "NUMBER:", "STOP:", "HALT:", "LEAD:", "JOIN:", "SHUT:", "WORD:")
    kept = [rule for rule in _locked(others, numbers) if rule.startswith(shared)]
    verb = rf"/({_LETTER}+(-{_LETTER}+|-[A-Z]+)*-)?({VERBS})/"  # no longer than PLAIN may be: any word can end
    rules = [
        *kept,
        f"ANY: /{_WORD}/",
        rf"PLAIN: ANY & ~/(?s:.*-)?({VERBS})/",
        f"VERB: {verb}" + (f" | {_choice(verbs)}" if verbs else ""),
    ]
    word = "OTHER | WORD"  # after a number
    if routes:
        rules.append("ROUTE: " + _choice(routes))
        word += " | ROUTE"
    step, last, calls, called = "(PLAIN | WORD) GAP", "(PLAIN | WORD)", "VERB GAP", "VERB"
    if numbers:
        rules.append(f"OTHER: PLAIN & ~/(?i:{UNITS})/")
        step += f" | NUMBER ({_SPACE} (({word}) (STOP | {_SPACE} ({word}) GAP) | VERB {_SPACE} OTHER GAP) | STOP)"
        last += f" | NUMBER ({_SPACE} (({word}) ({_SPACE} ({word}) | HALT) | VERB {_SPACE} OTHER) | HALT)"
        calls += f" | NUMBER {_SPACE} (OTHER {_SPACE} VERB GAP | VERB STOP)"
        called += f" | NUMBER {_SPACE} (OTHER {_SPACE})? VERB"
    tied = f"({calls})*"
    route, at = (" | ROUTE GAP", " | ROUTE") if routes else ("", "")
    end = rf"/{_CLOSE}( +{_OPEN})?/"
    return [
        *rules,
        f"BEFORE: {tied} ({step}){route}",
        f"LAST: {tied} ({last}){at}",
        f"FREE: BEFORE{{0,{WORDS}}} LAST {end}",
        f"FREEVERB: BEFORE{{0,{WORDS}}} {tied} ({called}) {end}",
        f"BOUND: {tied} ({last}) ({end} | GAP FREE)",
    ]


def _choice(texts: Sequence[str]) -> str:
    return " | ".join(json.dumps(text, ensure_ascii=False) for text in texts)
