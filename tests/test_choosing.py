"""What an entry says and a judge of sentences in; which of them answers out."""

from collections.abc import Sequence

from copilot.answering.asked import phrase, read_question, stems
from copilot.answering.choosing import elsewhere, likeliest, surest
from copilot.answering.quoting import offered
from copilot.answering.ranking import best_entry, refers_to
from copilot.config import AnswerPart
from copilot.prompt.quotes import Part
from copilot.reading.entries import read_entry
from copilot.types import Chunk, Hit

QUOTED = AnswerPart(enforce="quotes", refuse=False)
RETRIES = (
    "## Delivery\n\nYour server has five seconds to answer. The setting is called `maxRequests`, 10 by default. "
    "After the tenth failed attempt the message is dropped. A message that comes twice has the same number."
)
TABLE = (
    "## Patterns\n\nA pattern says how a number looks.\n\n| Pattern | Shows |\n|---|---|\n| Short | Two places |\n"
    "| Long | Two places and groups |\n| Plain | Whole numbers |\n"
)
STEPS = (
    "## Outage\n\n1. Open an incident with `/new`.\n2. Post the news every 30 minutes.\n3. Close it.\n\n"
    "After it write a report.\n"
)


class Judge:
    """Log odds of 4 for each text that holds one of the words, and -4 for the others; it keeps what it was asked."""

    def __init__(self, *words: str) -> None:
        self.words, self.read = words, list[str]()

    def __call__(self, question: str, texts: Sequence[str]) -> list[float]:
        self.read += texts
        return [4.0 if any(word in text for word in self.words) else -4.0 for text in texts]


def hit(text: str, title: str, document: str = "doc.md", start: int = 0) -> Hit:
    return Hit(Chunk(document, "Doc", f"Doc › {title}", None, start, start + len(text), text), 0.5)


def parts(question: str, text: str, title: str, judge: Judge | None) -> list[Part]:
    return offered(question, [hit(text, title)], QUOTED, judge) or []


def test_the_sentence_that_answers_is_the_summary_and_the_first_one_is_told_below() -> None:
    judge = Judge("tenth failed")
    summary, how, _, _ = parts("When is a message lost?", RETRIES, "Delivery", judge)
    assert summary.opening == "After the tenth failed attempt the message is dropped."
    assert how.opening.startswith("Your server has five seconds to answer.")
    assert all(text.startswith("Doc › Delivery\n") for text in judge.read), "each with its heading path"
    assert parts("When is a message lost?", RETRIES, "Delivery", None)[0].opening != summary.opening


def test_beside_a_first_sentence_that_answers_too_nothing_is_told() -> None:
    summary, *_ = parts("When is a message lost?", RETRIES, "Delivery", Judge("tenth failed", "five seconds"))
    assert summary.opening.startswith("Your server has five seconds to answer.")


def test_where_the_judge_is_not_sure_shared_words_decide() -> None:
    none = Judge("nothing of it")
    assert parts("When is a message lost?", RETRIES, "Delivery", none) == parts(
        "When is a message lost?", RETRIES, "Delivery", None
    )


def test_what_answers_is_told_of_how_something_is_done_and_of_calls_too() -> None:
    summary, *_ = parts("How do I lose a message?", RETRIES, "Delivery", Judge("tenth failed"))
    assert summary.opening == "After the tenth failed attempt the message is dropped."
    fields = "- `later` (string): When it is sent.\n- `to` (string): Who gets it.\n"
    call = f"## Send\n\n`POST /messages` sends a message.\n\n{fields}"
    summary, *_ = parts("I want it sent tomorrow. What sets that?", call, "Send", Judge("later"))
    assert summary.opening == "`POST /messages` sends a message. `later`: When it is sent."


def test_a_step_that_answers_is_the_summary_and_stays_in_its_place() -> None:
    bare = STEPS.replace("1. Open", "- Open").replace("2. Post", "- Post").replace("3. Close", "- Close")
    told = parts("How often is news posted?", bare, "Outage", Judge("30 minutes"))[0].opening
    assert told.endswith("Post the news every 30 minutes."), "also where the document counts no steps"
    summary, how, *_ = parts("How often is news posted?", STEPS, "Outage", Judge("30 minutes"))
    assert summary.opening == "Step 2: Post the news every 30 minutes."
    assert "1. Open an incident with `/new`.\n2. Post the news every 30 minutes.\n3. Close it." in how.opening
    summary, *_ = parts("How do I open an incident?", STEPS, "Outage", Judge("/new"))
    assert summary.opening == "Step 1: Open an incident with `/new`.", "it stands out"


def test_who_asks_how_it_is_done_wants_all_steps() -> None:
    every = Judge("Open an", "Post", "Close", "report")
    for question in ("How do I handle an outage?", "There is an outage, what do I do?", "List the steps of an outage."):
        summary, *_ = parts(question, STEPS, "Outage", every)
        assert summary.opening == "“Outage” is done in the steps below.", question
    summary, *_ = parts("When is an outage over?", STEPS, "Outage", every)
    assert not summary.opening.startswith("“Outage”"), "one thing is asked for"


def test_a_row_answers_which_of_several_it_is_and_not_what_there_is() -> None:
    judge = Judge("Long")
    summary, _, fields, _ = parts("Which pattern shows groups?", TABLE, "Patterns", judge)
    assert summary.opening == "Long: Two places and groups.", "the first sentence answers nothing"
    assert "Long" not in fields.opening
    summary, _, fields, _ = parts("What patterns are there?", TABLE, "Patterns", judge)
    assert summary.opening == "A pattern says how a number looks. Listed below: Short, Long and Plain."
    assert "Long" in fields.opening


