"""From a question to a finished Answer: hits, sources, sections, and the keys of `--json`."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from tiny_lm import hit, response

from copilot.answering.answer import Answerer, loose_sections
from copilot.answering.filling import Filling
from copilot.config import SECTIONS, AnswerPart, Prompt
from copilot.model.generator import Generated
from copilot.types import Hit, Message, Section

HITS = [hit("One.", "a.md", "Guide › Contacts"), hit("Two.", "b.pdf", "", 3), hit("Three.", "a.md", "Guide › Contacts")]


class Scripted:
    """A generator that says what it is told, word by word, and keeps the prompts."""

    def __init__(self, text: str) -> None:
        self.text, self.prompts = text, list[Sequence[Message]]()
        self.grammars: list[str] = []
        self.reused = 0

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        self.prompts.append(messages)
        self.grammars += [grammar] if grammar else []
        yield ""
        yield from self.text.splitlines(keepends=True)

    def batch(
        self,
        prompts: Sequence[Sequence[Message]],
        step: Callable[[int], None],
        grammars: Sequence[str] | None = None,
    ) -> list[Generated]:
        self.prompts += prompts
        self.grammars += grammars or []
        step(len(prompts))
        return [Generated(self.text.strip(), self.count(p), self.count_text(self.text)) for p in prompts]

    def count(self, messages: Sequence[Message]) -> int:
        return sum(len(m["content"].split()) for m in messages)

    def count_text(self, text: str) -> int:
        return len(text.split())


def answerer(text: str, hits: list[Hit] | None = HITS, adapter: str | None = None) -> tuple[Answerer, Scripted]:
    said = Scripted(text)
    retrieve = None if hits is None else lambda question: hits
    return Answerer(said, retrieve, Prompt(), AnswerPart(), "tiny", adapter), said


def test_grammar_names_what_the_passages_and_the_question_hold() -> None:
    asked, said = answerer(response(1))
    asked.ask("What is maxRings?")
    asked.ask_all(["And `bell_id`?"])
    free, silent = answerer(response(1), hits=None)
    free.ask("What is maxRings?")
    assert all(f'"### {title}"' in grammar for grammar in said.grammars + silent.grammars for title in SECTIONS)
    assert '"maxRings"' in said.grammars[0] and '"bell_id"' in said.grammars[1] and '"maxRings"' not in said.grammars[1]
    assert "NAME: /" in silent.grammars[0]  # nothing to check a name against
    off = replace(asked, config=AnswerPart(enforce="off"))
    off.ask("What is maxRings?")
    assert len(said.grammars) == 2


def test_answer_has_text_sections_hits_and_usage() -> None:
    asked, said = answerer(f"\n{response(1)}\n", adapter="outputs/adapter")
    pieces: list[str] = []
    answer = asked.ask("How?", pieces.append)
    assert answer.text == response(1) == "".join(pieces).strip()
    assert tuple(s.title for s in answer.sections) == SECTIONS and all(s.text for s in answer.sections)
    assert answer.hits == tuple(HITS) and (answer.model, answer.adapter) == ("tiny", "outputs/adapter")
    assert answer.usage.prompt_tokens == said.count(said.prompts[0]) > 0
    assert answer.usage.completion_tokens == len(response(1).split())
    assert 0 < answer.usage.seconds_to_first_token <= answer.usage.seconds


def test_json_has_the_promised_keys_in_order() -> None:
    asked, _ = answerer(response(1))
    data = json.loads(json.dumps(asked.ask("How?").to_json()))
    before = ["question", "answer", "sections", "hits", "model", "adapter", "usage"]
    assert list(data) == [*before, "sources", "findings", "abstained", "glossary", "asked_as", "note"]
    assert [list(s) for s in data["sections"]] == [["title", "text", "citations", "filled"]] * 4
    assert list(data["hits"][0]) == ["document", "heading", "page", "start", "end", "score", "text"]
    usage = ["prompt_tokens", "completion_tokens", "seconds_to_first_token", "seconds", "prompt_tokens_reused"]
    assert list(data["usage"]) == usage
    assert data["question"] == "How?" and data["answer"] == response(1) and data["adapter"] is None
    first = {"document": "a.md", "heading": "Guide › Contacts", "page": None, "start": 0, "end": 4, "score": 0.5}
    assert data["hits"][0] == {**first, "text": "One."} and data["hits"][1]["page"] == 3


def test_an_answer_carries_its_citations_sources_and_findings() -> None:
    passages = [hit("A bell rings loudly in the evening hours.", "b.txt", "Bells"), hit("`doorId` names a door.")]
    parts = ("It names `doorId`.", "Send it.", "- Nothing.", "- Send `lampId`.")
    text = "\n\n".join(f"### {title}\n{part}" for title, part in zip(SECTIONS, parts, strict=True))
    asked, _ = answerer(text, passages)
    pieces: list[str] = []
    answer = asked.ask("How?", pieces.append)
    assert answer.text == text and answer.marked == "".join(pieces) != text
    assert answer.marked.replace(" [1]", "") == text and answer.marked.count("[1]") == 1
    data = json.loads(json.dumps(answer.to_json()))
    end = len(passages[1].chunk.text)
    cited = {"number": 1, "hit": 1, "document": "guide.md", "start": 0, "end": end, "line": None}
    assert [s["citations"] for s in data["sections"]] == [[cited], [], [], []]
    assert [(s["number"], s["document"], s["hits"], s["cited"]) for s in data["sources"]] == [
        (1, "guide.md", [1], True),
        (2, "b.txt", [0], False),
    ]
    assert {"kind": "identifier", "text": "lampId", "section": SECTIONS[3]} in data["findings"]
    assert all(f["text"] != "doorId" for f in data["findings"])
    (many,) = asked.ask_all(["How?"])
    assert (many.citations, many.sources, many.marked) == (answer.citations, answer.sources, answer.marked)
    assert many.findings == answer.findings


def test_numbers_of_passages_that_the_model_writes_are_no_markers() -> None:
    """The prompt numbers its passages by rank, the list of sources by first use: a number of the model's misleads."""
    passages = [hit("A bell rings loudly in the evening hours.", "b.txt", "Bells"), hit("`doorId` names a door.")]
    parts = ("It names `doorId` [2].", "Send it.[1][2] Read `a [1]` [9].", "- Nothing", "- Send `doorId`, see [1, 2]")
    text = "\n\n".join(f"### {title}\n{part}" for title, part in zip(SECTIONS, parts, strict=True))
    asked, _ = answerer(text, passages)
    for free in (asked, replace(asked, config=AnswerPart(enforce="off"))):
        pieces: list[str] = []
        one, (many,) = free.ask("How?", pieces.append), free.ask_all(["How?"])
        wanted = ["It names `doorId`.", "Send it. Read `a [1]` [9].", "- Nothing", "- Send `doorId`, see"]
        assert [part.text for part in one.sections] == wanted
        assert one.text == many.text and one.marked == "".join(pieces) == many.marked
        assert one.marked.count("[1]") == 3 and "`doorId`. [1]\n" in one.marked and "[2]" not in one.marked
        assert one.usage.completion_tokens == len(text.split())


