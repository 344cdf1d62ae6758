"""An index in, a function from question to hits out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from copilot.config import Retriever
from copilot.types import Hit

if TYPE_CHECKING:
    from copilot.knowledge.embeddings import Embedder
    from copilot.knowledge.index import Index

Retrieve = Callable[[str], list[Hit]]


def make_retriever(index: "Index", embeddings: "Embedder", config: Retriever) -> Retrieve:
    """`retrieve(question) -> hits`, best first, at most `k`; training and asking use the same one."""

    def retrieve(question: str) -> list[Hit]:
        return index.search(embeddings.embed_query(question), config.k)

    return retrieve
