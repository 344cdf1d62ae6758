"""A question in; the question without the words of asking, and the name it asks for alone, out."""

import pytest

from copilot.knowledge.asking import is_name, plain, subject, wordings
from copilot.knowledge.lexical import COMMON


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("What does the batchUpdate endpoint do?", "What does batchUpdate do?"),
        ("What does the /v1/ask endpoint do?", "What does /v1/ask do?"),
        ("Explain the append endpoint in simple terms", "Explain append"),
        ("Could you please explain to me the append endpoint in layman's terms?", "explain append?"),
        ("Explain authentication like I am five", "Explain authentication"),
        ("Explain the batch update to a non-technical person", "Explain the batch update"),
        ("Explain webhooks in simple, non-technical words, please.", "Explain webhooks."),
        ("list all scopes", "What scopes are there?"),
        ("Please list all of the fields of an order.", "What fields of an order are there?"),
        ("Which endpoint do I use to read a document?", "How do I read a document?"),
        ("What is the temperature parameter?", "What is temperature?"),
        ("What is the purpose of the field capture_method?", "What is capture_method?"),
        ("What happens when I get error 409?", "What is error 409?"),
        ("Can you tell me in plain English what clearing a range does?", "what clearing a range does?"),
        ("Hello, can you tell me how to delete a webhook? Thanks in advance!", "how to delete a webhook?"),
    ],
)
def test_the_words_of_asking_are_left_out(asked: str, left: str) -> None:
    assert plain(asked) == left == plain(left)


@pytest.mark.parametrize(
    "asked",
    [
        "What is an endpoint?",
        "Is there a discount for children?",
        "How do I report sick to my boss?",
        "What is the point of sale?",
        "What is the role of the manager?",
        "What is a custom field?",
        "Which parameter shows only the active alerts?",
        "What happens when I delete a contact?",
        "How do I make the header line bold?",
        "How do I list all contacts?",
        "Which endpoint lists all contacts?",
        "What is the API key?",
        "What is the required field?",
        "Explain appending rows",
        "please",
        "",
    ],
)
def test_what_a_question_is_about_stays(asked: str) -> None:
    assert plain(asked) == asked


def test_what_a_question_asks_for_alone() -> None:
    assert subject("What does the error E-NET1 mean?", COMMON) == ("E-NET1",)
    assert subject("What is the purpose of the field capture_method?", COMMON) == ("capture_method",)
    assert subject("DELETE /v3/labels", COMMON) == ("DELETE /v3/labels",)
    assert subject("How do I fix E-NET2 printer jams?", COMMON) == ("fix", "E-NET2", "printer", "jams")
    assert subject("What is the API?", COMMON) == ()
    assert subject("How do I fix E-NET1?", COMMON) == ("E-NET1",)
    assert subject("How do I handle returns?", COMMON) == ("handle", "returns")


def test_everyday_words_are_looked_up_in_words_of_manuals_too() -> None:
    asked = "Can you tell me how to undo a shipment?"
    others = [f"how to {word} a shipment?" for word in ("undo", "cancel", "withdraw", "bring back")]
    assert wordings(asked) == (asked, *others)
    assert wordings("kick a member out")[1:] == ("remove a member?",)
    assert wordings("How do I kick out someone?")[1:] == ("How do I remove someone?",)
    assert wordings("How do I cancel a shipment?") == ("How do I cancel a shipment?",)


@pytest.mark.parametrize("asked", ["reset password", "reset password ", "Is it free", "Explain `append`"])
def test_what_is_asked_without_a_question_mark_is_looked_up_with_one(asked: str) -> None:
    assert wordings(asked) == (f"{asked.rstrip()}?",), asked


@pytest.mark.parametrize("asked", ["Is it free?", "It is gone.", "Help!", "It said “why?”", "", " "])
def test_a_mark_at_the_end_stays_the_only_one(asked: str) -> None:
    assert wordings(asked) == (asked,)


def test_a_name_has_a_shape_of_its_own() -> None:
    names = "E-NET2 PS099 404.3 418 retention_days batchUpdate --in-place /v1/ask X-Fox-Signature PAUSED PL-8 pf_test_"
    assert all(map(is_name, names.split()))
    assert not any(map(is_name, ["threads", "sign-in", "Wi-Fi", "API", "GDPR", "4", "30", "2FA", "Retention", "e.g"]))
