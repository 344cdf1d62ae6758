"""The questions of a conversation in; which lean on those before them, and what is asked for them, out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_answer import answerer
from tiny_lm import response

from copilot.serving.conversation import LINKED, leans, reply, standing

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data/eval/followups.jsonl").read_text(encoding="utf-8").splitlines()
]


def test_most_written_follow_ups_are_told_from_questions_that_stand_alone() -> None:
    wrong = [row["question"] for row in ROWS if leans(row["question"]) is not row["leans"]]
    assert len(ROWS) == 40 and sum(row["leans"] for row in ROWS) == 28
    assert wrong == ["What is the earliest start?", "Can I do several at once?"]  # it is no better than that


def test_training_and_held_out_questions_stand_alone(root: Path) -> None:
    asked = [
        json.loads(line)["question"]
        for name in ("data/eval/questions.jsonl", "data/sft/train.jsonl")
        for line in (root / name).read_text(encoding="utf-8").splitlines()
    ]
    assert len(asked) > 200 and sum(leans(question) for question in asked) <= 1


@pytest.mark.parametrize("text", ["And its limit?", "why?", "What about lists?", "Can it be undone?", "How long?", ""])
def test_these_lean(text: str) -> None:
    assert leans(text)


WHOLE = ["What is a webhook?", "What are tags?", "How do I delete a row?", "And how do I delete a row?"]


@pytest.mark.parametrize("text", WHOLE)
def test_these_do_not(text: str) -> None:
    assert not leans(text)


def test_a_follow_up_is_asked_with_the_questions_of_its_topic() -> None:
    first, other = "How do I delete a contact?", "How do I schedule a campaign?"
    assert standing([first]) == first
    assert standing(["And why?"]) == "And why?"  # nothing to lean on
    assert standing([first, " And can it be undone?\n"]) == f"{first} And can it be undone?"
    assert standing([first, "And why?", other]) == other
    assert standing([first, other, "And cancel it?"]) == f"{other} And cancel it?"
    many = [other, *(f"And {n}?" for n in range(9))]
    assert standing(many) == f"{other} And 7? And 8?" and LINKED == 3


def test_the_answer_keeps_the_question_as_it_was_asked() -> None:
    asked, said = answerer(response(1))
    found: list[str] = []
    listening = replace(asked, retrieve=lambda question: found.append(question) or [])  # type: ignore[func-returns-value]
    pieces: list[str] = []
    answer = reply(listening, ["How do I delete a contact?", "And its limit?"], pieces.append)
    assert answer.question == "And its limit?"
    assert found == ["How do I delete a contact? And its limit?"] == [answer.asked_as]
    assert said.prompts[0][-1]["content"].endswith("Question: How do I delete a contact? And its limit?")
    assert "".join(pieces) == answer.text and answer.to_json()["asked_as"] == answer.asked_as
    assert asked.ask("How?").to_json()["asked_as"] is None
