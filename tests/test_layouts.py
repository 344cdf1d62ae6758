"""Entries as people write them, with quotes, alerts, nested lists and wide tables: nothing is lost or leaks."""

import pytest

from copilot.answering.entries import Entry, read_entry
from copilot.answering.layouts import usual

WARNED = "It must stay dry."


def read(text: str, header: str = "Widget › Use it") -> Entry:
    return read_entry(text, True, header)


@pytest.mark.parametrize(
    "text",
    [
        "Use it.\n\n> [!WARNING]\n> It must stay dry.\n",
        "Use it.\n\n> Note: It must stay dry.\n",
        "Use it.\n\n> **Warning:** It must\n> stay dry.\n",
        "Use it.\n\n:::caution\nIt must stay dry.\n:::\n",
        '!!! danger "Careful"\n    It must\n    stay dry.\n',
        ".. warning::\n\n   It must stay dry.\n",
        'Use it.\n\n<div class="box warning">It must <b>stay</b> dry.</div>\n',
        "Use it now and here. WARNING: It must stay dry.\n",
        "\u26a0\ufe0f It must stay dry.\n",
        "\u26a0\ufe0f **Important**: It must stay dry.\n",
    ],
)
def test_what_warns_is_a_note(text: str) -> None:
    assert read(text).notes == (WARNED,)
    assert WARNED not in read(text).sentences


def test_a_quote_is_text_and_a_prompt_is_code() -> None:
    assert read("> Widgets are blue in winter.\n").sentences == ("Widgets are blue in winter.",)
    assert read("> cd /srv\n> widget start\n").sentences == ()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Stops it now.[^1] ~~It is slow.~~\n\n[^1]: Only once a day.\n", ("Stops it now.", "Only once a day.")),
        ("Use &lt;name&gt; &amp; word. Costs 5&nbsp;€.\n", ("Use <name> & word.", "Costs 5 €.")),
        ("<p>Read this first.</p>\n<details>\n\nThen read that one.\n</details>\n", None),
        ("- [Use it](#use-it)\n- [Stop it](#stop-it)\n\nIt is a widget.\n", ("It is a widget.",)),
        ("![a picture](w.png)\n\nIt is a widget.\n", ("It is a widget.",)),
    ],
)
def test_marks_that_nobody_sees_go(text: str, sentences: tuple[str, ...] | None) -> None:
    assert read(text).sentences == (sentences or ("Read this first.", "Then read that one."))


def test_code_keeps_its_marks() -> None:
    lines = ["```", "> a &lt; b [^1] <p>", "(1) x", "```"]
    assert usual("\n".join(lines)) == lines


def test_a_short_answer_is_an_answer() -> None:
    assert read("No. Keep it dry.", "FAQ › Is it waterproof?").sentences == ("No. Keep it dry.",)
    assert read("No.", "FAQ › Is it waterproof?").sentences == ("No.",)
    assert read("Optional.", "Widget › Colour").sentences == ()


STEPS = """1. Open the lid.

   ![lid](lid.png)

2. Type these commands:

   ```
   $ widget stop
   $ widget start
   ```

3. Take it out. Keep the box:
   - for returns
   - for storage
4. Plug it in.

   Wait two minutes. The light turns green.
5. Choose a mode:
   a) Press A for home.
   b) Press B for the office.
6. Restart.
7. If the light is red, paste:

```json
{"light": "red"}
```

8. Done.
"""


def test_steps_keep_what_stands_below_them_and_their_number() -> None:
    assert read(STEPS).steps == (
        "Open the lid.",
        "Type these commands: `widget stop`; `widget start`.",
        "Take it out. Keep the box: for returns; for storage.",
        "Plug it in. Wait two minutes. The light turns green.",
        "Choose a mode: Press A for home. Press B for the office.",
        "Restart.",
        "If the light is red, paste: see the sources.",
        "Done.",
    )


@pytest.mark.parametrize("text", ["a) Open it.\nb) Wipe it.\n", "(1) Open it.\n(2) Wipe it.\n"])
def test_other_marks_of_steps(text: str) -> None:
    assert read(text).steps == ("Open it.", "Wipe it.")


