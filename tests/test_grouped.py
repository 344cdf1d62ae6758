"""Labels in bold above short lists in; rows out, and nothing where they tell what to do or are no labels."""

import pytest

from copilot.reading.entries import read_entry

PLANS = """**Free** (0 €)
- up to 5 people
- no export

**Team** (2 € per person):

- up to 50 people
- export as CSV

Guests are not counted.
"""


def test_each_label_has_its_list() -> None:
    entry = read_entry(PLANS, header="Billing › Plans", ended=True)
    assert entry.fields == (
        ("Free (0 €)", "up to 5 people; no export."),
        ("Team (2 € per person)", "up to 50 people; export as CSV."),
    )
    assert entry.points == () and entry.sentences == ("Guests are not counted.",)
    assert entry.trails, "what is said below the rows does not say what they are"
    assert not read_entry(f"There are two.\n\n{PLANS}", header="Billing › Plans", ended=True).trails


@pytest.mark.parametrize(
    "text",
    [
        "**Windows**\n- Open the menu.\n- Press Install.\n\n**Mac**\n- Open the menu.\n- Drag the icon.\n",
        "**Do**\n- plain words\n- short lines\n\n**Don't**\n- long lines\n- jargon\n",
        "**Pros**\n- cheap\n- fast\n\n**Cons**\n- loud\n- heavy\n",
        "**Errors**\n- full\n- empty\n\n**Fields**\n- size\n- colour\n",
        "**Free**\n- up to 5 people\n- no export\n",
        "**Free**\n- `users`: up to 5 people\n\n**Team**\n- `users`: up to 50 people\n",
        "```\n**Free**\n- up to 5\n\n**Team**\n- up to 50\n```\n",
        "**Free**\n- up to 5\n  - of one house\n\n**Team**\n- up to 50\n  - of one town\n",
    ],
)
def test_other_labels_stay_what_they_are(text: str) -> None:
    names = [name for name, _ in read_entry(text, header="Help › Section", ended=True).fields]
    assert not {"Windows", "Mac", "Do", "Don't", "Pros", "Cons", "Errors", "Free", "Team"} & set(names)
