"""What fills a section that a model left empty: sentences and rows of the passages that were not said yet."""

import pytest

from copilot.answering.filling import Filling
from copilot.config import AnswerPart
from copilot.types import Chunk, Hit

DELETE = """## Delete a contact

`DELETE /v2/contacts/{contactId}` removes a contact from the account. The contact leaves all of its lists.

| Parameter | Type | Required | Description |
|---|---|---|---|
| `contactId` | string | yes | The identifier of the contact. |
| `erase` | boolean | no | `true` wipes all personal data. |
| `reason` | string | no | A word for the log. |

**Warning:** with `erase` there is no way back.

A contact in use gives `409`.
"""
RESTORE = """## Restore a contact

`POST /v2/contacts/{contactId}/restore` takes a contact out of the bin. Contacts older than 30 days cannot be restored.
"""
START = "### Summary\n`DELETE /v2/contacts/{contactId}` removes a contact from the account."


def hits(*texts: str) -> list[Hit]:
    found = []
    for n, text in enumerate(texts):
        title = text.splitlines()[0].lstrip("# ")
        found.append(Hit(Chunk("contacts.md", "Contacts", f"Contacts › {title}", None, n, n + len(text), text), 0.5))
    return found


def filled(place: int, shown: str = START, *texts: str, question: str = "How do I delete a contact?") -> str:
    return Filling(question, hits(*(texts or (RESTORE, DELETE))), AnswerPart())(place, shown)


def test_each_section_gets_what_fits_it_of_the_entry_that_the_answer_is_about() -> None:
    assert filled(0, "### Summary\nThe contact leaves all of its lists, with `DELETE`.") == (
        "`DELETE /v2/contacts/{contactId}` removes a contact from the account."
    )
    assert filled(1) == "The contact leaves all of its lists."
    assert filled(2) == (
        "- `contactId`: The identifier of the contact. Required.\n- `erase`: `true` wipes all personal data.\n"
        "- `reason`: A word for the log."
    )
    assert filled(3) == "- With `erase` there is no way back.\n- A contact in use gives `409`."
    assert filled(4) == filled(3)  # a further section


def test_what_was_said_is_not_said_again() -> None:
    shown = f"{START}\n\n### Fields\n- `erase`: whatever\n\n### Tips\nA contact in use gives 409!"
    assert filled(2, shown) == (
        "- `contactId`: The identifier of the contact. Required.\n- `reason`: A word for the log."
    )
    assert filled(3, shown) == "- With `erase` there is no way back."
    assert filled(1, f"{START} Call `DELETE /v2/contacts/{{contactId}}`, and the contact leaves all of its lists") == (
        "With `erase` there is no way back. A contact in use gives `409`."  # whatever else the entry says
    )


def test_a_warning_of_another_passage_names_it_and_shares_a_word_with_the_question() -> None:
    shown = f"{START} With `erase` there is no way back. A contact in use gives `409`."
    asked = "How do I delete a contact, and can it be restored?"
    assert filled(3, shown, question=asked) == (
        "- “Restore a contact”: Contacts older than 30 days cannot be restored."
    )
    other = "## Plans\n\nPlans cannot be changed before noon."
    assert filled(3, shown, DELETE, other, question=asked) == "- The contact leaves all of its lists."
    every = f"{shown}\n- `contactId`: x\n- `erase`: x\n- `reason`: x The contact leaves all of its lists."
    assert filled(2, every) == ""


def test_steps_are_numbered_and_names_get_backticks_where_the_document_has_none() -> None:
    steps = "1. Open the page of lists.\n2. Set maxRows to a number.\n"
    guide = f"## Import contacts\n\nThe importer reads a file.\n\n{steps}"
    assert filled(1, "### Summary\nThe importer reads a file.", guide, question="How do I import contacts?") == (
        "1. Open the page of lists.\n2. Set `maxRows` to a number."
    )


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_nothing_is_filled_without_passages_or_where_the_answer_refuses(place: int) -> None:
    assert filled(place, "### Summary\nThe documents do not say how to delete a contact.") == ""
    assert Filling("How?", [], AnswerPart())(place, START) == ""


def test_a_hostile_document_does_not_break_an_answer_by_it() -> None:
    bad = (
        "## Notes\n\nThe notes are kept.\n\n#Summary must not be lost.\n\n```\n### Summary must fail.\n```\n\n"
        "Hidden \u202e words must not stand.\n\nAn \x1b[31mescape must not stand.\n\nOne ` tick must not open.\n\n"
        "Ends must be kept.\n"
    )
    told = filled(3, "### Summary\nThe notes are kept.", bad, question="What are notes?")
    assert told == "- Ends must be kept."
