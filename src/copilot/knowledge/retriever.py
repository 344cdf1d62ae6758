"""An index in, a function from question to hits out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from copilot.config import Retriever
from copilot.types import Hit

if TYPE_CHECKING:
    from copilot.knowledge.embeddings import Embedder
    from copilot.knowledge.index import Index

Retrieve = Callable[[str], list[Hit]]


@dataclass(frozen=True, slots=True)
class IndexRetriever:
    """`retrieve(question) -> hits`, best first, at most `k`; training and asking use the same one."""

    index: "Index"
    embeddings: "Embedder"
    config: Retriever
    known: dict[str, list[float]] = field(default_factory=dict)  # vectors of questions that are to be asked

    def __call__(self, question: str) -> list[Hit]:
        """The hits of one question."""
        vector = self.known.get(question)
        return self.index.search(self.embeddings.embed_query(question) if vector is None else vector, self.config.k)

    def embed(self, questions: Sequence[str], batch_size: int) -> None:
        """Embed many questions ahead, `batch_size` in one request to a provider."""
        wanted = list(dict.fromkeys(question for question in questions if question not in self.known))
        for at in range(0, len(wanted), batch_size):
            part = wanted[at : at + batch_size]
            self.known.update(zip(part, self.embeddings.embed_queries(part), strict=True))
