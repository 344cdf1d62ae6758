"""Figures of answers against cases computed by hand, and against the shipped reference answers."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from copilot.config import SECTIONS, Chunks
from copilot.evaluation import metrics, report
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_document
from copilot.types import Answer, Chunk, Hit, Question, Usage

ROOT = Path(__file__).resolve().parents[1]
FOUR = "\n\n".join(f"### {title}\nText of this one." for title in SECTIONS)
PASSAGE = "`GET /v2/lists` returns all lists. Fields: `size`, `page`. An unknown page gives `404`."


def questions() -> list[Question]:
    rows = [json.loads(line) for line in (ROOT / "data/eval/questions.jsonl").read_text("utf-8").splitlines()]
    return [
        Question(
            id=row["id"],
            question=row["question"],
            reference=row["reference"],
            gold=tuple((gold["document"], gold["heading"]) for gold in row["gold"]),
            identifiers=tuple(row["identifiers"]),
            answerable=row["answerable"],
        )
        for row in rows
    ]


def chunk(document: str, heading: str, text: str = PASSAGE) -> Chunk:
    return Chunk(document, "Title", heading, None, 0, len(text), text)


def answer(question: str, text: str, *chunks: Chunk) -> Answer:
    hits = tuple(Hit(c, 0.5) for c in chunks)
    return Answer(question, text, (), hits, "tiny", None, Usage(1, 1, 0.1, 0.2))


def made(answerable: bool = True, **changes: object) -> metrics.Score:
    values: dict[str, object] = {
        "id": "q",
        "answerable": answerable,
        "structure": True,
        "identifier_precision": 1.0,
        "identifier_recall": 1.0,
        "endpoint": True,
        "recall_at_k": 1.0,
        "reciprocal_rank": 1.0,
        "abstained": False,
        "repeats": False,
        "no_findings": True,
        "original": dict.fromkeys(metrics.ORIGINAL, 0.5),
        **changes,
    }
    return metrics.Score(**values, abstention_right=values["abstained"] is not answerable)  # type: ignore[arg-type]


def test_structure() -> None:
    assert metrics.structure(FOUR, SECTIONS)
    assert not metrics.structure("Well.\n" + FOUR, SECTIONS)
    assert not metrics.structure(FOUR + "\n\n### Sources\nHere.", SECTIONS)
    assert not metrics.structure(FOUR.replace("### Summary\nText of this one.", "### Summary\n"), SECTIONS)
    assert not metrics.structure(PASSAGE, SECTIONS)


def test_identifier_precision() -> None:
    assert metrics.identifier_precision("Set `size` and `limit`.", PASSAGE) == 0.5
    # DELETE /v2/lists and DELETE are wrong; /v2/lists, size and 404 are right
    assert metrics.identifier_precision("`DELETE /v2/lists` with `size`, or status 404.", PASSAGE) == 0.6
    assert metrics.identifier_precision("It lists them.", PASSAGE) is None


def test_identifier_recall() -> None:
    gold = ("GET /v2/lists", "size", "page", "listId")
    assert metrics.identifier_recall("Call `GET /v2/lists` with `size`.", gold) == 0.5
    assert metrics.identifier_recall("The size of a page, with listId.", gold) == 0.25  # prose names no `size`
    assert metrics.identifier_recall("Call `POST /v2/lists`.", ("GET /v2/lists",)) == 0.0
    assert metrics.identifier_recall("Anything.", ()) is None


def test_endpoint() -> None:
    gold = ("GET /v2/lists", "size")
    assert metrics.endpoint("Call `GET /v2/lists`.", gold) and metrics.endpoint("A GET to the path `/v2/lists`.", gold)
    assert metrics.endpoint("`POST /v2/lists` adds one, `GET /v2/lists` lists them.", gold)
    for wrong in ("Call `POST /v2/lists`.", "Call `GET /v2/lists/{listId}`.", "Call `/v2/lists`.", "Get `size`."):
        assert metrics.endpoint(wrong, gold) is False, wrong
    assert metrics.endpoint("Call `GET /v2/lists`.", ("size", "GET /v2/lists")) is None
    assert metrics.endpoint("Call `GET /v2/lists`.", ()) is None


def test_ndcg_at_k() -> None:
    hits = [("b.md", "X"), ("a.md", "One › Deep"), ("a.md", "One"), ("a.md", "Two")]
    one, two = ("a.md", "One"), ("a.md", "Two")
    assert metrics.ndcg_at_k(hits[1:], [one]) == 1
    assert metrics.ndcg_at_k(hits, [one]) == pytest.approx(1 / math.log2(3)), "a section counts once"
    best = 1 + 1 / math.log2(3)
    assert metrics.ndcg_at_k(hits, [one, two]) == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / best)
    assert metrics.ndcg_at_k([], [one]) == metrics.ndcg_at_k(hits, [("c.md", "One")]) == 0
    assert metrics.ndcg_at_k(hits, []) is None


def test_recall_at_k_and_reciprocal_rank() -> None:
    hits = [("b.md", "T › One"), ("a.md", "T › Other"), ("a.md", "T › One › Example"), ("a.md", "T › One")]
    assert metrics.recall_at_k(hits, [("a.md", "One"), ("a.md", "Two")]) == 0.5
    assert metrics.reciprocal_rank(hits, [("a.md", "One"), ("a.md", "Two")]) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(hits, [("a.md", "On")]) == metrics.recall_at_k(hits, [("a.md", "On")]) == 0.0
    assert metrics.recall_at_k([], [("a.md", "One")]) == 0.0
    assert metrics.recall_at_k(hits, []) is None and metrics.reciprocal_rank(hits, []) is None


@pytest.mark.parametrize(
    "text",
    [
        "### Summary\nThe documents do not say how.\n\n### How it works\nThey list `size`.",
        "Unfortunately, the provided context doesn't explicitly mention a discount.",
        "I am sorry. There is no information about prices.",
        "Exporting to a chart is not documented.",
        "None of the documents covers labels. Nothing in the docs helps.",
        "This is not described anywhere in the documents.",
        "The context contains no information on this.",
        "I don’t know.",
    ],
)
def test_abstained(text: str) -> None:
    assert metrics.abstained(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "### Summary\nYou can do that.\n\n### How it works\nCall it.\n\n### Tips\nThe documents do not say how fast.",
        "### Summary\nCall `GET /v2/lists`. The documents do not say how long it takes.",
        "A field that is not mentioned keeps its value. The reply does not contain the old one.",
        "If the context does not hold the answer, say so.",
        "This field does not include deleted contacts. A contact has no details then.",
        "Do not say your password to anyone. You cannot undo it.",
        "A field that is not documented is refused. No information is lost.",
    ],
)
def test_not_abstained(text: str) -> None:
    assert not metrics.abstained(text)


def test_repeats() -> None:
    line = "You can set the size of pages."
    assert metrics.repeats(f"{line} Then go on. You can set the SIZE of pages!")
    assert metrics.repeats(f"- {line}\n- {line}")
    assert not metrics.repeats("It is so. It is so. " + line)


def test_original_kpis() -> None:
    kpis = metrics.original_kpis(
        "### Summary\nSet the size now.", "the size", "How is size set?", "Set it now.", SECTIONS
    )
    assert kpis == {
        "structure": 0.25,
        "groundedness": pytest.approx(2 / 5),  # summary set the size now
        "relevance": 1.0,  # size, set
        "reference_overlap": pytest.approx(2 * 2 / (5 + 3)),  # set ... now
        "brevity": 1.0,
    }
    assert metrics.original_kpis("one " * 26, "", "one two", "", SECTIONS)["brevity"] == 0.0
    assert set(metrics.original_kpis("", "", "", "", SECTIONS).values()) == {0.0}


def test_a_copy_of_the_context_is_grounded_and_still_no_answer() -> None:
    question = Question("q", "Which lists?", FOUR, (("a.md", "Lists"),), ("size",), True)
    passage = chunk("a.md", "Title › Lists")
    copied = metrics.score(question, answer("Which lists?", passage.passage, passage), SECTIONS)
    assert copied.original["groundedness"] == copied.identifier_precision == 1.0
    assert not copied.structure and copied.original["structure"] == 0.0


def test_score() -> None:
    question = Question("q", "Which lists?", FOUR, (("a.md", "Lists"),), ("size", "page"), True)
    text = FOUR.replace("Text of this one.", "Set `size` or `limit`.", 1)
    hits = (chunk("a.md", "Title › Other", ""), chunk("a.md", "Title › Lists"))
    got = metrics.score(question, answer("Which lists?", text, *hits), SECTIONS)
    assert (got.structure, got.identifier_precision, got.identifier_recall) == (True, 0.5, 0.5)
    assert (got.recall_at_k, got.reciprocal_rank) == (1.0, 0.5)
    assert (got.abstained, got.abstention_right, got.repeats) == (False, True, False)
    gap = Question("q", "Which lists?", FOUR, (), (), False)
    assert not metrics.score(gap, answer("Which lists?", text, *hits), SECTIONS).abstention_right


@pytest.mark.parametrize("question", questions(), ids=lambda q: q.id)
def test_reference_answers_score_full_marks(question: Question) -> None:
    found = []
    for document, heading in question.gold:
        for part in split(
            load_document(document, ROOT / "data/knowledge_base" / document), Chunks(size=1200, overlap=150)
        ):
            if heading in part.heading.split(" › "):
                found.append(part)
    got = metrics.score(question, answer(question.question, question.reference, *found), SECTIONS)
    assert got.structure and got.abstention_right and not got.repeats
    if question.answerable:
        assert got.identifier_precision == got.identifier_recall == got.recall_at_k == got.reciprocal_rank == 1.0
        assert got.endpoint in (True, None)
    else:
        assert got.identifier_precision is got.recall_at_k is got.endpoint is None and got.abstained


def test_summary() -> None:
    scores = [
        made(structure=False, identifier_precision=None),
        made(identifier_precision=0.5, abstained=True),
        made(False, recall_at_k=None, abstained=True),
        made(False, recall_at_k=None),
    ]
    figures = metrics.summary(scores)
    assert figures["structure"]["mean"] == 0.75
    # Wilson, 3 of 4, z = 1.959964: the textbook interval
    assert figures["structure"]["low"] == pytest.approx(0.3006, abs=1e-4)
    assert figures["structure"]["high"] == pytest.approx(0.9544, abs=1e-4)
    assert (figures["identifier_precision"]["n"], figures["recall_at_k"]["n"]) == (3, 2)
    assert metrics.summary([made(endpoint=False), made(endpoint=None), made()])["endpoint"]["mean"] == 0.5
    assert figures["identifier_precision"]["mean"] == pytest.approx(2.5 / 3)
    assert 0.5 <= figures["identifier_precision"]["low"] < 2.5 / 3 < figures["identifier_precision"]["high"] <= 1
    for name in ("abstention_right", "abstention_precision", "abstention_recall", "abstention_f1"):
        assert figures[name]["mean"] == 0.5, name
    assert [figures[f"abstention_{name}"]["n"] for name in ("right", "precision", "recall", "f1")] == [4, 2, 2, 4]
    assert metrics.summary(scores) == figures  # the same figures each time
    assert metrics.summary([]) == {}
    assert "abstention_recall" not in metrics.summary([made()])


def printed(base: metrics.Summary, tuned: metrics.Summary) -> dict[str, str]:
    """Label to the row's text, as a terminal without colour shows it."""
    file = io.StringIO()
    Console(width=140, no_color=True, file=file).print(report.table({"base": base, "tuned": tuned}))
    lines = [line for line in file.getvalue().splitlines() if "│" in line]
    return {label: line for line in lines for label in report.LABELS.values() if label.strip() == first_cell(line)}


