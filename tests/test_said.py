"""What an answer says twice is shown once, also as it streams."""

import random

import pytest

from copilot.answering.said import Once

A, B = "A contact can be on 100 lists at most.", "The reply is 200 with the contact."
NONE_T, NONE_U = "Nothing further is said under “T”.", "Nothing further is said under “U”."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"### S\n{A}\n\n### T\n{B}", f"### S\n{A}\n\n### T\n{B}"),
        (f"### S\n{A} {A}\n\n### T\n{B}", f"### S\n{A}\n\n### T\n{B}"),
        (f"### S\n- {A}\n- {A}\n- {B}\n\n### T\nNo.", f"### S\n- {A}\n- {B}\n\n### T\nNo."),
        (f"### S\n{A}\n\n### T\n- {A}\n- {B}", f"### S\n{A}\n\n### T\n- {B}"),
        (f"### S\n{A}\n\n### T\n- {A} {B}", f"### S\n{A}\n\n### T\n- {B}"),
        (f"### S\n{A}\n\n### T\n1. {B}\n2. {A.upper()}", f"### S\n{A}\n\n### T\n1. {B}"),
        (f"### S\n{A}\n\n### T\n{A}\n{A}\n\n### U\nYes.", f"### S\n{A}\n\n### T\n{NONE_T}\n\n### U\nYes."),
        (f"### S\n{A}\n\n### T\n{A}", f"### S\n{A}\n\n### T\n{NONE_T}"),
        (f"### S\n{A}\n\n### T\n{A}\n\n### U\n- {A}", f"### S\n{A}\n\n### T\n{NONE_T}\n\n### U\n{NONE_U}"),
        (
            "### S\n- `a`: part of it\n- `b`: part of it\n- `a`: part of it",
            "### S\n- `a`: part of it\n- `b`: part of it",
        ),
        ("### S\nIt is so. It is so. It is so.", "### S\nIt is so."),
        ("### S\nUse it.\n\n### T\nUse it.", "### S\nUse it.\n\n### T\nUse it."),
        (  # a name has one line in a section that says what it is, whatever the second would say
            "### S\n- `a`: the first. It counts.\n- `b` (number): two\n- `a` (x): other. Words.\n- `b` – no\n- `c`: x",
            "### S\n- `a`: the first. It counts.\n- `b` (number): two\n- `c`: x",
        ),
        ("### S\n- `a`: one\n- `a` cannot be two.", "### S\n- `a`: one\n- `a` cannot be two."),  # a warning
        ("### S\n`a`: one\n`a`: two\n\n### T\nNo.", "### S\n`a`: one\n\n### T\nNo."),
        ("### S\n- `a`: one\n\n### T\n- `a`: two", "### S\n- `a`: one\n\n### T\n- `a`: two"),
        (  # nor is a bullet of a section before said again, however short
            "### S\n- `a`: one\n- Two.\n\n### T\n- Two.\n- `a`: one\n- `b`: one",
            "### S\n- `a`: one\n- Two.\n\n### T\n- `b`: one",
        ),
        (f"### S\n{A}\n\n### T\n- {B}\n- A contact can be on 100", f"### S\n{A}\n\n### T\n- {B}"),  # it broke off
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_sentence_is_shown_once(text: str, shown: str) -> None:
    assert Once().whole(text) == shown
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


def test_a_section_without_text_is_filled_and_what_fills_it_counts_as_said() -> None:
    asked = []

    def fill(place: int, shown: str) -> str:
        asked.append((place, shown))
        return f"- {B}\n- `a`: one" if place == 1 else ""

    text = f"### S\n{A}\n\n### T\n{A}\n\n### U\n- `a`: one\n- {B}"
    said = Once(fill)
    shown = said.feed(text) + said.end()
    assert shown == f"### S\n{A}\n\n### T\n- {B}\n- `a`: one\n\n### U\n{NONE_U}"
    assert [place for place, _ in asked] == [1, 2] and asked[0][1] == f"### S\n{A}\n\n### T"
    assert said.filled == ["T", "U"]
