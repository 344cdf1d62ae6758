"""Entries in the layouts that references use: which call, which fields, codes, steps and warnings are read."""

import pytest

from copilot.reading.calls import endpoints, function
from copilot.reading.entries import read_entry

HEADER = "Depot API › Crates › Seal a crate"
SEAL, SHOW = "POST /crates/{id}/seal", "GET /crates/{id}"
FIELDS = (("`reason`", "why it is closed. Required."), ("`by`", "who closed it."))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("## Seal a crate\n\n`POST /crates/{id}/seal`\n\nCloses a crate for good.\n", (SEAL,)),
        ("## Seal a crate\n\n**POST** `/crates/{id}/seal`\n\nCloses it.\n", (SEAL,)),
        ("Closes a crate.\n\n```http\nPOST /crates/{id}/seal HTTP/1.1\n```\n", (SEAL,)),
        (
            "Closes one.\n\n```\ncurl -X POST https://depot.example/crates/7/seal -H 'A: b'\n```\n",
            ("POST /crates/7/seal",),
        ),
        ("| Method | Path |\n|---|---|\n| POST | /crates/{id}/seal |\n| GET | /crates/{id} |\n", (SEAL, SHOW)),
        ("HTTP method: POST\n\nPath: /crates/{id}/seal\n", (SEAL,)),
        ("To close a crate send `POST /crates/{id}/seal` with the reason.\n", (SEAL,)),
        ("Crates are closed at the end of the day.\n", ()),
    ],
    ids=["line", "bold verb", "http block", "curl", "table", "labels", "prose", "none"],
)
def test_the_call_of_an_entry(text: str, found: tuple[str, ...]) -> None:
    assert endpoints(HEADER, text) == found


def test_a_call_in_the_heading_comes_before_those_of_the_text() -> None:
    assert endpoints(f"Depot API › {SEAL}", f"Look first with `{SHOW}`.") == (SEAL,)


def test_functions_of_headings_and_first_lines() -> None:
    assert function("Depot › `crate.seal(id, reason)`", "", []) == "crate.seal(id, reason)"
    assert function("Depot › Seal", "", ["`seal_crate`"]) == "seal_crate"
    assert function("Depot › Seal", "Closes a crate.", ["Closes a crate."]) == ""


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Fields:\n\n- `reason` (string, required): why it is closed.\n- `by` (string): who closed it.\n", FIELDS),
        (
            "| Field | Type | Required | Meaning |\n|---|---|---|---|\n"
            "| `reason` | string | yes | why it is closed. |\n"
            "| `by` | string | no | who closed it. |\n",
            FIELDS,
        ),
        ("`reason`\n: why it is closed.\n\n`by`\n: who closed it.\n", (("`reason`", "why it is closed."), FIELDS[1])),
        ("The field `reason` (required): why it is closed.\n", FIELDS[:1]),
        (
            "- **reason:** why it is closed\n- **by:** who closed it\n",
            (("reason", "why it is closed"), ("by", "who closed it")),
        ),
    ],
    ids=["bullets", "table", "definitions", "sentence", "bold"],
)
def test_the_fields_of_an_entry(text: str, fields: tuple[tuple[str, str], ...]) -> None:
    assert read_entry(text).fields == fields


def test_errors_and_statuses_are_no_fields() -> None:
    entry = read_entry("Fields:\n\n- `by` (string): who.\n\nErrors:\n\n- `409`: it is closed already.\n")
    assert entry.fields == (("`by`", "who."),) and entry.codes == (("`409`", "it is closed already."),)
    assert set(read_entry("Status codes: 204 closed, 409 it is closed already.\n").codes) == {
        ("204", "closed"),
        ("409", "it is closed already"),
    }


def test_steps_and_warnings() -> None:
    steps = "1. Weigh the crate.\n2. Close the lid.\n3. Send the seal.\n\n"
    entry = read_entry(f"{steps}> **Warning:** A sealed crate cannot be opened again.\n")
    assert entry.steps == ("Weigh the crate.", "Close the lid.", "Send the seal.")
    assert entry.notes == ("A sealed crate cannot be opened again.",)


