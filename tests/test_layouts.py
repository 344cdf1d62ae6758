"""Entries as people write them, with quotes, alerts, nested lists and wide tables: nothing is lost or leaks."""

import random

import pytest

from copilot.reading.entries import read_entry
from copilot.reading.entry import Entry
from copilot.reading.layouts import usual

WARNED = "It must stay dry."


def read(text: str, header: str = "Widget › Use it") -> Entry:
    return read_entry(text, True, header, ended=True)


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
        ("Stops it now.[^1] ~~It is slow.~~\n\n[^1]: Only once a day.\n", ("Stops it now (only once a day).",)),
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


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("Do not:\n\n- Open the lid.\n- Use alcohol\n", ("Do not open the lid.", "Do not use alcohol.")),
        ("It is not safe to:\n\n- pull the plug\n- close it\n", ("It is not safe to pull the plug.",)),
        ("Avoid:\n1. Using the app on a bus.\n", ("Avoid using the app on a bus.",)),
        ("Do not\n    - lift the bowl alone\n", ("Do not lift the bowl alone.",)),
        ("- \u274c Lift it alone.\n", ("Avoid: Lift it alone.",)),
        ("- Never lift it alone.\n", ("Never lift it alone.",)),
        ("Hot! CAUTION: HOT SURFACE\n\nIt is a lamp.\n", ()),
        ("CAUTION: HOT SURFACE\n\nIt is a lamp.\n", ("HOT SURFACE.",)),
        ("Achtung! Nicht \u00f6ffnen, es ist hei\u00df.\n", ("Nicht \u00f6ffnen, es ist hei\u00df.",)),
    ],
)
def test_what_is_forbidden_is_no_step(text: str, notes: tuple[str, ...]) -> None:
    entry = read(text)
    assert entry.steps == () and entry.notes[: len(notes)] == notes


def test_a_heading_may_forbid_and_a_condition_may_not() -> None:
    assert read("- Open the lid.\n", "Widget › What you must never do").notes == ("Do not open the lid.",)
    assert read("If it does not start:\n\n1. Press the key.\n").steps == ("Press the key.",)
    conditions = read("You get it if **all** of these are true:\n\n1. It is new.\n2. It was paid.\n")
    assert conditions.steps == ()
    assert conditions.sentences == ("You get it if all of these are true: it is new; it was paid.",)


@pytest.mark.parametrize(
    "text",
    [
        "**On Windows**\n\n1. Run it.\n2. Restart.\n\n**Mac**\n\n1. Open it.\n",
        '=== "Windows"\n\n    1. Run it.\n    2. Restart.\n\n=== "Mac"\n\n    1. Open it.\n',
        '<Tabs>\n<TabItem value="w" label="Windows">\n\n1. Run it.\n2. Restart.\n\n</TabItem>\n'
        '<TabItem value="m" label="Mac">\n\n1. Open it.\n\n</TabItem>\n</Tabs>\n',
    ],
    ids=["labels", "mkdocs", "docusaurus"],
)
def test_steps_say_to_whom_they_apply(text: str) -> None:
    first, second, third = read(text).steps
    assert "Windows: Run it." in first and "Windows: Restart." in second and third == "For Mac: Open it."


def test_tables_of_steps_and_checklists_are_steps() -> None:
    table = "| Step | Action | Result |\n|---|---|---|\n| 1 | Press stop. | It stands |\n| 2 | Sign | |\n"
    assert read(table).steps == ("Press stop. Result: It stands.", "Sign.")
    assert read("- [ ] Check the lamp is on\n- [x] Close it\n").steps == ("Check the lamp is on.", "Close it.")


def test_no_numbered_step_is_lost_and_the_first_keeps_its_number() -> None:
    text = "4. Open it;\n5. Is the lamp green?\n6. Wait (5 seconds\n7. Click Save. It closes\n8. Done\n"
    entry = read(text)
    assert entry.begin == 4
    assert entry.steps == ("Open it.", "Is the lamp green?", "Wait (5 seconds.", "Click Save. It closes.", "Done.")


