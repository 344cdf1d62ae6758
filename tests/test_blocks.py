"""What several lines say of one thing stays together, and no table, list or mark turns round what it says."""

import pytest

from copilot.reading.calls import endpoints
from copilot.reading.entries import read_entry
from copilot.reading.entry import Entry

Pairs = tuple[tuple[str, str], ...]


def read(text: str, title: str = "Use it") -> Entry:
    return read_entry(text, True, f"Widget › {title}", ended=True)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "Problem: It is dark.\nCause: No power.\nFix: Plug it in.\n\n"
            "Problem: It is hot.\nCause: No air.\nFix: Move it.\n",
            (("It is dark", "No power. Plug it in."), ("It is hot", "No air. Move it.")),
        ),
        (
            "Problem: a | b\nCause: No c | d.\n\nProblem: e\nCause: No f.\n",
            (("a | b", "No c | d."), ("e", "No f.")),
        ),
        (
            "Parameter: size\nType: integer\nRequired: yes\nDescription: How big.\n\n"
            "Parameter: tint\nType: string\nRequired: no\nDescription: Its shade.\n",
            (("size", "How big. Required."), ("tint", "Its shade.")),
        ),
        (
            "**too_dark**\nNo light gets in.\nOpen the lid.\n\n**too_hot**\nNo air gets in.\n",
            (("too_dark", "No light gets in. Open the lid."), ("too_hot", "No air gets in.")),
        ),
        (
            "**Pod** – the smallest part. Usually one box.\n\n**Secret** – settings that are secret.\n",
            (("Pod", "the smallest part. Usually one box."), ("Secret", "settings that are secret.")),
        ),
        (
            "- **Canary release**: A few get it first.\n- **Rolling update**: One after the other.\n",
            (("Canary release", "A few get it first."), ("Rolling update", "One after the other.")),
        ),
        (
            "size\ninteger or null\nRequired\nHow big it is.\n\ntint\nstring\nOptional\nDefaults to red\nIts shade.\n",
            (("`size`", "How big it is. Required."), ("`tint`", "Its shade. The default is red.")),
        ),
        ("size\nrequired, integer\nHow big it is.\n", (("`size`", "How big it is. Required."),)),
        ("`size` · integer · **Required**\nHow big it is.\n", (("`size`", "How big it is. Required."),)),
        ("* size **required** How big it is.\n", (("`size`", "How big it is. Required."),)),
        ("- **sizeId** → ID of the size.\n", (("sizeId", "ID of the size."),)),
        ('<ParamField path="size" required>\n  How big.\n</ParamField>\n', (("`size`", "How big. Required."),)),
        ("| Name | Text |\n|---|---|\n| size <br/>**required** | How big. |\n", (("size", "How big. Required."),)),
    ],
)
def test_what_is_said_of_a_name_in_several_lines_is_one_row(text: str, fields: Pairs) -> None:
    assert read(text).fields == fields


DARK, HOT = ("It is dark", "Is it on? Plug it in."), ("It is hot", "No air. Move it.")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Problem: It is dark\n  - Is it on?\n  - Plug it in\n\nProblem: It is hot\n  No air. Move it.\n", (DARK, HOT)),
        (
            "**Issue:** It is dark\n- Is it on?\n- Plug it in.\n**Issue:** It is hot\n- No air.\n- Move it.\n",
            (DARK, HOT),
        ),
        (
            "- **Symptom: It is dark**\n  - Is it on?\n  - Fix: Plug it in.\n"
            "- **Symptom: It is hot**\n  Cause: No air.\n  Solution:\n  1. Move it.\n",
            (DARK, HOT),
        ),
        ("Problem: It is dark\nIs it on?\nPlug it in.\n\nProblem: It is hot\nNo air.\nMove it.\n\nBye.\n", (DARK, HOT)),
        (
            "Problem: It is dark\n  - Is it on?\n  - Plug it in.\n\n| Error | Remedy |\n|---|---|\n| E01 | Wait. |\n\n"
            "Problem: It is hot\n  No air. Move it.\n",
            (DARK, HOT),
        ),
    ],
)
def test_problems_above_what_is_to_be_done_are_rows(text: str, fields: Pairs) -> None:
    assert read(text, "Troubleshooting").fields == fields


