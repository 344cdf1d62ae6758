"""Sections of an answer and a glossary in; the terms that each section uses first, and what they mean, out."""

import re
from collections.abc import Iterable, Sequence

from copilot.answering.abstained import SAID
from copilot.knowledge.lexical import COMMON
from copilot.reading.glossary import Term
from copilot.types import Citation, Hit


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