def first_cell(line: str) -> str:
    return line.strip("│┃ ").split("│")[0].strip()


def test_table_says_worse_in_words() -> None:
    base = metrics.summary([made(repeats=False, structure=False), made(identifier_recall=0.5)])
    tuned = metrics.summary([made(repeats=True), made(identifier_precision=0.5, identifier_recall=0.5)])
    rows = printed(base, tuned)
    assert "+0.50 better" in rows[report.LABELS["structure"]] and "n 2" in rows[report.LABELS["structure"]]
    assert "-0.25 worse" in rows[report.LABELS["identifier_precision"]]
    assert "+0.50 worse" in rows[report.LABELS["repeats"]]
    assert "same" in rows[report.LABELS["recall_at_k"]]
    narrow = io.StringIO()
    Console(width=80, no_color=True, file=narrow).print(report.table({"base": base, "tuned": tuned}))
    absent = {"abstention_precision", "abstention_recall", "abstention_f1", "filled", "grade"}
    assert set(report.LABELS) == set(base) | absent
    assert len(narrow.getvalue().splitlines()) == len(base) + 6  # one line a figure, besides title and rules
    assert narrow.getvalue().count("worse") == 2 and "…" not in narrow.getvalue()
    assert "orig. grounded" in rows and "same" not in rows["orig. grounded"]


