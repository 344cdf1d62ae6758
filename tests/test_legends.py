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
