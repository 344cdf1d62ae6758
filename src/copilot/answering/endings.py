"""The passages in; whether a sentence without a full stop was broken off, and where it can be cut, out.

A small model breaks sentences off, and a section that is cut by its budget breaks its last one off. Many good items
have no full stop either: rows of tables. The passages tell the two apart, since such a model copies: where they always
go on after the last words, the sentence was broken off.
"""

import re
from functools import cached_property

MOST = 8  # last words of a sentence that are looked for
_CLOSERS = " `*)\"'”’"
_LOOSE = " .!?,;:–—(“‘"  # what is not shown before more follows it
_STAYS_OPEN = re.compile(  # no sentence ends with these
    r"an?|the|of|and|or|but|nor|is|are|was|were|been?|has|have|had|with|from|than|into|its|their|your|our|my|this|these"
    r"|which|whose|who|that|if|when|while|because|as|such|only|every|each|no|not|at|between|per|can|may|must|will|would"
    r"|should|could"
)
_VALUE = re.compile(r"[^\n]: no$", re.I)  # the whole value of a name
_FURTHER = ("s", "es", "d", "ed", "ing", "ly", "r", "er", "n", "al", "y", "'s")  # of a whole word
_HARD = re.compile(r"[)\]\"'”’]*[ \t]*(?:$|[|.!?;])")
_SOFT = re.compile(r"[)\]\"'”’]*[ \t]*(?:$|[\n|.!?;:,(›–—/=]|(?:and|or|but|if|when|where|unless|so|because)\b)")
_LAST = re.compile(r"[^\W\d_]+$")


class Endings:
    """What the passages of one answer tell about ends of sentences."""

    def __init__(self, context: str) -> None:
        """`context` is all that the model was given to copy from; "" where nothing is."""
        self.context = context

    @cached_property
    def _text(self) -> str:
        return re.sub(r"[ \t]+", " ", self.context.replace("`", "").replace("*", "").lower())

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(re.findall(r"[^\W\d_]+", self._text))

    @cached_property
    def _begun(self) -> frozenset[str]:
        """What begins a word and is not all of it."""
        return frozenset(word[:n] for word in self._known for n in range(1, len(word)))

    def broken(self, sentence: str, item: bool = False) -> bool:
        """Whether the last sentence of a line was broken off; that of an `item` may do without a full stop."""
        bare = sentence.rstrip(_CLOSERS)
        if not bare or bare.endswith((".", "!", "?", ":", "…", "|")) or sentence.lstrip().startswith(("|", "```")):
            return False
        if item and _VALUE.search(bare):
            return False
        after = self._after(sentence)
        if _STAYS_OPEN.fullmatch(_last_word(sentence)):
            return not any(_HARD.match(text) for text in after)
        if after:
            return not any(_SOFT.match(text) for text in after)
        return not item or self._mid_word(sentence) != ""

    def says_little(self, sentence: str) -> bool:
        """Whether a broken sentence leaves its last words hanging."""
        return self._mid_word(sentence) != "" or _STAYS_OPEN.fullmatch(_last_word(sentence)) is not None

    def visible(self, sentence: str) -> str:
        """How much of a sentence that may go on can be shown: no part of a word, and no sign that needs a next word."""
        match = _LAST.search(sentence) if self.context else None
        if match and (match[0].lower() not in self._known or match[0].lower() in self._begun):
            sentence = sentence[: match.start()]
        return sentence.rstrip(_LOOSE)

    def cut(self, sentence: str) -> str:
        """A broken sentence up to its last whole word, and an ellipsis."""
        part = self._mid_word(sentence)
        return sentence[: len(sentence) - len(part)].rstrip(_LOOSE) + "…"

    def _after(self, sentence: str) -> list[str]:
        """What follows in the passages wherever as many of the last words as possible stand there, two at least."""
        words = _words(sentence)
        for count in range(min(MOST, len(words)), 1, -1):
            wanted = r"(?<!\w)" + r"\s+".join(map(re.escape, words[-count:]))
            if found := [self._text[m.end() : m.end() + 40] for m in re.finditer(wanted, self._text)]:
                return found
        return []

    def _mid_word(self, sentence: str) -> str:
        """The last word, where it is the beginning of one of the passages and none itself; else ""."""
        match = _LAST.search(sentence)
        word = match[0].lower() if match else ""
        if not match or word in self._known or word not in self._begun:
            return ""
        stem = any(word + further in self._known for further in _FURTHER)  # a word of the model's own, perhaps
        after = self._after(sentence) if stem else []
        inside = bool(after) and all(text[:1].isalpha() for text in after)
        return match[0] if inside or not stem else ""


def _words(sentence: str) -> list[str]:
    return sentence.replace("`", "").replace("*", "").lower().rstrip(_CLOSERS).split()


def _last_word(sentence: str) -> str:
    return "".join(_words(sentence)[-1:])
