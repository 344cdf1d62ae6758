"""Questions and short lines without a colon above a list: what they say no to stays with it."""

import pytest

from copilot.reading.entries import read_entry
from copilot.reading.entry import Entry

LIST = "\n\n- boxes of the firm\n- old bags (of any kind)\n"


def read(text: str) -> Entry:
    return read_entry(text, True, "Depot › Crates")


@pytest.mark.parametrize(
    ("lead", "told"),
    [
        ("What is **not** a crate?", "Not a crate"),
        ("What isn't covered?", "Not covered"),
        ("**What's not covered?**", "Not covered"),
        ("Not covered", "Not covered"),
        ("**Never shipped**", "Never shipped"),
        ("Who may not open it?", "Who may not open it"),
        ("Which of them are not kept?", "Which of them are not kept"),
    ],
)
def test_what_a_list_is_not_is_told_with_it(lead: str, told: str) -> None:
    """Of a long one with each item, the last too, which ends the passage."""
    found = read(lead + LIST)
    assert found.notes == (f"{told}: boxes of the firm; old bags (of any kind).",) and not found.points
    long = f"boxes of the {'very ' * 40}old firm"
    assert read(f"{lead}\n\n- {long}\n{LIST.lstrip()}").notes[1:] == (
        f"{told}: boxes of the firm.",
        f"{told}: old bags (of any kind).",
    )


@pytest.mark.parametrize(
    "lead",
    [
        "What if it is not there?",
        "Why is it not there?",
        "Not there?",
        "When not at home",
        "Nothing else",
        "Notes on crates",
        "What is a crate?",
        "The porter opens them and does\nnot shut them, and the owner is\nnot there",
    ],
)
def test_other_lines_above_a_list_forbid_nothing(lead: str) -> None:
    found = read(lead + LIST)
    assert not found.notes and found.points[-2:] == ("boxes of the firm.", "old bags (of any kind).")


def test_a_question_leads_over_to_a_list_and_not_to_steps() -> None:
    assert read(f"It is wide. What counts as a crate?{LIST}").points[0] == "What counts as a crate:"
    steps = read("It is wide. What do I do?\n\n- Open the lid.\n- Shut the door.\n")
    assert steps.points in ((), ("What do I do:",)) and steps.steps == ("Open the lid.", "Shut the door.")
    assert read("**Not there**\n\n- Open the lid.\n- Shut the door.\n").steps == ("Open the lid.", "Shut the door.")
