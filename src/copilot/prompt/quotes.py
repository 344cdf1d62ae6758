"""Section titles and what each may quote in; the Lark grammar of an answer that is put together of quotes out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from copilot.prompt.sections import MARK


@dataclass(frozen=True, slots=True)
class Part:
    """What a section may hold."""

    opening: str  # how it begins; "": with a quote
    quotes: tuple[str, ...] = ()  # to choose from; those chosen stand in this order, each once
    joint: str = " "  # between two
    most: int = 1  # of them; one at least where there is no opening
    closing: str = ""  # how it ends, white space before it included


def quoting_grammar(titles: Sequence[str], parts: Sequence[Part]) -> str:
    """Exactly these headings in order, each over its opening and some of its quotes, written to the letter."""
    sections = ' "\\n\\n" '.join(f"section{i}" for i in range(len(titles)))
    rules = [f'start: {sections} "\\n\\n"?']  # as in `answer_grammar`
    for i, (title, part) in enumerate(zip(titles, parts, strict=True)):
        rules.append(f'section{i}: {json.dumps(MARK + title)} "\\n" {_body(i, part)}')
        rules += _chosen(i, part)
    return "\n".join(rules) + "\n"


def _body(i: int, part: Part) -> str:
    opening, joint, closing = (json.dumps(t, ensure_ascii=False) for t in (part.opening, part.joint, part.closing))
    body, some = opening, f"some{i}_0_{part.most}"
    if part.quotes:
        body = f"{opening} ({joint} {some})?" if part.opening else some
    return f"{body} {closing}" if part.closing else body


def _chosen(i: int, part: Part) -> list[str]:
    """`some<section>_<first>_<left>` is one to `left` quotes from the `first` on."""
    rules = [f"QUOTE{i}_{n}: {json.dumps(text, ensure_ascii=False)}" for n, text in enumerate(part.quotes)]
    wanted: set[tuple[int, int]] = {(0, part.most)} if part.quotes else set()
    made: set[tuple[int, int]] = set()
    while wanted - made:
        first, left = min(wanted - made)
        made.add((first, left))
        ways = []
        for n in range(first, len(part.quotes)):
            more = left > 1 and n + 1 < len(part.quotes)
            wanted |= {(n + 1, left - 1)} if more else set()
            rest = f" ({json.dumps(part.joint)} some{i}_{n + 1}_{left - 1})?" if more else ""
            ways.append(f"QUOTE{i}_{n}{rest}")
        rules.append(f"some{i}_{first}_{left}: {' | '.join(ways)}")
    return rules