def test_many_answers_equal_single_ones() -> None:
    asked, _ = answerer(response(2))
    told: list[int] = []
    one, two = asked.ask_all(["How?", "Why?"], told.append)
    assert sum(told) == 2
    for answer, single in ((one, asked.ask("How?")), (two, asked.ask("Why?"))):
        assert (answer.question, answer.text, answer.sections) == (single.question, single.text, single.sections)
        assert answer.hits == single.hits and answer.usage.prompt_tokens == single.usage.prompt_tokens
        assert answer.usage.completion_tokens == single.usage.completion_tokens
    assert asked.ask_all([]) == []


def test_a_section_without_a_new_word_is_filled_and_the_json_tells_which() -> None:
    passage = "The number is checked first. Numbers of more than 15 digits are refused."
    written = response(1).split("\n\n")
    written[1] = f"{written[1]} {written[1].splitlines()[1]}"  # what is said twice in one section is no hole
    written[3] = f"### {SECTIONS[3]}\n{written[0].splitlines()[1]}"
    asked, _ = answerer("\n\n".join(written), [hit(passage, "a.md", "Guide › Numbers")])
    served = replace(asked, fill=Filling)
    one, (many,) = served.ask("Why is my number refused?"), served.ask_all(["Why is my number refused?"])
    assert one.text == many.text and one.filled == many.filled == (SECTIONS[3],)
    assert one.sections[3].text == "- Numbers of more than 15 digits are refused."
    assert [part["filled"] for part in one.to_json()["sections"]] == [False, False, False, True]
    assert one.usage.completion_tokens == many.usage.completion_tokens == len(" ".join(written).split())
    free = replace(served, config=AnswerPart(enforce="off")).ask("Why is my number refused?")
    assert free.filled is None and free.text == "\n\n".join(written)
    bare = asked.ask("Why is my number refused?")  # without a rule to fill by
    assert bare.filled is None and bare.sections[3].text == f"Nothing further is said under “{SECTIONS[3]}”."


