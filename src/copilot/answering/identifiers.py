"""Answer text in, the identifiers it names out; an identifier and a context in, whether the context holds it out."""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from http import HTTPStatus

from copilot.answering.numbers import Amount, amounts
from copilot.prompt.grammar import UNITS, VERBS, begins_with_path, ends_in_verb

_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.M)
_SPAN = re.compile(r"`+([^`\n]+)`+")
_HOST = re.compile(r"https?://[\w.{}-]+(?::\d+)?(?=/)")
_SEGMENT = r"(?:<\w+>|@?[\w.~%{}:+-]+)"
_PATH = rf"/(?=[A-Za-z_{{<:]|-/){_SEGMENT}(?:/{_SEGMENT})*"
_ENDPOINT = re.compile(rf"(?<![\w<>/.}}~:-]){_PATH}")
_PAIR = re.compile(rf"\b({VERBS})[\s`]+(?:{_HOST.pattern})?({_PATH})")

_BEFORE = rf"(?<![\w`])([^\s`]*(?<!\w)(?:{VERBS}))"
_VERB_SPAN = re.compile(rf"{_BEFORE}([^\w\n`]{{1,8}})`([^`\n]+)`")  # GET `/x`
_SPAN_SPAN = re.compile(r"`([^`\n]+)`([^\w\n`]{1,8})`([^`\n]+)`(?=[^`]|$)")  # `GET` `/x`
_PHRASES = "|".join(re.escape(s.phrase) for s in HTTPStatus)
_CODE = r"[1-5]\d\d(?!\w|[.,]\d)"
_UNIT = r"(?!\s+(?:characters?|bytes?|entries|rows?|cells?|items?|contacts?|seconds?|minutes?|hours?|days?|ms|times)\b)"
_STATUS = re.compile(
    r"\b(?:status(?:[ -]codes?)?|codes?|errors?|HTTP(?:/\d(?:\.\d)?)?)(?:\s+(?:is|of|are))?\s*[:=(]?\s*"
    rf"({_CODE}(?:\s*(?:,|/|or|and)\s*{_CODE})*){_UNIT}",
    re.I,
)
_NAMED_STATUS = re.compile(rf"(?<![\w.,/])({_CODE})\s+\(?(?:(?:{_PHRASES})\b|(?:error|status|status code)s?\b)", re.I)

LONGEST = 80  # characters of a name
_CAMEL, _SNAKE = r"[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*", r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+"
_CAPITALS, _DOTTED, _HEADER = r"[A-Z]{2}[A-Z0-9]*", r"[a-z]\w+(?:\.[a-z]\w+)+", r"[A-Z][a-z]+(?:-[A-Z][a-z]+)+"
_SHAPED = re.compile(rf"(?<![\w./{{-])({_CAMEL}|{_SNAKE}|{_CAPITALS}|{_DOTTED}|{_HEADER})\b")
KEY = re.compile(r'"([\w.-]+)"\s*:')
_CELL = re.compile(r"^\|[ \t]*`?([^|`\n]+?)`?[ \t]*\|", re.M)
_PARAMETER = re.compile(r"\{(\w+)\}")
_TYPES = "string|text|integer|number|boolean|bool|time|date|datetime|array|object|list|uuid|float|file|yes|no"
_TYPED = re.compile(rf"^[ \t]*(?![A-Z][a-z]+\b)([\w.{{}}-]+)[ \t]+(?:{_TYPES})\b", re.M)

