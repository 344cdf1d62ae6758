"""Audience, glossary and reading grade: how an answer meets who reads it."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_answer import answerer
from tiny_lm import response
from tiny_project import make_project

from copilot.answering.extractive import extractive
from copilot.answering.glossary import LONGEST, Term, explained, read_glossary
from copilot.config import SYSTEM, AnswerPart, Chunks, Documents, Prompt
from copilot.config_file import load_config
from copilot.errors import CopilotError
from copilot.evaluation.readability import grade
from copilot.evaluation.report import demo_markdown
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.model.dataset import read_examples
from copilot.opened import open_answerer
from copilot.pipeline import run_index
from copilot.prompt.render import prompt_fingerprint, render
from copilot.terminal import Terminal
from copilot.types import Chunk, Hit

ROWS = (
    "## Glossary\n\n- **Webhook**: a call that comes to you\n* Opt-in - someone said yes\n`Segment`: a part of a list\n"
    "Token\n: a secret key\n\n| Term | Meaning |\n| --- | --- |\n| **Sender** | who a text comes from |\n"
)


def chunk(text: str, heading: str = "Guide › Glossary", title: str = "Guide") -> Chunk:
    return Chunk("g.md", title, heading, None, 0, len(text), text)


def test_the_reader_is_named_in_the_system_message() -> None:
    usual, technical = (
        render("How?", ["x"], Prompt(), AnswerPart(audience=audience))  # type: ignore[arg-type]
        for audience in ("non-technical", "technical")
    )
    assert usual[0]["content"].startswith("You explain technical documentation to non-technical people. Use only")
    assert "non-technical" not in technical[0]["content"] and "The reader is technical" in technical[0]["content"]
    assert usual[1] == technical[1] and "to non-technical people. Use only the context." in SYSTEM
    other = AnswerPart(audience="technical")
    assert prompt_fingerprint(Prompt(), AnswerPart(), 5, "t") == prompt_fingerprint(Prompt(), other, 5, "t")


def test_a_training_row_says_for_whom_it_is(tmp_path: Path) -> None:
    import json

    row = {"question": "How?", "response": response(1)}
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(r) for r in (row, {**row, "audience": "technical"})), encoding="utf-8")
    assert [e.audience for e in read_examples(file, AnswerPart().sections)] == ["non-technical", "technical"]
    file.write_text(json.dumps({**row, "audience": "children"}), encoding="utf-8")
    with pytest.raises(CopilotError, match=r"rows.jsonl:1: `audience` must be"):
        read_examples(file, AnswerPart().sections)


def test_terms_of_lists_tables_and_headings() -> None:
    made = read_glossary(
        [
            chunk(ROWS),
            chunk("### Quota\nHow many texts\nyou may send.", "Guide › Glossary › Quota"),
            chunk("Note: no term", "Guide › Other"),
            chunk("Bounce: a text that comes back", "", "Glossary"),
            chunk("Webhook: another meaning", "Terms"),
        ]
    )
    assert {term.name: term.meaning for term in made} == {
        "Webhook": "a call that comes to you",
        "Opt-in": "someone said yes",
        "Segment": "a part of a list",
        "Token": "a secret key",
        "Sender": "who a text comes from",
        "Quota": "How many texts you may send.",
        "Bounce": "a text that comes back",
    }
    one, other = read_glossary([chunk(f"Term: One sentence. {'word ' * 100}"), chunk(f"Other: {'word ' * 100}")])
    assert one.meaning == "One sentence." and len(other.meaning) == LONGEST and other.meaning.endswith("…")


def test_terms_in_the_order_of_their_first_use() -> None:
    given = {"Token": "a key", "Webhook": "a call", "List": "people", "API": "a door"}
    terms = [Term(name, meaning) for name, meaning in given.items()]
    assert explained("Webhooks need a `token`. A token is old; playlists are none.", terms, ["a.md"]) == (
        ("Webhook", "a call"),
        ("Token", "a key"),
    )


def test_a_glossary_explains_the_documents_of_its_folder() -> None:
    texts = {"bells/words.md": "Token: a coin", "doors/words.md": "Token: a key"}
    texts["words.md"] = "Token: a sign\nAPI: a door"
    terms = read_glossary(replace(chunk(text), document=name) for name, text in texts.items())
    text = "The API wants a token."
    assert explained(text, terms, ["doors/open.md"]) == (("API", "a door"), ("Token", "a key"))
    assert explained(text, terms, ["bells/ring.md"]) == (("API", "a door"), ("Token", "a coin"))
    assert explained(text, terms, ["lamps/on.md"]) == (("API", "a door"), ("Token", "a sign"))


def test_an_answer_explains_its_terms_beside_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    asked, _ = answerer(response(1))
    asked = replace(asked, glossary=[Term("Contact", "a person you write to"), Term("Bell", "rings")])
    answer = asked.ask("How?")
    used = "contact" in answer.text.lower()
    assert answer.glossary == ((("Contact", "a person you write to"),) if used else ())
    answer = replace(answer, glossary=(("Contact", "a person you write to"),))
    Terminal().answer(answer, streamed=False, show_context=False)
    out = capsys.readouterr().out
    assert "\nTerms\n- Contact: a person you write to\n" in out and out.index("Terms") < out.index("Sources")
    assert "Terms:\n\n- Contact: a person you write to\n" in demo_markdown(answer) and answer.text == response(1)
    assert answer.to_json()["glossary"] == [{"term": "Contact", "meaning": "a person you write to"}]


def test_reading_grade() -> None:
    easy = grade("- The cat sat. `It` ran.\n1. We go. [1]")
    hard = grade("Asynchronous authentication necessitates comprehensive infrastructural considerations.")
    assert easy is not None and hard is not None and easy < 3 < 18 < hard
    assert grade("The cat sat on the mat.") == pytest.approx(0.39 * 6 + 11.8 - 15.59)  # six words, six syllables
    assert grade("") is None and grade("`1` 2 [3]") is None


@pytest.mark.parametrize("audience", ["non-technical", "technical"])
def test_terms_are_told_to_whom_they_help(audience: str, tmp_path: Path) -> None:
    """The same question over the same index, with a glossary beside its documents."""
    file = make_project(tmp_path)
    (tmp_path / "docs" / "glossary.md").write_text("# Glossary\n\n- **Wind**: air that moves\n", encoding="utf-8")
    text = file.read_text(encoding="utf-8").replace("runtime: transformers", "backend: extractive")
    text = text.replace("answer: {", f"answer: {{audience: {audience}, ")
    file.write_text(text, encoding="utf-8")
    config = load_config(file)
    run_index(config, Terminal(quiet=True))
    answer = open_answerer(config).ask("What does a door keep out?")
    assert "wind" in answer.text.lower()
    assert answer.glossary == ((("Wind", "air that moves"),) if audience == "non-technical" else ())


def test_the_shipped_glossaries_explain_an_answer(root: Path) -> None:
    documents = load_documents(Documents(paths=[str(root / "data/knowledge_base")]))
    chunks = [chunk for document in documents for chunk in split(document, Chunks())]
    terms = read_glossary(chunks)
    assert {term.folder for term in terms} == {"messaging/", "sheets/"}
    hits = [Hit(chunk, 0.9) for chunk in chunks if chunk.heading.endswith("Rotate an access token")]
    answer = extractive(lambda question: hits, AnswerPart(), glossary=terms).ask("How do I rotate a token's secret?")
    assert [term for term, _ in answer.glossary] == ["Token", "Scope"]
