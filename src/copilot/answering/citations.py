"""A section and the hits in, the hit that supports it out; hits and their files in, places that a reader opens out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from copilot.answering.abstained import SAID
from copilot.answering.identifiers import in_text, supported
from copilot.knowledge.documents import load_document
from copilot.knowledge.lexical import STOP
from copilot.types import Citation, Hit, Source

LINES = (".md", ".markdown", ".txt", "")  # endings of files whose lines are those of Document.text
WORDS, SHARE = 4, 0.4  # without a shared name a hit supports a section that has so many content words of it


class Citing:
    """Gives each text its hit and each place its number, in the order in which they are first asked for."""

    def __init__(self, hits: Sequence[Hit], files: Mapping[str, Path]) -> None:
        """`files` is document path → file, for lines and links; a document that is not in it has neither."""
        self.hits = hits
        texts: dict[str, str] = {}  # of the documents read for their lines
        self.places = [_place(hit, n, files, texts) for n, hit in enumerate(hits)]
        self.numbers: dict[str, int] = {}  # label of a cited place -> its number
        self.refused = False  # whether the answer says that the documents do not say

    def cite(self, text: str) -> Citation | None:
        """The citation of a section; None where no hit supports it, and for a whole answer that begins as a refusal."""
        self.refused = self.refused or text.startswith(SAID)
        hit = None if self.refused else best_hit(text, self.hits)
        if hit is None:
            return None
        return Citation(self.numbers.setdefault(self.places[hit].label, len(self.numbers) + 1), hit)

    def sources(self) -> tuple[Source, ...]:
        """Every place that hits come from, each once: the cited ones by number, then the others by rank."""
        found: dict[str, Source] = {}
        for place in self.places:
            known = found.get(place.label)
            found[place.label] = replace(known, hits=known.hits + place.hits) if known else place
        cited = [replace(found.pop(label), cited=True) for label in self.numbers]
        return (*cited, *found.values())


def best_hit(text: str, hits: Sequence[Hit]) -> int | None:
    """The place of the hit whose chunk supports `text` best: most shared names, then content words, then score.

    None where no chunk shares a name, none holds WORDS content words of `text` and SHARE of all it has, and none a
    sentence of it word by word.
    """
    names, words = in_text(text), content_words(text)
    best: tuple[tuple[int, int, float], int] | None = None
    for n, hit in enumerate(hits):
        named = sum(supported(name, hit.chunk.text) for name in names)
        said = len(words & content_words(hit.chunk.text))
        if not named and (said < WORDS or said < SHARE * len(words)):
            continue
        key = (named, said, hit.score)
        if best is None or key > best[0]:
            best = key, n
    return _quoted(text, hits) if best is None else best[1]


def _quoted(text: str, hits: Sequence[Hit]) -> int | None:
    """The place of the first hit that a sentence of `text` stands in as it is."""
    told = [_plain(sentence) for sentence in re.split(r"(?<=[.!?])\s+|\n", text)]
    wanted = [f" {sentence} " for sentence in told if len(content_words(sentence)) > 1]
    texts = (f" {_plain(hit.chunk.text)} " for hit in hits)
    return next((n for n, held in enumerate(texts) if any(words in held for words in wanted)), None)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def content_words(text: str) -> set[str]:
    """The words of `text` in lower case that say what it is about."""
    return set(re.findall(r"\w+", text.lower())) - STOP


def _place(hit: Hit, n: int, files: Mapping[str, Path], texts: dict[str, str]) -> Source:
    chunk, file = hit.chunk, files.get(hit.chunk.document)
    line = None
    if file is not None and file.suffix.lower() in LINES:
        if chunk.document not in texts:
            texts[chunk.document] = load_document(chunk.document, file).text
        line = texts[chunk.document].count("\n", 0, chunk.start) + 1
    return Source(chunk.document, chunk.heading, chunk.page, line, str(file.resolve()) if file else "", (n,))
