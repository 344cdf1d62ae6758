"""Answers with names, addresses and numbers that their passages hold or do not; the findings held."""

import json
from pathlib import Path

import pytest
from tiny_lm import hit

from copilot.answering.answer import loose_sections
from copilot.answering.check import check
from copilot.answering.identifiers import in_text
from copilot.answering.numbers import amounts, unheld
from copilot.config import SECTIONS, AnswerPart
from copilot.config_file import load_config
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.model.dataset import read_examples, read_questions
from copilot.prompt.sections import parse
from copilot.types import Finding, Hit, Section

PASSAGE = (
    "`POST /v2/contacts` makes a contact from `email` and `list_id`. See https://docs.example.com/contacts/new. "
    "At most 200 requests per minute; a file has up to 5 MB and 1,000 rows. Keys end after 30 days. "
    "The default of `wait` is 60 seconds. Settings stand in conf/app.yaml. "
    "Retry three times, then write to help@example.com.\n"
    "| Limit | MB |\n|---|---|\n| Image | 12 |\n"
)


def found(body: str, question: str = "How?") -> list[tuple[str, str]]:
    """(kind, text) of what is found in an answer with `body` in its second section, which they must all name."""
    texts = ("It does.", body, "- none", "- none")
    text = "\n\n".join(f"### {title}\n{part}" for title, part in zip(SECTIONS, texts, strict=True))
    sections = parse(text, SECTIONS)
    assert sections is not None
    findings = check(text, sections, [hit(PASSAGE)], question, AnswerPart())
    assert all(f.section == SECTIONS[1] for f in findings)
    return [(f.kind, f.text) for f in findings]


@pytest.mark.parametrize(
    "body",
    [
        "Call `POST /v2/contacts` with `email` and list_id.",
        "Read https://docs.example.com/contacts/new, or (https://docs.example.com/contacts).",
        "Write to help@example.com and edit conf/app.yaml.",
        "1. Send it.\n2. Wait.\n3. Minutes later, look again.",
        "At most 200 requests each minute, 5MB, 1000 rows, thirty days or 30-day keys.",
        "It waits 1 minute, that is 60000 ms.",  # 60 seconds
        "An image has 12 MB.",  # the unit stands in the table's head
        "Retry 3 times.",
        "Keys end after thirty days or 720 hours; it waits one minute; at most two hundred requests per minute.",
        "A well-kept, up-to-date and two-letter word in so-called kebab-case is English.",
        "These two fields, one day, in a few seconds, 24/7, since 2024, step 9.",
    ],
)
def test_what_the_passages_hold_is_no_finding(body: str) -> None:
    assert found(body) == []


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("Set `listId`.", [("identifier", "listId")]),
        ("Set listId and list_ids in your own words.", [("identifier", "listId"), ("identifier", "list_ids")]),
        ('Send\n```json\n{"listName": 1, "email": "x"}\n```', [("identifier", "listName")]),
        ("Call `DELETE /v2/contacts`.", [("path", "DELETE /v2/contacts")]),
        ("Call POST /v2/lists.", [("path", "POST /v2/lists")]),
        ("It answers status 418.", [("identifier", "418")]),
        ("See https://docs.example.com/lists/new.", [("url", "https://docs.example.com/lists/new")]),
        ("See https://docs.example.com/cont.", [("url", "https://docs.example.com/cont")]),
        ("See www.example.org or me@example.org.", [("url", "www.example.org"), ("url", "me@example.org")]),
        ("Edit conf/other.yaml.", [("path", "conf/other.yaml")]),
        ("Keys end after 90 days.", [("number", "90 days")]),
        ("Keys end after ninety days.", [("number", "ninety days")]),
        ("Keys end after 30 minutes.", [("number", "30 minutes")]),  # the number alone is not enough
        ("Keys end after `90` days.", [("identifier", "90"), ("number", "90 days")]),
        ("Up to 50 MB, $5 or 15 %.", [("number", "50 MB"), ("number", "$5"), ("number", "15 %")]),
        ("200 to 300 requests.", [("number", "300 requests")]),
        ("The default is 45.", [("number", "45")]),
        ("It takes two minutes.", [("number", "two minutes")]),
        ("Wait half an hour.", [("number", "half an hour")]),
        ("Two dozen contacts.", [("number", "Two dozen contacts")]),
        ("Send Idempotency-Key and X-Trace.", [("identifier", "Idempotency-Key"), ("identifier", "X-Trace")]),
        ("Add --dry-run, or use eu-west-1.", [("identifier", "--dry-run"), ("identifier", "eu-west-1")]),
        ("Set `retry-count` of listId-based rules.", [("identifier", "retry-count"), ("identifier", "listId")]),
        ("Sends at most twenty-five.", [("number", "twenty-five")]),
        ("2,000 rows and 2,000 rows.", [("number", "2,000 rows")]),
    ],
)
def test_what_they_do_not_hold_is_told_once(body: str, wanted: list[tuple[str, str]]) -> None:
    assert found(body) == wanted


