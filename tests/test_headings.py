"""Numbered lines right above their text are headings where a heading has the number before them."""

import pytest

from copilot.knowledge.headings import markdown_headings, text_headings

KEYS = "May hold keys.\n"


@pytest.mark.parametrize(
    "below",
    [
        f"1.1 Porter\n  {KEYS}\n1.2 Owner of the depot\n  All of it.\n\n",
        f"1.1 Porter\n{KEYS}\n1.2 Owner of the depot\nAll of it.\n\n",
        f"1.1 Porter\n  {KEYS}1.2 Owner of the depot\n  All of it.\n\n",
        f"1.1 Porter\n- {KEYS}- May lend them.\n\n1.2 Owner of the depot\n- All of it.\n\n",
        f"1.1 Porter\n\n{KEYS}\n1.2 Owner of the depot\nAll of it.\n\n1.3 Guest\nNothing.\n\n",
    ],
)
def test_numbers_that_go_on_from_a_heading_are_headings(below: str) -> None:
    wanted = ["1.1 Porter", "1.2 Owner of the depot"]
    text = f"DEPOT RULES\n\n1  Roles\n\n{below}2  Keys\n\n{KEYS}"
    found = text_headings(text)
    assert [heading.title for heading in found if heading.level == 4][:2] == wanted
    marked = markdown_headings(f"# Depot\n\n## 1 Roles\n\n{below}## 2 Keys\n\n{KEYS}")
    assert [(heading.level, heading.title) for heading in marked][2:4] == [(3, title) for title in wanted]
    assert all(text[heading.start :].startswith(heading.title) for heading in found)


@pytest.mark.parametrize(
    "below",
    [
        f"1.1 Porter\n  {KEYS}\n",
        f"2.1 Porter\n  {KEYS}\n2.2 Owner\n  All of it.\n\n",
        f"1.4 Porter\n  {KEYS}\n1.7 Owner\n  All of it.\n\n",
        "1.1 The porter opens the lid with what\nhe has.\n\n1.2 The owner keeps the key in a box that\nshuts.\n\n",
        "1.1 The porter has the key\n  He opens it.\n\n1.2 The owner must not hold keys\n  He lends them.\n\n",
        "1.1 Porter\n1.2 Owner\n1.3 Guest\n\n",
        f"The lid of the depot is of release\n1.1 Porter\n{KEYS}\nThat of the crate is\n1.2 Owner\n{KEYS}\n",
        f"```\n1.1 Porter\n  {KEYS}\n1.2 Owner\n  All of it.\n```\n\n",
    ],
)
def test_other_numbered_lines_are_text(below: str) -> None:
    found = markdown_headings(f"# Depot\n\n## 1 Roles\n\n{below}## 2 Keys\n\n{KEYS}")
    assert [heading.title for heading in found] == ["Depot", "1 Roles", "2 Keys"]
