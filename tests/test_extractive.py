"""The baseline without a language model: entries taken apart, the best one chosen, four sections out of it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_lm import hit
from tiny_project import make_project
from typer.testing import CliRunner

from copilot.answering.asked import read_question
from copilot.answering.extractive import NAME, compose, extractive
from copilot.answering.identifiers import in_text, supported
from copilot.answering.ranking import best_entry
from copilot.cli import app
from copilot.config import SECTIONS, AnswerPart, Chunks
from copilot.errors import CopilotError, Exit
from copilot.evaluation.metrics import abstained, repeats, structure
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_document
from copilot.reading.entries import read_entry
from copilot.reading.prose import SENTENCE
from copilot.reading.rows import Row, item
from copilot.types import Chunk, Hit

ROOT = Path(__file__).parent.parent
KNOWLEDGE = ROOT / "data" / "knowledge_base"
FILES = sorted(p.relative_to(KNOWLEDGE).as_posix() for p in KNOWLEDGE.rglob("*") if p.is_file())
runner = CliRunner()

MARKDOWN = """## Ring a bell

`POST /bells/{bellId}/ring` rings one bell. It can be heard at once.
The line goes on here.

| Field | Type | Required | Description |
|---|---|---|---|
| `bellId` | string | yes | Part of the address. |
| `volume` | integer | no | How loud, 1 to 10. The default is 5. |

```json
{"bellId": "b_1", "rings": "Not a sentence."}
```

1. Pick the bell.
2. Send the call.

