"""Chunks are exact pieces of their document: within one section, not too long, repeated by the overlap alone."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copilot.config import Chunks, Documents
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.knowledge.headings import markdown_headings
from copilot.types import Chunk, Document


def document(text: str, title: str = "Doc") -> Document:
    return Document("a.md", "/a.md", title, text, "0" * 64, markdown_headings(text))


def check(doc: Document, config: Chunks, chunks: list[Chunk]) -> None:
    """What holds for every document and every setting."""
    marks = [h.start for h in doc.headings]
    for chunk in chunks:
        assert doc.text[chunk.start : chunk.end] == chunk.text and chunk.text.strip() == chunk.text != ""
        assert len(chunk.text) <= config.size
        assert not any(chunk.start < mark < chunk.end for mark in marks), "crosses a heading"
        assert chunk.passage.startswith(chunk.header) and chunk.passage.endswith("\n" + chunk.text)
        assert doc.title in chunk.header and chunk.heading in chunk.header
    for one, two in pairwise(chunks):
        assert one.start <= two.start and one.end < two.end, "in order, each goes further"
        assert two.start >= one.end - config.overlap
        assert not doc.text[one.end : two.start].strip() or one.heading != two.heading, "nothing left out of a section"


def test_the_shipped_knowledge_base(root: Path) -> None:
    config = Chunks()
    for doc in load_documents(Documents(paths=[str(root / "data/knowledge_base")])):
        chunks = list(split(doc, config))
        check(doc, config, chunks)
        assert len({c.heading for c in chunks}) > 5
        for chunk in chunks:
            assert chunk.document == doc.path and chunk.passage.splitlines()[0].startswith(doc.title)
            assert (chunk.page is not None) is doc.path.endswith(".pdf")
            if chunk.page:
                assert doc.page_starts[chunk.page - 1] <= chunk.start
                assert chunk.page == len(doc.page_starts) or chunk.start < doc.page_starts[chunk.page]


def test_heading_paths_and_passages() -> None:
    text = "before\n# Doc\nintro\n## One\n### Deep\nx\n## Two\ny\n# Other\nz\n"
    chunks = list(split(document(text), Chunks()))
    assert [(c.heading, c.text) for c in chunks] == [
        ("", "before"),
        ("Doc", "# Doc\nintro"),
        ("Doc › One › Deep", "### Deep\nx"),
        ("Doc › Two", "## Two\ny"),
        ("Other", "# Other\nz"),
    ]
    assert [c.passage.splitlines()[0] for c in chunks] == ["Doc", "Doc", "Doc › One › Deep", "Doc › Two", "Doc › Other"]


def test_size_and_overlap() -> None:
    words = " ".join(f"word{n}" for n in range(100))
    config = Chunks(size=80, overlap=20)
    chunks = list(split(document("# Doc\n" + words), config))
    check(document("# Doc\n" + words), config, chunks)
    shared = [one.end - two.start for one, two in pairwise(chunks)]
    assert len(chunks) > 10 and all(0 < n <= 20 for n in shared[1:])
    apart = list(split(document(words), Chunks(size=80, overlap=0)))
    assert not any(one.end > two.start for one, two in pairwise(apart))


def test_overlap_never_reaches_into_the_section_before() -> None:
    text = "# Doc\n" + "alpha " * 30 + "\n## Two\n" + "beta " * 30
    chunks = list(split(document(text), Chunks(size=100, overlap=50)))
    assert {c.heading for c in chunks if "alpha" in c.text} == {"Doc"}
    assert {c.heading for c in chunks if "beta" in c.text} == {"Doc › Two"}


def test_a_word_longer_than_a_chunk_is_cut() -> None:
    text = "# Doc\n" + "x" * 1000
    config = Chunks(size=64, overlap=8)
    chunks = list(split(document(text), config))
    assert all(len(c.text) <= 64 and text[c.start : c.end] == c.text for c in chunks)
    assert {i for c in chunks for i in range(c.start, c.end)} >= set(range(6, 1006))


def test_bare_headings_are_kept_only_where_there_is_nothing_else() -> None:
    assert [c.text for c in split(document("# Doc\n## Empty\n## Full\nx"), Chunks())] == ["## Full\nx"]
    assert [c.text for c in split(document("# Doc\n## Only\n"), Chunks())] == ["# Doc", "## Only"]


PARTS = st.sampled_from([*"\n \té\u2028", "word ", "ab", "\n\n", "  ", ". ", "# Top\n", "\n## Part\n", "```\n"])


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PARTS, max_size=120), st.integers(1, 60), st.integers(0, 59))
def test_any_text(parts: list[str], size: int, overlap: int) -> None:
    doc, config = document("".join(parts)), Chunks(size=size, overlap=min(overlap, size - 1))
    chunks = list(split(doc, config))
    check(doc, config, chunks)
    if any(c.isalnum() for c in doc.text):
        assert chunks


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=80), st.integers(20, 200), st.integers(0, 19))
def test_nothing_is_left_out_of_a_text_of_different_words(numbers: list[int], size: int, overlap: int) -> None:
    words = [f"w{i}x{n}" for i, n in enumerate(numbers)]
    doc = document("# Doc\n" + "".join(w + ("\n\n" if i % 7 == 6 else " ") for i, w in enumerate(words)))
    config = Chunks(size=size, overlap=overlap)
    chunks = list(split(doc, config))
    check(doc, config, chunks)
    assert all(any(word in c.text for c in chunks) for word in words)


@pytest.mark.parametrize("text", ["a a a a a a a a a a a a", "ab\n\nab\n\nab\n\nab\n\nab", "x x\nx x\nx x\nx x"])
def test_repeating_text_keeps_its_order(text: str) -> None:
    config = Chunks(size=5, overlap=2)
    chunks = list(split(document(text), config))
    check(document(text), config, chunks)
    covered = {i for c in chunks for i in range(c.start, c.end)}
    assert {i for i, character in enumerate(text) if not character.isspace()} <= covered
