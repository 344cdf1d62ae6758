"""Entries and a judge of sentences in; what is told of two things, of a column, and of all there is, out."""

from collections.abc import Sequence

import pytest
from test_choosing import QUOTED, hit

from copilot.answering.asked import phrase, read_question, stems
from copilot.answering.quoting import offered

PLANS = (
    "## Plans\n\nWork is counted in tokens.\n\n| | Solo | Crew | Fleet |\n|---|---|---|---|\n"
    "| Price | 0 € | 29 € | 119 € |\n| Members | 1 | 10 | 50 |\n| History | 7 days | 30 days | 180 days |\n"
)
ROLES = (
    "## Roles\n\nThere are three roles.\n\n| | Reader | Editor | Owner |\n|---|---|---|---|\n"
    "| Open pages | yes | yes | yes |\n| Change pages | no | yes | yes |\n| Invite people | no | no | yes |\n"
)
KEYS = (
    "## Proving who you are\n\nA counter has to know who asks. The API key is like a house key. "
    "A key is valid for a year. Take the key for your own automation. "
    "Take OAuth whenever somebody else's tool wants access. You ring the bell."
)
KINDS = (
    "## Triggers\n\nThere are four kinds of trigger. Each has a colour.\n\n| Kind | Starts |\n|---|---|\n"
    "| App trigger | when something changes |\n| Timer | at set times |\n| Inbox trigger | when a letter arrives |\n"
    "| Hand trigger | when a member presses it |\n"
)
FIELDS = (
    "## Append a row\n\nAppends a row.\n\n| Field | Description |\n|---|---|\n| `board` | The board. Required. |\n"
    "| `cells` | The values. Required. |\n| `place` | `top` or `bottom`. |\n| `mode` | How values are read. |\n"
)
PRINCIPLES = (
    "## The principles\n\n1. Purpose limitation. Data has one purpose.\n2. Accuracy. Wrong data is mended.\n"
    "3. Accountability. You can prove it.\n"
)


class Odds:
    """Log odds by the first of the given words that a text holds, -4 without one."""

    def __init__(self, **odds: float) -> None:
        self.odds = odds

    def __call__(self, question: str, texts: Sequence[str]) -> list[float]:
        return [next((odds for word, odds in self.odds.items() if word in text), -4.0) for text in texts]


def summary(question: str, text: str, title: str, judge: Odds | None = None) -> str:
    return (offered(question, [hit(text, title)], QUOTED, judge) or [])[0].opening


@pytest.mark.parametrize(
    "question", ["should i use an api key or oauth", "api key vs oauth", "diff between key and OAuth?"]
)
def test_of_two_that_are_compared_a_sentence_about_each_is_told(question: str) -> None:
    judge = Odds(**{"Take the key": 3.0, "Take OAuth": -0.3, "house": 2.5, "counter": -0.4})
    told = summary(question, KEYS, "Proving who you are", judge)
    assert told == "Take the key for your own automation. Take OAuth whenever somebody else's tool wants access."


def test_a_sentence_about_both_is_told_first() -> None:
    text = "## Bells\n\nSuppose you wait. Bells are faster than asking. "
    text += "Asking works without a network. The door is open all day."
    told = summary("bells vs asking", text, "Bells", Odds(faster=3.0, network=2.0))
    assert told == "Bells are faster than asking."
    told = summary("bells vs asking", text, "Bells", Odds(faster=3.0, network=4.0))
    assert told == "Bells are faster than asking. Asking works without a network.", "in the order of the document"


def test_two_columns_that_are_compared_are_told_of_each_row() -> None:
    told = summary("compare the crew and the fleet plan", PLANS, "Plans")
    assert told == (
        "Price: Crew: 29 €; Fleet: 119 €. Members: Crew: 10; Fleet: 50. History: Crew: 30 days; Fleet: 180 days."
    )


def test_a_column_that_is_asked_for_is_told_whole() -> None:
    assert summary("what can an editor do", ROLES, "Roles") == (
        "Editor: yes for Open pages and Change pages; no for Invite people."
    )
    assert summary("what is in crew", PLANS, "Plans") == "Crew: Price: 29 €; Members: 10; History: 30 days."
    assert "Editor: yes for" not in summary("can an editor invite people", ROLES, "Roles"), "that row alone"


def test_who_asks_for_all_is_told_their_names() -> None:
    judge = Odds(kinds=5.0)
    assert summary("what kinds of triggers are there?", KINDS, "Triggers", judge) == (
        "Triggers. There are four kinds of trigger. Listed below: App trigger, `Timer`, Inbox trigger and Hand trigger."
    ).replace("`Timer`", "Timer")
    assert summary("list the principles", PRINCIPLES, "The principles") == (
        "Listed below: Purpose limitation, Accuracy and Accountability."
    )
    assert summary("which fields are required to append a row?", FIELDS, "Append a row") == (
        "Appends a row. Required: `board` and `cells`."
    )
    assert "Listed below" not in summary("when does the timer start?", KINDS, "Triggers", judge)