def test_a_sample_of_one_step_is_no_call_of_the_whole() -> None:
    sample = "```bash\ncurl -X POST https://a.example/token -d grant_type=code\n```\n"
    assert read_entry(f"Gets a token.\n\n{sample}").calls == ("POST /token",)
    assert read_entry(f"**Step 1: Ask.**\n\nAsk.\n\n**Step 2: Get a token.**\n\n{sample}").calls == ()
    assert read_entry(f"1. Ask.\n2. Get a token:\n\n{sample}").calls == ()


def test_a_name_in_bold_with_its_text_below_after_a_colon_is_a_row() -> None:
    text = "**Owner**\n: The person who pays.\n\n**Planner**\n: Makes the schedule.\n"
    assert read_entry(text).fields == (("Owner", "The person who pays."), ("Planner", "Makes the schedule."))


def test_a_row_may_end_as_a_cut_one_does_if_it_is_not_the_last() -> None:
    text = "- `search_key`: What to look for\n- `range`: Where to look it up in\n"
    assert [name for name, _ in read_entry(text, ended=True).fields] == ["`search_key`", "`range`"]
    assert [name for name, _ in read_entry(text, ended=False).fields] == ["`search_key`"]


def test_codes_in_capitals_below_errors_are_errors_and_what_stands_below_tips_is_no_step() -> None:
    entry = read_entry(
        "Sends a text.\n\n**Fields:**\n\n- `text`: What to send.\n- `MAX_PARTS`: How many.\n\n"
        "**Errors:**\n\n- `NO_PHONE` – there is no number.\n\n"
        "**Tips:**\n\n- Place a check after it.\n- Each part is billed.\n"
    )
    assert [name for name, _ in entry.fields] == ["`text`", "`MAX_PARTS`"] and entry.steps == ()
    assert entry.codes == (("`NO_PHONE`", "there is no number."),)
    assert entry.notes == ("Place a check after it.", "Each part is billed.")


def test_a_list_in_which_most_items_tell_what_to_do_is_one_of_steps() -> None:
    text = "* Update the app to the newest version.\n* Restart your phone.\n* Free some storage: 200 MB at least.\n"
    text += "* If nothing helps, write to us.\n"
    assert len(read_entry(text, ended=True).steps) == 4
    mixed = "- Red paint.\n- Blue paint.\n- Mix the two.\n"
    assert read_entry(mixed, ended=True).points == ("Red paint.", "Blue paint.")


def test_a_command_below_a_sentence_is_told() -> None:
    fence = "If visitors see an old file: purge the cache.\n\n```{}\n{}\n```\n"
    told = read_entry(fence.format("bash", "$ cloud cdn purge --all"), ended=True).sentences
    assert told == ("If visitors see an old file: purge the cache.", "Run `cloud cdn purge --all`.")
    for tag, code in (("bash", "curl https://x.io"), ("bash", "# nothing"), ("json", '{"a": 1}'), ("bash", "a\nb")):
        assert len(read_entry(fence.format(tag, code), ended=True).sentences) == 1


def test_what_is_called_a_common_mistake_is_a_note_and_says_so() -> None:
    text = "Typical jobs: routing, logging.\nCommon mistake: putting logic into the gateway.\n"
    assert read_entry(text, ended=True).notes == ("Common mistake: putting logic into the gateway.",)
    text = "It grows.\n\n- Fast: yes.\n- **Watch out:** it takes minutes to start.\n"
    assert read_entry(text, ended=True).notes == ("Watch out: it takes minutes to start.",)


def test_numbered_terms_with_their_meaning_are_rows() -> None:
    text = "Two ways:\n\n1. **Prompting** – you write better text.\n2. **Lookup (RAG)** – it looks things up.\n"
    assert [name for name, _ in read_entry(text, ended=True).fields] == ["Prompting", "Lookup (RAG)"]
    steps = "1. **Open** – the menu opens.\n2. **Account** – enter your address.\n"
    assert len(read_entry(steps, ended=True).steps) == 2