@pytest.mark.parametrize(
    "text",
    [
        "Problem: It is dark\n  - Is it on?\n  - Plug it in.\n",
        "Problem: It is dark when the\n  lid is shut.\n\nProblem: It is hot when the\n  lid is open.\n",
        "Problem: It is dark.\n\nThat is bad.\n\nProblem: It is hot.\n\nThat is worse.\n",
        "Issue: 12\n\nThe lid is shut.\n\nIssue: 13\n\nThe lid is open.\n",
        f"- Issue 5: {'It is dark and not light. ' * 4}\n  It is.\n- Issue 6: {'It is so hot. ' * 7}\n  It is.\n",
        "```\nProblem: It is dark\n  Plug it in.\nProblem: It is hot\n  Move it.\n```\n",
        "The problem: It is dark\n  Plug it in.\nThe problem: It is hot\n  Move it.\n",
    ],
)
def test_other_problems_are_no_rows(text: str) -> None:
    assert read(text, "Rules").fields == ()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Errors:\n\n404: there is no such thing.\n409: it is running.\n", ("`404`", "`409`")),
        ("404 Not Found: there is no such thing.\n", ("`404 Not Found`",)),
        ("401: Meeting room\n402: Kitchen\n", ()),
        ("451 – A novel about books.\n", ()),
        ("- `400 Bad Request` → a part is wrong\n", ("`400 Bad Request`",)),
        ("### Errors\n\n**Error 409:** There is one.\n", ("`409`",)),
        ("### Codes\n\n**405** – not now  \n**409** – not here\n", ("405", "409")),
        ("429 - Too many\nCause: Too fast.\n\n503 - Busy\nCause: A crowd.\nSolution: Retry.\n", ("429", "503")),
    ],
)
def test_errors_line_by_line_are_codes(text: str, codes: tuple[str, ...]) -> None:
    assert tuple(name for name, _ in read(text).codes) == codes


def table(head: str, *rows: str) -> str:
    return "\n".join([f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {row} |" for row in rows), ""])


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            table("Role | Action | Allowed", "Viewer | Read | Yes", "Viewer | Delete | No"),
            (("Viewer", "Action: Read. Allowed: Yes. Action: Delete. Allowed: No."),),
        ),
        (table("Action | Forbidden for", "Delete | Viewers"), (("Delete", "Forbidden for: Viewers"),)),
        (table("Job | Skipped when", "Copy | The disk is full."), (("Copy", "Skipped when: The disk is full."),)),
        (
            table("Allowed | Forbidden", "Pictures | Programs", "Texts | Keys"),
            (("Allowed", "Pictures; Texts."), ("Forbidden", "Programs; Keys.")),
        ),
        (table("Old name | New name", "`purge` | `keep`"), (("`purge` (old name)", "New name: `keep`"),)),
        (table("Question | Yes | No", "Is it green? | Go on. | Stop."), (("Is it green", "Yes: Go on. No: Stop."),)),
        (table(" | Function", "✅ | Undo", "❌ | Redo"), (("Undo", "Yes."), ("Redo", "No."))),
        (
            table("Field | Required | Text", "`a` | ✅ | One.", "`b` | ❌ | Two."),
            (("`a`", "One. Required."), ("`b`", "Two.")),
        ),
        (table("Field | Status | Description", "`a` | deprecated | One."), (("`a`", "One. Status: deprecated."),)),
        (
            table("Plan | Kept for | Help", "Free | 7 days | -", 'Team | 30 days | Mail', 'Big | " | same as above'),
            (
                ("Free", "Kept for: 7 days; Help: -"),
                ("Team", "Kept for: 30 days; Help: Mail"),
                ("Big", "Kept for: 30 days; Help: Mail"),
            ),
        ),
        (table("# | What it means", "1 | It is full.", "2 | It lags."), (("1", "It is full."), ("2", "It lags."))),
        (table("Status | Meaning", "`paid` | It is paid."), (("`paid`", "It is paid."),)),
        ("Port | Way\n--- | ---\n443 | Out, to the cloud.\n", (("443", "Out, to the cloud."),)),
        ("Monday\t9 to 5\nTuesday\tclosed\n", (("Monday", "9 to 5"), ("Tuesday", "closed"))),
        ("Flow\tFor\tSafe\nCode\tWeb pages\tYes\n", (("Code", "For: Web pages; Safe: Yes"),)),
        (table("Blocked | Country", "Yes | Utopia"), (("Utopia", "Blocked: Yes."),)),
    ],
)
def test_a_table_says_what_its_titles_say(text: str, fields: Pairs) -> None:
    assert read(text).fields == fields


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("The trash does not keep:\n\n- shared files\n", ("The trash does not keep: shared files.",)),
        ("You can restore everything but:\n- keys\n", ("You can restore everything but keys.",)),
        ("The following cannot be undone:\n\n1. Deleting it.\n", ("The following cannot be undone: Deleting it.",)),
        ("It is not possible to:\n1. Restore it.\n", ("It is not possible to restore it.",)),
        ("Bad:\n- Write the key down.\n", ("Bad: Write the key down.",)),
        ("These are common mistakes:\n- Press twice.\n", ("These are common mistakes: Press twice.",)),
        ("🚫 This cannot be undone.\n", ("This cannot be undone.",)),
        ("- ❌ Keys in a chat\n", ("Avoid: Keys in a chat.",)),
        ("> **Warning**\n> It gets hot.\n", ("It gets hot.",)),
        ("<Warning>It gets hot.</Warning>\n", ("It gets hot.",)),
        ("**💡 Tip:** Open the lid.\n", ("Open the lid.",)),
        ("ℹ️ **Info:** It is old.\n", ("It is old.",)),
        ("*Please note that it is old.*\n", ("It is old.",)),
        ("Prerequisites:\n- You are an owner.\n", ("Before you start: You are an owner.",)),
        ("⚠️ Never share it. Anyone who has it can read all.\n", ("Never share it. Anyone who has it can read all.",)),
    ],
)
def test_what_says_no_stays_a_no(text: str, notes: tuple[str, ...]) -> None:
    entry = read(text)
    assert entry.notes == notes and not entry.steps


