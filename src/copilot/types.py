"""The values that travel between the stages: frozen, slotted, units in the trailing comments."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

Audience = Literal["non-technical", "technical"]


class Message(TypedDict):
    """One chat message, as every chat template and provider takes it."""

    role: Literal["system", "user", "assistant"]
    content: str


_RERANKED = 0.03  # what a reranker's log odds weigh beside late interaction: docs/log.md


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document."""

    start: int  # character offset of its line in Document.text
    level: int  # 1 is the highest
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the knowledge base as text."""

    path: str  # relative to the knowledge base folder it was found in, with "/"
    source: str  # absolute path of the file
    title: str
    text: str
    sha256: str  # of the file's bytes
    headings: tuple[Heading, ...] = ()
    page_starts: tuple[int, ...] = ()  # character offset of each page; empty when the format has no pages


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one document: `document.text[start:end] == text`."""

    document: str  # Document.path
    title: str
    heading: str  # heading path, joined by " › "; "" before the first heading
    page: int | None  # 1-based
    start: int  # characters
    end: int  # characters, exclusive
    text: str
    entry: str | None = None  # heading path of the entry that it is of; None where it is one by itself

    @property
    def header(self) -> str:
        """Document title and heading path, said once when the first heading is the title."""
        return self._titled(self.heading)

    @property
    def whole(self) -> str:
        """The header of its entry, which parts such as "Parameters" share with what they are of."""
        return self._titled(self.heading if self.entry is None else self.entry)

    def _titled(self, path: str) -> str:
        if not path or path == self.title:
            return self.title
        return path if path.startswith(self.title + " › ") else f"{self.title} › {path}"

    @property
    def passage(self) -> str:
        """What is embedded and what a model sees: the header, then the text."""
        return f"{self.header}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved chunk."""

    chunk: Chunk
    score: float  # cosine in [-1, 1]
    late: float | None = None  # what late interaction finds there, in [-1, 1]; None where it did not look
    logit: float | None = None  # log odds that it answers, by the reranker; None where it was not read
    row: str = ""  # what stands first in the row of its table that answers, by the reranker

    @property
    def fit(self) -> float:
        """How well it answers: what late interaction finds, or half the cosine, and what the reranker says of it."""
        found = self.score / 2 if self.late is None else self.late
        return found + _RERANKED * (self.logit or 0.0)


@dataclass(frozen=True, slots=True)
class Example:
    """A training row."""

    question: str
    response: str
    context: tuple[str, ...] | None  # passages given in the row; None: ask the retriever
    line: int  # 1-based line in its file
    audience: Audience = "non-technical"  # for whom the response is written


@dataclass(frozen=True, slots=True)
class Question:
    """An evaluation row with what is known about its right answer."""

    id: str
    question: str
    reference: str
    gold: tuple[tuple[str, str], ...]  # (document, heading) pairs that hold the answer
    identifiers: tuple[str, ...]  # what a good answer names
    answerable: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One titled part of an answer."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost."""

    prompt_tokens: int
    completion_tokens: int
    seconds_to_first_token: float  # s, to the first word below a heading
    seconds: float  # s
    prompt_tokens_reused: int = 0  # of prompt_tokens, not read again: the question before began with them too