**Warning:** a bell that is rung at night wakes people. A broken bell is refused with `409`.
"""


def chunks_of(name: str) -> list[Chunk]:
    return list(split(load_document(name, KNOWLEDGE / name), Chunks()))


def section(name: str, heading: str) -> str:
    return "\n\n".join(c.text for c in chunks_of(name) if c.heading.endswith(heading))


def bell(text: str = MARKDOWN, start: int = 0, score: float = 0.5, heading: str = "Bells › Ring a bell") -> Hit:
    return Hit(Chunk("bells.md", "Bells", heading, None, start, start + len(text), text), score)


def bodies(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?m)^### .*$", text)[1:]]


def test_a_markdown_entry_is_taken_apart() -> None:
    entry = read_entry(MARKDOWN)
    first, second, third = entry.sentences
    assert first == "`POST /bells/{bellId}/ring` rings one bell." and third == "The line goes on here."
    assert second == "It can be heard at once."
    assert entry.steps == ("Pick the bell.", "Send the call.")
    assert entry.notes == ("A bell that is rung at night wakes people. A broken bell is refused with `409`.",)
    assert entry.fields == (
        ("`bellId`", "Part of the address. Required."),
        ("`volume`", "How loud, 1 to 10. The default is 5."),
    )


def test_a_plain_text_list_goes_on_over_lines() -> None:
    entry = read_entry(section("messaging/errors-and-limits.txt", "401 Unauthorized: the token is not accepted"))
    fields = dict(entry.fields)
    assert fields["token_invalid"].endswith("belongs to the other environment (sandbox instead of live).")
    assert fields["token_expired"] == "The lifetime of the token is over."
    quota = read_entry(section("messaging/errors-and-limits.txt", "Monthly message quota"))
    assert [name for name, _ in quota.fields] == ["Starter", "Team", "Business"], "no row of titles"


@pytest.mark.parametrize(
    ("line", "name", "said"),
    [
        ("`to` list, required: one list, or IDs of people", "`to`", "one list, or IDs of people. Required."),
        ("`all` boolean, default `true`: `false` hides a few.", "`all`", "`false` hides a few. The default is `true`."),
        ("`days` integer or string: after which they go", "`days`", "after which they go"),
        ("`ids` array of strings - the people", "`ids`", "the people"),
        ("**limit**: integer, default 20. How many.", "limit", "How many. The default is 20."),
        ("`size` (number, default `5`): how big.", "`size`", "how big. The default is `5`."),
        ("`old`, optional: what was set", "`old`", "what was set"),
        ("`email` string. Where to write.", "`email`", "Where to write."),
        ("`content` string, required", "`content`", "String, required."),
        ("`text`: date of the call", "`text`", "date of the call"),
        ("`note`: what the caller wrote", "`note`", "what the caller wrote"),
    ],
)
def test_a_name_may_stand_before_its_type_in_plain_words(line: str, name: str, said: str) -> None:
    assert item(line, "") == Row(name, said)
    assert read_entry(f"It rings.\n\n- {line}\n").fields == ((name, said),)


ROWS = (("amount", "The amount in cents. Required."), ("currency", "ISO code of it."))
HTML = (
    "<table><tr><th>Field</th><th>Required</th><th>Description</th></tr>\n<tr><td>amount</td><td>yes</td>"
    "<td>The amount<br>in cents.</td></tr>\n<tr><td>currency</td><td>no</td><td>ISO code of it.</td></tr></table>"
)


@pytest.mark.parametrize(
    ("text", "part", "read"),
    [
        ("**amount** (int, required)\nThe amount\nin cents.\n\n**currency** (text)\nISO code of it.", "fields", ROWS),
        (HTML, "fields", ROWS),
        ("- **amount** — *int, required* — The amount in cents.\n- **currency** _a_: ISO code of it.", "fields", ROWS),
        ("`wait` — seconds.\n`tries` (int): how many.", "fields", (("`wait`", "seconds."), ("`tries`", "how many."))),
        ("Reading: 100 a day\nWriting: 20 a day", "fields", (("Reading", "100 a day"), ("Writing", "20 a day"))),
        ("- 200 OK: is made\n- **409 Conflict** – it exists", "codes", (("409", "it exists"), ("200", "is made"))),
        ("- `409`: GONE_MEDIA: it is gone", "codes", (("`409`", "GONE_MEDIA: it is gone"),)),
        ("Step 1: Open the door.\n**Step 2.** Press the bell", "steps", ("Open the door.", "Press the bell.")),
        ("1. Open the door\n2. Press **Ring**\n3. Wait for", "steps", ("Open the door.", "Press Ring.")),
        ("Q: Why is it late?\nA: The bank is slow. It sleeps on.", "sentences", ("The bank is slow.", "It sleeps on.")),
        ("```\nStep 1: no\nReading: a\nWriting: b\n```\nIt is code above.", "sentences", ("It is code above.",)),
        ("It is so: a bell rings.\nNote: it wakes people.", "sentences", ("It is so: a bell rings.",)),
    ],
)
def test_seldom_layouts_are_read_too(text: str, part: str, read: object) -> None:
    entry = read_entry(text)
    assert getattr(entry, part) == read
    others = {"fields", "codes", "steps", "sentences"} - {part}
    assert not any(getattr(entry, name) for name in others)


def test_a_summary_without_a_sentence_is_the_row_that_is_asked_for() -> None:
    table = "## Fields\n\n| Field | Meaning |\n|---|---|\n| `DAY` | When it is booked |\n| `FEE` | What is kept |\n"
    summary, _, fields, _ = compose("What does FEE mean?", [bell(table, heading="Bells › Fields")])
    assert (summary, fields) == ("`FEE`: What is kept.", "- `DAY`: When it is booked")
    told = compose("Why is it late?", [bell("Must be seen.\n", heading="Bells › 2.1 Why is it late?")])
    assert told is not None and told[0].startswith("Why is it late? ")


def test_a_field_called_limit_or_note_is_no_warning() -> None:
    entry = read_entry("It rings.\n\n- **limit**: how often.\n- **Note**: it wakes people.\n- Limit: 5 a day.\n")
    assert entry.fields == (("limit", "how often."),)
    assert entry.notes == ("It wakes people.", "5 a day.")


def test_a_name_that_begins_a_sentence_is_no_row() -> None:
    for line in ("`file` path to the bell", "`query` string to search for: any word", "The string: is nothing"):
        assert item(line, "") is None


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            "Key\nAction\nF2\nPrint the label again\nF5\nPause it\n",
            (("F2", "Print the label again"), ("F5", "Pause it")),
        ),
        (
            "Message\nCause\nWhat you do\nBIN FULL\nThe bin has no room left.\nEmpty the bin and put it\nback.\n",
            (("BIN FULL", "The bin has no room left. Empty the bin and put it back."),),
        ),
        (
            "Pos\nField\nM/O\nDescription\n1-3\nRECTYPE\nM\nAlways ROB.\n4\nDIRT\nO\nY: dirty.\n",
            (("RECTYPE", "Always ROB. Pos: 1-3. M/O: M."), ("DIRT", "Y: dirty. Pos: 4. M/O: O.")),
        ),
    ],
)
def test_a_pdf_table_without_lines_is_found_again(text: str, rows: tuple[tuple[str, str], ...]) -> None:
    entry = read_entry(text)
    assert entry.fields == rows and entry.sentences == ()


def test_the_tables_of_the_shipped_pdfs_are_read() -> None:
    entry = read_entry(section("messaging/webhooks.pdf", "Register a webhook"))
    assert [name for name, _ in entry.fields] == ["url", "events", "description", "batch"]
    assert dict(entry.fields)["events"] == "Event types to send, at least one. Required."
    assert "Type" not in " ".join(entry.sentences) and entry.sentences[0].startswith("POST /v2/webhooks tells")
    shape = read_entry(section("messaging/webhooks.pdf", "Shape of an event"))
    assert len(shape.fields) == 5 and not any("page 2" in text for text in shape.sentences)
    signature = read_entry(section("messaging/webhooks.pdf", "Check the signature of an event"))
    assert len(signature.steps) == 4 and signature.notes[0].startswith("Use the raw body. A body that")
    ticks = read_entry(section("sheets/render-options.pdf", "Tick boxes and yes or no"))
    assert ticks.fields[0] == ("FORMATTED_VALUE", "Ticked: text TRUE; Not ticked: text FALSE")
    formats = read_entry(section("sheets/render-options.pdf", "Number formats"))
    assert all(len(text) > 40 for text in formats.sentences), "no cells among the sentences"


@pytest.mark.parametrize("at", range(40, len(MARKDOWN), 35))
def test_a_chunk_that_is_cut_anywhere_gives_whole_sentences_and_rows(at: int) -> None:
    known = read_entry(MARKDOWN)
    for part, whole in ((MARKDOWN[:at], True), (MARKDOWN[at:], False)):
        entry = read_entry(part, whole)
        whole_texts = (*known.sentences, *known.steps, *known.notes)
        told = {part.lower() for text in whole_texts for part in (text, *SENTENCE.split(text))}
        for text in (*entry.sentences, *entry.steps, *entry.notes):
            assert any(old.endswith(text.lower()) for old in told), text
        assert all(any(text in old for _, old in known.fields) for _, text in entry.fields)


def test_the_answer_is_copied_from_the_entry() -> None:
    summary, how, fields, tips = compose("How loud can a bell ring?", [bell()])
    assert summary == "`POST /bells/{bellId}/ring` rings one bell. It can be heard at once."
    assert how == "Call `POST /bells/{bellId}/ring`.\n1. Pick the bell.\n2. Send the call."
    assert fields == "- `bellId`: Part of the address. Required.\n- `volume`: How loud, 1 to 10. The default is 5."
    assert tips == "- A bell that is rung at night wakes people. A broken bell is refused with `409`."


def test_an_identifier_of_the_question_chooses_the_entry_and_the_sentence() -> None:
    near = bell("A bell is never heard outside. Bells ring and ring.", score=0.6, heading="Bells › Hear a bell")
    far = bell("The door may be shut.\n\nThen the code is `door_shut`.", score=0.5, heading="Bells › Other")
    asked = read_question('What does "door_shut" mean for a bell?', [near, far])
    found = best_entry(asked, [near, far])
    assert found is not None and found.heading == "Other"
    assert "Then the code is `door_shut`." in compose('What does "door_shut" mean for a bell?', [near, far])[0]


ALONE = (
    ("Shrink", "Makes photos smaller.\n\n| Option | Meaning |\n|---|---|\n| `--in-place` | Overwrites the photos. |\n"),
    ("Settings", "| Setting | Meaning |\n|---|---|\n| `threads` | How many at once. |\n| `E-NET1` | No network. |\n"),
)


@pytest.mark.parametrize(
    ("question", "heading"),
    [
        ("what does --in-place do", "Shrink"),
        ("threads", "Settings"),
        ("What is the threads setting for?", "Settings"),
        ("Explain E-NET1 in simple terms", "Settings"),
        ("Can threads be brought back with --in-place?", "Undo"),
    ],
)
def test_a_name_alone_is_answered_by_the_entry_that_has_a_row_of_that_name(question: str, heading: str) -> None:
    undo = bell("What `--in-place` overwrites, by `threads` or on `E-NET1`, cannot be brought back.", 0, 0.7, "Undo")
    hits = [undo, *(bell(text, 0, 0.5, title) for title, text in ALONE)]
    found = best_entry(read_question(question, hits), hits)
    assert found is not None and found.heading == heading


def test_neighbouring_chunks_of_an_entry_are_put_together() -> None:
    cut = MARKDOWN.index("1. Pick")
    first, second = bell(MARKDOWN[: cut + 10], score=0.4), bell(MARKDOWN[cut - 20 :], start=cut - 20)
    assert compose("How do I ring a bell?", [second, first]) == compose("How do I ring a bell?", [bell()])


def test_it_abstains_in_four_sections_and_names_what_it_quotes_alone() -> None:
    answer = extractive(lambda question: [bell()], AnswerPart()).ask("Which wine fits asparagus?")
    assert structure(answer.text, SECTIONS) and abstained(answer.text) and answer.findings == ()
    assert "`" not in re.sub("“.*”", "", answer.text) and "- Ring a bell (Bells): “`POST /bells" in answer.text
    always = extractive(lambda question: [bell()], AnswerPart(refuse=False)).ask("Which wine fits asparagus?")
    assert structure(always.text, SECTIONS) and not abstained(always.text)
    nothing = extractive(lambda question: [], AnswerPart(refuse=False)).ask("Which wine fits asparagus?")
    assert structure(nothing.text, SECTIONS) and abstained(nothing.text)


@pytest.mark.parametrize("sections", [["Answer"], ["A", "B", "C", "D", "E", "F"]])
def test_other_sections_are_filled_too(sections: list[str]) -> None:
    answer = extractive(lambda question: [bell()], AnswerPart(sections=sections)).ask("How loud is a bell?")
    assert structure(answer.text, sections) and not repeats(answer.text)


@pytest.mark.parametrize("text", ["", "# Only a title", "{", "| a |", "Field\nType", "- ", "Note:", "x" * 300])
def test_an_entry_that_says_nothing_still_gives_four_sections(text: str) -> None:
    asked = extractive(lambda question: [hit(text or " ", "a.md", "Guide")], AnswerPart(refuse=False))
    answer = asked.ask("What is a?")
    assert structure(answer.text, SECTIONS) and not repeats(answer.text)


def test_every_section_of_the_documents_is_answered_with_its_own_names() -> None:
    for name in FILES:
        for chunk in chunks_of(name):
            asked = extractive(lambda question, chunk=chunk: [Hit(chunk, 0.5)], AnswerPart(refuse=False))
            answer = asked.ask(chunk.heading)
            assert structure(answer.text, SECTIONS), chunk.heading
            assert not repeats(answer.text), answer.text
            ticked = re.findall(r"`([^`]+)`", answer.text)
            assert all(supported(i, chunk.passage) for i in (*in_text(answer.text), *ticked)), answer.text
            assert answer.text == asked.ask(chunk.heading).text


def test_answers_carry_what_others_do() -> None:
    asked, pieces, told = extractive(lambda question: [bell()], AnswerPart()), [], []
    answer = asked.ask("How loud is a bell?", pieces.append)
    assert "".join(pieces) == answer.marked and answer.hits == (bell(),) and not answer.findings
    assert answer.citations[0] is not None and "[1]" in answer.marked and "[1]" not in answer.text
    assert (answer.model, answer.adapter, answer.usage.completion_tokens) == (NAME, None, 0)
    one, two = asked.ask_all(["How loud is a bell?", "Who?"], told.append)
    assert one.text == answer.text and two.question == "Who?" and sum(told) == 2
    assert tuple(section.title for section in answer.sections) == SECTIONS


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without a language model, its index made; the YAML."""
    file = make_project(tmp_path_factory.mktemp("extractive"))
    shutil.rmtree(file.parent / "model")
    text = file.read_text(encoding="utf-8").replace("runtime: transformers", "backend: extractive")
    file.write_text(text, encoding="utf-8")
    done = runner.invoke(app, ["index", "-c", str(file)])
    assert done.exit_code == 0, done.exception
    return file


