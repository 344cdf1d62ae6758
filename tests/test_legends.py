"""Lines that tell one thing each, with signs and their meanings, or in columns, are rows; code and prose are not."""

import pytest

from copilot.reading.entries import read_entry
from copilot.reading.entry import Entry


def read(text: str) -> Entry:
    return read_entry(text, True, "Depot › Lamp", ended=True)


RED, GREEN = ("red, blinking", "below 8 %, plug it in"), ("green", "all is well")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("The lamp:\n\nred, blinking = below 8 %, plug it in\ngreen = all is well\n\nIt is old.\n", (RED, GREEN)),
        ("red, blinking: below 8 %, plug it in\ngreen: all is well\n", (RED, GREEN)),
        ("  red, blinking = below 8 %, plug it in\n  green = all is well\n", (RED, GREEN)),
        ("R       = red\nG       = green\n", (("R", "red"), ("G", "green"))),
        ("R = red\nG = green\n", (("R", "red"), ("G", "green"))),
    ],
)
def test_legends_are_rows(text: str, fields: tuple[tuple[str, str], ...]) -> None:
    assert read(text).fields == fields


@pytest.mark.parametrize(
    "text",
    [
        "size = 4\nrate = 5\n",
        'name = "red lamp"\nmode = "on or off"\n',
        "total = max(a, b) + 1\nmean = total / 2;\n",
        "```\nred = all is well\ngreen = all is bad\n```\n",
        "The lamp is red = all is well. It is old.\n\nIt is wide.\n",
        "red, blinking = below 8 %, plug it in\n",
        "When it is dry, wait: the lamp will go on after some time, and it is green then.\nIn rain, wait: it is wet.\n",
    ],
)
def test_settings_code_and_prose_are_no_legend(text: str) -> None:
    assert read(text).fields == ()


DESK, GUARD = "Help desk", "Guard at the gate"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            f"{DESK}           ext. 44   Monday to Friday\n{GUARD}   ext. 45   at night, Sunday\n\nIt is old.\n",
            ((DESK, "ext. 44, Monday to Friday"), (GUARD, "ext. 45, at night, Sunday")),
        ),
        (
            f"Call them:\n{DESK}   - ext. 44\n{GUARD}   ext. 45   at night, Sunday\n",
            ((DESK, "ext. 44"), (GUARD, "ext. 45, at night, Sunday")),
        ),
    ],
)
def test_columns_without_titles_are_rows(text: str, fields: tuple[tuple[str, str], ...]) -> None:
    assert read(text).fields == fields


@pytest.mark.parametrize(
    "text",
    [
        f"{DESK}   ext. 44\n",
        f"{DESK}{' ' * 40}A. Porter\n{GUARD}{' ' * 34}June 2023\n",
        "The lid is   wide and   it is   dry and   old.\nThe door is   shut and   it is   wet and   new.\n",
        "size      = 4\nrate      = 5\n",
        "%    size      four\n//   rate      five\n",
        "```\nsize      four\nrate      five\n```\n",
        "- size      four\n- rate      five\n",
        "The lid is wide.   It is dry.\nThe door is shut.   It is wet.\n",
    ],
)
def test_other_gaps_part_no_columns(text: str) -> None:
    assert read(text).fields == ()
