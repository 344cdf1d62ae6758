"""The development set and the three blind ones: their documents and questions, read by the product's own readers.

Nothing here retrieves, ranks or answers: the blind sets stay blind.
"""

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
DATA = ROOT / "data"
SETS = {  # folder → product → how the ids of its questions begin
    "development": {"docker": "dock", "matrix": "matr", "prometheus": "prom"},
    "blind": {"couchdb": "couc", "meilisearch": "meil", "syncthing": "sync"},
    "blind-2": {"zulip": "zuli", "harbor": "harb", "nomad": "noma"},
    "blind-3": {"gitea": "gite", "kong": "kong", "rundeck": "rund"},
}
WORDS = {"development": 13_000, "blind": 15_000, "blind-2": 15_000, "blind-3": 16_000}  # at most, in all passages
MADE = {"development", "blind"}  # have PDF and Word files, made from sources in tools/
ENDPOINT = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD) /\S+")
each_set = pytest.mark.parametrize("kind", SETS)


@cache
def questions(kind: str) -> list[Question]:
    return read_questions(DATA / kind / "questions.jsonl")


@cache
def chunks(kind: str) -> list[Chunk]:
    documents = load_documents(Documents(paths=[str(DATA / kind / "documents")]))
    return [chunk for document in documents for chunk in split(document, Chunks())]


def gold(kind: str, question: Question) -> str:
    """What the gold sections hold, as passages."""
    found = []
    for document, heading in question.gold:
        part = [c.passage for c in chunks(kind) if c.document == document and heading in c.heading.split(" › ")]
        assert part, f"{question.id}: no {heading!r} in {document}"
        found += part
    return "\n".join(found)


def rows(answerable: bool) -> list[object]:
    """(set, question) of each question of the sets that is, or is not, answerable."""
    return [
        pytest.param(kind, question, id=question.id)
        for kind in SETS
        for question in questions(kind)
        if question.answerable is answerable
    ]


@each_set
def test_counts(kind: str) -> None:
    every = questions(kind)
    gaps = [q for q in every if not q.answerable]
    assert len(every) >= 105 and len(gaps) * 3 >= len(every) and len(gaps) * 5 <= len(every) * 2
    assert len({q.id for q in every}) == len({q.question for q in every}) == len(every)
    assert len(SETS[kind]) >= 3
    for product, short in SETS[kind].items():
        mine = [q for q in every if q.id.startswith(f"{short}-")]
        assert len(mine) >= 30 and sum(not q.answerable for q in mine) >= 10
        assert {document.split("/")[0] for q in mine for document, _ in q.gold} == {product}


@each_set
def test_documents(kind: str) -> None:
    names = {chunk.document for chunk in chunks(kind)}
    words = sum(len(chunk.text.split()) for chunk in chunks(kind))
    made = {".pdf", ".docx"} if kind in MADE else set()
    assert {Path(document).suffix for document in names} == {".md", ".txt"} | made
    assert 15 <= len(names) <= 25 and 8_000 <= words <= WORDS[kind]
    assert {name.split("/")[0] for name in names} == set(SETS[kind])
    for product in SETS[kind]:
        mine = [chunk for chunk in chunks(kind) if chunk.document.startswith(f"{product}/")]
        assert len({chunk.document for chunk in mine}) >= 4
        assert len({match[0] for chunk in mine for match in ENDPOINT.finditer(chunk.passage)}) >= 12


@pytest.mark.parametrize(("kind", "question"), rows(answerable=True))
def test_gold_holds_what_the_row_names(kind: str, question: Question) -> None:
    text = gold(kind, question)
    assert question.gold and question.identifiers
    assert [i for i in question.identifiers if not supported(i, text)] == []
    assert [i for i in in_text(question.reference) if not supported(i, text)] == []
    assert [i for i in question.identifiers if not supported(i, question.reference)] == []
    assert not metrics.abstained(question.reference)


@pytest.mark.parametrize(("kind", "question"), rows(answerable=False))
def test_a_gap_names_nothing_and_says_so(kind: str, question: Question) -> None:
    assert question.gold == question.identifiers == () and in_text(question.reference) == ()
    assert metrics.abstained(question.reference)


@each_set
def test_references_have_the_four_sections(kind: str) -> None:
    assert [q.id for q in questions(kind) if parse(q.reference, SECTIONS) is None] == []


@each_set
def test_most_answerable_rows_name_an_endpoint_first(kind: str) -> None:
    answerable = [q for q in questions(kind) if q.answerable]
    assert sum(bool(ENDPOINT.fullmatch(q.identifiers[0])) for q in answerable) >= 0.85 * len(answerable)


@pytest.mark.parametrize("kind", sorted(MADE))
def test_pdf_and_docx_are_what_their_sources_make(kind: str, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_documents", ROOT / "tools" / "make_documents.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    made = tool.make_all(ROOT / "tools" / kind, tmp_path)
    assert {file.suffix for file in made} == {".docx", ".pdf"}
    for file in made:
        assert file.read_bytes() == (DATA / kind / "documents" / file.relative_to(tmp_path)).read_bytes(), file.name


@each_set
def test_nothing_here_is_trained_on(kind: str) -> None:
    """Neither the training rows nor what makes the tiny model reads these folders."""
    readers = [*(ROOT / "tools").rglob("*.py"), *(DATA / "sft").glob("*.jsonl")]
    assert [p.name for p in readers if f"data/{kind}" in p.read_text(encoding="utf-8")] == []
    trained = {
        q for p in (DATA / "sft").glob("*.jsonl") for q in re.findall(r'"question": "([^"]*)"', p.read_text("utf-8"))
    }
    assert not trained & {q.question for q in questions(kind)}
