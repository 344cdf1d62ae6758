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


def titles(text: str) -> list[str]:
    return [heading.title for heading in markdown_headings(text)]


def test_leads_in_bold_right_above_lists_are_headings() -> None:
    """What a message says, in quotation marks or among troubles, is no order."""
    leads = ["The lid jams", '"Depot needs a key"', "Box must be sealed"]
    below = "".join(f"**{lead}**\n- Push it.\n- Turn it.\n\n" for lead in leads)
    assert titles(f"# Depot\n\n## Troubleshooting\n\n{below}## End\n\nx\n")[2:-1] == leads
    assert titles(f"# Depot\n\n## Messages\n\n{below.partition('**Box')[0]}## End\n\nx\n")[2:-1] == leads[:2]
    apart = "".join(f"**{lead}**\n\nPush it.\n\n" for lead in leads)
    assert titles(f"# Depot\n\n## Troubleshooting\n\n{apart}## End\n\nx\n")[2:-1] == leads


@pytest.mark.parametrize(
    "below",
    [
        "**The lid jams**\n- Push it.\n\n",
        "**Do**\n- Push it.\n\n**Don't**\n- Pull it.\n\n",
        "**Depot needs a key**\n- Ask for it.\n\n**Box is shut**\n- Open it.\n\n",
        "**Fixes**\n- One.\n\n## Two\n\n**Fixes**\n- Another.\n\n",
        "**lid**\n- Shuts it.\n\n**lamp**\n- Lights it.\n\n",
        "**The lid jams**\nPush it.\n\n**The lamp is dark**\nWait.\n\n",
    ],
)
def test_other_leads_in_bold_stay_with_their_lists(below: str) -> None:
    found = titles(f"# Depot\n\n## One\n\n{below}## End\n\nx\n")
    assert [title for title in found if title != "Two"] == ["Depot", "One", "End"]


def test_a_number_without_the_mark_of_the_list_beside_it_is_of_a_heading() -> None:
    steps = "1. Take the key.\n2. Turn it.\n3. Open the lid\n"
    text = f"DEPOT RULES\n\n3 Lids\n\n{steps}\n4 Lamps\n\nThey are green.\n"
    assert [heading.title for heading in text_headings(text)] == ["DEPOT RULES", "3 Lids", "4 Lamps"]
    other = text.replace("4 Lamps", "4. Light the lamp")
    assert "4. Light the lamp" not in [heading.title for heading in text_headings(other)]
