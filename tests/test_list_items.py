"""Items, lines and pages in the manners of catalogues, guides and scraped pages; what only looks like them stays."""

import pytest

from copilot.knowledge.headings import markdown_headings
from copilot.reading.entries import read_entry
from copilot.reading.entry import Entry

Pairs = tuple[tuple[str, str], ...]


def read(text: str, title: str = "Use it") -> Entry:
    return read_entry(text, True, f"Widget › {title}", ended=True)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "**Fields**\n\n- **Sheet** (required): The file.\n- **Row with headers** (optional): Such as `A1:Z1`.\n"
            "- **Table contains headers** (required): `Yes` or `No`.\n- **Limit** (optional): Rows per run.\n",
            (
                ("`Sheet`", "The file. Required."),
                ("Row with headers", "Such as `A1:Z1`."),
                ("Table contains headers", "`Yes` or `No`. Required."),
                ("`Limit`", "Rows per run."),
            ),
        ),
        (
            "**Fields**\n\n- **Sheet name** (required): Select the sheet.\n- **Sort order**: Up or down.\n",
            (("Sheet name", "Select the sheet. Required."), ("Sort order", "Up or down.")),
        ),
        (
            "- **Too small** (under 100 tokens): a piece lacks context.\n"
            "- **Too large** (over 1,500 tokens): a piece mixes topics.\n",
            (
                ("Too small (under 100 tokens)", "a piece lacks context."),
                ("Too large (over 1,500 tokens)", "a piece mixes topics."),
            ),
        ),
        (
            "- Read requests: 3,000 per minute.\n- Write requests: 600 per minute.\n- Size: at most 2 MB.\n",
            (
                ("Read requests", "3,000 per minute."),
                ("Write requests", "600 per minute."),
                ("Size", "at most 2 MB."),
            ),
        ),
        (
            "- Buckets . . . . . 100\n- Files per bucket ......... unlimited\n",
            (("Buckets", "100."), ("Files per bucket", "unlimited.")),
        ),
        (
            "These are modules. Terminology used below:\n\n**Scenario**: A chain of modules. It starts with a\n"
            "trigger.\n**Search**: A module that looks for records.\n",
            (
                ("Scenario", "A chain of modules. It starts with a trigger."),
                ("Search", "A module that looks for records."),
            ),
        ),
        (
            "**Fields:** Query (required), Sort order (optional; default up).\n",
            (("Query", "Required."), ("Sort order", "Optional. Default up.")),
        ),
        (
            "**Scenario:** A chain of modules.\n**Bundle:** A package of data.\n",
            (("Scenario", "A chain of modules."), ("Bundle", "A package of data.")),
        ),
        (
            "**Definitions:**\n\n**Scenario**: A chain.\n\n**Connection**: The stored permission.\n",
            (("Scenario", "A chain."), ("Connection", "The stored permission.")),
        ),
    ],
)
def test_items_and_lines_that_tell_of_names_in_words_are_rows(text: str, fields: Pairs) -> None:
    entry = read(text)
    assert entry.fields == fields
    assert entry.steps == ()


@pytest.mark.parametrize(
    ("text", "steps", "points", "sentences"),
    [
        (
            "- **Mix the dough** (10 minutes): Put all into a bowl.\n- **Cover the bowl** (1 hour): Use a cloth.\n",
            ("Mix the dough (10 minutes): Put all into a bowl.", "Cover the bowl (1 hour): Use a cloth."),
            (),
            (),
        ),
        (
            "- **Tag the release** (required): Run the script.\n- **Tell the team** (optional): Write a message.\n",
            ("Tag the release (required): Run the script.", "Tell the team (optional): Write a message."),
            (),
            (),
        ),
        ("- **Warm clothes** (a coat)\n- **Good shoes**\n", (), ("Warm clothes (a coat).", "Good shoes."), ()),
        (
            "- Windows: Open Settings and choose it.\n- Mac: Open System Settings and choose it.\n",
            (),
            ("Windows: Open Settings and choose it.", "Mac: Open System Settings and choose it."),
            (),
        ),
        ("- Added: a theme.\n- Fixed: three crashes.\n", (), ("Added: a theme.", "Fixed: three crashes."), ()),
        (
            "- Cut the apples: 5 minutes\n- Bake the cake: 40 minutes\n",
            ("Cut the apples: 5 minutes.", "Bake the cake: 40 minutes."),
            (),
            (),
        ),
        (
            "**Options**\n\n- **Use a form**: Pick one of ours.\n- **Start a chat**: Write to us.\n",
            ("Use a form: Pick one of ours.", "Start a chat: Write to us."),
            (),
            (),
        ),
        ("- Fun fact: 3 of 4 cats sleep.\n- It is late.\n", (), ("Fun fact: 3 of 4 cats sleep.",), ("It is late.",)),
        (
            "**Windows:** Press Ctrl+C to copy it.\n**Mac:** Press Cmd+C to copy it.\n",
            (),
            (),
            ("Windows: Press Ctrl+C to copy it.", "Mac: Press Cmd+C to copy it."),
        ),
        (
            "**Customer:** My order is late.\n**Agent:** Let me look for it.\n",
            (),
            (),
            ("Customer: My order is late.", "Agent: Let me look for it."),
        ),
        (
            "**Problem:** The site was down.\n**Cause:** A disk was full.\n",
            (),
            (),
            ("Problem: The site was down.", "Cause: A disk was full."),
        ),
        ("Fields: One (required) and another.\n", (), (), ("Fields: One (required) and another.",)),
        ("**Type:** A good trigger.\n\n**Output:** One bundle of data.\n", (), (), ("Output: One bundle of data.",)),
    ],
)
def test_ordinary_items_and_lines_are_read_as_before(
    text: str, steps: tuple[str, ...], points: tuple[str, ...], sentences: tuple[str, ...]
) -> None:
    entry = read(text)
    assert (entry.steps, entry.points) == (steps, points)
    assert tuple(text for text in entry.sentences if not text.startswith("Type")) == sentences
    assert entry.fields == ()


