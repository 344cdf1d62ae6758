"""One renderer for training and asking, and the four sections it asks for, read back."""

import json

import pytest

from copilot.config import SECTIONS, AnswerPart, Prompt
from copilot.prompt.render import prompt_fingerprint, render
from copilot.prompt.sections import explain, headings, parse

FOUR = "\n\n".join(f"### {title}\nText of this one." for title in SECTIONS)


def test_a_prompt_with_context() -> None:
    system, user = render(" How? ", ["Doc › One\nalpha\n", "Doc\nbeta"], Prompt(), AnswerPart())
    assert (system["role"], user["role"]) == ("system", "user")
    assert "exactly four markdown sections: ### Summary, ### How it works, ### Key" in system["content"]
    assert user["content"] == "Context:\n\n[1] Doc › One\nalpha\n\n[2] Doc\nbeta\n\nQuestion: How?"


def test_a_prompt_from_general_knowledge() -> None:
    system, user = render("How?", None, Prompt(), AnswerPart(sections=["One", "Two"]))
    assert "from general knowledge" in system["content"]
    assert "exactly two markdown sections: ### One, ### Two" in system["content"]
    assert user["content"] == "Question: How?"


def test_braces_in_documents_and_questions_are_text() -> None:
    passage = "GET /v2/{question}/{context}/{count}"
    _, user = render("What is {context} {0}?", [passage], Prompt(), AnswerPart())
    assert user["content"] == f"Context:\n\n[1] {passage}\n\nQuestion: What is {{context}} {{0}}?"
    twice = Prompt(rag="{question}|{context}|{question}|{context}")
    assert render("q", ["p"], twice, AnswerPart())[1]["content"] == "q|[1] p|q|[1] p"


def test_double_braces_in_a_prompt_are_braces_and_a_prompt_may_show_json() -> None:
    mine = Prompt(system='As {{name}}: {"a": {"b": 1}} {0} {}', rag="{{question}} {context} {question}")
    system, user = render("q", ["p"], mine, AnswerPart())
    assert system["content"] == 'As {name}: {"a": {"b": 1}} {0} {}' and user["content"] == "{question} [1] p q"


def test_no_passages_is_not_general_knowledge() -> None:
    system, user = render("How?", [], Prompt(), AnswerPart())
    assert "Use only the context" in system["content"] and user["content"].startswith("Context:")


def test_many_sections_are_counted_in_digits() -> None:
    titles = [f"Part {n}" for n in range(12)]
    assert "exactly 12 markdown" in render("q", [], Prompt(), AnswerPart(sections=titles))[0]["content"]


def test_sections_are_read_back() -> None:
    found = parse("\n" + FOUR + "\n", SECTIONS)
    assert found is not None and [s.title for s in found] == list(SECTIONS)
    assert {s.text for s in found} == {"Text of this one."}
    code = FOUR.replace("Text of this one.", "```sh\n# a comment\ncurl x\n```", 1)
    parsed = parse(code, SECTIONS)
    assert parsed is not None and parsed[0].text == "```sh\n# a comment\ncurl x\n```"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "missing `### Summary`"),
        (FOUR.replace("### How it works", "## How it works"), "missing `### How it works`"),
        (FOUR.replace("### Summary", "### Summary:"), "missing `### Summary`"),
        (FOUR + "\n\n" + FOUR, "headings repeated"),
        (FOUR + "\n\n### Sources\nx", "headings repeated, out of order, or others"),
        ("Well.\n" + FOUR, "text before `### Summary`"),
        (FOUR.replace("### Summary\nText of this one.", "### Summary\n"), "a heading without text"),
        ("\n\n".join(reversed(FOUR.split("\n\n"))), "out of order"),
    ],
)
def test_why_a_text_is_not_four_sections(text: str, why: str) -> None:
    assert parse(text, SECTIONS) is None
    assert why in explain(text, SECTIONS)


def test_headings_as_the_system_message_names_them() -> None:
    assert headings(["A", "B / C"]) == "### A, ### B / C"


def test_the_fingerprint_follows_what_an_adapter_reads() -> None:
    base = prompt_fingerprint(Prompt(), AnswerPart(), 5, "template")
    assert base == prompt_fingerprint(Prompt(), AnswerPart(max_new_tokens=7, temperature=1), 5, "template")
    others = [
        prompt_fingerprint(Prompt(system="Other {sections}"), AnswerPart(), 5, "template"),
        prompt_fingerprint(Prompt(), AnswerPart(sections=["One"]), 5, "template"),
        prompt_fingerprint(Prompt(), AnswerPart(), 4, "template"),
        prompt_fingerprint(Prompt(), AnswerPart(), 5, "another"),
    ]
    assert len({base, *others}) == 5


def test_messages_are_plain_data() -> None:
    messages = render("How?", ["x"], Prompt(), AnswerPart())
    assert json.loads(json.dumps(messages)) == messages
