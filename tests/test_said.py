"""What an answer says twice is shown once, also as it streams."""

import random

import pytest

from copilot.answering.said import NOTHING_NEW, Once, once

A, B = "A contact can be on 100 lists at most.", "The reply is 200 with the contact."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"### S\n{A}\n\n### T\n{B}", f"### S\n{A}\n\n### T\n{B}"),
        (f"### S\n{A} {A}\n\n### T\n{B}", f"### S\n{A}\n\n### T\n{B}"),
        (f"### S\n- {A}\n- {A}\n- {B}\n\n### T\nNo.", f"### S\n- {A}\n- {B}\n\n### T\nNo."),
        (f"### S\n{A}\n\n### T\n- {A}\n- {B}", f"### S\n{A}\n\n### T\n- {B}"),
        (f"### S\n{A}\n\n### T\n- {A} {B}", f"### S\n{A}\n\n### T\n- {B}"),
        (f"### S\n{A}\n\n### T\n1. {B}\n2. {A.upper()}", f"### S\n{A}\n\n### T\n1. {B}"),
        (f"### S\n{A}\n\n### T\n{A}\n{A}\n\n### U\nYes.", f"### S\n{A}\n\n### T\n{NOTHING_NEW}\n\n### U\nYes."),
        (f"### S\n{A}\n\n### T\n{A}", f"### S\n{A}\n\n### T\n{NOTHING_NEW}"),
        (
            "### S\n- `a`: part of it\n- `b`: part of it\n- `a`: part of it",
            "### S\n- `a`: part of it\n- `b`: part of it",
        ),
        ("### S\nIt is so. It is so. It is so.", "### S\nIt is so."),
        ("### S\nUse it.\n\n### T\nUse it.", "### S\nUse it.\n\n### T\nUse it."),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_sentence_is_shown_once(text: str, shown: str) -> None:
    assert once(text) == shown
    for seed in range(20):
        said, out, at, chance = Once(), "", 0, random.Random(seed)
        while at < len(text):
            step = chance.randint(1, 9)
            out, at = out + said.feed(text[at : at + step]), at + step
        assert out + said.end() == shown


def test_text_is_shown_as_soon_as_it_differs() -> None:
    said = Once()
    assert said.feed(f"### S\n{A}\n\n### T\n") == f"### S\n{A}\n\n### T"
    assert said.feed("A contact can") == "" and said.feed(" be in") == "\nA contact can be in"
