"""A passage with a table in; its rows one by one, and the row that answers told in the summary, out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from copilot.answering.extractive import compose
from copilot.answering.quoting import offered
from copilot.config import AnswerPart, Retriever
from copilot.knowledge.index import Index
from copilot.knowledge.retriever import IndexRetriever
from copilot.knowledge.table import table_rows
from copilot.types import Chunk, Hit

TEXT = """## Storage

Where files lie.

| Setting | Default | Description |
|---|---|---|
| `data_dir` | `/var` | The folder in which photos are kept. |
| `temp_dir` | `/tmp` | Where unfinished uploads lie. |
| `a\\|b` | `1` | A bar. |

Not a row.
| `loose` | A row without titles. |"""
CHUNK = Chunk("a.md", "Lumen", "Storage", None, 0, len(TEXT), TEXT)


class Vectors:
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]

    embed_queries = embed_documents


class Likes:
    """A reranker that gives a row its mark, and a whole passage none."""

    def __init__(self, **marks: float) -> None:
        self.marks = marks

    def logits(self, question: str, passages: Sequence[str]) -> np.ndarray:
        alone = [text if text.count("\n") < 4 else "" for text in passages]
        return np.array([max((m for name, m in self.marks.items() if f"`{name}`" in t), default=-8.0) for t in alone])


def retriever(**marks: float) -> IndexRetriever:
    index = Index.build([CHUNK], Vectors(), 1)
    return IndexRetriever(index, Vectors(), Retriever(k=1), reranker=Likes(**marks))  # type: ignore[arg-type]


def test_each_row_has_the_header_and_the_titles() -> None:
    rows = table_rows(CHUNK.passage)
    assert [name for name, _ in rows] == ["data_dir", "temp_dir", "a\\|b", "loose"]
    assert rows[0][1].splitlines() == ["Lumen › Storage", *TEXT.splitlines()[4:7]]
    assert rows[3][1].splitlines() == ["Lumen › Storage", TEXT.splitlines()[-1]]
    assert table_rows("Lumen\nNo table | at all.") == []


@pytest.mark.parametrize(
    ("marks", "row"),
    [
        ({"data_dir": 3.0, "temp_dir": 1.0}, "data_dir"),
        ({"data_dir": 3.0, "temp_dir": 2.5}, ""),  # either may be meant
        ({"data_dir": 0.5}, ""),  # hardly
        ({}, ""),
    ],
)
def test_the_row_that_alone_answers_is_told(marks: dict[str, float], row: str) -> None:
    (hit,) = retriever(**marks)("Where do my pictures go?")
    assert hit.row == row
    without = replace(retriever(), reranker=None)
    assert without("Where do my pictures go?")[0].row == ""


def test_the_summary_tells_the_row_that_answers_though_it_shares_no_word_with_the_question() -> None:
    question, hit = "Which disk fills up?", Hit(CHUNK, 0.6)
    told = "`data_dir`: The folder in which photos are kept."
    before, after = (compose(question, [one], False) for one in (hit, replace(hit, row="data_dir")))
    assert before and told not in before[0] and after and told in after[0]
    served = offered(question, [replace(hit, row="data_dir")], AnswerPart())
    assert told in served[0].opening and told not in offered(question, [hit], AnswerPart())[0].opening