def test_an_amount_is_told_to_who_asks_for_one() -> None:
    text = "Each message is sent. You can limit how a message is retried. A message is retried up to ten times."
    summary, *_ = parts("How many times is it retried?", f"## Retries\n\n{text}", "Retries", None)
    assert summary.opening.endswith("A message is retried up to ten times.")


def test_what_is_said_below_rows_is_not_what_they_are() -> None:
    text = "**Free**\n- 5 people\n\n**Team**\n- 50 people\n\n**Large**\n- 500 people\n\nGuests are not counted.\n"
    summary, *_, tips = parts("Which plans are there?", text, "Plans", None)
    assert summary.opening == "“Plans” tells of Free, Team and Large." and tips.opening == "- Guests are not counted."


def test_a_sentence_that_says_what_a_thing_is_is_what_was_asked_for() -> None:
    opening = hit("# Post\n\nPost sends letters. A **flow** is a chain of modules.\n", "Post")
    first = "Building your first flow"
    steps = hit(f"## {first}\n\n1. Open Flows.\n2. Press New flow.\n", first, start=90)
    for question in ("What is a flow?", "what's a flow"):
        hits = [steps, opening]
        found = best_entry(read_question(question, hits), hits)
        assert found is not None and found.hits == (opening,)
    found = best_entry(read_question("How do I build my first flow?", [steps, opening]), [steps, opening])
    assert found is not None and found.hits == (steps,)


def test_compare_the_two_asks_for_both() -> None:
    asked = read_question("Compare the Short and Long pattern.", ())
    assert asked.compares and asked.pair == (" short ", " long pattern ")
    assert not read_question("How does it compare prices?", ()).compares


def test_a_term_is_asked_for_by_its_short_form_too() -> None:
    asked = read_question("What is RAG?", ())
    assert asked.is_for("Retrieval-augmented generation (RAG)") and not asked.is_for("Retrieval-augmented generation")
    assert read_question("What is retrieval-augmented generation?", ()).is_for("Retrieval-augmented generation (RAG)")


def test_what_only_refers_to_another_entry_gives_way_to_it() -> None:
    blob = hit("## Blob storage\n\nSee *Object storage*.\n", "Blob storage")
    objects = hit("## 2.1 Object storage\n\nFiles with a name and no folder.\n", "2.1 Object storage", start=60)
    for hits in ([blob, objects], [objects, blob]):
        found = best_entry(read_question("What is blob storage?", hits), hits)
        assert found is not None and found.hits == (objects,)
    alone = best_entry(read_question("What is blob storage?", [blob]), [blob])
    assert alone is not None and alone.hits == (blob,), "better than nothing"
    assert refers_to(read_entry("See chapter 2.1."), "Doc › 2.1 Object storage")
    assert not refers_to(read_entry("See chapter 2."), "Doc › 2.1 Object storage")
    assert not refers_to(read_entry("See chapter 2.1. It is long."), "Doc › 2.1 Object storage")


def test_what_another_entry_answers_is_told_below_its_name() -> None:
    change = hit("## Change it\n\nA shorter interval costs battery life. It is set in the app.\n", "Change it")
    title = "Topic 9: Data"
    table = hit(f"## {title}\n\nThe battery lasts up to 18 months. A sensor weighs 80 g.\n", title, start=200)
    hits, question = [change, table], "How long does the battery last?"
    found = best_entry(read_question(question, hits), [change])
    assert found is not None
    asked = read_question(question, hits, Judge("18 months"))
    assert elsewhere(found, asked, hits, 3.0) == "“Data”: The battery lasts up to 18 months."
    assert elsewhere(found, asked, hits, 5.0) == "", "it does not answer better"
    assert elsewhere(found, read_question(question, hits), hits, 0.0) == "", "not without a reranker"
    assert elsewhere(found, read_question("battery life", hits, Judge("18 months")), hits, 0.0) == "", "nor to others"


def test_of_entries_that_fit_alike_the_one_that_answers_is_taken() -> None:
    one = hit("## Reading data\n\nData is read once a day. Data is kept.\n", "Reading data")
    two = hit("## Writing data\n\nData is never changed in the source. Data is sent.\n", "Writing data", start=200)
    asked = read_question("Does it change our data?", [one, two], Judge("never changed"))
    first = best_entry(asked, [one, two])
    assert first is not None and likeliest(first, asked, [one, two]).hits == (two,)
    bare = read_question("Does it change our data?", [one, two])
    assert likeliest(first, bare, [one, two]) == first, "not without a reranker"


def test_how_sure_the_best_sentence_is() -> None:
    delivery = hit(RETRIES, "Delivery")
    asked = read_question("When is a message lost?", [delivery], Judge("tenth failed"))
    found = best_entry(asked, [delivery])
    assert found is not None and surest(found, asked) == 4.0
    assert surest(found, read_question("When is a message lost?", [delivery])) < -8, "not without a reranker"


def test_what_is_done_and_its_noun_are_one_word() -> None:
    one = hit("## Introduction\n\nIt is wide.\n", "Introduction")
    two = hit("## Installation\n\nUnpack it.\n", "Installation", start=200)
    best = best_entry(read_question("How do I install it?", [one, two]), [one, two])
    assert best is not None and best.heading == "Installation" and phrase("Installations") == phrase("install")
    assert stems("invitations configuration") == stems("invite configure")
    for one_word, other in (("location", "loc"), ("station", "st"), ("duration", "during"), ("application", "apply")):
        assert stems(one_word) != stems(other)
