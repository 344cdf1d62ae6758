"""An index in, a function from question to hits out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from copilot.config import Retriever
from copilot.types import Hit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copilot.knowledge.embeddings import Embedder
    from copilot.knowledge.index import Index

Retrieve = Callable[[str], list[Hit]]
Order = Callable[[str, list[Hit]], list[Hit]]  # a question and what was found for it, best first → in another order


# What the cosine weighs against BM25. Of a hybrid: chosen on the training rows and the development set (docs/log.md).
WEIGHTS = {"dense": 1.0, "hybrid": 0.7, "lexical": 0.0}
REMEMBERED = 1000  # vectors of questions


@dataclass(frozen=True, slots=True)
class IndexRetriever:
    """`retrieve(question) -> hits`, best first, at most `k`; training and asking use the same one."""

    index: "Index"
    embeddings: "Embedder"
    config: Retriever
    order: Order = lambda question, hits: hits
    known: dict[str, list[float]] = field(default_factory=dict)  # vectors of questions that were or are to be asked

    def __call__(self, question: str) -> list[Hit]:
        """The hits of one question; whatever ranks them, their score is the cosine."""
        cosines = self.index.cosines(self._vector(question))
        lexical = self.index.lexical.scores(question)
        order = ranked(cosines, lexical, WEIGHTS[self.config.mode])[: self.config.k]
        return self.order(question, [Hit(self.index.chunks[row], float(cosines[row])) for row in order])

    def evidence(self, question: str) -> tuple[float, float]:
        """(highest cosine of any chunk, share of the question's words that the documents hold)."""
        return float(self.index.cosines(self._vector(question)).max()), self.index.lexical.coverage(question)

    def embed(self, questions: Sequence[str], batch_size: int) -> None:
        """Embed many questions ahead, `batch_size` in one request to a provider."""
        wanted = list(dict.fromkeys(question for question in questions if question not in self.known))
        for at in range(0, len(wanted), batch_size):
            part = wanted[at : at + batch_size]
            self.known.update(zip(part, self.embeddings.embed_queries(part), strict=True))

    def _vector(self, question: str) -> list[float]:
        if question not in self.known:
            if len(self.known) >= REMEMBERED:
                del self.known[next(iter(self.known))]
            self.known[question] = self.embeddings.embed_query(question)
        return self.known[question]


def ranked(cosines: "NDArray[np.float32]", lexical: "NDArray[np.float32]", weight: float) -> "NDArray[np.int64]":
    """Rows of the chunks, best first, `weight` in [0, 1] being that of the cosine; among equals the higher cosine.

    Both scores are spread over 0 to 1, weighed and added.

    Source: the convex combination of Bruch, Gai and Ingber 2023, An Analysis of Fusion Functions for Hybrid Retrieval.
    """
    both = weight * _spread(cosines) + (1 - weight) * _spread(lexical)
    order: NDArray[np.int64] = np.lexsort((-cosines, -both))
    return order


def _spread(scores: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """The scores from 0, the lowest, to 1, the highest; all 0 where they are equal."""
    low, high = float(scores.min()), float(scores.max())
    spread: NDArray[np.float32] = (scores - low) / (high - low) if high > low else np.zeros_like(scores)
    return spread