def test_the_question_counts_as_held() -> None:
    assert found("Set `listId` to 90 days.", "May I set `listId` to 90 days?") == []


def test_structure_and_what_stands_outside_the_sections() -> None:
    text = "### Summary\nIt does.\n\n### Use `madeUp`\nGo."
    assert check(text, loose_sections(text), [hit(PASSAGE)], "How?", AnswerPart()) == (
        Finding("structure", ", ".join(f"`### {t}`" for t in SECTIONS[1:]).join(("missing ", "")), ""),
        Finding("identifier", "madeUp", "Use `madeUp`"),
    )
    alone = check(text, loose_sections(text), None, "How?", AnswerPart())  # nothing to compare with
    assert [f.kind for f in alone] == ["structure"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1,000 1 000 10k rows", [1000, 1000, 10_000]),
        ("two dozen rows, a dozen, half an hour", [0.5, 24, 12]),
        ("one hundred, two thousand, twenty-five, 1.5 million", [100, 2000, 25, 1_500_000]),
        ("v2 and A3 and #4 and step5", []),
        ('{"a": 30, "b":7}', [30, 7]),
        ("the 1990s, 10s", [1990, 10]),
    ],
)
def test_numbers_as_they_are_written(text: str, wanted: list[float]) -> None:
    assert [float(a.number) for a in amounts(text)] == wanted


def test_the_answers_that_people_wrote_have_no_findings(root: Path) -> None:
    """References over the documents that answer them, and every eighth training answer over all: no false alarm."""
    config = load_config(root / "configs" / "tiny.yaml")
    documents = load_documents(config.documents)
    chunks = [Hit(chunk, 0.0) for document in documents for chunk in split(document, config.chunks)]
    rows = [
        (q.question, q.reference, {name for name, _ in q.gold})
        for q in read_questions(Path(config.evaluation.questions))
    ]
    every = {h.chunk.document for h in chunks}
    for name in ("train.jsonl", "tiny.jsonl"):
        examples = read_examples(root / "data" / "sft" / name, SECTIONS)[::8]
        rows += [(e.question, e.response, every) for e in examples]
    facts = 0
    for question, text, wanted in rows:
        sections = parse(text, SECTIONS)
        assert sections is not None
        hits = [h for h in chunks if h.chunk.document in wanted]
        assert check(text, sections, hits, question, config.answer) == (), question
        facts += sum(a.counts for a in amounts(text))
    assert len(rows) > 110 and facts > 80


def test_a_changed_number_is_found(root: Path) -> None:
    """Each fact of the references is changed to a number that no document holds."""
    rows = [json.loads(line) for line in (root / "data/eval/questions.jsonl").read_text("utf-8").splitlines()]
    stated = [a.text for row in rows for a in amounts(row["reference"]) if a.counts and a.text[0].isdigit()]
    given = list(amounts("\n".join(row["reference"] for row in rows)))
    assert len(stated) > 30
    for text in stated:
        number = text.split()[0].rstrip("abcdefghijklmnopqrstuvwxyzMBKG%")
        assert unheld(f"The limit is {text}.", given) == []
        assert unheld(f"The limit is {text.replace(number, '7319', 1)}.", given) != []


def test_numbers_written_without_a_space_are_read() -> None:
    stated = [(amount.text, int(amount.number)) for amount in amounts("onek rows, onehundred cells, seventeen days")]
    assert stated == [("onek rows", 1000), ("onehundred cells", 100), ("seventeen days", 17)]


@pytest.mark.parametrize("text", ["See /:/ there.", "`/.:/` is odd.", "GET /:/ is none."])
def test_punctuation_that_looks_like_a_path_is_no_name(text: str) -> None:
    assert "" not in in_text(text)
    check(text, (Section("Summary", text),), (), "How?", AnswerPart())
