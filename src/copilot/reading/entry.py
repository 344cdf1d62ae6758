"""What an entry says, and how parts of one are put together: entries in, one entry out."""

from collections.abc import Sequence
from dataclasses import dataclass

from copilot.reading.prose import unique
from copilot.reading.rows import Row


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry taken apart; every text has single spaces and stands once."""

    sentences: tuple[str, ...]  # of the prose, in order
    steps: tuple[str, ...]  # numbered items, and others that tell what to do
    notes: tuple[str, ...]  # sentences of what is marked as a note or a warning
    fields: tuple[tuple[str, str], ...]  # (name, what is said of it), in order, what is given before what comes back
    codes: tuple[tuple[str, str], ...] = ()  # (error or status, what it means)
    points: tuple[str, ...] = ()  # other items, and before them the line that leads over to them, which ends in a colon
    calls: tuple[str, ...] = ()  # endpoints, or the function or module; the first is the likeliest
    begin: int = 1  # number of the first step
    opens: bool = False  # whether its text begins where its section does, so that "It" is what the heading names
    trails: bool = False  # whether its rows or steps stand before all of its sentences, which say something besides

    @property
    def items(self) -> list[str]:
        """The points without the lines that lead over to them."""
        return [text for text in self.points if not text.endswith(":")]


def join(entries: Sequence[Entry]) -> Entry:
    """Parts of one entry, its description first, as one."""
    return Entry(
        unique(text for e in entries for text in e.sentences),
        unique(text for e in entries for text in e.steps),
        unique(text for e in entries for text in e.notes),
        once([Row(*pair) for e in entries for pair in e.fields]),
        once([Row(*pair) for e in entries for pair in e.codes]),
        unique(text for e in entries for text in e.points),
        next((e.calls for e in entries if e.calls), ()),
        next((e.begin for e in entries if e.steps), 1),
        entries[0].opens,
        entries[0].trails,
    )


def once(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """Each name once, with what is said of it first; below other labels, with those, where that says something else."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.name and row.said:
            found.setdefault(row.name.strip("`"), []).append(row)
    out: list[tuple[str, str]] = []
    for same in found.values():
        apart = len({row.place for row in same}) > 1 and all(row.place for row in same)
        out += [(f"{row.name} ({row.place})" if apart else row.name, row.said) for row in (same if apart else same[:1])]
    return unique(out)
