"""The entry that an answer is held to: its passages come first, its call is written for it, no other is named."""

import pytest
import tiny_lm
from llguidance import LLMatcher
from pydantic import ValidationError

from copilot.answering.answer import Answerer
from copilot.answering.focus import call_of
from copilot.answering.ranking import focused
from copilot.config import AnswerPart, Prompt
from copilot.model.constrain import Vocabulary
from copilot.model.load import load_model
from copilot.prompt.grammar import answer_grammar
from copilot.types import Chunk, Hit, Message

DELETE = (
    "## Delete a contact\n\n`DELETE /v2/contacts/{contactId}` removes a contact.\n\n"
    "It leaves its lists. See `GET /v2/lists`."
)
MORE = "A deleted contact is gone at once. Nobody can bring a deleted contact back."
RESTORE = "## Restore a contact\n\n`POST /v2/contacts/{contactId}/restore` takes a contact out of the bin."
GUIDE = "## About contacts\n\nA contact is a person. It has a phone number."
QUESTION = "How do I delete a contact?"


def hit(text: str, title: str, start: int = 0, score: float = 0.5) -> Hit:
    return Hit(Chunk("contacts.md", "Contacts", f"Contacts › {title}", None, start, start + len(text), text), score)


HITS = [
    hit(RESTORE, "Restore a contact", 900),
    hit(MORE, "Delete a contact", 400),
    hit(GUIDE, "About contacts", 1500),
    hit(DELETE, "Delete a contact"),
]


def test_the_passages_of_the_entry_come_first_as_the_document_has_them() -> None:
    assert focused(QUESTION, HITS) == [HITS[3], HITS[1], HITS[0], HITS[2]]
    assert focused(QUESTION, focused(QUESTION, HITS)) == [HITS[3], HITS[1], HITS[0], HITS[2]]
    assert focused(QUESTION, []) == []


def test_the_call_is_that_of_the_entry_and_others_are_not_to_be_named() -> None:
    focus = call_of(QUESTION, HITS)
    assert focus is not None and focus.call == "Call `DELETE /v2/contacts/{contactId}`."
    other = "POST /v2/contacts/{contactId}/restore"
    names = ["contactId", "GET /v2/lists", "/v2/contacts/{contactId}", other, "and/or"]
    assert focus.own(names) == ["contactId", "GET /v2/lists", "/v2/contacts/{contactId}", "and/or"]
    assert focus.own(["https://api.example/v9/other", "/v2/contacts/{contactId}/restore"]) == []


def test_an_entry_without_a_call_leaves_everything_open() -> None:
    assert call_of("What is a contact, and which phone number has a person?", [HITS[2]]) is None
    assert call_of(QUESTION, []) is None


class Listener:
    """A generator that keeps the grammars it is given, and writes one text."""

    reused = 0

    def __init__(self, text: str) -> None:
        self.text, self.grammars = text, []

    def stream(self, messages: list[Message], grammar: str | None = None):
        self.grammars.append(grammar)
        yield self.text

    def count(self, messages: list[Message]) -> int:
        return 1

    def count_text(self, text: str) -> int:
        return 1


def grammar_for(config: AnswerPart, hits: list[Hit]) -> str:
    said = Listener("### Summary\nA.\n\n### Steps\nB.")
    Answerer(said, lambda question: hits, Prompt(), config, "tiny", None).ask(QUESTION)
    return said.grammars[0]


def test_the_second_section_begins_with_the_call_and_the_first_does_not_name_another(tmp_path) -> None:
    config = AnswerPart(sections=["Summary", "Steps"], calls="entry", refuse=False)
    loaded = load_model(tiny_lm.model_config(tiny_lm.save_model(tmp_path)))
    vocabulary = Vocabulary(loaded.tokenizer, loaded.model.config.vocab_size, {loaded.tokenizer.eos_token_id})

    def accepted(text: str, grammar: str) -> bool:
        matcher = LLMatcher(vocabulary.engine, LLMatcher.grammar_from_lark(grammar))
        assert not matcher.is_error(), matcher.get_error()[:300]
        ids = loaded.tokenizer.encode(text, add_special_tokens=False)
        return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()

    held, free = grammar_for(config, HITS), grammar_for(AnswerPart(sections=["Summary", "Steps"]), HITS)
    begun = "### Summary\nIt removes a contact.\n\n### Steps\nCall `DELETE /v2/contacts/{contactId}`."
    other = "### Summary\nSee `POST /v2/contacts/{contactId}/restore`.\n\n### Steps\n"
    own = "### Summary\nSee `GET /v2/lists`.\n\n### Steps\n"
    for more in ("", " It leaves its lists.", " `contactId` is a name.", "\n1. It leaves.\n2. `contactId`"):
        assert accepted(begun + more, held)
    for more in ("It leaves.", " 1. It leaves."):
        assert not accepted(begun + more, held)
    call = "Call `DELETE /v2/contacts/{contactId}`."
    assert accepted(own + call, held) and not accepted(own + "It leaves its lists.", held)
    assert not accepted(other + call, held) and accepted(other + call, free)
    assert accepted(begun.partition("Call")[0] + "It has a phone number.", grammar_for(config, [HITS[2]]))
    assert not accepted(other.replace("`", "") + call, held) and accepted(other.replace("`", "") + call, free)


def test_a_call_can_begin_free_prose_too() -> None:
    assert "\n- `" not in answer_grammar(["A", "B"], None, False, None, (), {1: "Call `x`."})
    assert 'section1: "### B" "\\n" "Call `x`." (" " further)? ("\\n" line)' in answer_grammar(
        ["A", "B"], ["x"], False, None, (), {1: "Call `x`."}
    )


@pytest.mark.parametrize(
    "given", [{"refuse": True}, {"enforce": "structure"}, {"enforce": "off"}, {"sections": ["Summary"]}]
)
def test_what_does_not_go_with_it_is_told(given: dict) -> None:
    with pytest.raises(ValidationError, match="calls: entry needs refuse: false"):
        AnswerPart(**{"calls": "entry", "refuse": False, **given})