def test_a_name_keeps_the_values_below_it_and_names_below_it_stay_names() -> None:
    text = "- **reason** *(string, required)*: One of:\n  - `broken` – it fell\n  - `other`\n"
    fields = read(f"{text}- **size** (object): Its size:\n  - **size.x** (number): Its width.\n").fields
    assert fields == (
        ("reason", "One of: `broken` – it fell; `other`. Required."),
        ("size", "Its size"),
        ("size.x", "Its width."),
    )


def test_a_list_of_mere_names_is_a_sentence() -> None:
    assert read("It runs on these systems:\n\n- Windows\n- Debian 12\n").sentences == (
        "It runs on these systems: Windows, Debian 12.",
    )
    assert read("Print it so:\n\n    $ widget print a.zpl\n").sentences == ("Print it so: `widget print a.zpl`.",)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            "| | Free | Team |\n|---|---:|---:|\n| Users | 1 | 10 |\n| Files | 2 | 20 |\n",
            (("Users", "Free: 1; Team: 10"), ("Files", "Free: 2; Team: 20")),
        ),
        (
            "| Status | Code | Meaning |\n|---|---|---|\n| 400 | `heavy` | Too heavy. |\n"
            "| 400 | `long` | Too long. |\n",
            (("`heavy` (400)", "Too heavy."), ("`long` (400)", "Too long.")),
        ),
        (
            "| Code | Light | What it means | What to do |\n|---|---|---|---|\n"
            "| E01 | red | No paper left | Wait |\n",
            (("E01", "No paper left. What to do: Wait. Light: red."),),
        ),
        (
            "| Field | Description |\n|---|---|\n| `a`<br>`b` | Size. |\n| `c` | `x` \\| `y`. |\n"
            "| &nbsp;`d` | <ul><li>`p`: one</li><li>`q`: two</li></ul> |\n",
            (("`a`, `b`", "Size."), ("`c`", "`x` | `y`."), ("`d`", "`p`: one; `q`: two")),
        ),
        (
            "Priority   Meaning              First answer\nHigh       Nobody can work      30 minutes\n"
            "Low        A small fault or     4 days\n           a wish\n",
            (
                ("High", "Nobody can work. First answer: 30 minutes."),
                ("Low", "A small fault or a wish. First answer: 4 days."),
            ),
        ),
        (
            "beep = on\n    Whether it beeps.\n\nsleep =\n    Seconds until\n    it sleeps.\n",
            (("`beep`", "Whether it beeps. Example: `beep = on`."), ("`sleep`", "Seconds until it sleeps.")),
        ),
        (
            "       ship FILE\n              Book all of the file.\n\n       label ID [--format pdf|zpl]\n"
            "              Get the label.\n",
            (("`ship FILE`", "Book all of the file."), ("`label ID [--format pdf|zpl]`", "Get the label.")),
        ),
        ("`expired` (401)\n: Get a new one.\n", (("`expired` (401)", "Get a new one."),)),
    ],
    ids=["no first title", "status and code", "remedy", "cells", "spaces", "settings", "manual", "definition"],
)
def test_rows(text: str, rows: tuple[tuple[str, str], ...]) -> None:
    entry = read(text)
    assert (*entry.fields, *entry.codes) == rows


def test_a_setting_whose_name_is_the_heading_has_its_type_and_default() -> None:
    entry = read("Type: integer\nDefault: 200\n\nHow many jobs may wait.\n", "Station › queue.max_jobs")
    assert entry.fields == (("`queue.max_jobs`", "Type: integer. Default: 200."),)
    assert entry.sentences == ("How many jobs may wait.",)


def test_a_glossary_has_its_terms() -> None:
    text = "**Carrier**: Who drives the parcels.\n\n**Manifest**: All parcels of a day.\n"
    assert read(text, "Handbook › Glossary").fields == (
        ("Carrier", "Who drives the parcels."),
        ("Manifest", "All parcels of a day."),
    )


def test_changes_end_before_their_number() -> None:
    assert read("- Umlauts no longer break labels. (#412)\n").points == ("Umlauts no longer break labels.",)


def test_a_call_that_a_sentence_further_down_mentions_is_another_entrys() -> None:
    below = "If there are too many of them, remove some with `DELETE /widgets/{id}` first."
    assert read(f"Returns the widgets of an account.\n\n{below}\n", "Widgets › Look").calls == ()
    assert read("Send `GET /widgets` with the account.\n", "Widgets › Look").calls == ("GET /widgets",)
