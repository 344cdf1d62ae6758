"""Chunks in, the terms that a glossary of the knowledge base explains out; an answer in, those it uses out."""

import re
from collections.abc import Iterable, Mapping

from copilot.types import Chunk

_TITLE = re.compile(r"(?:glossary|terminology|definitions|(?:list of |key )?terms)(?: of terms)?", re.I)
_TERM = r"(?!\s)[^:|*`\n]{2,40}?"
_MARK = r"(?:\*\*|__|`)?"
_BETWEEN = rf"(?:[ \t]*:{_MARK}[ \t]+|[ \t]+[–—-][ \t]+|[ \t]*\n:[ \t]+)"
_LINE = re.compile(rf"^[ \t]*(?:[-*+] +)?{_MARK}({_TERM}){_MARK}{_BETWEEN}(\S.*)$", re.M)
_ROW = re.compile(rf"^\|[ \t]*(?:\*\*|`)?({_TERM})(?:\*\*|`)?[ \t]*\|[ \t]*(\S[^|\n]*?)[ \t]*\|", re.M)
LONGEST = 240  # characters of an explanation


def read_glossary(chunks: Iterable[Chunk]) -> dict[str, str]:
    """Term → what it means, of every part whose heading or title says Glossary, Terms, Terminology or Definitions.

    A term is a heading below it, a row of a table, or the beginning of a line up to a colon or a dash. The first
    explanation of a term counts; it ends with its first sentence where it is longer than LONGEST characters.
    """
    found: dict[str, str] = {}
    for chunk in chunks:
        path = chunk.heading.split(" › ") if chunk.heading else [chunk.title]
        level = next((i for i, title in enumerate(path) if _TITLE.fullmatch(title.strip())), None)
        if level is None:
            continue
        body = "\n".join(line for line in chunk.text.splitlines() if not line.startswith("#"))
        if len(path) > level + 1:
            pairs = [(path[-1], " ".join(body.split()))]
        else:
            rows = [(row[1], row[2]) for row in _ROW.finditer(body)]
            pairs = rows[2 if len(rows) > 1 and set(rows[1][1]) <= set("-: ") else 0 :]
            pairs += [(line[1], line[2]) for line in _LINE.finditer(body) if not line[0].lstrip().startswith("|")]
        for term, text in pairs:
            if text.strip(" -:"):
                found.setdefault(term.strip(), _short(text))
    return found


def explained(text: str, glossary: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(term, what it means) of each term that `text` uses as a word or with a plural s, in the order of first use."""
    uses = []
    for term, meaning in glossary.items():
        if match := re.search(rf"(?<!\w){re.escape(term)}s?(?!\w)", text, re.I):
            uses.append((match.start(), term, meaning))
    return tuple((term, meaning) for _, term, meaning in sorted(uses))


def _short(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= LONGEST:
        return text
    first = re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]
    return first if len(first) <= LONGEST else first[: LONGEST - 1].rstrip() + "…"