def test_values_of_two_plans_are_not_mixed() -> None:
    entry = read("- Free plan\n  - Users: 5\n  - Files: 100\n- Pro plan\n  - Users: 50\n  - Files: 1000\n")
    assert entry.fields == ()
    assert read("Free:\n- Users: 5\n- Files: 9\n\nPro:\n- Users: 50\n- Files: 90\n").fields == ()


def test_options_keep_what_stands_below_them() -> None:
    entry = read(
        "Options:\n\n- `--region`\n    - Where the files are stored. Required.\n    - Values: `eu-1`, `us-1`\n"
        "- `--public`\n    - Everybody can read the files. Default: off.\n"
        "- **Retention** (days)\n  - Files go after it.\n- **Modes:**\n  - Fast.\n  - Slow.\n"
    )
    assert entry.fields == (
        ("`--region`", "Where the files are stored. Required. Values: `eu-1`, `us-1`."),
        ("`--public`", "Everybody can read the files. Default: off."),
        ("Retention", "Files go after it."),
        ("Modes", "Fast. Slow."),
    )
    assert entry.steps == ()


def test_names_below_names_and_steps_below_labels_stay() -> None:
    entry = read("- `user`\n  - `id`: The number.\n  - `name`: The name.\n")
    assert ("`id`", "The number.") in entry.fields
    assert ("`name`", "The name.") in entry.fields
    assert read("- `options`\n  - `encode` {Function} The function to use.\n").fields[-1][0] == "`encode`"
    entry = read("- **Web**\n  1. Open the page.\n  2. Click Save.\n- **Phone**\n  1. Tap Save.\n")
    assert entry.steps == ("Open the page.", "Click Save.", "Tap Save.")
    entry = read("- **Online**\n  - Open the page.\n  - Fill in the form.\n")
    assert entry.steps == ("Open the page.", "Fill in the form.")
    assert read("- Apples\n  - Red ones are sweet.\n- Pears\n  - They are soft.\n").fields == ()


def test_causes_joined_by_or_are_one_sentence() -> None:
    text = "- You have the wrong account, **or**\n- your role is Viewer, **or**\n- the link has expired.\n"
    assert read(text).sentences == ("You have the wrong account, or your role is Viewer, or the link has expired.",)
    text = f"It fails if:\n\n{text}"
    assert read(text).sentences == (
        "It fails if: you have the wrong account, or your role is Viewer, or the link has expired.",
    )
    text = "You need:\n- a key,\n- a project, and\n- some patience.\n"
    assert read(text).sentences == ("You need: a key, a project, and some patience.",)


def test_items_that_only_look_joined_stay() -> None:
    assert read("- Red or green\n- Blue or black\n").points == ("Red or green.", "Blue or black.")
    assert read("1. Open the lid, and\n2. press the button.\n").steps[1] == "press the button."
    assert read("- `a`: One, or\n- `b`: Two.\n").fields == (("`a`", "One"), ("`b`", "Two."))
    assert read("- a lid;\n- a pot; and\n- a spoon\n").sentences == ("A lid; a pot; and a spoon.",)
    assert read("- Go to **Files**,\n- choose one, and\n- press it.\n").steps[1:] == ("Choose one.", "Press it.")
    assert read("- Go to it,\n- wiggle the mouse, and\n- press Enter.\n").steps == ()
    assert read("- Open it;\n- Close it; and\n- Lock it\n").steps == ("Open it.", "Close it.", "Lock it.")


def titles(text: str) -> list[str]:
    return [heading.title for heading in markdown_headings(text)]


