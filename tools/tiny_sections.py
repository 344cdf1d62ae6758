"""A document and a heading in; the section's sentences, table and call out, in the words that the loader reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from copilot.config import Chunks
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_document
from copilot.types import Chunk

ROOT = Path(__file__).resolve().parents[1]
KNOWLEDGE, SOURCES = ROOT / "data" / "knowledge_base", ROOT / "tools" / "documents"
LONGEST = 200  # characters of a sentence
ENDPOINT = re.compile(r"`?\b((?:GET|POST|PUT|PATCH|DELETE) /[\w/{}.-]*[\w}])`?")
MODULE = re.compile(r"(?:The (?:module|trigger) |Use )?`?([a-z]+[A-Z]\w*)`?(?![\w(.])")
MEANS = ("description", "meaning", "what it covers", "sent when", "starts the flow when", "effect", "used for")


@dataclass(frozen=True)
class Field:
    """A row of a section's table."""

    cells: tuple[str, ...]  # without backticks
    name: str
    text: str  # the description, as it stands
    required: bool


@dataclass(frozen=True)
class Section:
    """A section as the loader reads it, taken apart."""

    text: str  # with single spaces
    sentences: tuple[str, ...]  # in order, those of bullets and notes too
    notes: frozenset[str]
    fields: tuple[Field, ...]
    call: str  # `VERB /path` or a module's name; "" where the section is about something else
    placeholders: tuple[str, ...]  # fields of the table that stand in the path
    reply: bool  # the table lists what comes back
    listing: bool  # the table lists names that are no fields of a call
    ticks: frozenset[str]  # what the authors of the document mark as a name


def squeeze(text: str) -> str:
    return " ".join(text.split())


def tick(name: str) -> str:
    return f"`{name}`"


@cache
def chunks_of(document: str) -> tuple[Chunk, ...]:
    return tuple(split(load_document(document, KNOWLEDGE / document), Chunks()))


@cache
def marked(document: str) -> frozenset[str]:
    """What stands between backticks in the document, or in the source that it was made from."""
    source = SOURCES / f"{document}.md"
    text = (source if source.is_file() else KNOWLEDGE / document).read_text(encoding="utf-8")
    return frozenset(re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", text)))


@cache
def section(document: str, heading: str) -> Section:
    """The section under `heading`. A PDF has lost the shape of its tables: its source tells it, the PDF the words."""
    loaded = "\n\n".join(c.text for c in chunks_of(document) if c.heading.split(" › ")[-1] == heading)
    if not loaded:
        raise SystemExit(f"{document}: no section is called {heading!r}")
    text, lines = squeeze(loaded), loaded.splitlines()[1:]
    if document.endswith(".pdf"):
        source = (SOURCES / f"{document}.md").read_text(encoding="utf-8")
        part = re.split(rf"(?m)^#+ {re.escape(heading)}$", source)[1]
        lines = re.sub(r"`|\*\*", "", re.split(r"(?m)^#+ ", re.sub(r"(?ms)^```.*?^```$", "", part))[0]).splitlines()
    paragraphs, table = read_txt(lines) if document.endswith(".txt") else read_markdown(lines)
    sentences: dict[str, bool] = {}
    for paragraph in paragraphs:
        note = re.match(r"(?:\*\*)?(?:Note|Warning|Caution|Tip):(?:\*\*)? *", paragraph)
        for sentence in cut(paragraph[note.end() :] if note else paragraph):
            if sentence in text and len(sentence) <= LONGEST and not sentence.endswith(":"):
                sentences.setdefault(sentence, bool(note))
    first = next(iter(sentences), "")
    found = ENDPOINT.search(first) or MODULE.match(first)
    call = found[1] if found else ""
    ticks, plain = marked(document), text.replace("`", "")
    fields = tuple(f for f in read_fields(table, ticks) if all(squeeze(c) in plain for c in f.cells))
    listing = bool(table) and table[0][0].lower() not in ("field", "header")
    path = re.findall(r"{(\w+)}", call)
    reply = call.startswith("GET ") and any(f.required and f.name not in path for f in fields)
    names = tuple(f.name for f in fields if f.name in path)
    notes = frozenset(s for s, is_note in sentences.items() if is_note)
    return Section(text, tuple(sentences), notes, fields, call, names, reply, listing, ticks)


def cut(paragraph: str) -> Iterator[str]:
    """The sentences of a paragraph."""
    yield from (s for s in re.split(r"(?<=[.!?])\s+|(?<=[.!?][\"')])\s+", squeeze(paragraph)) if s)


def read_markdown(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """(paragraphs and bullets, rows of the table) without code and examples."""
    paragraphs, table, fenced, fresh = [], [], False, True
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or re.match(r"[{}\[]|curl |\s+(?:-[HdX] |[\"{}])", line):
            fresh = True
        elif line.startswith("|"):
            cells = [squeeze(c) for c in line.strip().strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", c) for c in cells):
                table.append(cells)
            fresh = True
        elif not line.strip() or re.fullmatch(r"[-=]{3,}", line):
            fresh = True
        else:
            item = re.match(r"\s*(?:[-*•]|\d+\.) +", line)
            if fresh or item:
                paragraphs.append(line[item.end() :] if item else line)
            else:
                paragraphs[-1] += " " + line
            fresh = False
    return paragraphs, table


def read_txt(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """The same for a text file: an indented line with a gap is a row, a deeper one goes on with it."""
    paragraphs: list[str] = []
    table: list[list[str]] = []
    fresh = True
    for line in lines:
        if re.match(r"\s+[\"{}]", line) or re.fullmatch(r"[-=~*]{3,}", line) or not line.strip():
            fresh = True
        elif re.match(r"  \S.*?(?:  +\S|$)", line):
            table.append(re.split(r"  +", line.strip()))
            fresh = True
        elif line.startswith("   ") and table:
            table[-1][-1] += " " + line.strip()
        elif fresh:
            paragraphs.append(line)
            fresh = False
        else:
            paragraphs[-1] += " " + line
    wide = any(len(row) > 2 for row in table)
    return paragraphs, table if wide else [["Field", "Description"], *table] if table else []


def read_fields(table: list[list[str]], ticks: frozenset[str]) -> Iterator[Field]:
    """The rows under the table's head; without a column of descriptions, the value goes with the word above it."""
    if not table:
        return
    head = [squeeze(h).lower().replace("`", "") for h in table[0]]
    if ticks.intersection(h.replace("`", "") for h in table[0][1:]):
        return  # it compares names with one another
    column = next((i for i, h in enumerate(head) if h in MEANS or (i and h.startswith("what "))), 0)
    for row in table[1:]:
        if len(row) != len(head):
            continue
        cells = tuple(c.replace("`", "") for c in row)
        plain = [c for c, raw in zip(cells, row, strict=True) if raw == tick(c)] or [c for c in cells if c in ticks]
        name = cells[0] if head[0] in ("field", "header") else (plain or cells)[0]
        text = row[column] if column else row[1] if len(row) == 2 else f"{head[1]}: {row[1]}"
        yield Field(cells, name, text, "required" in head and row[head.index("required")].lower() == "yes")
