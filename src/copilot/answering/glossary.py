"""Chunks in, the terms that a glossary of the knowledge base explains out; sections in, those each uses first out."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from copilot.answering.abstained import SAID
from copilot.knowledge.lexical import COMMON
from copilot.knowledge.parts import bare
from copilot.types import Chunk, Citation, Hit

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


def explained(text: str, glossary: Sequence[Term], documents: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(term, what it means) of each term that `text` uses as a word or with a plural s, in the order of first use.

    One in capitals is used in capitals: the DNS record A is no article, and IT no pronoun. A word that stands in any
    text explains nothing.
    `documents` are those that the text is about: a glossary in another folder says nothing of it.
    """
    told, uses, small = tuple(documents), dict[str, tuple[int, str]](), text.lower()
    for term in glossary:
        if term.name.lower() not in small:  # most of them, and this is quick
            continue
        capitals = term.name.isupper() and len(term.name) > 1
        if not capitals and (len(term.name) == 1 or term.name.lower() in COMMON):
            continue
        about = not term.folder or any(document.startswith(term.folder) for document in told)
        match = re.search(rf"(?<!\w){re.escape(term.name)}s?(?!\w)", text, 0 if capitals else re.I) if about else None
        if match and term.name not in uses:
            uses[term.name] = (match.start(), term.meaning)
    return tuple((name, meaning) for name, (_, meaning) in sorted(uses.items(), key=lambda use: use[1][0]))


class Explaining:
    """Tells of each section of an answer which terms it uses first; asked once for each that has text, in order."""

    def __init__(self, glossary: Sequence[Term], hits: Sequence[Hit]) -> None:
        self.glossary, self.hits = glossary, hits
        self.documents = [hit.chunk.document for hit in hits]  # that the section is about
        self.told: set[str] = set()
        self.said = ""  # so far
        self.refused = False  # whether the answer says that the documents do not say

    def explain(self, text: str, citation: Citation | None) -> list[tuple[str, str]]:
        """(term, what it means) of each term that no section before has used.

        A section is about the document it cites, or else the one that was cited last, or else those of all hits: what
        is known when it ends, so that an answer is the same streamed and whole.
        """
        self.refused = self.refused or text.startswith(SAID)
        if self.refused:
            return []
        if citation is not None:
            self.documents = [self.hits[citation.hit].chunk.document]
        pairs = explained(text, self.glossary, self.documents)
        self.said += f"{text}\n"
        found = [(term, meaning) for term, meaning in pairs if term not in self.told and meaning not in self.said]
        self.told.update(term for term, _ in found)
        return found


def _short(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= LONGEST:
        return text
    first = re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]
    return first if len(first) <= LONGEST else first[: LONGEST - 1].rstrip() + "…"