@pytest.mark.parametrize("title", ["What to do if you don't get it", "Switch off the warning", "How to leave tips"])
def test_a_heading_that_holds_a_word_of_warning_is_none(title: str) -> None:
    assert read("1. Open the lid.\n2. Press the button.\n", title).steps == ("Open the lid.", "Press the button.")


def test_what_is_done_is_no_term_and_a_list_of_kinds_no_parameter() -> None:
    text = "- **Click New** → a form opens.\n- **Enter a name** → it is checked.\n"
    assert not read(text).fields
    assert not read("**Find a place**\nLook for flat ground.\n\n**Mix it**\nUse a spoon for it.\n").fields
    assert not read("Title\nText\nImage\nFile\nMap\nVideo\n").fields
    assert not read("- **File** → **Export** → **PDF** saves a copy.\n").fields


def test_signs_of_no_beside_signs_of_yes_are_answers() -> None:
    assert read("✅ Mail support\n\n❌ Phone support\n").notes == ("No: Phone support.",)


def test_what_goes_wrong_is_told_as_such() -> None:
    text = "- Key in the URL. It ends up in logs.\n- **Wrong unit**: it fails.\n"
    entry = read(text, "Common mistakes")
    assert entry.notes == ("Key in the URL. It ends up in logs.", "Wrong unit: it fails.") and not entry.steps
    rows = read("- **Wrong unit**: it fails.\n- **No key**: it stops.\n", "Common mistakes")
    assert rows.codes == (("Wrong unit", "it fails."), ("No key", "it stops.")) and not rows.fields
    assert read(f"It rings.\n\nCommon mistakes:\n\n{text}").notes == entry.notes
    assert read("1. Press twice.\n", "Common mistakes").notes == ("Press twice.",)
    assert read("1. Press twice.\n", "Troubleshooting").steps == ("Press twice.",)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (
            "If it is red:\n1. Switch it off.\n\nIf it is green:\n1. Do nothing.\n",
            ("If it is red: Switch it off.", "If it is green: Do nothing."),
        ),
        ("Windows:\n1. Run it.\n\nmacOS:\n1. Drag it.\n", ("For Windows: Run it.", "For macOS: Drag it.")),
        ("If you own it:\n1. Open it.\n\nOtherwise:\n1. Ask.\n", ("If you own it: Open it.", "Otherwise: Ask.")),
        ("Correct:\n1. Open it.\n\nWrong:\n1. Break it.\n", ("Open it.",)),
        ("Step One: Open it.\nStep Two: Close it.\n", ("Open it.", "Close it.")),
        ("1️⃣ Open it.\n2️⃣ Close it.\n", ("Open it.", "Close it.")),
        ("1.1 Open it.\n1.2 Close it.\n", ("Open it.", "Close it.")),
        ("i. Open it.\nii. Close it.\n", ("Open it.", "Close it.")),
        ("1.\tOpen it.\n2.\tClose it.\n", ("Open it.", "Close it.")),
        ("How to avoid jams:\n1. Open the lid.\n2. Fan the paper.\n", ("Open the lid.", "Fan the paper.")),
        ("It needs no key. To switch it on:\n1. Open the lid.\n", ("Open the lid.",)),
        ("Screen won't turn on:\n1. Press the button.\n", ("Press the button.",)),
        ("Not on:\n- Windows\n\n1. Open the lid.\n2. Press the button.\n", ("Open the lid.", "Press the button.")),
        ("If this happens:\n1. Open the lid.\n2. Wait.\n", ("Open the lid.", "Wait.")),
    ],
)
def test_steps_keep_their_condition_and_any_mark(text: str, steps: tuple[str, ...]) -> None:
    assert read(text).steps == steps


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("This happens when:\n1. The lid is open.\n", ("This happens when: the lid is open.",)),
        ("You can do it in one of two ways:\n1. Ask.\n2. Write.\n", ("You can do it in one of two ways: ask; write.",)),
        ("Kept unless one of these is true:\n- It is old.\n", ("Kept unless one of these is true: it is old.",)),
        ("Kept for 30 days[^1].\n\n[^1]: Unless it is closed.\n", ("Kept for 30 days (unless it is closed).",)),
        ("<b>Never</b> share it.\n", ("Never share it.",)),
        ("<kbd>Ctrl</kbd>+<kbd>Z</kbd> undoes the last.\n", ("Ctrl+Z undoes the last.",)),
        ("<code>force</code> deletes it at once.\n", ("`force` deletes it at once.",)),
        ("See [keys][1] and <https://x.example>. It costs \\$5.\n\n[1]: https://x.example\n", None),
        ("Press Save.<br>Press Undo now.\n", ("Press Save. Press Undo now.",)),
        ("- A green light means that it runs.\n", ("A green light means that it runs.",)),
        ("**Purpose:** Adds a person.\n", ("Adds a person.",)),
        ("```sh\nwidget start NAME\n```\n\nIt comes back.\n", ("Run `widget start NAME`.", "It comes back.")),
        ("```\ncould not connect to server\n```\n\nStart it again.\n", ("Start it again.",)),
        ("Type *.txt or *.md, or C:\\anna\\*.* there.\n", ("Type *.txt or *.md, or C:\\anna\\*.* there.",)),
        ("This is *very* new.\n", ("This is very new.",)),
        ("**Is it free?**\nYes, for owners.\n", ("Yes, for owners.",)),
    ],
)
def test_a_sentence_keeps_what_belongs_to_it(text: str, sentences: tuple[str, ...] | None) -> None:
    assert read(text).sentences == (sentences or ("See keys and https://x.example.", "It costs $5."))


