"""Passages in; BM25 scores of a question's words over them out, and how much of a question they speak of.

Own code, since the maintained libraries cost more than they spare here: bm25s imports scipy and numba where they are
installed (0.2 s, which a person waits for), and does not split identifiers. Numbers: benchmarks/retrieval.py.
"""

import io
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from copilot.knowledge.asking import ASKING, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

K1, B = 1.2, 0.75  # of BM25, as usual: how soon repeats stop counting, how much length counts
STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be by can could did do does for from has have how i if in into is it its me my no not "
        "of on one only or our out should so than that the their them there they this to up was we what when where "
        "which who whom why will with without would you your",
    )
)
TALK = frozenset(("list", "enumerate", "difference", "differences", "between", "compare", "type", "types", "kinds"))
COMMON = frozenset(  # words that no question is about
    re.findall(
        r"\w+",
        "a about am an and any are as at be been being but by can cannot could did do does doing for from get give go "
        "had has have having how i if in into is it its just know let like make many may me mean means might more "
        "most much must my need no not of off on one only or other our out over own same set should so some such tell "
        "than that the their them then there these they thing this those to too up us use used using very want was "
        "way we were what when where whether which while who why will with without would you your",
    )
)
_WORD = re.compile(r"\w+(?:[.-]\w+)*")
_BETWEEN = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # the parts of an identifier
_ENDINGS = (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""))


def terms(text: str) -> list[str]:
    """What is looked up: words without endings, identifiers whole and in parts; no words that say nothing.

    `oldSecret_id` gives itself in small letters, `old`, `secret` and `id`; a path or a verb with one gives its words.
    """
    return [term for _, found in _terms(text) for term in found]


def _terms(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """(word as written, its terms)."""
    return [(word, found) for word in _WORD.findall(text) if (found := _terms_of(word))]


@lru_cache(maxsize=1 << 16)
def _terms_of(word: str) -> tuple[str, ...]:
    parts = [part.lower() for part in _BETWEEN.split(word) if part]
    whole = (word.lower(),) if len(parts) > 1 else ()
    parts = [part for part in parts if len(part) > 1 or not "a" <= part <= "z"]  # the t of don't
    return (*whole, *(stem(part) for part in parts if part not in STOP))


def stem(word: str) -> str:
    """`word` without -s, -es, -ies, -ed, -ing and a last e, so that rotate, rotates and rotating are one.

    Measured beside Snowball's English stemmer on 216 questions: no difference.
    """
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending) + instead
            if ending in ("ing", "ed") and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]  # stopp, of stopped
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


class Lexical:
    """BM25 over passages. Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework, 3.4."""

    def __init__(self, passages: Sequence[str]) -> None:
        counts = [Counter(terms(passage)) for passage in passages]
        lengths = np.array([sum(count.values()) for count in counts], dtype=np.float32)
        postings: dict[str, list[tuple[int, int]]] = {}
        for row, count in enumerate(counts):
            for term, times in count.items():
                postings.setdefault(term, []).append((row, times))
        self.size = len(passages)
        self.vocabulary = {term: i for i, term in enumerate(sorted(postings))}
        flat = np.array([pair for term in self.vocabulary for pair in postings[term]], dtype=np.int32).reshape(-1, 2)
        found_in = [len(postings[term]) for term in self.vocabulary]
        self.starts = np.cumsum([0, *found_in], dtype=np.int64)  # (terms + 1,): where a term's rows begin
        self.rows = flat[:, 0].copy()  # (postings,)
        count_of = flat[:, 1].astype(np.float32)
        around = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))  # (passages,)
        rare = np.repeat(self._rarity(np.array(found_in)), found_in)
        self.weights = (rare * count_of * (K1 + 1) / (count_of + around[self.rows])).astype(np.float32)  # (postings,)

    def scores(self, question: str) -> "NDArray[np.float32]":
        """BM25 of each passage, (passages,); 0 where none of the question's terms stands."""
        found = np.zeros(self.size, dtype=np.float32)
        for term in terms(question):
            if (i := self.vocabulary.get(term)) is not None:
                part = slice(self.starts[i], self.starts[i + 1])
                found[self.rows[part]] += self.weights[part]
        return found

    def coverage(self, question: str) -> float:
        """Share in [0, 1] of the question's terms that any passage holds, rare ones weighing more; 1 without terms."""
        asked = [self.vocabulary.get(term) for term in dict.fromkeys(terms(question))]
        weighed = [float(self._rarity(0 if i is None else self.starts[i + 1] - self.starts[i])) for i in asked]
        held = [weight for weight, i in zip(weighed, asked, strict=True) if i is not None]
        return sum(held) / sum(weighed) if weighed else 1.0

    def unknown(self, question: str) -> list[str]:
        """The question's words that no passage holds in any form, as written, each once; no words of every question."""
        told = [(word, found) for word, found in _terms(plain(question)) if word.lower() not in COMMON | ASKING | TALK]
        words = dict.fromkeys(word for word, found in told if not any(term in self.vocabulary for term in found))
        return [word for word in words if not self._holds_form(word)]

    def _holds_form(self, word: str) -> bool:
        """Whether a passage holds a word that begins as the plain word `word` does: "expiry" for "expired"; or mail."""
        begins = stem(word.lower())
        begins = begins[: max(5, len(begins) - 2)]
        if len(begins) < 5 or not word.isalpha():
            return False
        return begins.removeprefix("e") in self.vocabulary or any(term.startswith(begins) for term in self.vocabulary)

    def _rarity(self, found_in: "NDArray[np.int64] | np.int64 | int") -> "NDArray[np.float64]":
        """Weight of a term that so many passages hold, always above 0."""
        held = np.asarray(found_in, dtype=np.float64)
        weight: NDArray[np.float64] = np.log(1 + (self.size - held + 0.5) / (held + 0.5))
        return weight

    def to_bytes(self) -> bytes:
        """The content of `lexical.npz`, without pickle, the same for the same passages."""
        words = np.frombuffer("\n".join(self.vocabulary).encode("utf-8"), dtype=np.uint8)
        file = io.BytesIO()
        np.savez(file, size=self.size, words=words, starts=self.starts, rows=self.rows, weights=self.weights)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Lexical":
        """What `to_bytes` wrote."""
        self = cls.__new__(cls)
        with np.load(io.BytesIO(data)) as held:
            self.size = int(held["size"])
            words = held["words"].tobytes().decode("utf-8")
            self.starts, self.rows, self.weights = held["starts"], held["rows"], held["weights"]
        self.vocabulary = {word: i for i, word in enumerate(words.split("\n") if words else [])}
        return self