def test_a_sentence_that_names_several_is_told_to_who_asks_for_all() -> None:
    text = "## It\n\nThe things you ask for are resources. Inn has three: rooms, guests and bills. Doors are open."
    judge = Odds(things=1.3, rooms=0.6)
    assert summary("which resources does Inn have?", text, "It", judge) == (
        "The things you ask for are resources. Inn has three: rooms, guests and bills."
    )


@pytest.mark.parametrize(
    ("question", "lists"),
    [
        ("list all error codes", True),
        ("What kinds of sparks are there?", True),
        ("which comparisons can a gate use", True),
        ("what are the steps", True),
        ("show me all limits", True),
        ("what happens if a run fails", False),
        ("what is the status of an order", False),
        ("do i have to send all fields again", False),
        ("how do I list contacts", False),
    ],
)
def test_what_asks_for_the_names_of_all(question: str, lists: bool) -> None:
    assert read_question(question, ()).lists is lists


def test_an_amount_is_no_error() -> None:
    text = (
        "## Chat\n\nMurmur is a chat. Files may be up to 25 MB.\n\n| Error | Meaning |\n|---|---|\n"
        "| `text_too_long` | The message is longer than 4,000 letters. |\n| `room_gone` | The room was closed. |\n"
    )
    judge = Odds(**{"25 MB": 2.0, "too_long": 4.0})
    assert summary("how big may a file be?", text, "Chat", judge) == "Files may be up to 25 MB."
    assert "too_long" in summary("why is my message refused?", text, "Chat", judge)


def test_what_is_no_answer_does_not_stand_before_an_error() -> None:
    text = (
        "## Chat\n\nMurmur is a chat. It has rooms.\n\n| Error | Meaning |\n|---|---|\n"
        "| `room_gone` | The room was closed. |\n| `busy` | Too many letters. |\n"
    )
    told = summary("what if somebody closed the room?", text, "Chat", Odds(gone=3.0))
    assert told == "`room_gone`: The room was closed."


def test_what_stands_out_is_told_though_it_is_not_sure() -> None:
    text = "## Licence\n\nThe licence is yellow. The month after, pages are read only. A grace period is short."
    assert summary(
        "what happens when the licence ends?", text, "Licence", Odds(read=-0.2, yellow=-2.0, grace=-1.3)
    ) == ("The month after, pages are read only.")
    near = summary("what happens when the licence ends?", text, "Licence", Odds(read=-0.2, yellow=-2.0, grace=-0.5))
    assert near == "The licence is yellow.", "another one is as good"


def test_a_sentence_about_the_one_before_is_told_with_it() -> None:
    text = "## Queue\n\nSee how long it is. Check whether the workers run. If so, add workers. If one fails, call."
    told = summary("what if it grows though workers run?", text, "Queue", Odds(add=3.0))
    assert told == "Check whether the workers run. If so, add workers."


def test_a_second_question_without_words_of_its_own_is_read_with_the_first() -> None:
    read: list[str] = []

    def judge(question: str, texts: Sequence[str]) -> list[float]:
        read.append(question)
        return [0.0 for _ in texts]

    asked = read_question("why does it come twice and what can I do?", (), judge)
    assert asked.judge and asked.second and asked.second.judge
    asked.judge([""]), asked.second.judge([""])
    assert read == ["why does it come twice", "why does it come twice and what can I do?"]


def test_names_of_few_capitals_are_one_word() -> None:
    assert stems("OAuth APIs") == ["oauth", "api"] and phrase("an OAuth key") == " oauth key "
    assert stems("apiKey APIKey") == ["api", "key"]


def test_sides_of_one_noun_and_three_that_differ() -> None:
    text = "## Keys\n\nKeys are long. A full key may do all. A viewer key may only read. Never lend a key to anybody."
    judge = Odds(full=2.0, viewer=1.0, lend=3.0)
    told = summary("difference between a full and a viewer key", text, "Keys", judge)
    assert told == "A full key may do all. A viewer key may only read."
    text = "## People\n\nPeople may go. Pause keeps the name. Erase wipes the name. Remove is between."
    told = summary("pause or erase, whats the difference", text, "People", Odds(keeps=2.0, wipes=1.0))
    assert told == "Pause keeps the name. Erase wipes the name."


def test_yes_and_no_stay_before_what_is_told() -> None:
    text = "## May a child join?\n\nYes, with a parent. The account sleeps until then. Under 13, none is possible."
    judge = Odds(parent=-1.0, possible=2.0)
    told = summary("can a 15 year old join", text, "May a child join?", judge)
    assert told == "Yes, with a parent. Under 13, none is possible."


@pytest.mark.parametrize(
    "question", ["we're a charity is there a discount", "invitation ran out - do we start over?", "how heavy may it be"]
)
def test_a_direct_question_may_follow_what_it_is_about(question: str) -> None:
    assert read_question(question, ()).direct
