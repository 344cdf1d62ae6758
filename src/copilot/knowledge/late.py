"""What an encoder says of each token of a question and of a passage in; how well the passage answers it, out.

Late interaction: each token of the question looks for the token of the passage that is most like it, and what they find
is added up. A whole text's one vector tells what it is about; this tells whether each thing that is asked stands there.

Source: Khattab and Zaharia 2020, ColBERT; the tokens of a question are weighed, which is ours.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ABOUT = 0.5  # of the whole texts' cosine beside what the tokens find; the projection was taught with it
FILES = ("token_starts.npy", "tokens.npy")
_LEVELS = 127  # of an int8
_EVEN = 0.5413  # softplus of it is 1: a token's weight before any was learnt


class Tokens:
    """The token vectors of many passages, int8, one after the other."""

    def __init__(self, starts: "NDArray[np.int64]", vectors: "NDArray[np.int8]") -> None:
        """`starts` is (passages + 1,), `vectors` (tokens, dim): those of passage i are starts[i] to starts[i + 1]."""
        self.starts, self.vectors = starts, vectors

    @classmethod
    def of(cls, passages: Sequence["NDArray[np.int8]"]) -> "Tokens":
        """Those of each passage, (tokens, dim), put together."""
        starts = np.cumsum([0, *(len(vectors) for vectors in passages)], dtype=np.int64)
        return cls(starts, np.concatenate(passages))

    def found(self, question: "NDArray[np.float32]", rows: Iterable[int]) -> "NDArray[np.float32]":
        """For each of the passages `rows` the sum of what the question's tokens find there, (rows,), in [-1, 1].

        `question` is (tokens, dim), as `question_tokens` gives it.
        """
        best = []
        for row in rows:
            vectors = self.vectors[self.starts[row] : self.starts[row + 1]].astype(np.float32)
            best.append((vectors @ question.T).max(0).sum() / _LEVELS)
        return np.array(best, dtype=np.float32)

    def scores(
        self, question: "NDArray[np.float32]", cosines: "NDArray[np.float32]", rows: "NDArray[np.int64]"
    ) -> "NDArray[np.float32]":
        """How well each of the passages `rows` answers, (rows,), in [-1, 1]; `cosines` are those of all passages."""
        return score(self.found(question, rows), cosines[rows])

    def save(self, folder: Path) -> None:
        """Write FILES."""
        np.save(folder / FILES[0], self.starts)
        np.save(folder / FILES[1], self.vectors)

    @classmethod
    def load(cls, folder: Path) -> "Tokens | None":
        """What `save` wrote; the vectors stay in their file, and a question reads those of a few passages.

        None where the files are none of its own.
        """
        try:
            starts, vectors = (np.load(folder / name, mmap_mode="r") for name in FILES)
        except (OSError, ValueError, EOFError):
            return None
        return cls(starts, vectors)


class LateEncoder(Protocol):
    """An embedder that gives tokens vectors as well."""

    def encode_documents(self, texts: list[str]) -> list[tuple[list[float], "NDArray[np.int8]"]]:
        """Each text's vector and those of its tokens, (tokens, dim), as `passage_tokens` makes them."""
        ...

    def encode_queries(self, texts: list[str]) -> list[tuple[list[float], "NDArray[np.float32]"]]:
        """Each question's vector and those of its tokens, (tokens, dim), as `question_tokens` makes them."""
        ...


def late_encoder(embeddings: object) -> LateEncoder | None:
    """The embedder, where it is one of these: its `late` says so."""
    return cast(LateEncoder, embeddings) if getattr(embeddings, "late", False) else None


def score(found: "NDArray[np.float32]", cosines: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """What tokens find and whole texts' cosines together, in [-1, 1]; the higher, the likelier it answers."""
    both: NDArray[np.float32] = ((found + ABOUT * cosines) / (1 + ABOUT)).astype(np.float32)
    return both


def passage_tokens(said: "NDArray[np.float32]") -> "NDArray[np.int8]":
    """What an encoder says of a passage's tokens, (tokens, dim + 1), as unit vectors times 127, (tokens, dim)."""
    unit: NDArray[np.int8] = np.rint(_unit(said) * _LEVELS).astype(np.int8)
    return unit


def question_tokens(said: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """What it says of a question's tokens, (tokens, dim + 1), as vectors as long as they weigh, (tokens, dim).

    The last column is how much a token weighs; the weights sum to 1.
    """
    weights = np.logaddexp(0, said[:, -1:] + _EVEN)
    weighed: NDArray[np.float32] = (_unit(said) * (weights / weights.sum())).astype(np.float32)
    return weighed


def _unit(said: "NDArray[np.float32]") -> "NDArray[np.float32]":
    vectors = said[:, :-1]
    unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
