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
        (  # the same may be true of several names, once of each
            "### S\n- `a`: the first. Never change it. Never change it.\n- `b`: two. Never change it.",
            "### S\n- `a`: the first. Never change it.\n- `b`: two. Never change it.",
        ),
        (f"### S\n{A}\n\n### T\n- {B}\n- `", f"### S\n{A}\n\n### T\n- {B}"),  # nothing of the item was said
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


CONTEXT = """`maxRings` is how often the bell rings. Test webhooks are clearly marked and signed like real ones.
| `bellId` | part of the address |
A bell that is rung too often in one night by all of the guests of the house is switched off until morning.
"""
RUNG = "A bell that is rung too often in one night by"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"### S\n{A}\n- `bellId`: part of", f"### S\n{A}"),
        (f"### S\n{A}\n- `bellId`: part of\n\n### T\n{B}", f"### S\n{A}\n\n### T\n{B}"),
        (f"### S\n{A} Test webhooks are cle\n\n### T\n{B}", f"### S\n{A}\n\n### T\n{B}"),
        ("### S\n- `bellId`: part of", "### S\n- `bellId`: part of…"),  # there is nothing else
        ("### S\nTest webhooks are cle", "### S\nTest webhooks are…"),
        ("### S\n- `x`: test webhooks are cle\n- `y`: one", "### S\n- `x`: test webhooks are…\n- `y`: one"),
        (f"### S\n{A}\n- `bellId`: how often the bell", f"### S\n{A}\n- `bellId`: how often the bell…"),
        (f"### S\n{A} {RUNG} al\n\n### T\n{B}", f"### S\n{A} {RUNG}…\n\n### T\n{B}"),
        (f"### S\n{A} {RUNG}\n\n### T\n{B}", f"### S\n{A} {RUNG}…\n\n### T\n{B}"),
        (f"### S\n- {A} {RUNG} all of the gue", f"### S\n- {A} {RUNG} all of the…"),
        (f"### S\n- {A} Required\n- {B} the\n- `c`: x", f"### S\n- {A} Required\n- {B}\n- `c`: x"),
        (f"### S\n- The bell\n- {A}", f"### S\n- The bell…\n- {A}"),
        (f"### S\n- {A}\n- The bell \n- {B}", f"### S\n- {A}\n- {B}"),
        ("### S\n- `bellId`: part of the address", "### S\n- `bellId`: part of the address"),
        (f"### S\n{A} Then, \n", f"### S\n{A}"),
        ("the bell", "the bell"),  # no section
    ],
)
def test_a_sentence_that_was_broken_off(text: str, shown: str) -> None:
    """It has an ellipsis after a whole word, or is left out behind another one; streamed and as a whole."""
    assert Once(context=CONTEXT).whole(text) == shown
    for seed in range(20):
        said, out, at, chance = Once(context=CONTEXT), "", 0, random.Random(seed)
        while at < len(text):
            step = chance.randint(1, 9)
            out, at = out + said.feed(text[at : at + step]), at + step
            assert shown.startswith(out)
        assert out + said.end() == shown == said.text


def test_however_an_answer_is_broken_it_streams_as_it_stands() -> None:
    parts = [
        *CONTEXT.split(" "),
        *A.split(" "),
        "cle",
        "ri",
        ".",
        ",",
        "\n",
        "\n- ",
        "\n1. ",
        "`bellId`:",
        "\n\n### T\n",
    ]
    for seed in range(400):
        chance = random.Random(seed)
        text = "### S\n" + "".join(chance.choice(parts) + chance.choice((" ", "")) for _ in range(60))
        whole = Once(context=CONTEXT).whole(text)
        said, out, at = Once(context=CONTEXT), "", 0
        while at < len(text):
            step = chance.randint(1, 7)
            out, at = out + said.feed(text[at : at + step]), at + step
            assert whole.startswith(out), seed
        assert out + said.end() == whole, seed


def test_a_section_that_the_limit_of_tokens_leaves_no_room_for_is_filled() -> None:
    titles = ("S", "T", "U")
    for cut in ("", "\n\n### ", "\n\n##"):
        text = Once(titles=titles).whole(f"### S\n{A}\n\n### T\n- {B}{cut}")
        assert text.endswith(f"### T\n- {B}\n\n### U\n{NONE_U}"), cut
    said = Once(lambda place, shown: f"It is {place}." if A in shown else "", titles=titles)
    assert said.whole(f"### S\n{A}") == f"### S\n{A}\n\n### T\nIt is 1.\n\n### U\nIt is 2."
    assert said.filled == ["T", "U"]
    whole = f"### S\n{A}\n\n### T\n{B}\n\n### U\n- x"
    assert Once(titles=titles).whole(whole) == whole
    assert Once(titles=titles).whole("no heading at all") == "no heading at all"
