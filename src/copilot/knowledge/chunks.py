"""A Document in, Chunks out: cut at headings first, then by RecursiveCharacterTextSplitter, with exact spans."""

from bisect import bisect_right
from collections.abc import Iterator

from copilot.config import Chunks
from copilot.types import Chunk, Document


def split(document: Document, config: Chunks) -> Iterator[Chunk]:
    """Chunks of at most `size` characters, each within one section: `document.text[start:end] == text`."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=config.size, chunk_overlap=config.overlap, add_start_index=True, strip_whitespace=True
    )
    pieces = [(start, end, heading, document.text[start:end]) for start, end, heading in _sections(document)]
    told = [piece for piece in pieces if _has_text(piece[3], piece[2])]
    for start, _, heading, body in told or pieces:  # a document of headings alone is kept: they are all it says
        for part in splitter.create_documents([body]):
            at = start + int(part.metadata["start_index"])
            text = part.page_content
            page = bisect_right(document.page_starts, at) if document.page_starts else None
            yield Chunk(document.path, document.title, heading, page, at, at + len(text), text)


def _sections(document: Document) -> Iterator[tuple[int, int, str]]:
    """(start, end, heading path) of each piece between two headings."""
    marks = document.headings
    if not marks or marks[0].start > 0:
        yield 0, marks[0].start if marks else len(document.text), ""
    path: list[tuple[int, str]] = []
    for i, mark in enumerate(marks):
        path = [(level, title) for level, title in path if level < mark.level] + [(mark.level, mark.title)]
        end = marks[i + 1].start if i + 1 < len(marks) else len(document.text)
        yield mark.start, end, " › ".join(title for _, title in path)


def _has_text(body: str, heading: str) -> bool:
    """Whether anything stands there besides the heading's own line and rules."""
    lines = [line for line in body.splitlines() if line.strip()]
    if heading and lines:
        lines = lines[1:]
    return any(any(c.isalnum() for c in line) for line in lines)
