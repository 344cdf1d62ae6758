"""Answers put together of quotes: which are offered, that nothing else can be written; the order of passages."""

import random
import re
from dataclasses import replace

import pytest
import tiny_lm
from llguidance import LLMatcher
from pydantic import ValidationError

from copilot.answering.answer import Answerer
from copilot.answering.extractive import compose
from copilot.answering.quoting import BOTH, ROOM, offered
from copilot.answering.ranking import focused
from copilot.answering.wording import Said
from copilot.config import SECTIONS, AnswerPart, Chunks, Prompt
from copilot.knowledge.chunks import split
from copilot.knowledge.headings import markdown_headings
from copilot.model.constrain import Vocabulary, longest_names
from copilot.model.generator import TransformersGenerator
from copilot.model.load import Loaded, load_model
from copilot.prompt.quotes import Part, quoting_grammar
from copilot.prompt.sections import parse
from copilot.types import Chunk, Document, Heading, Hit

DELETE = (
    "## Delete a contact\n\n`DELETE /v2/contacts/{contactId}` removes a contact.\n\nIt leaves all of its lists.\n\n"
    "| Parameter | Required | Description |\n|---|---|---|\n| `contactId` | yes | The contact. |\n"
    "| `erase` | no | `true` wipes all personal data. |\n\n**Warning:** with `erase` there is no way back.\n"
)
MORE = "A deleted contact is gone at once. Nobody can bring a deleted contact back."
RESTORE = "## Restore a contact\n\n`POST /v2/contacts/{contactId}/restore` takes a contact out of the bin."
GUIDE = "## About contacts\n\nA contact is a person. It has a phone number."
STEPS = "## Import contacts\n\nBring many contacts in at once.\n\n1. Save the sheet as CSV.\n2. Open the importer.\n"
QUESTION = "How do I delete a contact?"
QUOTED = AnswerPart(enforce="quotes", refuse=False)


def hit(text: str, title: str, start: int = 0, score: float = 0.5) -> Hit:
    return Hit(Chunk("contacts.md", "Contacts", f"Contacts › {title}", None, start, start + len(text), text), score)


HITS = [
    hit(RESTORE, "Restore a contact", 900),
    hit(MORE, "Delete a contact", 600),
    hit(GUIDE, "About contacts", 1500),
    hit(DELETE, "Delete a contact"),
]


def ordered(found: list[Hit], question: str = QUESTION) -> list[Hit]:
    return focused(question, found, lambda document: sorted([*HITS, *found], key=lambda hit: hit.chunk.start))


def test_the_passages_of_the_entry_come_first_as_the_document_has_them() -> None:
    assert ordered(HITS) == [HITS[3], HITS[1], HITS[0], HITS[2]]
    assert ordered(ordered(HITS)) == [HITS[3], HITS[1], HITS[0], HITS[2]]
    assert ordered([]) == []


def test_the_opening_of_an_entry_is_fetched_where_only_it_tells_the_call() -> None:
    assert ordered([HITS[1], HITS[2], HITS[0]]) == [HITS[3], HITS[1], HITS[2]]
    assert ordered([HITS[1]]) == [HITS[3]]
    bare = hit("Contacts are people.", "About contacts", 1400)
    assert focused("What is a contact?", [HITS[2]], lambda _: [bare, *HITS]) == [HITS[2]]


def test_the_opening_of_an_entry_that_may_be_meant_instead_is_fetched_too() -> None:
    asked = "How do I take a deleted contact out of the bin?"
    near = replace(HITS[1], score=0.6)
    assert ordered([HITS[0], near, HITS[2]], asked) == [HITS[0], HITS[3], near]
    assert ordered(HITS[:3], asked) == HITS[:3], "it fits too little"