def test_what_a_rule_filled_is_told_of_served_answers_alone() -> None:
    question = Question("q", "Which lists?", FOUR, (), (), True)
    free = answer("Which lists?", FOUR, chunk("a.md", ""))
    scores = [metrics.score(question, replace(free, filled=titles), SECTIONS) for titles in (None, (), SECTIONS[:2])]
    assert [score.filled for score in scores] == [None, 0.0, 0.5]
    plain, served = metrics.summary(scores[:1]), metrics.summary(scores[1:])
    assert "filled" not in plain and served["filled"]["mean"] == 0.25 and served["filled"]["n"] == 2
    assert report.as_served(served).endswith("filled by rule 0.25.")
    _, _, said, table, _ = report.results({"base": plain, "tuned": plain, "served": served, "extractive": plain})
    assert "filled by rule" in said and "filled by rule" not in list(table.columns[0].cells)


def test_verdict() -> None:
    base = metrics.summary([made(structure=False)] * 20)
    tuned = metrics.summary([made(identifier_precision=0.5)] * 19 + [made(abstained=True)])
    said = report.verdict(base, tuned)
    assert said.startswith("After tuning worse: “names in context” (1.00 to 0.53)")
    assert "(1.00 to 0.95, intervals overlap); better: “four sections” (0.00 to 1.00); same: “" in said
    assert report.verdict({}, tuned) == "After tuning: no figure in common."