def test_a_table_of_calls_and_a_download_are_no_call_of_the_entry() -> None:
    calls = table("I want to | Call", "list them | `GET /things`", "close one | `PATCH /things/{id}`")
    assert endpoints("Widget › Cheat sheet", calls) == ()
    assert endpoints("Widget › Install", "```\ncurl -O https://dl.example/agent\n```\n") == ()
    assert endpoints("Widget › Install", "```\ncurl https://dl.example/agent | sh\n```\n") == ()
    assert endpoints("Widget › List", "```\ncurl https://dl.example/agents\n```\n") == ("GET /agents",)


def test_errors_with_numbers_are_terms_and_labels_of_errors_are_not() -> None:
    text = "**Error 691 – access denied**\nYou have no permission.\n\n**Error 809**\nThe network blocks it.\n"
    entry = read_entry(text, header="VPN › Trouble", ended=True)
    assert [name for name, _ in (*entry.codes, *entry.fields)] == ["Error 691 – access denied", "Error 809"]
    label = "**Error codes**\nThey are shown on the display.\n\n**Status codes**\nThey are shown in the log.\n"
    assert read_entry(label, header="VPN › Trouble", ended=True).fields == ()


def test_codes_and_leads_in_bold_are_rows() -> None:
    text = "E04 - Battery is low.\nChange it.\nE05 - Sensor of another account.\nThe owner must remove it.\n"
    entry = read_entry(text, header="Lamp › Codes", ended=True)
    assert dict([*entry.fields, *entry.codes])["E05"] == "Sensor of another account. The owner must remove it."
    text = "**Factory reset.** Press the button for ten seconds.\n\n**Another network.** Open the app and pick it.\n"
    assert read_entry(text, header="Lamp › Care", ended=True).fields == (
        ("Factory reset", "Press the button for ten seconds."),
        ("Another network", "Open the app and pick it."),
    )
    likened = "**Definition.** A lamp gives light.\n\n**Analogy.** It is like a small sun in a box.\n"
    assert read_entry(likened, header="Lamp › What", ended=True).fields == ()


def test_one_term_that_is_a_verb_does_not_hide_the_others() -> None:
    text = "**Run** – one load of a pipeline.\n\n**Source** – where rows come from.\n\n**Sink** – where they go.\n"
    assert len(read_entry(text, header="Data › Terms here", ended=True).fields) == 3
    steps = "**Open** – the menu opens.\n\n**Save** – the file is kept.\n"
    assert read_entry(steps, header="Data › How", ended=True).fields == ()


def test_terms_in_italics_are_rows_and_lose_their_stars() -> None:
    text = "- *By size*: a fixed number.\n- *By heading*: each heading is a chunk.\n- *By meaning*: where it changes.\n"
    assert [name for name, _ in read_entry(text, header="Chunks › Ways", ended=True).fields] == [
        "By size",
        "By heading",
        "By meaning",
    ]
    assert read_entry("It is reserved.\n\n*Analogy:* like a table in a restaurant.\n", ended=True).sentences[-1] == (
        "Analogy: like a table in a restaurant."
    )
