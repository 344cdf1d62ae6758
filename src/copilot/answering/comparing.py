"""Rows and sentences of an entry in; what tells of two things that are compared, or of one column of its table, out."""

from collections.abc import Mapping, Sequence

from copilot.answering.asked import Asked, phrase, stems
from copilot.answering.wording import LEANS, named

_YES, _NO = {"yes", "y", "x", "✓", "✔", "✅", "true"}, {"no", "n", "-", "–", "—", "✗", "✘", "❌", "false"}


def compared(rows: Mapping[tuple[str, str], str], asked: Asked, room: int) -> list[str]:
    """The rows called as the two that are compared, else these two columns of them in so many characters; [] without.

    Else one row that tells of both.
    """
    named = [text for (name, _), text in rows.items() if phrase(name) in asked.pair]
    if len(named) > 1:
        return named[:2]
    told: list[str] = []
    for text in rows.values():
        name, cells = _cells(text)
        kept = [f"{title}: {value}" for title, value in cells.items() if _sides(title, asked)]
        if len(kept) == 2 and len(" ".join([*told, name, *kept])) < room:
            told.append(f"{name}: {'; '.join(kept)}")
    both = [text for text in rows.values() if all(one in phrase(text) for one in asked.pair)]
    return told if len(told) > 1 else both[:1] if asked.pair else []


def sides(texts: Sequence[str], odds: Mapping[str, float], asked: Asked) -> list[str]:
    """What of `texts` tells of both things that are compared, by the reranker: one, or one of each; [] without."""
    named = {text: _sides(text, asked) for text in texts if text in odds and not LEANS.match(text)}
    told: list[str] = []
    for text in sorted(named, key=lambda text: -odds[text]):
        if named[text].difference(*(named[one] for one in told)):
            told.append(text)
    whole = len({side for text in told for side in named[text]}) == 2
    return [text for text in texts if text in told] if whole else []


def _sides(text: str, asked: Asked) -> set[int]:
    """Which of the two things that are compared it names, by words that the other has not, in any form."""
    one, two = [words.split() for words in asked.pair] if len(asked.pair) == 2 else ([], [])
    two = two[:-1] if 0 < len(one) < len(two) else two  # "a full and a viewer key"
    own = [set(one) - set(two), set(two) - set(one)]
    said = phrase(text).split()
    return {n for n, words in enumerate(own) if any(_akin(word, one) for word in words for one in said)}


def _akin(one: str, other: str) -> bool:
    """Whether two words are the same but for their last three letters."""
    least = max(5, len(one) - 3)
    return one == other or (len(one) > least and one[:least] == other[:least])


def column(rows: Mapping[tuple[str, str], str], asked: Asked, room: int) -> str:
    """What a table says in the column that is asked for, in so many characters; "" where a row is, or no column.

    "What can an editor do?", or "What do I get with the team plan?".
    """
    table = [(name, cells) for name, cells in map(_cells, rows.values()) if len(cells) > 1]
    if asked.compares or asked.direct or len(table) < 3:
        return ""
    titles = dict.fromkeys(title for _, cells in table for title in cells)
    wanted = [title for title in titles if (words := set(stems(title))) and words <= asked.weight.keys()]
    left = asked.weight.keys() - (set(stems(wanted[0])) if wanted else ())
    if len(wanted) != 1 or any(left.intersection(stems(text)) for text in rows.values()):
        return ""
    said = {name: cells[wanted[0]] for name, cells in table if wanted[0] in cells}
    if all(value.lower() in _YES | _NO for value in said.values()):
        kinds = {"yes": _YES, "no": _NO}
        each = [(kind, [name for name, value in said.items() if value.lower() in kinds[kind]]) for kind in kinds]
        return f"{wanted[0]}: {'; '.join(f'{kind} for {named(names, room)}' for kind, names in each if names)}"
    told: list[str] = []
    for name, value in said.items():
        if len("; ".join([*told, name, value])) < room:
            told.append(f"{name}: {value}")
    return f"{wanted[0]}: {'; '.join(told)}"


def _cells(text: str) -> tuple[str, dict[str, str]]:
    """The name of a row, and what stands in it below each title; no cells where it is no table of several columns."""
    name, _, rest = text.partition(": ")
    cells = [cell.partition(": ") for cell in rest.split("; ")]
    return name, {title: value for title, apart, value in cells} if all(apart for _, apart, _ in cells) else {}