def test_what_leads_over_to_an_entry_that_was_found_too_comes_after_it() -> None:
    over = Hit(
        Chunk("contacts.md", "Contacts", "Contacts", None, 0, 60, "How to find, delete and restore a contact."), 0.6
    )
    assert ordered([over, *HITS])[0] == HITS[3]
    alone = replace(over, chunk=replace(over.chunk, title="Overview", heading="Overview"))
    assert ordered([alone, *HITS], "How are contacts deleted?")[0] == alone
    assert ordered([alone, *HITS])[0] == HITS[3], "its heading is what is asked"
    with_part = hit("A deleted contact is kept for a while.", "Delete a contact › What to know", 700)
    assert ordered([*HITS, with_part])[0] == HITS[3], "it has a call of its own"


def test_late_interaction_outweighs_the_cosine() -> None:
    found = [replace(HITS[3], score=0.6, late=0.2), replace(HITS[0], score=0.3, late=0.5)]
    assert ordered(found, "What about contacts?")[0] == found[1]


def test_a_question_that_compares_is_answered_from_both_entries() -> None:
    _, how, _, _ = offered("Delete or restore: which of the two can be undone?", HITS, QUOTED) or []
    assert how.opening == "Call `POST /v2/contacts/{contactId}/restore`."
    before, _, other = how.closing.partition("Beside it, “Delete a contact”: ")
    assert before == " "
    assert other.startswith("`DELETE /v2/contacts/{contactId}` removes a contact.")
    assert other.endswith("Call `DELETE /v2/contacts/{contactId}`.")
    elsewhere = replace(HITS[0], chunk=replace(HITS[0].chunk, document="bin.md"))
    _, how, _, _ = offered("Delete or restore: which of the two can be undone?", [elsewhere, *HITS[1:]], QUOTED) or []
    assert "Beside it" in how.closing, "in another document, too"
    _, how, _, _ = offered(QUESTION, HITS, QUOTED) or []
    assert how.closing == ""


def test_where_another_entry_fits_nearly_as_well_its_call_is_told_last() -> None:
    nearly = [replace(HITS[3], score=0.5), replace(HITS[0], score=0.52), *HITS[1:3]]
    _, how, _, _ = offered("Anything on contacts today?", nearly, QUOTED) or []
    told = "A deleted contact is gone at once. Nobody can bring a deleted contact back."
    assert how.opening == f"Call `DELETE /v2/contacts/{{contactId}}`. {told}"
    assert how.closing == " Or is it “Restore a contact”? Call `POST /v2/contacts/{contactId}/restore`."
    assert (compose("Anything on contacts today?", nearly) or [])[1].endswith(how.closing), "by rule alone too"
    stepped = [hit(f"{STEPS}\nUse `POST /v2/imports`.", "Import contacts", score=0.55), nearly[0]]
    parts = offered("Anything on contacts today?", stepped, QUOTED) or []
    assert "\n1. Save the sheet" in parts[1].opening, "the steps are written whole"
    assert parts[1].closing.startswith("\n\nOr is it “Delete a contact”?"), "apart"
    assert "\n\nOr is it “Delete a contact”?" in (compose("Anything on contacts today?", stepped) or [])[1]
    bare = [hit(STEPS, "Import contacts", score=0.55), nearly[0]]
    told = (compose("Anything on contacts today?", bare) or [])[1]
    assert told.startswith("1. Save the sheet") and "\n\nOr is it “Delete a contact”?" in told, "steps alone come first"
    far = [nearly[0], replace(nearly[1], score=0.3), *nearly[2:]]
    assert (offered("Anything on contacts today?", far, QUOTED) or [])[1].closing == "", "the other is clearly worse"


