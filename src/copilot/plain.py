"""Text of strangers in; text without control characters, or markdown in which nothing is active, out."""

import re
from collections.abc import Sequence

# C0 but tab and line end, DEL, C1; marks and overrides of direction; halves and noncharacters that stand for nothing.
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff]"
)
_BREAKS = re.compile("[\x0b\x0c\x85\u2028\u2029]")  # what some programs take for the end of a line
_CODE = re.compile(r"(`+)(?:(?!\1)[^\n])+?\1(?!`)|(?m:^[ \t]*(?:```|~~~)[\s\S]*?^[ \t]*(?:```|~~~)[ \t]*$)")
_ACTIVE = re.compile(r"\\?(?:<|\[(?!\d+\](?![(\[:]))|(?<=\w):(?=//)|(?<=www)\.|(?<=\w)@(?=\w))", re.I)


def clean(text: str) -> str:
    """`text` of the same length without what moves a terminal's cursor or hides: a space or a line end instead.

    Controls of ECMA-48 (C0, C1) and the characters that Unicode's TR36 warns of (overrides of direction). A carriage
    return becomes a line end.
    """
    return _BREAKS.sub("\n", _HIDDEN.sub(" ", text.replace("\r", "\n")))


def escaped(text: str) -> str:
    r"""`text` of a JSON document with every such character as \uXXXX, so that it says the same and moves nothing."""
    hidden = re.compile(f"{_HIDDEN.pattern}|{_BREAKS.pattern}")
    return hidden.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def pipe_row(cells: Sequence[str]) -> str:
    """Cells as a line of a markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def pipe_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a markdown table, the first as its titles; a bar within a cell is escaped (GFM 4.10)."""
    lines = list(map(pipe_row, rows))
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def inert(markdown: str) -> str:
    """`markdown` whose links, images, addresses and HTML show as text: a backslash before what would make them so.

    Code spans and fences stay; nothing in them is active (CommonMark 0.31, 2.4 and 6.1; autolinks of GFM 6.9).
    """
    text, out, at = clean(markdown), [], 0
    for match in _CODE.finditer(text):
        out += [_ACTIVE.sub(_escape, text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*out, _ACTIVE.sub(_escape, text[at:])])


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    return found if found.startswith("\\") else "\\" + found
