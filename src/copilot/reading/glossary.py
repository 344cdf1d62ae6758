"""Chunks in, the terms that a glossary of the knowledge base explains out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from copilot.knowledge.parts import bare
from copilot.types import Chunk

_KINDS = (
    r"(?:glossary|terminology|vocabulary|definitions|abbreviations|acronyms|"
    r"(?:(?:list of|the|key|common|important|basic|technical|main) )*terms)"
)
_TITLE = re.compile(
    rf"(?:{_KINDS}(?: of (?:key |technical )?terms| explained)?(?:(?:,| and| &) {_KINDS})?|words you will hear)", re.I
)
_TERM = r"(?!\s)[^:|*`\n]{2,40}?"
_MARK = r"(?:\*\*|__|`)?"
_BETWEEN = rf"(?:[ \t]*:{_MARK}[ \t]+|[ \t]+[–—-][ \t]+|[ \t]*\n:[ \t]+)"
_LINE = re.compile(rf"^[ \t]*(?:[-*+] +)?{_MARK}({_TERM}){_MARK}{_BETWEEN}(\S.*)$", re.M)
_ROW = re.compile(rf"^\|[ \t]*(?:\*\*|`)?({_TERM})(?:\*\*|`)?[ \t]*\|[ \t]*(\S[^|\n]*?)[ \t]*\|", re.M)
_HEAD = re.compile(r"^[ \t]*\|.*\n[ \t]*\|(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*$", re.M)
LONGEST = 240  # characters of an explanation


@dataclass(frozen=True, slots=True)
class Term:
    """An entry of a glossary."""

    name: str
    meaning: str
    folder: str = ""  # of its glossary, with a slash at the end; it explains the documents in there


def read_glossary(chunks: Iterable[Chunk]) -> tuple[Term, ...]:
    """The terms of every part whose heading or title says Glossary, Terms, Terminology, Definitions or the like.

    A term is a heading below it, a row of a table, or the beginning of a line up to a colon or a dash. The first
    explanation of a term in a folder counts; it ends with its first sentence where it is longer than LONGEST
    characters. Those of the deepest folders come first.
    """
    found: dict[tuple[str, str], Term] = {}
    for chunk in chunks:
        path = chunk.heading.split(" › ") if chunk.heading else [chunk.title]
        level = next((i for i, title in enumerate(path) if is_glossary(title)), None)
        if level is None:
            continue
        if len(path) > level + 1:
            lines = chunk.text.splitlines()
            body = "\n".join(line for line in lines if not line.startswith("#") and line.strip("*_ ") != path[-1])
            pairs = [(bare(path[-1]), " ".join(body.split()))]
        else:
            pairs = terms(path[-1], chunk.text)
        folder = chunk.document[: chunk.document.rfind("/") + 1]
        for term, text in pairs:
            if text.strip(" -:"):
                found.setdefault((folder, term.strip()), Term(term.strip(), _short(text), folder))
    return tuple(sorted(found.values(), key=lambda term: -term.folder.count("/")))


def is_glossary(title: str) -> bool:
    """Whether a heading says Glossary, Terms, Terminology, Definitions or the like."""
    return _TITLE.fullmatch(bare(title)) is not None


def terms(title: str, text: str) -> list[tuple[str, str]]:
    """(term, what it means) of the rows and lines below a heading that says Glossary; none below another."""
    if not is_glossary(title):
        return []
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found = [(row[1], row[2]) for row in _ROW.finditer(_HEAD.sub("", body))]
    found += [(line[1], line[2]) for line in _LINE.finditer(body) if not line[0].lstrip().startswith("|")]
    return [(term.strip(), meaning) for term, meaning in found if meaning.strip(" -:")]


def _short(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= LONGEST:
        return text
    first = re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]
    return first if len(first) <= LONGEST else first[: LONGEST - 1].rstrip() + "…"
