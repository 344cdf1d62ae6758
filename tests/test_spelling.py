"""A question in words that the documents write otherwise; the same in theirs, out."""

import pytest

from copilot.knowledge.lexical import Lexical
from copilot.knowledge.spelling import Spelling

PASSAGES = [
    "Settings\nChoose a new password under the settings. Notifications come at night. The e-mail address is yours.",
    "Certificates\nWe are certified to ISO 27001. Sign in by single sign-on. A dead letter queue keeps what failed.",
    "Network\nA timeout of the web server. A webhook calls you. IPv6 is off. `lastError` tells the last error.",
    "Safety\nTwo-factor authentication is for access to production. A connection failed. An invoice comes by post.",
]
ENGLISH = {"mail", "set", "reset", "error", "connection", "invoice", "where", "find", "call", "last"}
ENGLISH |= {"colleague", "college", "napier", "logged", "authorised", "employee", "employer"}


def mended(question: str) -> str | None:
    return Spelling(Lexical(PASSAGES).vocabulary, lambda: PASSAGES, ENGLISH.__contains__).mended(question)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("I forgot my pasword", "I forgot my password"),  # a letter is missing,
        ("turn off notificatoins", "turn off notifications"),  # two changed places,
        ("too many conections", "too many connections"),  # of which the documents have one
        ("new adresss", None),  # two letters
        ("new e-mail adress", "new e-mail address"),
        ("Is it ISO27001?", "Is it ISO 27001?"),
        ("restart the webserver", "restart the web server"),
        ("set a time out", "set a timeout"),
        ("How do I call a web-hook?", "How do I call a webhook?"),
        ("IP v6", "IPv6"),
        ("SSO", "single sign-on"),
        ("What is the DLQ?", "What is the dead letter queue?"),
        ("2FA", "Two-factor authentication"),
        ("reset pwd", "reset password"),
        ("invite a colleage", "invite a colleague"),  # which no document holds
        ("ask the collaegue", "ask the colleague"),
        ("get access to prod", "get access to production"),
    ],
)
def test_words_that_the_documents_write_otherwise(asked: str, found: str | None) -> None:
    assert mended(asked) == found


@pytest.mark.parametrize(
    "asked",
    [
        "Where do I find my invoices?",  # another form of their word
        "Is mailing possible?",  # a word of the language, one letter from "failing"
        "the last error",  # `lastError` is an identifier
        "the web server",
        "VPN",  # nothing has these initials
        "new repo",  # they hold no repository
        "PS014",
        "send it to zapier",  # a name
        "who loggd in",  # too short to say
        "each employe",  # an employee, or an employer
        "authorise it",  # a form of it is known
        "",
    ],
)
def test_what_is_right_or_unknown_stays(asked: str) -> None:
    assert mended(asked) is None


def test_the_passages_are_not_read_for_a_question_in_their_words() -> None:
    def unread() -> list[str]:
        raise AssertionError("read")

    spelling = Spelling(Lexical(PASSAGES).vocabulary, unread, ENGLISH.__contains__)
    assert spelling.mended("How do I choose a new password?") is None