def test_asking_needs_an_index_and_no_adapter(project: Path) -> None:
    done = runner.invoke(app, ["ask", "How do I switch on the lamp?", "-c", str(project), "--json"])
    assert done.exit_code == 0, done.exception
    answer = json.loads(done.stdout)
    assert answer["model"] == NAME and answer["adapter"] is None
    assert answer["sections"][1]["text"].startswith("Call `PUT /lamps/on`.")
    missing = runner.invoke(app, ["ask", "x", "-c", str(project), "--set", "run.name=other"])
    assert isinstance(missing.exception, CopilotError) and missing.exception.code == Exit.STALE


def test_what_needs_a_model_is_refused_or_has_nothing_to_do(project: Path) -> None:
    trained = runner.invoke(app, ["train", "-c", str(project)])
    assert trained.exit_code == 0 and not (project.parent / "outputs" / "small" / "adapter").exists()
    assert trained.stderr == "train: nothing to train, since model.backend=extractive has no language model\n"
    for arguments, said in (
        (["ask", "x", "--no-rag"], "no general knowledge"),
        (["train", "--show-example", "1"], "no language model"),
    ):
        done = runner.invoke(app, [*arguments, "-c", str(project)])
        assert isinstance(done.exception, CopilotError) and done.exception.code == Exit.USAGE
        assert said in done.exception.message and done.exception.hint


