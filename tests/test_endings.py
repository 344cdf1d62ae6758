"""Sentences that were broken off and those that only have no full stop; where they can be cut."""

import pytest

from copilot.answering.endings import Endings

CONTEXT = """Contacts › Delete a contact
| Field | Description |
|---|---|
| `contactId` | part of the address |
| `limit` | most results to return, 1 to 100; default 20 |
Test webhooks are **clearly marked**, and signed like real ones. The default is `false` for all contacts.
Switch it on and see what it is made of.
"""
ENDINGS = Endings(CONTEXT)


@pytest.mark.parametrize(
    "text",
    [
        "- `contactId`: part of",
        "- `durationMs`: webhooks are",
        "- `durationMs`: webhooks are cle",
        "- `durationMs`: webhooks are clearly",
        "- The default",
        "- Whatever the",
        "It works in another way",  # prose needs a full stop
        "Give `limit` ",
    ],
)
def test_what_was_broken_off(text: str) -> None:
    assert ENDINGS.broken(text, item=text.startswith("-"))


@pytest.mark.parametrize(
    "text",
    [
        "- `contactId`: part of the address",
        "- `limit`: most results to return, 1 to 100",  # the passage goes on after a semicolon
        "- `limit`: most results to return, 1 to 100; default 20; required",
        "- `x`: signed like real ones",
        "- `x`: test webhooks are clearly marked",
        "- `x`: what it is made of",
        "- `x`: one contact",  # the passages say contacts
        "- `x`: words of the model's own",
        "- Switch it on",
        "- Team: Price: 9; Refresh token: No",
        "It works.",
        "It works as follows:",
        "So it is (or not!)",
        "| a | b |",
        "  ",
    ],
)
def test_what_only_has_no_full_stop(text: str) -> None:
    assert not ENDINGS.broken(text, item=text.startswith("-"))


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("webhooks are cle", "webhooks are…"),
        ("webhooks are clearly", "webhooks are clearly…"),
        ("Give `limit` ", "Give `limit`…"),
        ("marked, sign", "marked, sign…"),  # of another sentence: perhaps a word of the model's own
        ("marked, and sign", "marked, and…"),  # the passages have these words, and go on
        ("marked, and", "marked, and…"),
        ("contact that goes (", "contact that goes…"),
    ],
)
def test_an_ellipsis_at_a_word_boundary(text: str, cut: str) -> None:
    assert ENDINGS.cut(text) == cut


def test_no_part_of_a_word_is_visible() -> None:
    shown = [ENDINGS.visible("webhooks are clearly marked, a"[:n]) for n in (8, 12, 15, 20, 28, 30)]
    assert shown == [
        "webhooks",
        "webhooks are",
        "webhooks are",
        "webhooks are clearly",
        *["webhooks are clearly marked"] * 2,
    ]
    assert Endings("").visible("web") == "web" and not Endings("").broken("- web", item=True)