def test_what_is_offered_is_the_entrys_own() -> None:
    summary, how, fields, tips = offered(QUESTION, HITS, QUOTED) or []
    assert summary.opening == "`DELETE /v2/contacts/{contactId}` removes a contact. It leaves all of its lists."
    assert not any("removes a contact" in text for part in (summary, how, fields, tips) for text in part.quotes)
    assert how.opening.startswith("Call `DELETE /v2/contacts/{contactId}`.") and how.joint == " "
    assert fields == Part("- `contactId`: The contact. Required.\n- `erase`: `true` wipes all personal data.")
    assert tips.opening == "- With `erase` there is no way back.", "the program writes what is most like the question"
    everything = " ".join(text for part in (summary, how, fields, tips) for text in (part.opening, *part.quotes))
    assert "restore" not in everything.lower() and "phone number" not in everything


def test_steps_come_with_their_numbers_and_what_is_missing_is_said() -> None:
    parts = offered("How do I import contacts?", [hit(STEPS, "Import contacts")], QUOTED) or []
    assert parts[1] == Part("1. Save the sheet as CSV.\n2. Open the importer."), "by the program, and all of them"
    assert parts[2] == Part("- No field is listed for this.")
    bare = offered("What is a lamp?", [hit("## Lamps\n\n```\nx = 1\n```\n", "Lamps")], QUOTED) or []
    assert [part.quotes for part in bare] == [()] * 4 and all(part.opening for part in bare)
    assert offered(QUESTION, [], QUOTED) is None
    rows = hit("## Find\n\n| Field | Description |\n|---|---|\n| `name` | What to look for. |\n", "Find", 2000, 0.9)
    assert (offered("Find by name", [rows, *HITS], QUOTED) or [])[2] == Part("- `name`: What to look for.")
    many = "".join(f"{n}. Turn the wheel by {n * 10} degrees and wait for the lamp.\n" for n in range(1, 30))
    told = (offered("How do I turn?", [hit(f"## Turn\n\nIt turns.\n\n{many}", "Turn")], QUOTED) or [])[1].opening
    assert told.startswith("1. Turn the wheel by 10 degrees") and 480 < len(told) <= BOTH, "as far as there is room"
    long = "".join(f"| `field{n}` | {'What it is for. ' * 6}|\n" for n in range(9))
    many = hit(f"## Find\n\n| Field | Description |\n|---|---|\n{long}", "Find", 2000, 0.9)
    listed = (offered("Find by name", [many], QUOTED) or [])[2].opening
    assert 1 < listed.count("\n- ") < 8 and len(listed) <= ROOM, "all that there is room for"
    heading = hit("# How do I delete a contact?", "How do I delete a contact?", score=0.9)
    assert offered(QUESTION, [heading, *HITS], QUOTED) == offered(QUESTION, HITS, QUOTED)


def test_a_term_is_answered_by_the_glossary_and_a_setting_says_its_name() -> None:
    words = hit("## Glossary\n\n**Bin**: Where contacts wait.\n\n**Erase**: To wipe all data.\n", "Glossary", 2500, 0.1)
    parts = offered("What is a bin?", [*HITS, words], QUOTED) or []
    assert parts[0].opening == "Bin: Where contacts wait." and parts[2] == Part("- No field is listed for this.")
    setting = hit("## queue.max\n\nType: integer\nDefault: 200\n\nHow many jobs may wait.\n", "queue.max", 3000)
    parts = offered("How many jobs may wait?", [setting], QUOTED) or []
    assert parts[0].opening == "`queue.max`: How many jobs may wait."
    assert parts[2] == Part("- `queue.max`: Type: integer. Default: 200.")


def test_no_sentence_is_a_field_and_a_warning() -> None:
    text = "## Queue\n\nJobs wait here.\n\nWith `force` the queue must be empty, or jobs are lost.\n"
    parts = offered("What of the queue?", [hit(text, "Queue", 4000)], QUOTED) or []
    assert "`force`" not in parts[2].opening and "`force`" in parts[3].opening


def test_names_within_addresses_and_files_stay_bare() -> None:
    said = Said(("widget.example", "BrindleStation", "pathNameOf"), marked=False)
    told = "Write to me@widget.example, run BrindleStation.msi and see pathNameOf."
    assert said.ticked(told) == told.replace("pathNameOf", "`pathNameOf`")