@dataclass(frozen=True, slots=True)
class Abstention:
    """That a question was not answered, and why."""

    by: Literal["evidence", "model"]  # the distance from the documents, before a word was written; or its own words
    score: float | None  # in (0, 1]; low is far from the documents; None by the model, or by a name that none holds
    threshold: float | None  # a score below it is refused
    reason: str
    unknown: tuple[str, ...] = ()  # the question's words that no document holds


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in an answer that its passages and its question do not hold, or a shape that is not the wanted one."""

    kind: Literal["structure", "identifier", "url", "path", "number"]
    text: str  # as the answer writes it; for `structure` what is wrong
    section: str  # title; "" for the whole answer


@dataclass(frozen=True, slots=True)
class Source:
    """A place in the documents, as it is listed under an answer; several hits can be one place."""

    document: str  # Chunk.document
    heading: str  # Chunk.heading
    page: int | None  # 1-based
    line: int | None  # 1-based, of .md and .txt files
    file: str  # absolute path; "" when it is not known
    hits: tuple[int, ...]  # places in Answer.hits
    cited: bool = False

    @property
    def label(self) -> str:
        """`file › heading › page n` or `line n`."""
        place = f"page {self.page}" if self.page else f"line {self.line}" if self.line else ""
        return " › ".join(part for part in (self.document, self.heading, place) if part)

    @property
    def link(self) -> str:
        """`file://` address of the place; "" without a file."""
        if not self.file:
            return ""
        place = f"#page={self.page}" if self.page else f"#L{self.line}" if self.line else ""
        return Path(self.file).as_uri() + place


@dataclass(frozen=True, slots=True)
class Citation:
    """The passage that supports a section of an answer."""

    number: int  # what stands in [n]: 1-based place in Answer.sources
    hit: int  # place in Answer.hits


@dataclass(frozen=True, slots=True)
class Explanation:
    """A term of the documents' glossary that an answer uses."""

    term: str
    meaning: str
    section: str  # title of the section that uses it first; the line stands at its end


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, its answer, and where it came from."""

    question: str
    text: str  # markdown, as it was written: without [n] and explanations
    sections: tuple[Section, ...]
    hits: tuple[Hit, ...]
    model: str
    adapter: str | None
    usage: Usage
    citations: tuple[Citation | None, ...] = ()  # one for each section
    sources: tuple[Source, ...] = ()  # in the order of their numbers, those that are cited first
    findings: tuple[Finding, ...] = ()
    marked: str = ""  # `text` with [n] at the end of each section that has a citation, and explanations below it
    abstained: Abstention | None = None
    glossary: tuple[Explanation, ...] = ()  # in the order of their first use
    asked_as: str = ""  # in a conversation, what was searched and asked: a follow-up with the questions it leans on
    note: str = ""  # what went wrong on the way, where the answer stands all the same
    filled: tuple[str, ...] | None = None  # sections that a rule filled; None: the text is as it was written

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`; keys are only ever added, never renamed."""
        cited = [*self.citations, *[None] * (len(self.sections) - len(self.citations))]
        return {
            "question": self.question,
            "answer": self.text,
            "sections": [
                {
                    "title": s.title,
                    "text": s.text,
                    "citations": [self._cited(c)] if c else [],
                    "filled": s.title in (self.filled or ()),
                }
                for s, c in zip(self.sections, cited, strict=True)
            ],
            "hits": [
                {
                    "document": h.chunk.document,
                    "heading": h.chunk.heading,
                    "page": h.chunk.page,
                    "start": h.chunk.start,
                    "end": h.chunk.end,
                    "score": round(h.score, 6),
                    "text": h.chunk.text,
                }
                for h in self.hits
            ],
            "model": self.model,
            "adapter": self.adapter,
            "usage": {
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
                "seconds_to_first_token": round(self.usage.seconds_to_first_token, 3),
                "seconds": round(self.usage.seconds, 3),
                "prompt_tokens_reused": self.usage.prompt_tokens_reused,
            },
            "sources": [
                {
                    "number": number,
                    "document": source.document,
                    "heading": source.heading,
                    "page": source.page,
                    "line": source.line,
                    "link": source.link,
                    "hits": list(source.hits),
                    "cited": source.cited,
                }
                for number, source in enumerate(self.sources, 1)
            ],
            "findings": [{"kind": f.kind, "text": f.text, "section": f.section} for f in self.findings],
            "abstained": asdict(self.abstained) if self.abstained else None,
            "glossary": [asdict(explanation) for explanation in self.glossary],
            "asked_as": self.asked_as or None,
            "note": self.note,
        }

    def _cited(self, citation: Citation) -> dict[str, Any]:
        """One citation; `start` and `end` are characters in Document.text."""
        chunk, line = self.hits[citation.hit].chunk, self.sources[citation.number - 1].line
        place = {"start": chunk.start, "end": chunk.end, "line": line}
        return {"number": citation.number, "hit": citation.hit, "document": chunk.document, **place}
