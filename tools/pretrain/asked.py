"""Written questions with the passages a retriever found for them in; examples out, answered as the extractive baseline would.

The pool (TINY_ASKED) is what tools/embedder/ranked.py writes: [question, its place among the passages or none, passages as
[heading path, text], best first]. The answer is composed from the right entry alone; so the model learns which entry a question
of a reader's own words is about, from the ranks and words of real hits, and to copy what the product's own rules would show.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from random import Random

from words import ATTRS, NOUNS, ident, invent

from copilot.answering.extractive import compose
from copilot.knowledge.parts import is_part
from copilot.types import Chunk, Hit

MOST = (2, 5, 5, 3)  # lines of each section
APART = 10_000  # characters from the start of a passage to that of the next
LONGEST = 260  # characters of a line; a row with a longer one is no example
NAME = re.compile(r"(?<![\w./{-])(?:[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*|[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+)(?![\w/])")
WORSE = 0.25  # share with two passages changing places: these questions taught the retriever, which knows them too well
REFUSED = 0.08  # share with a near miss; more, and the model refuses what it could answer
RENAMED = 0.35  # share of the examples whose names are drawn anew, so that only copying finds them


@cache
def pool() -> list[tuple[str, list[int], list[list[str]]]]:
    """The rows named by TINY_ASKED; empty without it."""
    stored = os.environ.get("TINY_ASKED")
    return json.loads(Path(stored).read_text()) if stored else []


@cache
def bodies(row: int, places: tuple[int, ...]) -> tuple[str, ...] | None:
    """The four texts of a row's answer from these passages; None where the rules have none that is short and whole."""
    question, _, passages = pool()[row]
    made = compose(question, [Hit(chunk(n, *passages[n]), 0.5) for n in places], False)
    parts = tuple("\n".join(part.split("\n")[:most]) for part, most in zip(made or (), MOST, strict=False))
    return None if not parts or any(len(line) > LONGEST for part in parts for line in part.split("\n")) else parts


def chunk(n: int, heading: str, text: str) -> Chunk:
    """A passage as the n-th of its document; `chunk.start // APART` is n."""
    title, _, path = heading.partition(" › ")
    above = path.split(" › ")
    while len(above) > 1 and is_part(above[-1]):
        above.pop()
    return Chunk("page.md", title, path, None, n * APART, n * APART + len(text), text, " › ".join(above))


Drawn = tuple[str, list[list[str]], list[int], tuple[str, ...] | None]


def draw(rng: Random) -> Drawn | None:
    """(question, passages, places of the right ones, bodies of the answer, None for a refusal); None for an unfit row."""
    answered = rng.random() >= REFUSED
    row = rng.randrange(len(pool()))
    while bool(pool()[row][1]) != answered:
        row = rng.randrange(len(pool()))
    question, right, passages = pool()[row]
    shown = list(range(min(rng.choice([3, 4, 5, 5, 5, 5]), len(passages))))
    if right and not set(right) & set(shown):  # not found: it takes the place of another one
        shown[rng.randrange(1, len(shown))] = right[0]
    if rng.random() < WORSE:
        a, b = rng.sample(range(len(shown)), 2) if len(shown) > 1 else (0, 0)
        shown[a], shown[b] = shown[b], shown[a]
    held = tuple(n for n in shown if n in right)
    texts = bodies(row, held) if held else None
    if right and texts is None:
        return None
    drawn = question, [passages[n] for n in shown], [shown.index(n) for n in held], texts
    return _renamed(rng, *drawn) if rng.random() < RENAMED else drawn


def _renamed(
    rng: Random, question: str, passages: list[list[str]], right: list[int], texts: tuple[str, ...] | None
) -> Drawn:
    """The same with other names in the place of those that the question does not hold."""
    whole = "\n".join(f"{heading}\n{text}" for heading, text in passages)
    other = {}
    for name in sorted(set(NAME.findall(whole))):
        if name.lower() not in question.lower():
            words = [rng.choice([rng.choice(NOUNS), rng.choice(ATTRS), invent(rng)]) for _ in range(rng.randint(1, 3))]
            style = "upper" if name.isupper() else "snake" if "_" in name else "camel" if name[0].islower() else "pascal"
            other[name] = ident(" ".join(words), style)

    def swap(text: str) -> str:
        return NAME.sub(lambda m: other.get(m[0], m[0]), text)

    return question, [[swap(h), swap(t)] for h, t in passages], right, texts and tuple(map(swap, texts))