def test_the_pipeline_has_no_training(project: Path) -> None:
    flags = ["-c", str(project)]
    plan = runner.invoke(app, ["pipeline", *flags, "--dry-run"]).stdout
    assert [line.split()[0] for line in plan.splitlines()[1:-1]] == ["index", "evaluate", "demo"]
    assert plan.splitlines()[-1] == "Contacts no remote endpoint."
    done = runner.invoke(app, ["pipeline", *flags])
    assert done.exit_code == 0, done.exception
    assert "## How do I light the lamp?" in done.stdout and "extractive" in done.stdout
    assert "adapter" not in done.stdout and "base" not in done.stdout
    run = json.loads((project.parent / "outputs" / "small" / "run.json").read_text(encoding="utf-8"))
    assert list(run["stages"]) == ["index", "evaluate", "demo"] and run["adapter"] == {}
    assert {stage["state"] for stage in run["stages"].values()} == {"fresh"}
    evaluation = json.loads((project.parent / "outputs" / "small" / "evaluation.json").read_text(encoding="utf-8"))
    assert list(evaluation["summary"]) == ["extractive"] and evaluation["adapter"] is None
    again = runner.invoke(app, ["pipeline", *flags])
    assert again.stderr.splitlines() == [f"{stage}: fresh, skipped" for stage in ("index", "evaluate", "demo")]
    nothing = runner.invoke(app, ["pipeline", *flags, "--only", "train", "--force"])
    assert nothing.exit_code == 0 and "nothing to train" in nothing.stderr
    document = project.parent / "docs" / "doors.md"
    document.write_text(document.read_text(encoding="utf-8") + "\nA door has a key.\n", encoding="utf-8")
    plan = runner.invoke(app, ["pipeline", *flags, "--dry-run"]).stdout
    assert re.findall(r"^  (\w+) +runs", plan, re.M) == ["index", "evaluate", "demo"]


def test_composing_loads_no_heavy_library() -> None:
    code = (
        "import sys; from copilot.answering.extractive import compose; from copilot.types import Chunk, Hit\n"
        "compose('How?', [Hit(Chunk('a.md', 'A', 'A', None, 0, 3, 'A b.'), 0.5)])\n"
        "print([m for m in ('torch', 'transformers', 'faiss', 'tokenizers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_rules_leave_no_step_out() -> None:
    text = "## Undo it\n\n1. Open the page.\n2. Press **Undo** on it.\n3. Wait a minute.\n"
    hit = Hit(Chunk("c.md", "C", "C › Undo it", None, 0, len(text), text), 0.5)
    summary, how, *_ = compose("How do I press undo?", [hit], False) or []
    assert summary == "Undo it." and how == "1. Open the page.\n2. Press Undo on it.\n3. Wait a minute."