_PLAIN_WORD = re.compile(r"[A-Z]+[a-z]*(?:-[a-z]+)*|[a-z]+(?:-[a-z]+|-[A-Z]+)*")
_SIGN = re.compile(r"[-\]\[<>=+*/&|?\\→{}%^]+|\.{2,}|\"\"|''")  # a word that is none
_AROUND = ".,;:!?\"'*#…“”‘’–—"  # what stands around a word and is no part of it
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d+)*(?:\.\d+)?(?!\w|%|[.,]\d)")
_QUANTITY = re.compile(rf"(?<![\w.,])(\d+(?:[.,]\d+)*)[\s*]+({UNITS})(?!\w)", re.I)
_AROUND_WORD = re.compile(r"(?<!\w)(?<![^\W\d]-)(?<!\d[.,])"), re.compile(r"(?!\w|-[^\W\d]|[.,]\d)")
_RUN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_a-z]+(?![a-z])|[^\W\d_a-z]?[^\W\d_A-Z]+|[^\W\d_]")
_AROUND_PATH = re.compile(r"(?<![\w}>/.-])"), re.compile(r"(?![\w{-]|/+[\w{<:]|\.\w)")


def in_text(text: str) -> tuple[str, ...]:
    """The identifiers that `text` names, in order, each once.

    Contents of backtick spans; endpoint paths, also inside a URL; a verb with its path, followed by verb and path by
    themselves; three-digit HTTP status codes (100-599) in backticks or beside a word such as status, code, error.
    Fenced code counts for its paths only. Phrases of status codes: RFC 9110, from `http.HTTPStatus`.
    """
    plain = _FENCE.sub("", text)
    found = sorted((*_spans(plain), *_paths(plain), *_statuses(plain)), key=lambda item: item[:2])
    return tuple(dict.fromkeys(name for _, _, name in found if name))  # "/:/" is a path that names nothing


@lru_cache(maxsize=4)  # asked for names and for words
def nameable(context: str) -> tuple[str, ...]:
    """What an answer over `context` may name in backticks, in order, each once.

    What `in_text` finds there; words in camelCase, snake_case, dot.case, Header-Case or CAPITALS; keys of JSON; first
    cells of tables, also of tables whose lines a PDF has lost. At most LONGEST characters each.
    """
    found = list(in_text(context))
    plain = _FENCE.sub("", context)
    for pattern in (_SHAPED, KEY, _CELL, _TYPED):
        found += [match[1].strip() for match in pattern.finditer(plain)]
    names = (name for name in dict.fromkeys(found) if "`" not in name and _can_stand(name))
    return tuple(name for name in names if supported(name, context))


def quotable(context: str) -> tuple[str, ...]:
    """What the lock lets an answer put into backticks, in order, each once.

    What is `nameable`, parameters of paths, and every single word: a model kept from one that is there writes another.
    Signs alone, such as the rule of a table, are none, unless the context itself has them in backticks.
    """
    plain = _FENCE.sub("", context)
    words = dict.fromkeys(token.strip("()" + _AROUND) for token in re.split(r"[\s|`]+", plain))
    whole = {word for word in words if _PLAIN_WORD.fullmatch(word)}
    others = [name for name in in_text(context) if _can_stand(name) or _is_sign(name)]
    counted = _counted(context) - set(others)  # a number that stands with a unit only: another could follow the span
    others += [name for name in (*_PARAMETER.findall(plain), *words) if _can_stand(name) and name not in counted]
    held = (name for name in others if name in whole or supported(name, context))
    return tuple(dict.fromkeys([*nameable(context), *held]))