def test_symptoms_in_bold_are_headings_below_troubleshooting() -> None:
    text = "# Cloud\n\n## {}\n\n**Wrong sum**\n\nIt broke.\n\n**My upload is slow**\n\nPick a nearer region.\n"
    assert titles(text.format("Troubleshooting")) == ["Cloud", "Troubleshooting", "Wrong sum", "My upload is slow"]
    assert titles(text.format("Uploads")) == ["Cloud", "Uploads", "Wrong sum"]
    text = "# Cloud\n\n## Troubleshooting\n\n**You must restart it**\n\nWait.\n\n**No light**\n\nPlug it in.\n"
    assert titles(text) == ["Cloud", "Troubleshooting", "No light"]
    text = "# Cloud\n\n## Troubleshooting\n\n**All is fine**\n\nSaid nobody.\n\n## Other\n\nText.\n"
    assert "All is fine" not in titles(text)


def test_ways_to_do_one_thing_are_no_headings() -> None:
    ways = "**Console**\n\n1. Open it.\n2. Click Create.\n\n**Command line**\n\n```\n$ nook create my-bucket\n```\n"
    lead = "You can do it in the console or with the command line."
    text = f"# Cloud\n\n## Create\n\n{lead}\n\n{ways}\n## Other\n\nText.\n"
    assert titles(text) == ["Cloud", "Create", "Other"]
    text = f"# Cloud\n\n## Create\n\nThere are ways to do it.\n\n{ways}\n## Other\n\nText.\n"
    assert titles(text) == ["Cloud", "Create", "Console", "Command line", "Other"]
    entry = read(f"{lead}\n\n{ways}")
    assert entry.steps == (
        "For Console: Open it.",
        "For Console: Click Create.",
        "Command line: Run `nook create my-bucket`.",
    )


@pytest.mark.parametrize(
    ("text", "fields", "sentences"),
    [
        (
            "It is hot.\n\nRange: 0 to 2. Default: 1 (all is kept).\n",
            (("Range", "0 to 2."), ("Default", "1 (all is kept).")),
            ("It is hot.",),
        ),
        (
            "It is hot.\n\n**Range:** 0–2 · **Default:** 1 · **Typical:** 0.7\n",
            (("Range", "0–2."), ("Default", "1."), ("Typical", "0.7.")),
            ("It is hot.",),
        ),
        (
            "Default: 15 minutes. Maximum: 7 days. It can't be withdrawn.\n",
            (("Default", "15 minutes."), ("Maximum", "7 days.")),
            ("It can't be withdrawn.",),
        ),
        ("The range is 0 to 2. Its default is 1.\n", (), ("The range is 0 to 2.", "Its default is 1.")),
        ("It is hot.\n\nType: string. Default: none.\n", (), ("It is hot.",)),
        ("Range: this is a gas range. Default: it is on.\n", (), ("Range: this is a gas range.", "Default: it is on.")),
    ],
)
def test_a_range_and_a_default_in_one_line_are_rows(text: str, fields: Pairs, sentences: tuple[str, ...]) -> None:
    entry = read(text)
    assert (entry.fields, entry.sentences) == (fields, sentences)


def test_a_likeness_stays_whole() -> None:
    told = "Analogy: Think of a cook. At 0 the cook follows the recipe. At 1.5 the cook is free."
    assert read(f"It is hot.\n\n{told.replace('Analogy:', '**Analogy:**')}\n").sentences == ("It is hot.", told)
    assert len(read("I think of a number. Then I double it.\n").sentences) == 2


def test_a_long_text_of_a_field_keeps_its_last_sentence() -> None:
    words = ("most", "some", "all", "few", "none")
    said = " ".join(f"It says {word} of the things that one may want to know of such a day." for word in words)
    said += " The time is discarded."
    assert len(said) > 320
    assert read(f"| Field | Description |\n|---|---|\n| `due` | {said} |\n").fields == (("`due`", said),)


def test_what_a_web_page_puts_around_a_text_is_not_read() -> None:
    text = (
        "Skip to main content\n\n[Home](/) > [Docs](/docs) > Buckets\n\nOn this page\n- What is it?\n- Create one\n\n"
        "An account can have 100 buckets.\n\nCopy\n\n```\n$ nook\n$ ls\n```\n\nCopied!\n\n"
        "Related articles: [Pricing](/pricing) · [Regions](/regions)\n\nWas this helpful? 👍 👎\n\n👍 👎\n\n"
        "Edit this page on GitHub\n\nLast updated 3 weeks ago · 4 min read\n\n← Previous: Overview    Next: Regions →\n"
    )
    entry = read(text)
    assert entry.sentences == ("An account can have 100 buckets.",)
    assert (entry.steps, entry.points, entry.fields, entry.notes) == ((), (), (), ())