def test_a_name_below_two_labels_is_told_for_both() -> None:
    head = "| Limit | Value |\n|---|---|\n"
    text = f"**Basic plan**\n\n{head}| Users | 5 |\n\n**Pro plan**\n\n{head}| Users | 50 |\n"
    assert read(text).fields == (("Users (Basic plan)", "5"), ("Users (Pro plan)", "50"))


def test_abbreviations_end_no_sentence() -> None:
    text = "Call Dr. Lee at no. 5 or ext. 12. Use max. 5 kg, approx. 3 m. It is No. Then go on."
    assert read(text).sentences == (
        "Call Dr. Lee at no. 5 or ext. 12.",
        "Use max. 5 kg, approx. 3 m.",
        "It is No.",
        "Then go on.",
    )


def test_a_paragraph_without_a_full_stop_is_told() -> None:
    text = "The password must have at least 12 characters\n\nAnother paragraph is here"
    told = ("The password must have at least 12 characters.", "Another paragraph is here.")
    assert read(text).sentences == told and read_entry(text).sentences == told[:1], "the last may be cut"


def test_names_of_codes_and_keys() -> None:
    codes = read("| Code | Service |\n|---|---|\n| ST | Standard |\n| EX | Express |\n")
    assert codes.codes == () and [name for name, _ in codes.fields] == ["ST", "EX"]
    keys = "| Column | Key | Meaning |\n|---|---|---|\n| ORDER_ID | PK | Its number. |\n| NET | | Without tax. |\n"
    assert [name for name, _ in read(keys).fields] == ["ORDER_ID", "NET"]


def test_a_deprecated_call_is_not_the_entrys() -> None:
    text = "`POST /v0/send` is deprecated. Use `POST /v1/messages` instead.\n"
    assert read(text, "Widgets › Send").calls == ("POST /v1/messages",)


def test_docstrings_and_nested_names() -> None:
    text = "   Closes all.\n\n   :param bool force: Close open ones.\n   :raises BusyError: If one is open.\n"
    entry = read(text)
    assert ("`force`", "Close open ones.") in entry.fields
    assert ("`BusyError`", "If one is open.") in (*entry.fields, *entry.codes)
    table = "| Name | Description |\n|---|---|\n| » to | Who gets it. |\n| »» zip | His code. |\n"
    names = [name for name, _ in read(f"{table}| » from | Who sends. |\n| »» zip | Her code. |\n").fields]
    assert names == ["`to`", "`zip` of `to`", "`from`", "`zip` of `from`"]


MARKS = """# |## Step 1: |- |1. |a) |(1) |¦ |¦---¦---¦
|`x`|**b**|```
|> |> [!NOTE]
|!!! tip
|    |
|

|word |Word. |Do not:
|:param x: |Default: 5
|key = v
|No.|<div class="warning">|</div>|<ul><li>|</li></ul>|<br>|[^1]|~~|{#a}|&lt;|»|❌ |=== "Tab"
|POST /x |A  B  C
|---
|[x](#y)|![i](u)|$ cmd
|**On Windows**
|Note: |(""".replace("¦", "\0").split("|")


def test_any_mixture_of_marks_is_read() -> None:
    """Nothing raises, and no text has an open backtick or two lines."""
    chance = random.Random(0)
    for _ in range(400):
        text = "".join(chance.choices(chance.sample(MARKS, 9), k=60)).replace("\0", "|")
        header = chance.choice(["A › B", "A › Glossary", "A › queue.max", "A › Is it?", "A › Never do this"])
        entry = read_entry(text, chance.random() < 0.5, header, chance.random() < 0.5)
        for said in (*entry.sentences, *entry.steps, *entry.notes, *entry.points):
            assert said.strip() and "\n" not in said, text
