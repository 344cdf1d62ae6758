"""Pieces of an answer in; what stands on a terminal, and what a pipe gets."""

import io
import re
from collections.abc import Iterable

import pytest
from rich.console import Console

from copilot.stream import SectionView, plain_pieces

ANSWER = "### Summary\nIt *rings*.\n\n### How it works\nSend `POST`.\n\n### Key parameters / fields\n- `bellId`: one\n"


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def screen(written: str) -> str:
    """What a terminal shows in the end: lines, with cursor up and erasing of lines."""
    rows, at = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\n":
            at += 1
            rows += [""] * (at + 1 - len(rows))
        elif part == "\x1b[1A":
            at = max(at - 1, 0)
        elif part == "\x1b[2K":
            rows[at] = ""
        elif not part.startswith(("\x1b", "\r")):
            rows[at] += part
    return "\n".join(row.rstrip() for row in rows)


def shown(parts: Iterable[str]) -> str:
    file = io.StringIO()
    with SectionView(Console(file=file, force_terminal=True, width=60, height=30)) as view:
        for part in parts:
            view.piece(part)
    return screen(file.getvalue())


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_terminal_shows_each_section_once_as_markdown(size: int) -> None:
    text = shown(pieces(ANSWER, size))
    words = ("Summary", "It rings.", "How it works", "Send POST.", "Key parameters / fields", "bellId: one")
    assert [text.count(word) for word in words] == [1] * len(words)
    assert [text.index(word) for word in words] == sorted(text.index(word) for word in words)
    assert "#" not in text and "`" not in text and "*" not in text


def test_what_was_written_stays_when_it_is_interrupted() -> None:
    file = io.StringIO()
    with pytest.raises(KeyboardInterrupt), SectionView(Console(file=file, force_terminal=True, width=60)) as view:
        view.piece(ANSWER[:40])
        raise KeyboardInterrupt
    assert screen(file.getvalue()).count("It rings.") == 1
    assert shown([]).strip() == ""


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_pipe_gets_the_plain_text_with_one_line_end(size: int) -> None:
    file = io.StringIO()
    with plain_pieces(file) as piece:
        for part in pieces(f" \n{ANSWER} \n\n", size):
            piece(part)
            assert file.getvalue() == file.getvalue().strip()
    assert file.getvalue() == ANSWER


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_explained_term_is_set_off_in_its_section(size: int) -> None:
    noted = ANSWER.replace("\n\n### How", "\n\n> **Bell**: it rings\n\n### How")
    assert "It rings.\n\n▌ Bell: it rings\n\nHow it works\n" in shown(pieces(noted, size))