@pytest.mark.parametrize(
    "text",
    [
        "Copy the file to the server.",
        "Related articles are shown below each post.",
        "Last updated tells when a record was changed.",
        "Edit this page as you like, then save it.",
        "Previous orders are listed below the next one.",
        "See [Guide](guide.md) and [API](api.md) for more.",
        "Was this helpful? Tell us at the desk.",
        "On this page you can change your name.",
        "Wait... 3, 2, 1, go on.",
    ],
)
def test_sentences_that_only_begin_so_are_read(text: str) -> None:
    assert text.partition("? ")[2] in " ".join(read(f"{text}\n").sentences)


def test_a_table_of_contents_is_no_list_of_values() -> None:
    assert read("Chapter one . . . . . . . 5\nChapter two . . . . . . . 12\n").fields == ()
    assert read("Chapter one ........ 5\nChapter two ........ 12\n").sentences == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Each line has five fields.\n\n```\n*/15 * * * * /usr/bin/backup\n```\n\nThis runs the backup.\n",
            "`*/15 * * * * /usr/bin/backup` runs the backup.",
        ),
        ("It has a cache.\n\nIt looks like this:\n\n```\nsize = 5\n```\n", "It looks like this: `size = 5`."),
        ("It has a cache.\n\nTo clear it:\n\n```\nwidget clear\n```\n", "To clear it: `widget clear`."),
        ("It has a cache.\n\nRun:\n\n```\nwidget clear\n```\n", "Run `widget clear`."),
        ("```\n$ nook cp cat.jpg nook://b/cat\n```\n\nIt is uploaded.\n", "Run `nook cp cat.jpg nook://b/cat`."),
        ("```\n$ nook cp cat.jpeg nook://b/cat\n```\n\nIt is a long story.\n", "It is a long story."),
        ("It has a cache.\n\nOutput:\n\n```\ndone\n```\n", ""),
        ("It has a cache.\n\n```\nprint(2)\n```\n\nThis process takes long.\n", "This process takes long."),
        ("It has a cache.\n\n```\nGET /a\n```\n\nThis returns the list.\n", "This returns the list."),
        ("It has a cache.\n\n```\na\nb\n```\n\nThis shows two lines.\n", "This shows two lines."),
    ],
)
def test_code_of_one_line_is_told_where_a_sentence_is_about_it(text: str, sentence: str) -> None:
    leads = ("It has a cache.", "Each line has five fields.")
    title = "Copy a file" if "cat.jpg" in text else "Files"
    told = [text for text in read(text, title).sentences if text not in leads]
    assert (told[:1] or [""])[0] == sentence


def test_a_type_before_the_text_of_a_cell_is_left_out() -> None:
    table = (
        "| Fields | |\n|---|---|\n| `id` | `string` Task identifier. |\n| `due` | `string (date)` Day of it. |\n"
        "| `max` | integer. How many. |\n| `way` | Text. Is free. |\n| `raw` | `RAW` Stores it. |\n"
    )
    assert read(table).fields == (
        ("`id`", "Task identifier."),
        ("`due`", "Day of it."),
        ("`max`", "How many."),
        ("`way`", "Text. Is free."),
        ("`raw`", "`RAW` Stores it."),
    )


def test_advantages_are_told_as_such_beside_disadvantages() -> None:
    entry = read("Pros:\n- Finds texts by meaning.\n\nCons:\n- Exact names are found poorly.\n")
    assert entry.points == ("Pros: Finds texts by meaning.",)
    assert read("Benefits:\n- Finds texts by meaning.\n").points == ("Finds texts by meaning.",)


def test_a_long_command_is_read_at_once() -> None:
    assert read("```\nnpm install " + "a" * 60 + "(b)\n```\n\nIt is long now.\n").sentences == ("It is long now.",)
    assert read("```bash\nnpm install some-package\n```\n").sentences == ("Run `npm install some-package`.",)


@pytest.mark.parametrize("items", ["- `crate.open` – the lid is up\n", "- `crate.shut`\n", "- The lid is up.\n\n"])
def test_a_name_at_the_end_of_a_list_is_not_what_the_paragraph_below_tells_of(items: str) -> None:
    told = "Your depot answers within ten seconds."
    found = read(f"It tells:\n{items}- `crate.lost`\n\n{told}\n")
    assert found.sentences[-1] == told and told not in dict(found.fields).values()


def test_names_above_their_paragraphs_keep_them() -> None:
    """A list of one name, too, and one whose names stand apart."""
    shut, lost = "The lid is shut now.", "The crate is lost now."
    assert read(f"- `crate.shut`\n\n{shut}\n").fields == (("`crate.shut`", shut),)
    both = f"- `crate.shut`\n\n{shut}\n\n- `crate.lost`\n\n{lost}\n"
    assert read(both).fields == (("`crate.shut`", shut), ("`crate.lost`", lost))