def test_what_was_broken_off_is_shown_as_the_answer_holds_it() -> None:
    passage = "Webhooks are clearly marked. | `durationMs` | part of the address |"
    bodies = (
        "It rings. Webhooks are cle",
        "Webhooks are cle",
        "- `durationMs`: webhooks are\n- Is the",
        "- Send it.\n- The",
    )
    text = "\n\n".join(f"### {title}\n{body}" for title, body in zip(SECTIONS, bodies, strict=True))
    asked, _ = answerer(text, [hit(passage)])
    pieces: list[str] = []
    one, (many,) = asked.ask("How?", pieces.append), asked.ask_all(["How?"])
    kept = ["It rings.", "Webhooks are…", "- `durationMs`: webhooks are…", "- Send it."]
    assert [part.text for part in one.sections] == kept and one.findings == ()
    assert "".join(pieces) == one.marked and one.text == many.text and one.marked.replace(" [1]", "") == one.text
    off = replace(asked, config=AnswerPart(enforce="off")).ask("How?")
    assert off.text == text, "a text that is not held to anything is shown as it is"


def test_prompt_holds_the_hits_in_order_and_none_without_retrieval() -> None:
    asked, said = answerer(response(1))
    asked.ask("How?")
    user = said.prompts[0][1]["content"]
    assert 0 < user.index("[1] Guide › Contacts\nOne.") < user.index("[2] Guide\nTwo.") < user.index("Question: How?")
    asked, said = answerer(response(1), hits=None)
    answer = asked.ask("How?")
    assert answer.hits == () and said.prompts[0][1]["content"] == "Question: How?"
    assert said.prompts[0][0]["content"].startswith("You explain technical topics")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Just text.\nMore.", [("", "Just text.\nMore.")]),
        ("Before.\n### Summary\nA.\n### Other\nB.", [("", "Before."), ("Summary", "A."), ("Other", "B.")]),
        ("### Summary\n\n### How it works\nB.", [("Summary", ""), ("How it works", "B.")]),
        ("### Summary\nA.\n### Summary\nB.", [("Summary", "A."), ("Summary", "B.")]),
        ("", []),
    ],
)
def test_sections_of_a_broken_shape_are_shown_as_they_are(text: str, expected: list[tuple[str, str]]) -> None:
    assert loose_sections(text) == tuple(Section(*pair) for pair in expected)
    asked, _ = answerer(text)
    answer = asked.ask("How?")
    assert answer.sections == loose_sections(text) and answer.text == text
    assert answer.usage.completion_tokens == len(text.split())
