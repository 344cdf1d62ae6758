"""A Document in, Chunks out: cut at headings first, then by RecursiveCharacterTextSplitter, with exact spans."""

from bisect import bisect_right
from collections.abc import Callable, Iterator

from copilot.config import Chunks
from copilot.knowledge.parts import entries
from copilot.knowledge.questions import unasked
from copilot.types import Chunk, Document

_FIRST, _ROOM = 0x20000, 0xE0000  # code points that stand for positions in `_spans`


def split(document: Document, config: Chunks) -> Iterator[Chunk]:
    """Chunks of at most `size` characters, each within one section: `document.text[start:end] == text`."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=config.size, chunk_overlap=config.overlap, strip_whitespace=True
    )
    pieces = [(start, heading, entry, document.text[start:end]) for start, end, heading, entry in _sections(document)]
    told = [piece for piece in pieces if _has_text(piece[3], piece[1])]
    for start, heading, entry, body in told or pieces:  # a document of headings alone is kept: they are all it says
        for first, last in _spans(body, splitter.split_text):
            at, text = start + first, body[first:last]
            page = bisect_right(document.page_starts, at) if document.page_starts else None
            yield Chunk(document.path, document.title, heading, page, at, at + len(text), text, entry)


def _spans(body: str, split_text: Callable[[str], list[str]]) -> Iterator[tuple[int, int]]:
    """(start, end) of each part that the splitter makes of `body`, also where the text repeats itself.

    The splitter tells no positions, and looking for its parts in the text finds the wrong one of two alike. So it
    is given a text whose every character but white space, which alone it looks at, says where it stands.
    """
    marked = "".join(c if c.isspace() else chr(_FIRST + i % _ROOM) for i, c in enumerate(body))
    at = end = 0
    for part in filter(None, map(str.strip, split_text(marked))):
        at += (ord(part[0]) - _FIRST - at) % _ROOM
        if at + len(part) > end:  # now and then the splitter repeats a tail that the part before holds already
            end = at + len(part)
            yield at, end


def _sections(document: Document) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, heading path, that of the entry it is of) of each piece between two headings."""
    marks = document.headings
    if not marks or marks[0].start > 0:
        yield 0, marks[0].start if marks else len(document.text), "", ""
    path: list[tuple[int, str]] = []
    paths = {-1: ""}
    for i, (mark, entry) in enumerate(zip(marks, entries(marks), strict=True)):
        path = [(level, title) for level, title in path if level < mark.level] + [(mark.level, mark.title)]
        paths[i] = " › ".join(title for _, title in path)
        end = marks[i + 1].start if i + 1 < len(marks) else len(document.text)
        yield mark.start, end, paths[i], paths[entry]


def _has_text(body: str, heading: str) -> bool:
    """Whether anything stands there besides the heading's own line and rules."""
    answer = unasked(body, heading.rpartition(" › ")[2])
    if answer != body:
        return any(c.isalnum() for c in answer)
    lines = [line for line in body.splitlines() if line.strip()]
    if heading and lines:
        lines = lines[1:]
    return any(any(c.isalnum() for c in line) for line in lines)
