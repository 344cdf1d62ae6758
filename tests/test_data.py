"""The shipped example data: documents, training rows and evaluation questions."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from copilot.evaluation.readability import grade

ROOT = Path(__file__).resolve().parents[1]
KNOWLEDGE = ROOT / "data" / "knowledge_base"
SOURCES = ROOT / "tools" / "documents"
HEADINGS = ["Summary", "How it works", "Key parameters / fields", "Common mistakes or troubleshooting tips"]
PARTS = {"messaging", "sheets"}
BACKTICKS = re.compile(r"`([^`\n]+)`")


@cache
def rows(folder: str) -> list[dict[str, Any]]:
    found = []
    path = ROOT / "data" / folder / {"sft": "train.jsonl", "eval": "questions.jsonl"}[folder]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            pytest.fail(f"{path.name}:{number}: {error}")
        found.append({**row, "where": f"{path.name}:{number}"})
    return found


def train() -> list[dict[str, Any]]:
    return [
        {**row, "text": row["response"], "sections": [row["source"]] if row["source"] else []} for row in rows("sft")
    ]


def held_out() -> list[dict[str, Any]]:
    return [{**row, "text": row["reference"], "sections": row["gold"]} for row in rows("eval")]


def everything() -> list[dict[str, Any]]:
    return train() + held_out()


def both_halves() -> bool:
    return {row["sections"][0]["document"].split("/")[0] for row in train() if row["sections"]} >= PARTS


@cache
def section(document: str, heading: str) -> str:
    """The text of one section: from its heading to the next one of the same or a higher level."""
    path = KNOWLEDGE / document
    assert path.is_file(), f"{document} is not in the knowledge base"
    if path.suffix in {".docx", ".pdf"}:
        path = SOURCES / f"{document}.md"
    lines = path.read_text(encoding="utf-8").splitlines()
    marks = text_headings(lines) if path.suffix == ".txt" else markdown_headings(lines)
    starts = [(number, level) for number, level, title in marks if title == heading]
    assert len(starts) == 1, f"{document}: {len(starts)} sections are called {heading!r}"
    start, depth = starts[0]
    end = next((number for number, level, _ in marks if number > start and level <= depth), len(lines))
    return "\n".join(lines[start:end])


def markdown_headings(lines: list[str]) -> list[tuple[int, int, str]]:
    found, fenced = [], False
    for number, line in enumerate(lines):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and (match := re.match(r"(#{1,6}) +(.*)", line)):
            found.append((number, len(match[1]), match[2].strip()))
    return found


def text_headings(lines: list[str]) -> list[tuple[int, int, str]]:
    """Underlined titles (= is level 1, others 2) or, in a file without them, titles in capitals."""
    below = [*lines[1:], ""]
    pairs = enumerate(zip(lines, below, strict=True))
    underlined = [
        (number, 1 if under.startswith("=") else 2, line.strip())
        for number, (line, under) in pairs
        if line.strip() and re.fullmatch(r"([=\-~*])\1{2,}", under.strip())
    ]
    capitals = [
        (number, 2, line.strip())
        for number, line in enumerate(lines)
        if re.match(r"[A-Z0-9]", line) and line.upper() == line and len(re.findall(r"[A-Z]", line)) > 3
    ]
    return underlined or capitals


def test_ids_are_unique() -> None:
    ids = [row["id"] for row in everything()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("folder", ["sft", "eval"])
def test_rows_have_the_agreed_fields(folder: str) -> None:
    wanted = {
        "sft": {"id", "question", "response", "source", "answerable", "where"},
        "eval": {"id", "question", "gold", "identifiers", "reference", "answerable", "where"},
    }[folder]
    for row in rows(folder):
        assert set(row) - {"audience"} == wanted and row.get("audience", "technical") == "technical", row["where"]
        assert row["question"].strip(), row["where"]


def test_four_headings_in_order_each_with_text() -> None:
    for row in everything():
        pieces = re.split(r"(?m)^### (.*)$", row["text"])
        assert pieces[0] == "", row["where"]
        assert pieces[1::2] == HEADINGS, row["where"]
        assert all(piece.strip() for piece in pieces[2::2]), row["where"]
        assert "\n\n\n" not in row["text"], row["where"]


@pytest.mark.parametrize(("folder", "least"), [("sft", 150), ("eval", 60)])
def test_counts(folder: str, least: int) -> None:
    if not both_halves():
        pytest.skip("one half of the data is missing")
    assert len(rows(folder)) >= least


@pytest.mark.parametrize("folder", ["sft", "eval"])
def test_share_of_unanswerable_questions(folder: str) -> None:
    share = sum(not row["answerable"] for row in rows(folder)) / len(rows(folder))
    assert 0.18 <= share <= 0.25


def test_answerable_rows_name_a_section_and_others_do_not() -> None:
    for row in everything():
        assert bool(row["sections"]) == row["answerable"], row["where"]


def test_identifiers_in_answers_stand_in_the_named_section() -> None:
    for row in everything():
        if row["answerable"]:
            text = "\n".join(section(gold["document"], gold["heading"]) for gold in row["sections"])
            missing = [name for name in BACKTICKS.findall(row["text"]) if name not in text]
            assert not missing, f"{row['where']}: {missing}"


def test_key_parameters_are_a_list_of_names() -> None:
    for row in everything():
        if row["answerable"]:
            part = row["text"].split(f"### {HEADINGS[2]}\n")[1].split("\n###")[0].strip().splitlines()
            assert 2 <= len(part) <= 6, row["where"]
            assert all(re.match(r"- `[^`]+`: \S", line) for line in part), row["where"]


def test_gold_identifiers_stand_in_section_and_reference() -> None:
    for row in held_out():
        if not row["answerable"]:
            assert row["identifiers"] == [], row["where"]
            continue
        assert 2 <= len(row["identifiers"]) <= 6, row["where"]
        text = "\n".join(section(gold["document"], gold["heading"]) for gold in row["gold"])
        for name in row["identifiers"]:
            assert name in text, f"{row['where']}: {name}"
            assert name in row["reference"], f"{row['where']}: {name}"


def test_unanswerable_answers_say_so_and_name_nothing() -> None:
    for row in everything():
        if not row["answerable"]:
            assert "`" not in row["text"], row["where"]
            assert row["text"].startswith("### Summary\nThe documents do not say"), row["where"]


def test_training_and_evaluation_share_nothing() -> None:
    def plain(row: dict[str, Any]) -> str:
        return " ".join(re.findall(r"\w+", row["question"].lower()))

    questions = [plain(row) for row in everything() if "audience" not in row]
    assert len(questions) == len(set(questions))
    places = [
        {(gold["document"], gold["heading"]) for row in half for gold in row["sections"]}
        for half in (train(), held_out())
    ]
    assert not places[0] & places[1]


def test_rows_for_technical_readers_are_the_same_questions_in_exact_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from make_technical_rows import make

    file = ROOT / "data" / "sft" / "train.jsonl"
    made = make(file, file.parent / "tiny.jsonl")
    assert made == file.read_text(encoding="utf-8"), "run tools/make_technical_rows.py"
    plain = {row["id"]: row for row in train() if "audience" not in row}
    technical = [row for row in train() if "audience" in row]
    pairs = [(plain[row["id"].removesuffix("-t")], row) for row in technical]
    assert len(pairs) >= 24 and all(one["question"] == two["question"] for one, two in pairs)
    assert all(one["text"] != two["text"] for one, two in pairs)
    grades = [[grade(row["text"]) or 0 for row in half] for half in zip(*pairs, strict=True)]
    print("\nreading grade, plain and technical:", *(f"{sum(g) / len(g):.1f}" for g in grades))
    assert sum(grades[1]) > sum(grades[0])


def content(path: Path) -> Any:
    """The bytes of a file; for a Word file its members, whose compression differs between zlib builds."""
    if path.suffix != ".docx":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return [(info.filename, info.date_time, archive.read(info)) for info in archive.infolist()]


def test_made_documents_are_what_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("reportlab")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from make_documents import make_all

    first, second = make_all(SOURCES, tmp_path / "1"), make_all(SOURCES, tmp_path / "2")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first
    for path in first:
        shipped = KNOWLEDGE / path.relative_to(tmp_path / "1")
        assert content(path) == content(shipped), f"run tools/make_documents.py: {shipped.name}"
    sys.modules.pop("make_documents", None)