def test_to_dict_can_be_written() -> None:
    question = Question("q", "Which lists?", FOUR, (), (), True)
    first = (answer("Which lists?", "No.", chunk("a.md", "")), made(structure=False))
    second = (answer("Which lists?", FOUR, chunk("a.md", "")), made())
    scored = {"base": [first], "tuned": [second], "served": [second], "extractive": [first]}
    content = json.loads(json.dumps(report.to_dict([question], scored)))
    assert content["summary"]["served"] == content["summary"]["tuned"]
    assert report.as_served(content["summary"]["served"]).startswith("As served")
    assert "four sections 1.00, names in context 1.00" in report.as_served(content["summary"]["served"])
    assert content["summary"]["change"]["structure"] == 1.0
    assert content["summary"]["base"]["structure"]["n"] == 1
    (row,) = content["questions"]
    assert (row["id"], row["question"], row["answerable"]) == ("q", "Which lists?", True)
    assert row["base"]["answer"] == "No." and row["tuned"]["structure"] is True and "id" not in row["base"]
    with pytest.raises(ValueError, match="beside question other"):
        report.to_dict([Question("other", "?", FOUR, (), (), True)], scored)
    alone = report.to_dict([question], {"extractive": [second]})
    assert list(alone["summary"]) == ["extractive"] and alone["questions"][0]["extractive"]["answer"] == FOUR


def test_results_say_what_the_model_adds_to_the_baseline() -> None:
    plain = metrics.summary([made(identifier_recall=0.5)] * 20)
    best = metrics.summary([made(repeats=True)] * 20)
    model = {"base": plain, "tuned": best, "served": best, "extractive": plain}
    first, tuned, served, second, against = report.results(model)
    assert [column.header for column in first.columns] == ["Figure", "base", "tuned", "change"]
    assert [column.header for column in second.columns] == ["Figure", "extractive", "served", "change"]
    assert tuned.startswith("After tuning worse:") and served.startswith("As served")
    assert against == (
        "Against plain extraction, the tuned model as served is worse: “repeats itself” (0.00 to 1.00); better: “names "
        "expected” (0.50 to 1.00); same: “four sections”, “names in context”, “right endpoint”, “abstains "
        "rightly”, “no findings”."
    )
    (alone,) = report.results({"extractive": plain})
    assert [column.header for column in alone.columns] == ["Figure", "extractive"]
    file = io.StringIO()
    Console(width=80, no_color=True, file=file).print(second)
    assert "recall@k" not in file.getvalue() and "…" not in file.getvalue(), "the same passages, so the same figures"
