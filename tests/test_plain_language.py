"""Audience, glossary and reading grade: how an answer meets who reads it."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_answer import answerer
from tiny_lm import hit, response
from tiny_project import make_project

from copilot.answering.abstained import SAID
from copilot.answering.explaining import Explaining, explained
from copilot.answering.extractive import extractive
from copilot.config import SECTIONS, SYSTEM, AnswerPart, Chunks, Documents, Prompt
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
from copilot.reading.glossary import LONGEST, Term, is_glossary, read_glossary
from copilot.terminal import Terminal
from copilot.types import Chunk, Citation, Explanation, Hit

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


def test_a_word_of_any_text_explains_nothing() -> None:
    terms = [Term("A", "Points a name to an address."), Term("On", "Lit."), Term("IT", "The people with the keys.")]
    assert explained("A lamp is on. Ask it. I gave it a cat.", terms, []) == ()
    assert explained("Ask IT about the lamp.", terms, []) == (("IT", "The people with the keys."),)


def test_what_a_glossary_may_be_called() -> None:
    for title in ("10. 📖 Glossary", "Glossary of terms", "Key terms", "1.2 Common terms", "Glossary & abbreviations"):
        assert is_glossary(title), title
        assert [term.name for term in read_glossary([chunk(f"## {title}\n\n- **Wind** – moves\n", title)])] == ["Wind"]
    for title in ("Terms of use", "Payment terms", "Glossary settings", "10."):
        assert not is_glossary(title), title


def test_a_glossary_explains_the_documents_of_its_folder() -> None:
    texts = {"bells/words.md": "Token: a coin", "doors/words.md": "Token: a key"}
    texts["words.md"] = "Token: a sign\nAPI: a door"
    terms = read_glossary(replace(chunk(text), document=name) for name, text in texts.items())
    text = "The API wants a token."
    assert explained(text, terms, ["doors/open.md"]) == (("API", "a door"), ("Token", "a key"))
    assert explained(text, terms, ["bells/ring.md"]) == (("API", "a door"), ("Token", "a coin"))
    assert explained(text, terms, ["lamps/on.md"]) == (("API", "a door"), ("Token", "a sign"))


def test_a_section_goes_by_the_document_it_cites_or_the_one_before() -> None:
    terms = [Term("Token", "a coin", "bells/"), Term("Token", "a key", "doors/"), Term("API", "a door")]
    hits = [hit("", "doors/open.md"), hit("", "bells/ring.md")]
    alone = Explaining(terms, hits[1:])
    assert alone.explain("An API.", None) == [("API", "a door")]  # no citation yet: what all hits are about
    assert alone.explain("A token of the API.", None) == [("Token", "a coin")]
    made = Explaining(terms[:2], hits)
    assert made.explain("Nothing.", Citation(1, 0)) == []
    assert made.explain("A token.", None) == [("Token", "a key")]
    assert made.explain("A token.", Citation(2, 1)) == [], "a term is explained once"
    other = Explaining([Term("Coin", "money", "bells/")], hits)
    assert Explaining([Term("Coin", "Money.")], hits).explain("Coin: Money.", None) == [], "it is explained there"
    refused = Explaining([Term("Coin", "Money.")], hits)
    assert refused.explain(SAID, None) == [] == refused.explain("Topics: coin.", None)
    assert other.explain("A coin.", Citation(1, 0)) == [] and other.explain("A coin.", Citation(2, 1))


PASSAGES = [hit("The `contactId` names a contact and its webhook.", "a.md")]
PASSAGES += [hit("Bells ring loudly every evening for a segment.", "b.md")]
BODIES = ("The `contactId` names it.", "Contacts and webhooks:\n\n| a | b |\n|---|---|\n| `contactId` | webhook |")
BODIES += ("- `contactId`: a contact", "- Bells ring loudly every evening for a segment.")
USED = "\n\n".join(f"### {title}\n{body}" for title, body in zip(SECTIONS, BODIES, strict=True))
TERMS = [Term("Segment", "a part of a list"), Term("Contact", "a person you write to"), Term("Webhook", "a call")]


@pytest.mark.parametrize("repair", [False, True])
def test_an_answer_explains_each_term_below_the_section_that_uses_it_first(repair: bool) -> None:
    asked = replace(answerer(USED, PASSAGES)[0], glossary=[*TERMS, Term("Lamp", "shines")], repair=repair)
    pieces: list[str] = []
    answer, (many,) = asked.ask("How?", pieces.append), asked.ask_all(["How?"])
    person, call = "\n\n> **Contact**: a person you write to", "\n\n> **Webhook**: a call"
    one, two, three, four = USED.split("\n\n### ")
    wanted = [f"{one} [1]", f"{two}\n\n[1]{person}{call}", f"{three} [1]"]
    wanted.append(f"{four} [2]\n\n> **Segment**: a part of a list")
    assert answer.marked == "".join(pieces) == many.marked == "\n\n### ".join(wanted)
    assert answer.glossary == many.glossary == (
        Explanation("Contact", "a person you write to", SECTIONS[1]),
        Explanation("Webhook", "a call", SECTIONS[1]),
        Explanation("Segment", "a part of a list", SECTIONS[3]),
    )
    first = {"term": "Contact", "meaning": "a person you write to", "section": SECTIONS[1]}
    assert answer.to_json()["glossary"][0] == first


def test_explanations_are_no_part_of_what_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    """The glossary may name what no passage holds; a reader sees it, and the checks do not."""
    asked = answerer(USED, PASSAGES)[0]
    told = replace(asked, glossary=[Term("Contact", "see `GET /v9/people`, at most 70 days, https://other.example")])
    bare, answer = asked.ask("How?"), told.ask("How?")
    assert answer.text == bare.text == USED and answer.sections == bare.sections and answer.marked != bare.marked
    assert (answer.findings, answer.citations, answer.sources) == ((), bare.citations, bare.sources)
    Terminal().answer(answer, streamed=False, show_context=False)
    shown = capsys.readouterr()
    assert shown.out.startswith(answer.marked + "\n\nSources\n") and "Check" not in shown.err
    inert = "> **Contact**: see `GET /v9/people`, at most 70 days, https\\://other.example"
    assert f"\n\n{inert}\n" in demo_markdown(answer)


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
    told = [(one.term, one.meaning) for one in answer.glossary]
    assert told == ([("Wind", "air that moves")] if audience == "non-technical" else [])
    assert answer.marked.count("\n\n> **Wind**: air that moves") == len(told) == answer.marked.count("> ")


def test_the_shipped_glossaries_explain_an_answer(root: Path) -> None:
    documents = load_documents(Documents(paths=[str(root / "data/knowledge_base")]))
    chunks = [chunk for document in documents for chunk in split(document, Chunks())]
    terms = read_glossary(chunks)
    assert {term.folder for term in terms} == {"messaging/", "sheets/"}
    hits = [Hit(chunk, 0.9) for chunk in chunks if chunk.heading.endswith("Rotate an access token")]
    answer = extractive(lambda question: hits, AnswerPart(), glossary=terms).ask("How do I rotate a token's secret?")
    assert [(one.term, one.section) for one in answer.glossary] == [("Token", SECTIONS[0]), ("Scope", SECTIONS[3])]
