"""Section titles in, their markdown out, and back: what four sections look like is written here alone."""

from collections.abc import Sequence

from copilot.types import Section

MARK = "### "


def headings(titles: Sequence[str]) -> str:
    """The headings as the system message names them."""
    return ", ".join(MARK + title for title in titles)


def parse(text: str, titles: Sequence[str]) -> tuple[Section, ...] | None:
    """The sections of `text`; None unless it holds exactly these headings, in order, each with text, and no more."""
    lines = text.strip().splitlines()
    starts = _heading_lines(lines)
    if [lines[i].rstrip() for i in starts] != [MARK + t for t in titles] or not starts or starts[0] != 0:
        return None
    ends = [*starts[1:], len(lines)]
    bodies = ["\n".join(lines[a + 1 : b]).strip() for a, b in zip(starts, ends, strict=True)]
    if not all(bodies):
        return None
    return tuple(Section(title, body) for title, body in zip(titles, bodies, strict=True))


def explain(text: str, titles: Sequence[str]) -> str:
    """Why `parse` refuses `text`, in a few words."""
    lines = text.strip().splitlines()
    found = [lines[i].rstrip() for i in _heading_lines(lines)]
    missing = [t for t in titles if MARK + t not in found]
    if missing:
        return "missing " + ", ".join(f"`{MARK}{t}`" for t in missing)
    if found != [MARK + t for t in titles]:
        return "headings repeated, out of order, or others between them"
    if not text.strip().startswith(MARK + titles[0]):
        return f"text before `{MARK}{titles[0]}`"
    return "a heading without text under it"


def _heading_lines(lines: Sequence[str]) -> list[int]:
    """Which lines begin with #, outside code fences: there # is a comment."""
    found, fenced = [], False
    for i, line in enumerate(lines):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif line.startswith("#") and not fenced:
            found.append(i)
    return found
