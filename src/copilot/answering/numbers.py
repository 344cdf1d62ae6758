"""Text in, the amounts it states out: numbers with a unit, as figures or words, and those of a default or a limit.

Times and sizes are brought to one unit each, so that 60 seconds are 1 minute and 1,000 ms are 1 s; a kilobyte counts
1,000 bytes, also where it is written KiB.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

_ONES = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
)
_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")
_WORDS = {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "k": 1000, "million": 10**6, "billion": 10**9}
_PARTS = re.compile("|".join(sorted({**_WORDS, **_SCALES}, key=len, reverse=True)))

_MEASURES = {  # name of a unit -> what it measures, and how many of its smallest unit it holds
    "time": {
        "ms millisecond": 1,
        "s sec second": 1000,
        "min minute": 60_000,
        "h hr hour": 3_600_000,
        "day": 86_400_000,
        "week": 604_800_000,
    },
    "months": {"month": 1, "year": 12},
    "bytes": {
        "byte": 1,
        "kb kib kilobyte": 10**3,
        "mb mib megabyte": 10**6,
        "gb gib gigabyte": 10**9,
        "tb tib terabyte": 10**12,
    },
    "percent": {"% percent": 1},
    "dollars": {"$ usd dollar": 1},
    "euros": {"€ eur euro": 1},
    "pounds": {"£ gbp": 1},
}
_UNITS = {n: (kind, size) for kind, sizes in _MEASURES.items() for names, size in sizes.items() for n in names.split()}
_NOUNS = re.findall(
    r"\w+",
    "request call row column cell contact character record item message page user seat file event operation token "
    "attempt time campaign list webhook connection subscriber recipient",
)
_COUNTED = {f"{noun}s": noun for noun in _NOUNS} | {"entries": "entry", "retries": "retry", "tries": "try"}

_FIGURES = r"\d{1,3}(?:[,\u00a0\u202f ]\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_WORD = "|".join([*_ONES, *_TENS, "dozen"])
_SCALE = "|".join(word for word in _SCALES if word != "k")
_NUMBER = rf"(?:{_FIGURES}|(?:{_WORD})(?:[ -](?:{_WORD}))*)(?:[ -]?(?:{_SCALE})|k)*(?![\w])"
_START = r"(?<![\w#])(?<!\d[.,:/])(?<![^\W\d]-)"
_LETTERS = "|".join(sorted((re.escape(n) for n in _UNITS if n not in ("%", "$", "€", "£")), key=len, reverse=True))
_ANY_NOUN = "|".join([*_COUNTED, *_COUNTED.values()])
_UNIT = rf"(?:\s?%|per cent\b|(?:{_LETTERS})s?(?!\w)|(?:{_ANY_NOUN})(?!\w))"
_NOT_BETWEEN = r"(?!(?:per|a|an|the|each|every|and|or|to|in|of|for|if|with|from|by|at|on|is|are|as)\b)"
_AFTER = rf"[ \u00a0-]?(?:{_NOT_BETWEEN}(?!{_UNIT})[a-z]+[ -])?({_UNIT})"
_AMOUNT = re.compile(rf"{_START}([$€£] ?)?({_NUMBER}|{_FIGURES})", re.I)
_UNIT_HERE = re.compile(rf"{_AFTER}", re.I)
_UNIT_OF_RANGE = re.compile(rf" ?(?:-|–|to|and|or) ?(?:{_NUMBER}|{_FIGURES}){_AFTER}", re.I)
_HALF = re.compile(rf"\bhalf an? ((?:{_LETTERS})(?!\w))", re.I)
_LIMIT = re.compile(
    r"\b(?:default(?:s|ed)?|max(?:imum)?|minimum|limit(?:s|ed)?|at most|at least|up to|no(?:t)? more than"
    r"|(?:fewer|less|more) than|exceed(?:s|ed|ing)?)\b[^.;\n\d]{0,25}$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as a text states it."""

    text: str  # as written, with its unit
    number: Fraction
    kind: str  # what its unit measures or counts; "" without a unit
    size: Fraction  # in the smallest unit of its kind
    counts: bool  # whether a reader takes it as a fact: it has a unit, or is a default or a limit


def amounts(text: str) -> Iterator[Amount]:
    """Every number of `text` that stands by itself.

    In words it is a fact from two on, and as the count of a noun from eleven on: "these two rows" are none. Half an
    hour is 30 minutes, a dozen is 12.
    """
    plain = text.replace("`", "").replace("**", "")
    for match in _HALF.finditer(plain):
        kind, factor = _unit(match[1].lower())
        yield Amount(match[0], Fraction(1, 2), kind, Fraction(factor, 2), True)
    for match in _AMOUNT.finditer(plain):
        number, words = _value(match[2]), match[2][0].isalpha()
        unit, end = (match[1] or "").strip().lower(), match.end()
        if not unit and (found := _UNIT_HERE.match(plain, end) or _UNIT_OF_RANGE.match(plain, end)):
            unit, end = " ".join(found[1].lower().split()), found.end()
        if unit == "s" and number >= 1000:  # the 1990s
            unit = ""
        kind, factor = _unit(unit)
        limit = _LIMIT.search(plain, max(0, match.start() - 50), match.start()) is not None
        counted = kind != "" and kind not in _MEASURES
        counts = limit or kind != ""
        if words:
            counts = counts and number >= (11 if counted else 2)
        yield Amount(plain[match.start() : end], number, kind, number * factor, counts)


def unheld(text: str, given: Sequence[Amount]) -> list[str]:
    """Amounts that `text` states as facts and that are not among the `given` ones.

    They hold one when it has the same size of the same kind, or the same number without any unit (as tables write
    it); and a number without a unit when it is there at all.
    """
    sizes, bare = {(a.kind, a.size) for a in given}, {a.number for a in given if not a.kind}
    every = {a.number for a in given}

    def held(amount: Amount) -> bool:
        if not amount.kind:
            return amount.number in every
        return (amount.kind, amount.size) in sizes or amount.number in bare

    return list(dict.fromkeys(a.text for a in amounts(text) if a.counts and not held(a)))


def _unit(written: str) -> tuple[str, int]:
    """(kind, factor) of a unit in lower case."""
    name = "%" if written == "per cent" else written
    for known in (name, name.removesuffix("s")):
        if known in _UNITS:
            return _UNITS[known]
    return _COUNTED.get(name, name), 1


def _value(written: str) -> Fraction:
    """A number in figures or words, with its scale: 1,000 or `two hundred`."""
    text = written.lower()
    total = Fraction(0)
    if figures := re.match(_FIGURES, text):
        total, text = Fraction(re.sub(r"[^\d.]", "", figures[0])), text[figures.end() :]
    for word in _PARTS.findall(text):
        total = (total or Fraction(1)) * _SCALES[word] if word in _SCALES else total + _WORDS[word]
    return total
