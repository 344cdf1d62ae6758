"""An index in, a function from question to hits out.

Chunks are ranked by cosine and words; of the first, token by token where the index holds tokens; then the hits, by a
reranker where there is one.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from copilot.config import Retriever
from copilot.knowledge.asking import ended, is_name, subject, wordings
from copilot.knowledge.index import Index
from copilot.knowledge.late import late_encoder
from copilot.knowledge.lexical import COMMON
from copilot.knowledge.table import table_rows
from copilot.types import Hit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copilot.knowledge.embeddings import Embedder
    from copilot.knowledge.reranker import Reranker
    from copilot.knowledge.spelling import Spelling

Retrieve = Callable[[str], list[Hit]]
OfDocument = Callable[[str], list[Hit]]  # a document's path → all its passages
Order = Callable[[str, list[Hit], OfDocument], list[Hit]]  # what was found, best first → what is read, as many at most


# What the cosine weighs against BM25. Of a hybrid: chosen on the training rows and the development set (docs/log.md).
WEIGHTS = {"dense": 1.0, "hybrid": 0.7, "lexical": 0.0}
REREAD = 20  # passages that are looked at token by token, where the index holds their tokens
LATE = 0.4  # what that weighs beside the hybrid, both spread over 0 to 1
ROWS = 16  # of a table that are read one by one
SURE = 1.0  # log odds that a row answers, and by how much more than the next one, from where it is told
REMEMBERED = 1000  # vectors of questions

Encoded = tuple[list[float], "NDArray[np.float32] | None"]  # a question's vector and those of its tokens


@dataclass(frozen=True, slots=True)
class IndexRetriever:
    """`retrieve(question) -> hits`, best first, at most `k`; training and asking use the same one."""

    index: Index
    embeddings: "Embedder"
    config: Retriever
    order: Order = lambda question, hits, of_document: hits
    known: dict[str, Encoded] = field(default_factory=dict)  # questions that were or are to be asked
    reranker: "Reranker | None" = None
    spelling: "Spelling | None" = None  # how the documents write their words

    def __call__(self, question: str) -> list[Hit]:
        """The hits of one question; whatever ranks them, their score is the cosine."""
        found = ((wording, *self._found(wording)) for wording in self.wordings(question))
        wording, hits, of_document = max(found, key=lambda one: _fit(one[1]))
        return self.order(question, self._row_told(wording, hits), of_document)

    @property
    def judge(self) -> "Callable[[str, Sequence[str]], Iterable[float]] | None":
        """Log odds that each text answers a question; None without a reranker."""
        return self.reranker.logits if self.reranker else None

    def _row_told(self, question: str, hits: list[Hit]) -> list[Hit]:
        """The hits, the first one with the row of its table that answers, where the reranker says so of one alone."""
        rows = table_rows(hits[0].chunk.passage)[:ROWS] if hits and self.reranker else []
        if self.reranker is None or len(rows) < 2:
            return hits
        logits = self.reranker.logits(question, [text for _, text in rows])
        second, first = np.argsort(logits, kind="stable")[-2:]
        if logits[first] < SURE or logits[first] < logits[second] + SURE:
            return hits
        return [replace(hits[0], row=rows[first][0]), *hits[1:]]

    def wordings(self, question: str) -> tuple[str, ...]:
        """What is looked up for a question: as `asking.wordings` has it, and as the documents spell it."""
        mended = self.spelling.mended(question) if self.spelling else None
        return tuple(dict.fromkeys((*wordings(question), *([ended(mended)] if mended else []))))

    def _found(self, question: str) -> tuple[list[Hit], OfDocument]:
        vector, tokens = self._encoded(question)
        cosines = self.index.cosines(vector)
        lexical = self.index.lexical.scores(question)
        weight = WEIGHTS[self.config.mode]
        fused = _fused(cosines, lexical, weight) + self._called(question)
        order = _best_first(fused, cosines)
        late: dict[int, float] = {}
        if tokens is not None and self.index.tokens and self.config.mode == "hybrid":
            first, rest = order[:REREAD], order[REREAD:]
            found = self.index.tokens.scores(tokens, cosines, first)
            late = dict(zip(first.tolist(), found.tolist(), strict=True))
            nearest = _best_first(fused[first] + LATE * _spread(found), cosines[first])
            order = np.concatenate([first[nearest], rest])

        def hit(row: int) -> Hit:
            return Hit(self.index.chunks[row], float(cosines[row]), late.get(row))

        def of_document(path: str) -> list[Hit]:
            return [hit(row) for row, chunk in enumerate(self.index.chunks) if chunk.document == path]

        return self._reranked(question, [hit(row) for row in order[: self.config.k].tolist()]), of_document

    def _called(self, question: str) -> "NDArray[np.float32]":
        """Where a name is asked for alone, 1 for a passage that holds it, and 1 if a line begins with it, as a row."""
        alone = subject(question, COMMON)
        if len(alone) != 1:
            return np.zeros(len(self.index.chunks), dtype=np.float32)
        name = re.escape(alone[0])
        row = re.compile(rf"^[^\w\n]*?{name}[`*\"]*\s*(?:[|:–—]|-\s|$)", re.M | re.I)
        held = re.compile(rf"(?<![\w-]){name}(?![\w-])" if is_name(alone[0]) else "(?!)")
        texts = self.index.passages()
        return np.array([bool(row.search(text)) + bool(held.search(text)) for text in texts], dtype=np.float32)

    def _reranked(self, question: str, hits: list[Hit]) -> list[Hit]:
        if self.reranker is None:
            return hits
        logits = self.reranker.logits(question, [hit.chunk.passage for hit in hits])
        read = [replace(hit, logit=logit) for hit, logit in zip(hits, logits.tolist(), strict=True)]
        return sorted(read, key=lambda hit: -hit.fit)

    def evidence(self, question: str) -> tuple[float, ...]:
        """How much of the question the nearest chunk answers, by the reranker and late interaction.

        Of a question with words of asking, what is higher: as it was asked, or without them.

        Without both: (highest cosine of any chunk, share of the question's words that the documents hold).
        """
        return max(map(self._evidence, self.wordings(question)))

    def _evidence(self, question: str) -> tuple[float, ...]:
        if self.reranker is not None:
            return (_fit(self._found(question)[0]),)
        vector, tokens = self._encoded(question)
        cosines = self.index.cosines(vector)
        if tokens is None or not self.index.tokens:
            return float(cosines.max()), self.index.lexical.coverage(question)
        rows = np.argsort(-cosines, kind="stable")[:REREAD]
        return (float(self.index.tokens.scores(tokens, cosines, rows).max()),)

    def embed(self, questions: Sequence[str], batch_size: int) -> None:
        """Embed many questions ahead, `batch_size` in one request to a provider."""
        asked = [wording for question in questions for wording in self.wordings(question)]
        wanted = list(dict.fromkeys(wording for wording in asked if wording not in self.known))
        for at in range(0, len(wanted), batch_size):
            part = wanted[at : at + batch_size]
            if late := late_encoder(self.embeddings):
                self.known.update(zip(part, late.encode_queries(part), strict=True))
            else:
                vectors = self.embeddings.embed_queries(part)
                self.known.update((question, (v, None)) for question, v in zip(part, vectors, strict=True))

    def _encoded(self, question: str) -> Encoded:
        if question not in self.known:
            if len(self.known) >= REMEMBERED:
                del self.known[next(iter(self.known))]
            self.embed([question], 2)
        return self.known[question]


def _fit(hits: Sequence[Hit]) -> float:
    return max((hit.fit for hit in hits), default=0.0)


def ranked(cosines: "NDArray[np.float32]", lexical: "NDArray[np.float32]", weight: float) -> "NDArray[np.int64]":
    """Rows of the chunks, best first, `weight` in [0, 1] being that of the cosine; among equals the higher cosine."""
    return _best_first(_fused(cosines, lexical, weight), cosines)


def _fused(cosines: "NDArray[np.float32]", lexical: "NDArray[np.float32]", weight: float) -> "NDArray[np.float32]":
    """Both scores spread over 0 to 1, weighed and added.

    Source: the convex combination of Bruch, Gai and Ingber 2023, An Analysis of Fusion Functions for Hybrid Retrieval.
    """
    return weight * _spread(cosines) + (1 - weight) * _spread(lexical)


def _best_first(scores: "NDArray[np.float32]", cosines: "NDArray[np.float32]") -> "NDArray[np.int64]":
    order: NDArray[np.int64] = np.lexsort((-cosines, -scores))
    return order


def _spread(scores: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """The scores from 0, the lowest, to 1, the highest; all 0 where they are equal."""
    low, high = float(scores.min()), float(scores.max())
    spread: NDArray[np.float32] = (scores - low) / (high - low) if high > low else np.zeros_like(scores)
    return spread