def sayable(context: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(words, numbers) that prose over `context` may say besides plain words, in order, each once.

    Words: those that are no plain ones (camelCase, digits, slashes, underscores ...), without the punctuation around
    them; quantities with their unit ("30 days"); numbers that stand somewhere without one, which any unit may follow,
    as where a table says elsewhere what it counts; what `nameable` finds, if it is one word; a verb with the path or
    span after it, backticks and all. Numbers: those that stand with a unit only. At most LONGEST characters each.
    """
    plain = context.replace("`", " ")
    stated = _stated(context)
    numbers, counted = list(dict.fromkeys(_NUMBER.findall(plain))), _counted(context)
    found: list[str] = []
    for token in re.split(r"[\s|]+|\]\(", plain):
        inner = token.strip(_AROUND)
        whole = [token, inner] if re.search(r"[\][(){}<>=#\\]", token) else []  # "[["A1",": as it is copied
        found += [inner.strip("()[]" + _AROUND), *whole]
    found += numbers
    found += [f"{number} {unit}" for number, unit in _QUANTITY.findall(plain)]
    found += [amount.text for amount in stated if amount.kind and amount.text[0].isdigit()]  # "25 active tokens"
    found += [sign for token in plain.split() for sign in (token, token.rstrip(".,;:!?")) if _SIGN.fullmatch(sign)]
    found += [name for name in nameable(context) if not re.search(r"\s", name)]
    found += _together(context)
    known = (word for word in dict.fromkeys(found) if word and len(word) <= LONGEST and word.isprintable())
    words = [
        word for word in known if not _PLAIN_WORD.fullmatch(word) and (re.search(r"\w", word) or _SIGN.fullmatch(word))
    ]
    return tuple(word for word in words if word not in counted), tuple(n for n in numbers if n in counted)


@lru_cache(maxsize=4)  # asked for names and for words
def _stated(context: str) -> tuple[Amount, ...]:
    """Its amounts, in order."""
    return tuple(amounts(context))


def _counted(context: str) -> set[str]:
    """The numbers that stand with a unit only, as written."""
    bare = {amount.number for amount in _stated(context) if not amount.kind}
    numbers = _NUMBER.findall(context.replace("`", " "))
    return {number for number in numbers if Fraction(re.sub(r",", "", number)) not in bare}


def _together(context: str) -> Iterator[str]:
    """Each verb with what may stand after it only so: its path ("GET /x", "`GET` `/x`") or a span ("GET `x`")."""
    for line in _FENCE.sub("", context).splitlines():
        for found in _VERB_SPAN.finditer(line):
            yield f"{found[1].lstrip('([' + _AROUND)}{re.sub(' +', ' ', found[2])}`{found[3]}`"
        for at in (tick.start() for tick in re.finditer("`", line)):
            match = _SPAN_SPAN.match(line, at)
            if match and ends_in_verb(match[1]) and begins_with_path(match[3]):
                yield f"`{match[1]}` `{match[3]}`"
    for line in context.replace("`", " ").splitlines():
        tokens = re.split(r"[\s|]+", line)
        for verb, path in itertools.pairwise(tokens):
            if ends_in_verb(verb) and begins_with_path(path):
                for short in dict.fromkeys((path.rstrip(_AROUND), path.rstrip(")]" + _AROUND), path)):
                    yield f"{verb.lstrip('([' + _AROUND)} {short}"


def _can_stand(word: str) -> bool:
    """Whether it holds a letter or a digit, and is printable and of at most LONGEST characters."""
    return re.search(r"[^\W_]", word) is not None and len(word) <= LONGEST and word.isprintable()


def _is_sign(word: str) -> bool:
    return _SIGN.fullmatch(word) is not None and len(word) <= LONGEST


def is_pair(name: str) -> bool:
    """Whether `name` is a verb with its path, such as `GET /v2/lists`, and nothing else."""
    return _PAIR.fullmatch(name) is not None


def supported(identifier: str, context: str) -> bool:
    """Whether `context` holds `identifier` as a whole token, in the same case.

    Backticks and the width of spaces make no difference, and a path may stand inside a full URL. A verb with its path
    needs both, and where the context writes verbs right before that path, one of these must be the verb.
    """
    wanted, given = _plain(identifier), _given(context)
    if not wanted:
        return False
    pair = _PAIR.fullmatch(wanted)
    if pair is None:
        return _occurs(wanted, given)
    verb, path = pair[1], _trim(pair[2])
    before = {v for v, p in _PAIR.findall(given) if _trim(p) == path}
    return verb in before if before else _occurs(verb, given) and _occurs(path, given)


def mentions(text: str, name: str) -> bool:
    """Whether `text` holds the name or code, whatever its case and what parts its words.

    `retention_days` stands in "Retention days" and in `retentionDaysMax`, E-NET2 not in E-NET21. An option needs its
    hyphens; a path stands where its words do, and where verbs are written right before it, or before a path that goes
    on from it or that it goes on from, its own is one of them.
    """
    if name.startswith("-"):
        words = name.lstrip("-").split("-")
        whole = re.escape(name) if len(words) == 1 else "-{0,2}" + "[-_]?".join(map(re.escape, words))
        return re.search(rf"(?<![\w-]){whole}(?![\w-])", text, re.I) is not None
    if "/" in name:
        verb, _, path = _trim(name).rpartition(" ")
        pairs = [(v, f"{_trim(p)}/") for v, p in _PAIR.findall(_plain(text))]
        before = {v for v, p in pairs if p.startswith(f"{path}/") or f"{path}/".startswith(p)}
        fixed = re.findall(r"[^\W\d_]{3,}", re.sub(r"\{.*?\}", "", path))
        return verb in before if verb and before else all(word.lower() in text.lower() for word in fixed)
    held, wanted = _form(text), _form(name)
    if re.fullmatch(r"[1-5]\d\d", name):
        return wanted in held or f" {name[0]} xx " in held
    if re.search(r"\d", name):
        return wanted in held or f"{wanted[:-1]}." in held  # OAuth2 in "OAuth 2.0"
    return (wanted if wanted.count(" ") == 2 else wanted.strip()) in held


@lru_cache(maxsize=4)
def _form(text: str) -> str:
    """Its words and numbers in small letters, each between blanks; the parts of a name are words of their own."""
    return f" {' '.join(_RUN.findall(text)).lower()} "


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    """(offset, rank, content) of each backtick span; a pair is written with one space."""
    for match in _SPAN.finditer(text):
        if content := match[1].strip():
            yield match.start(1), 0, _plain(content) if _PAIR.fullmatch(content) else content


def _paths(text: str) -> Iterator[tuple[int, int, str]]:
    """(offset, rank, name) of endpoint paths; a pair is followed by its verb and its path."""
    for match in _PAIR.finditer(text):
        verb, path = match[1], _trim(match[2])
        yield match.start(), 1, f"{verb} {path}"
        yield match.start(), 2, verb
        yield match.start(), 3, path
    bare = _HOST.sub(lambda host: " " * len(host[0]), text)
    for match in _ENDPOINT.finditer(bare):
        yield match.start(), 4, _trim(match[0])


def _statuses(text: str) -> Iterator[tuple[int, int, str]]:
    """(offset, rank, code) of status codes in words; those in backticks are spans already."""
    for pattern in (_STATUS, _NAMED_STATUS):
        for match in pattern.finditer(text):
            for code in re.finditer(_CODE, match[1]):
                yield match.start(1) + code.start(), 5, code[0]


def _plain(text: str) -> str:
    """`text` without backticks and with single spaces."""
    return " ".join(text.replace("`", " ").split())


@lru_cache(maxsize=4)
def _given(context: str) -> str:
    """A context as `_plain` gives it, asked for each of its names."""
    return _plain(context)


def _trim(path: str) -> str:
    """`path` without the sentence's punctuation and a closing slash."""
    return path.rstrip(".:/")


def _occurs(name: str, text: str) -> bool:
    """Whether `name` stands in `text` and is not a part of a longer word, number or path."""
    if name.startswith("/") and _trim(name):
        path = _trim(name)
        return _stands(path, text, *_AROUND_PATH) or _stands(path, _HOST.sub(" ", text), *_AROUND_PATH)
    left, right = _AROUND_WORD
    return _stands(name, text, left if _is_word(name[0]) else None, right if _is_word(name[-1]) else None)


def _stands(name: str, text: str, left: re.Pattern[str] | None, right: re.Pattern[str] | None) -> bool:
    """Whether `name` is somewhere in `text` between what these ask for.

    A pattern with the name in it would do, but compiling one for each name takes longer than the search.
    """
    at = text.find(name)
    while at >= 0:
        if (left is None or left.match(text, at)) and (right is None or right.match(text, at + len(name))):
            return True
        at = text.find(name, at + 1)
    return False


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
