"""A question in; the same in words that the documents hold, where a word of it is one of theirs written otherwise, out.

A slip ("pasword"), two words for one or one for two ("ISO27001", "web server"), an acronym of which the documents hold
the words ("SSO"), a short form ("pwd"). A slip for a word that they do not hold is mended too, where it can be for but
one ("colleage"). A word that a document or the language knows is never changed.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable
from functools import cached_property
from itertools import pairwise

from copilot.knowledge.asking import plain
from copilot.knowledge.lexical import COMMON, stem

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST = 5  # letters of a word that is taken for a slip: shorter ones are like too many others
SHORT = {  # what people write for a word
    "acc": "account",
    "acct": "account",
    "addr": "address",
    "admin": "administrator",
    "cert": "certificate",
    "config": "configuration",
    "db": "database",
    "dir": "directory",
    "dob": "date of birth",
    "docs": "documents",
    "env": "environment",
    "info": "information",
    "max": "maximum",
    "min": "minimum",
    "msg": "message",
    "org": "organization",
    "perms": "permissions",
    "pic": "picture",
    "pics": "pictures",
    "prod": "production",
    "pw": "password",
    "pwd": "password",
    "qty": "quantity",
    "repo": "repository",
    "sub": "subscription",
    "temp": "temporary",
    "vid": "video",
}
_DIGITS = {"2": "(?:2|two|second)", "3": "(?:3|three|third)"}
_WORD = re.compile(r"[^\W_]+")
_ACRONYM = re.compile(r"(?=\w*[A-Z])[A-Z0-9]{3,5}")
_HUMP = re.compile(r"[a-z][A-Z]")  # of an identifier
_BORDER = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")


class Spelling:
    """How the documents of an index write their words."""

    def __init__(
        self, terms: Container[str], passages: Callable[[], Iterable[str]], is_word: Callable[[str], bool]
    ) -> None:
        """`terms` are those of `Lexical`; `passages` are read where a word is none of them.

        `is_word` knows the words of the language.
        """
        self._terms, self._passages, self._is_word = terms, passages, is_word

    @cached_property
    def _text(self) -> str:
        return "\n".join(self._passages())

    @cached_property
    def _words(self) -> Counter[str]:
        return Counter(word.lower() for word in _WORD.findall(self._text) if not _HUMP.search(word))

    @cached_property
    def _hyphened(self) -> dict[str, str]:
        """Words with a hyphen by what they are without it: "wifi" for "Wi-Fi"."""
        found = Counter(re.findall(r"(?<![\w-])[A-Za-z]+-[A-Za-z]+(?![\w-])", self._text))
        return {word.replace("-", "").lower(): word for word, _ in reversed(found.most_common())}

    def mended(self, question: str) -> str | None:
        """`question` in words of the documents; None where none of its words is theirs written otherwise."""
        asked = plain(question)
        joined = self._joined(asked)
        found = _WORD.sub(lambda match: self._mended(match[0]), joined)
        return found if found != asked else None

    def _joined(self, question: str) -> str:
        """Two words that the documents write as one, as one: "time out"; not where they hold the two as well."""
        words = list(_WORD.finditer(question))
        for first, second in pairwise(words):
            both = (first[0] + second[0]).lower()
            between = question[first.end() : second.start()]
            apart = first[0].lower() in COMMON or between not in (" ", "-") or len(both) < 4
            if apart or stem(both) not in self._terms or both not in self._words:
                continue
            if not self._beside(first[0], second[0]):
                return question[: first.end()] + question[second.start() :]
        return question

    def _beside(self, first: str, second: str) -> bool:
        """Whether the documents hold the two, one after the other."""
        return bool(re.search(rf"(?<!\w){re.escape(first)}[\s-]{re.escape(second)}(?!\w)", self._text, re.I))

    def _mended(self, word: str) -> str:
        if self._held(word):
            return word
        written = self._hyphened.get(word.lower(), "") or self._parted(word) or self._spelt_out(word)
        return written or self._slip(word.lower()) or (self._usual(word) if word.islower() else "") or word

    def _parted(self, word: str) -> str:
        """One word for two that stand side by side in the documents."""
        at = [match.start() for match in _BORDER.finditer(word)] if re.search(r"\d", word) else range(2, len(word) - 1)
        halves = [(word[:i], word[i:]) for i in at]
        return next((" ".join(pair) for pair in halves if all(map(self._held, pair)) and self._beside(*pair)), "")

    def _held(self, word: str) -> bool:
        return word.lower() in COMMON or stem(word.lower()) in self._terms

    def _spelt_out(self, word: str) -> str:
        """The words that a short form stands for, where the documents hold them."""
        long = SHORT.get(word.lower(), "")
        if long and all(part in self._words for part in long.split()):
            return long
        if not _ACRONYM.fullmatch(word):
            return ""
        each = [_DIGITS.get(letter, letter) + r"\w*" for letter in word]
        found = re.finditer(rf"(?<!\w){r'[ -]'.join(each)}(?!\w)", self._text, re.I)
        return next((m[0] for m in found if not COMMON & set(re.split("[ -]", m[0].lower())) - {"on", "in", "off"}), "")

    def _slip(self, word: str) -> str:
        """The word of the documents that it is but for one letter, or two in each other's place; "" for a real word.

        Source: Norvig 2007, How to Write a Spelling Corrector.
        """
        if len(word) < SHORTEST or not word.isalpha() or self._known(word):
            return ""
        parts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
        near = {a + b[1:] for a, b in parts if b} | {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
        near |= {a + c + b[1:] for a, b in parts if b for c in LETTERS} | {a + c + b for a, b in parts for c in LETTERS}
        forms = (one for one in sorted(near) if stem(one) in self._terms and self._known(one))
        return max(sorted(near & self._words.keys()), key=lambda found: self._words[found], default=next(forms, ""))

    def _usual(self, word: str) -> str:
        """The one word of the language that `word` is without a letter, or with two in each other's place.

        Names that the language does not have are like others but for another letter: "zapier", "napier".
        """
        if len(word) <= SHORTEST or not word.isalpha() or self._known(word):
            return ""
        parts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
        near = {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
        near |= {a + c + b for a, b in parts for c in LETTERS}
        found = [one for one in near if stem(one) != stem(word) and self._is_word(one)]
        return found[0] if len(found) == 1 else ""

    def _known(self, word: str) -> bool:
        """Whether the language has it, or that of which it is a form: "mailing" is of "mail"."""
        return any(map(self._is_word, (word, stem(word), f"{stem(word)}e")))