def test_an_entry_of_one_sentence_says_it_and_a_warning_that_stands_alone_is_kept_for_the_last_section() -> None:
    lamp = hit("## Lamps\n\nA lamp is a light.\n", "Lamps")
    summary, how, fields, tips = offered("What is a lamp?", [lamp], QUOTED) or []
    assert summary == Part("A lamp is a light.", (), " ", 1) and not any(part.quotes for part in (how, fields, tips))
    assert how.opening == "Read “Lamps” in the sources." and tips.opening.startswith("The documents name no special")
    text = "## Lamps\n\nA lamp is a light. Screw it in. Never touch a lamp while it is hot.\n"
    summary, _, _, tips = offered("What is a lamp?", [hit(text, "Lamps")], QUOTED) or []
    assert tips.opening == "- Never touch a lamp while it is hot." and "Never" not in " ".join(summary.quotes)


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_every_section_has_a_part(count: int) -> None:
    config = AnswerPart(enforce="quotes", refuse=False, sections=[f"S{n}" for n in range(count)])
    parts = offered(QUESTION, HITS, config) or []
    assert len(parts) == count and [part.opening for part in parts[4:]] == ["No more is said."] * max(count - 4, 0)


@pytest.mark.parametrize(
    "text", ["\x1b[2Jred", "### Summary", "| a | b", "a `tick", "x" * 241, "See `POST /v9/other`.", ""]
)
def test_what_cannot_stand_in_an_answer_is_not_offered(text: str) -> None:
    poor = hit(f"## Delete a contact\n\nA contact goes away.\n\n{text}\n\n- {text}\n", "Delete a contact")
    parts = offered(QUESTION, [poor], QUOTED) or []
    quotes = [line for part in parts for quote in (part.opening, *part.quotes) for line in quote.split("\n")]
    assert any("A contact goes away." in quote for quote in quotes)
    assert not any(quote.removeprefix("- ") == text for quote in quotes if "POST" not in text)
    assert all(quote.isprintable() and len(quote) <= 242 and quote.count("`") % 2 == 0 for quote in quotes)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A model of random weights, which writes anything."""
    return load_model(tiny_lm.model_config(tiny_lm.save_model(tmp_path_factory.mktemp("model"))))


def test_quotes_are_chosen_in_order_each_once_and_no_more_than_may_be(loaded: Loaded) -> None:
    vocabulary = Vocabulary(loaded.tokenizer, loaded.model.config.vocab_size, {loaded.tokenizer.eos_token_id})
    parts = [Part("", ("One.", "Two.", "Three."), " ", 2), Part("Call `x`.", ("- a", "- b"), "\n", 2)]
    parts.append(Part("None.", closing=" Or `y`?"))
    grammar = quoting_grammar(["A", "B", "C"], parts)
    assert longest_names(grammar, 1) == ["Three."]

    def accepted(first: str, second: str, third: str = "None. Or `y`?") -> bool:
        matcher = LLMatcher(vocabulary.engine, LLMatcher.grammar_from_lark(grammar))
        assert not matcher.is_error(), matcher.get_error()[:300]
        text = f"### A\n{first}\n\n### B\n{second}\n\n### C\n{third}"
        ids = loaded.tokenizer.encode(text, add_special_tokens=False)
        return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()

    call = "Call `x`."
    for first in ("One.", "Three.", "One. Two.", "One. Three.", "Two. Three."):
        assert accepted(first, call), first
    for first in ("", "Two. One.", "One. One.", "One. Two. Three.", "Four.", "One", "One.Two."):
        assert not accepted(first, call), first
    for second, fine in (("\n- a", 1), ("\n- a\n- b", 1), ("\n- b", 1), ("\n- b\n- a", 0), (" - a", 0), (" More.", 0)):
        assert accepted("One.", call + second) == bool(fine), second
    assert not accepted("One.", "- a") and not accepted("One.", call, "Else.") and not accepted("One.", call, "None.")
    closed = quoting_grammar(["A"], [Part("", ("One.", "Two."), "\n", 2, "\n\nOr.")])
    matcher = LLMatcher(vocabulary.engine, LLMatcher.grammar_from_lark(closed))
    ids = loaded.tokenizer.encode("### A\nOne.\nTwo.\n\nOr.", add_special_tokens=False)
    assert matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


def test_a_wild_model_can_only_quote(loaded: Loaded) -> None:
    """Whatever the seed: four sections, and every line is an opening or made of quotes."""
    parts = offered(QUESTION, HITS, QUOTED) or []
    known = {text for part in parts for text in (part.opening, *part.quotes, part.closing.strip()) if text}
    known |= {sentence for text in known for sentence in re.split(r"(?<=[.!?])\s+|\n", text)}  # said above already
    for seed in random.Random(1).sample(range(10_000), 8):
        config = AnswerPart(enforce="quotes", refuse=False, temperature=2.0, max_new_tokens=500)
        generator = TransformersGenerator(loaded, config, 2048, seed, 1)
        answer = Answerer(generator, lambda question: HITS, Prompt(), config, "wild", None).ask(QUESTION)
        assert parse(answer.text, SECTIONS) and not answer.findings
        assert answer.sections[1].text.startswith("Call `DELETE /v2/contacts/{contactId}`.")
        for section in answer.sections:
            left = section.text
            for text in sorted(known, key=len, reverse=True):
                left = left.replace(text, "")
            assert not re.search(r"\w", left.replace(f"Nothing further is said under “{section.title}”.", "")), left


def test_quotes_and_refusals_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="enforce: quotes needs refuse: false"):
        AnswerPart(enforce="quotes")


def test_the_program_writes_what_says_most_of_what_is_asked() -> None:
    text = (
        "## Send an invitation\n\nSends an invitation by mail. `POST /invites` takes addresses. Each gets mail of its "
        "own. After fourteen days an invitation runs out. A team may have ten guests.\n\n"
        "- Never invite the same address twice.\n- An invitation cannot be sent on a holiday.\n"
    )
    question = "After how many days does an invitation run out, and may it be sent on a holiday?"
    summary, how, _, tips = offered(question, [hit(text, "Send an invitation")], QUOTED) or []
    assert "After fourteen days an invitation runs out." in summary.opening
    assert tips.opening == "- An invitation cannot be sent on a holiday."
    written = ("holiday",)
    assert not any(word in quote for part in (summary, how, tips) for quote in part.quotes for word in written)


def test_a_long_row_keeps_its_first_sentences_and_those_asked_for_have_room() -> None:
    tail = "It is told with the reason of each. " * 8
    rows = "".join(f"- `field_{n}`: What number {n} is for, told at some length, to fill the room.\n" for n in range(9))
    text = f"## Import\n\nTakes a list.\n\n{rows}- `skipped`: Addresses that were left out. {tail}\n"
    _, _, fields, _ = offered("Which addresses were skipped?", [hit(text, "Import")], QUOTED) or []
    assert "- `skipped`: Addresses that were left out." in fields.opening and len(fields.opening) <= 480
    assert fields.opening.count("It is told") <= 6 and not fields.quotes


def test_a_sentence_that_tells_of_a_field_is_left_to_the_fields() -> None:
    text = "## List values\n\nLists the values of a label. `data` is a list of strings. Never ask for one twice.\n"
    _, how, fields, tips = offered("What is in data?", [hit(text, "List values")], QUOTED) or []
    assert fields.opening == "- `data` is a list of strings." and "strings" not in how.opening
    assert tips.opening == "- Never ask for one twice."


def test_rows_in_the_middle_of_a_table_come_with_its_titles() -> None:
    rows = [f"| E{n:03} | Thing {n} is broken | Mend the thing {n}. |\n" for n in range(60)]
    text = "## Codes\n\nWhat a code means.\n\n| Code | Meaning | Remedy |\n|---|---|---|\n" + "".join(rows)
    document = Document("codes.md", "codes.md", "Codes", text, "", (Heading(0, 2, "Codes"),), ())
    all_of_it = [Hit(chunk, 0.5) for chunk in split(document, Chunks())]
    found = [all_of_it[-1], *HITS[:2]]
    first, second, *_ = focused("What is E059?", found, lambda document: all_of_it)
    assert "| Code |" in first.chunk.text and second == found[0]
    parts = offered("What is E059?", [first, second, *HITS[:1]], QUOTED) or []
    assert "`E059`: Thing 59 is broken. Mend the thing 59." in "".join(part.opening for part in parts)


def test_a_long_procedure_says_that_there_is_more() -> None:
    steps = "\n".join(f"{n}. Do the part number {n} of this long procedure with great care." for n in range(1, 31))
    part = (offered("How?", [hit(f"## Do it\n\n{steps}\n", "Do it", 5000)], QUOTED) or [])[1]
    assert part.opening.endswith("care.\nMore steps follow in the sources.") and len(part.opening) <= BOTH


def test_steps_with_headings_of_their_own_are_one_procedure() -> None:
    text = "# Pair it\n\nYou need the app.\n\n## Step 1: Wake it\n\nStep on it once.\n\n## Step 2\n\nHold the button.\n"
    document = Document("pair.md", "pair.md", "Pair it", text, "", markdown_headings(text), ())
    all_of_it = [Hit(chunk, 0.5) for chunk in split(document, Chunks())]
    for found in all_of_it:
        hits = focused("How do I pair it?", [Hit(found.chunk, 0.9), *HITS[:3]], lambda document: all_of_it)
        parts = offered("How do I pair it?", hits, QUOTED) or []
        assert parts[1].opening == "1. Wake it. Step on it once.\n2. Hold the button."


CHAT = (
    "## Chat\n\n`POST /chat` writes an answer.\n\n| Parameter | Description |\n|---|---|\n"
    "| `model` | Which model writes. |\n| `temperature` | How freely it writes. |\n"
)
STATES = (
    "## Lifecycle\n\n| Status | Meaning |\n|---|---|\n| `open` | The money was not taken. |\n"
    "| `paid` | The money is yours. |\n| `lost` | Nobody has the money. |\n"
)


def test_the_row_that_is_asked_for_is_the_summary() -> None:
    hits = [hit(CHAT, "Chat")]
    parts = offered("What is temperature?", hits, QUOTED) or []
    assert parts[0].opening == "`temperature`: How freely it writes."
    assert parts[2].opening == "- `model`: Which model writes."
    summary, _, fields, _ = compose("What is temperature?", hits, False) or []
    assert summary.startswith("`temperature`: How freely it writes.") and fields == "- `model`: Which model writes."
    assert (offered("What does the chat call do?", hits, QUOTED) or [])[0].opening == "`POST /chat` writes an answer."


def test_rows_of_which_none_is_asked_for_are_told_of_together() -> None:
    hits = [hit(STATES, "Lifecycle")]
    told = "“Lifecycle” tells of `open`, `paid` and `lost`."
    assert (offered("Explain the lifecycle", hits, QUOTED) or [])[0].opening == told
    assert (compose("Explain the lifecycle", hits, False) or [])[0] == told
    asked = (offered("Is the money mine when it is paid?", hits, QUOTED) or [])[0].opening
    assert asked == "`paid`: The money is yours."


def parts_of(text: str, question: str, title: str) -> list[str]:
    """The text of each part, quotes and all."""
    parts = offered(question, [hit(text, title)], QUOTED) or []
    return ["\n".join([part.opening, *part.quotes, part.closing]).strip() for part in parts]


KEYS = "## API keys\n\nAn API key is a secret text. You can revoke one at any time. API keys don't expire.\n"


@pytest.mark.parametrize("question", ["Do API keys expire?", "When will my key expire?", "Why do keys never expire?"])
def test_what_answers_a_direct_question_stands_in_the_summary(question: str) -> None:
    summary = (offered(question, [hit(KEYS, "API keys"), *HITS], QUOTED) or [])[0].opening
    assert summary == "An API key is a secret text. API keys don't expire."


def test_what_asks_for_a_thing_itself_is_answered_by_what_it_is() -> None:
    assert (offered("What is an API key?", [hit(KEYS, "API keys")], QUOTED) or [])[0].opening.endswith("a secret text.")


def test_two_that_are_compared_are_told_from_the_part_about_both() -> None:
    both = hit(
        "## Access tokens and refresh tokens\n\nAn access token is sent with each request. "
        "A refresh token gets a new access token.\n",
        "Access tokens and refresh tokens",
    )
    text = "## Refreshing an access token\n\nCall `POST /token` with a refresh token.\n"
    one = hit(text, "Refreshing an access token", 900)
    told = "an access token and a refresh token?"
    for question in (f"What is the difference between {told}", "access token vs refresh token"):
        parts = offered(question, [one, both], QUOTED) or []
        assert parts[0].opening == "An access token is sent with each request. A refresh token gets a new access token."
        assert "Beside it" not in parts[1].closing


def test_a_list_is_told_whole_where_no_steps_are() -> None:
    text = "## Sizes\n\nSizes are checked.\n\n- Photos of any size\n- Films of any length\n"
    _, how, _, _ = parts_of(text, "Explain the sizes", "Sizes")
    assert how == "- Photos of any size.\n- Films of any length."


def test_all_pitfalls_are_told_where_they_are_asked_for() -> None:
    pitfalls = ["- Cron has its own clock.", "- Nobody reads its mail.", "- Two runs overlap."]
    text = "\n".join(["## Cron\n\nRuns jobs.\n\n**Pitfalls**\n", *pitfalls, ""])
    asked = offered("What are the pitfalls of cron?", [hit(text, "Cron")], QUOTED) or []
    assert sorted(asked[3].opening.splitlines()) == pitfalls
    assert not asked[3].quotes


def test_a_status_is_no_field_and_no_sentence_stands_twice() -> None:
    text = "## Delete a webhook\n\nStops all messages. The answer is `204 No Content`.\n"
    _, how, fields, tips = parts_of(text, "How do I delete a webhook?", "Delete a webhook")
    assert fields == "- No field is listed for this." and how == "The answer is `204 No Content`."
    assert tips == "The documents name no special warning for this.", "what is no warning is none"
    text = "## Style\n\nChanges the style.\n\nStyle fields: `bold`, `italic`, `link`.\n"
    _, _, fields, tips = parts_of(text, "What style fields are there?", "Style")
    assert fields == "- Style fields: `bold`, `italic`, `link`." and "bold" not in tips


@pytest.mark.parametrize(
    ("title", "text", "summary"),
    [
        ("Creating a scenario", "1. Click New.\n2. Save it.\n", "“Creating a scenario” is done in the steps below."),
        ("Create a webhook", "`POST /hooks`\n\nAn account can have 20 webhooks.\n", "Create a webhook. An account"),
        ("PKCE", "PKCE cannot be left out by a mobile app.\n", "PKCE cannot be left out"),
        ("Signed link", "A signed link must not be shared.\n", "A signed link must not"),
        ("A and B", "Both discourage repetition. They are numbers.\n", "A and B. Both discourage repetition. They are"),
    ],
)
def test_a_summary_says_what_it_is_about_once(title: str, text: str, summary: str) -> None:
    assert parts_of(f"## {title}\n\n{text}", f"Tell me about {title}", title)[0].startswith(summary)


def test_the_call_and_the_parts_that_are_asked_for_are_fetched_from_a_long_entry() -> None:
    names = ("HTTP request", "Path parameters", "Query parameters", "Request body", "Response body", "Required scopes")
    told = {"HTTP request": "`POST /lists/{list}/tasks`", "Query parameters": "- `parent`: The task above."}
    text = "# Tasks\n\n## Method: tasks.insert\n\nCreates a task.\n\n"
    text += "".join(f"### {name}\n\n{told.get(name, 'Text of it.')}\n\n" for name in names)
    document = Document("tasks.md", "tasks.md", "Tasks", text, "", markdown_headings(text), ())
    whole = [Hit(chunk, 0.5) for chunk in split(document, Chunks())]
    assert len({one.chunk.whole for one in whole[1:]}) == 1 < len(whole) - 5
    question = "What are the query parameters of tasks.insert?"
    found = focused(question, [whole[1], *HITS[:4]], lambda document: whole)
    parts = "\n".join(part.opening for part in offered(question, found, QUOTED) or [])
    assert "Call `POST /lists/{list}/tasks`." in parts and "- `parent`: The task above." in parts


def test_the_thing_itself_comes_before_a_field_of_its_name() -> None:
    thing = hit("## Resource: Task\n\nA task is one item of a list.\n", "Resource: Task")
    field = hit("## Delete it\n\n`DELETE /tasks/{task}` deletes one.\n\n- `task`: The task.\n", "Delete it", 900, 0.55)
    parts = offered("What is a task?", [field, thing], QUOTED) or []
    assert parts[0].opening == "A task is one item of a list."


def test_two_rows_that_are_compared_are_the_summary() -> None:
    about = "It has a long line about its price, its age, its use and whatever else a table may hold, and more of it."
    text = "## Classes\n\nEach bucket has one of these.\n\n| Class | About |\n|---|---|\n" + "".join(
        f"| {name} | {about} |\n" for name in ("Hot", "Cool", "Frozen")
    )
    for question in ("What is the difference between Hot and Cool?", "hot vs cool"):
        summary, how, fields, _ = offered(question, [hit(text, "Classes")], QUOTED) or []
        assert summary.opening == f"Hot: {about} Cool: {about}"
        assert fields.opening == f"- Frozen: {about}"
        assert how.opening == "Each bucket has one of these."
    rows = "- `mode`: `RAW` keeps text; `USER_ENTERED` works it out.\n- `range`: Where.\n"
    one = f"## Write\n\nWrites many values into a file.\n\n{rows}"
    summary, *_ = offered("What is the difference between RAW and USER_ENTERED?", [hit(one, "Write")], QUOTED) or []
    assert summary.opening == "Writes many values into a file. `mode`: `RAW` keeps text; `USER_ENTERED` works it out."


def test_of_a_long_row_what_is_asked_for_is_kept() -> None:
    tail = "This is the day on which it is to be done by somebody. " * 4
    row = f"- `due`: When it is due. {tail}Only dates are kept, the hour is thrown away.\n"
    parts = offered("Can I set the hour?", [hit(f"## Fields\n\nAll of them.\n\n{row}", "Fields"), *HITS], QUOTED) or []
    assert "the hour is thrown away." in parts[0].opening + parts[2].opening


def test_a_long_first_sentence_and_what_answers_are_both_told() -> None:
    first = "A webhook is a message that is sent to an address as soon as a thing has changed, so that nobody asks."
    answer = "If the employee who created it leaves, the webhook goes on working until the app is taken away."
    text = f"## Webhook\n\n{first} {'It says what it was and when. ' * 4}\n\nIt is small.\n\n{answer}\n"
    parts = offered("What happens when the employee leaves?", [hit(text, "Webhook"), *HITS], QUOTED) or []
    assert parts[0].opening.startswith(first) and parts[0].opening.endswith(answer)
