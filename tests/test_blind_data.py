"""The blind evaluation set: its documents and questions, read by the product's own readers."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from copilot.answering.identifiers import in_text, supported
from copilot.config import SECTIONS, Chunks, Documents
from copilot.evaluation import metrics
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.model.dataset import read_questions
from copilot.prompt.sections import parse
from copilot.types import Chunk, Question

ROOT = Path(__file__).resolve().parents[1]
BLIND = ROOT / "data" / "blind"
PRODUCTS = ("docker", "matrix", "prometheus")
ENDPOINT = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD) /\S+")


@cache
def questions() -> list[Question]:
    return read_questions(BLIND / "questions.jsonl")


@cache
def chunks() -> list[Chunk]:
    documents = load_documents(Documents(paths=[str(BLIND / "documents")]))
    return [chunk for document in documents for chunk in split(document, Chunks())]


def gold(question: Question) -> str:
    """What the gold sections hold, as passages."""
    found = []
    for document, heading in question.gold:
        part = [c.passage for c in chunks() if c.document == document and heading in c.heading.split(" › ")]
        assert part, f"{question.id}: no {heading!r} in {document}"
        found += part
    return "\n".join(found)


def name(question: Question) -> str:
    return question.id


def test_counts() -> None:
    rows = questions()
    gaps = [q for q in rows if not q.answerable]
    assert len(rows) >= 96 and len(gaps) * 3 >= len(rows) and len(gaps) * 5 <= len(rows) * 2
    assert len({q.id for q in rows}) == len({q.question for q in rows}) == len(rows)
    for product, short in zip(PRODUCTS, ("dock", "matr", "prom"), strict=True):
        mine = [q for q in rows if q.id.startswith(f"{short}-")]
        assert len(mine) >= 30 and sum(not q.answerable for q in mine) >= 10
        assert {document.split("/")[0] for q in mine for document, _ in q.gold} == {product}


def test_documents() -> None:
    names = {chunk.document for chunk in chunks()}
    words = sum(len(chunk.text.split()) for chunk in chunks())
    assert {Path(document).suffix for document in names} == {".md", ".txt", ".pdf", ".docx"}
    assert 8_000 <= words <= 13_000
    for product in PRODUCTS:
        mine = [chunk for chunk in chunks() if chunk.document.startswith(f"{product}/")]
        assert len({chunk.document for chunk in mine}) >= 4
        assert len({match[0] for chunk in mine for match in ENDPOINT.finditer(chunk.passage)}) >= 12


@pytest.mark.parametrize("question", [q for q in questions() if q.answerable], ids=name)
def test_gold_holds_what_the_row_names(question: Question) -> None:
    text = gold(question)
    assert question.gold and question.identifiers
    assert [i for i in question.identifiers if not supported(i, text)] == []
    assert [i for i in in_text(question.reference) if not supported(i, text)] == []
    assert [i for i in question.identifiers if not supported(i, question.reference)] == []
    assert not metrics.abstained(question.reference)


@pytest.mark.parametrize("question", [q for q in questions() if not q.answerable], ids=name)
def test_a_gap_names_nothing_and_says_so(question: Question) -> None:
    assert question.gold == question.identifiers == () and in_text(question.reference) == ()
    assert metrics.abstained(question.reference)


def test_references_have_the_four_sections() -> None:
    assert [q.id for q in questions() if parse(q.reference, SECTIONS) is None] == []


def test_most_answerable_rows_name_an_endpoint_first() -> None:
    answerable = [q for q in questions() if q.answerable]
    assert sum(bool(ENDPOINT.fullmatch(q.identifiers[0])) for q in answerable) >= 0.85 * len(answerable)


def test_pdf_and_docx_are_what_their_sources_make(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_documents", ROOT / "tools" / "make_documents.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    made = tool.make_all(ROOT / "tools" / "blind", tmp_path)
    assert len(made) == 2
    for file in made:
        assert file.read_bytes() == (BLIND / "documents" / file.relative_to(tmp_path)).read_bytes(), file.name


def test_nothing_here_is_trained_on() -> None:
    """Neither the training rows nor what makes the tiny model reads this folder."""
    readers = [*(ROOT / "tools").rglob("*.py"), *(ROOT / "data" / "sft").glob("*.jsonl")]
    assert [p.name for p in readers if "data/blind" in p.read_text(encoding="utf-8")] == []
    trained = {
        q
        for p in (ROOT / "data" / "sft").glob("*.jsonl")
        for q in re.findall(r'"question": "([^"]*)"', p.read_text("utf-8"))
    }
    assert not trained & {q.question for q in questions()}
